"""An example as one row of columns with fixed types, for tables. No format of its own."""

from __future__ import annotations

from typing import Any

from evals import lines
from evals.formats import chat

TEXT, INTEGER = "string", "int32"
# What a person reads is a column; what has no fixed shape is a column of JSON text.
COLUMNS: dict[str, str] = {
    "id": TEXT, "split": TEXT, "question": TEXT, "desired_output": TEXT, "recorded_answer": TEXT, "verdict": TEXT,
    "category": TEXT, "severity": INTEGER, "interaction_id": TEXT, "input": TEXT, "expected": TEXT, "provenance": TEXT,
    "tags": TEXT, "metadata": TEXT,
}  # fmt: skip
_JSON = ("input", "expected", "provenance", "tags", "metadata")


def columns(row: dict[str, Any]) -> dict[str, Any]:
    """The row; None where nothing is known."""
    said = chat.label(row)
    origin = row["provenance"].get("interaction_id")
    return {
        "id": row["key"], "split": row["split"], "question": chat.question(row),
        "desired_output": chat.desired(row) or None, "recorded_answer": row["metadata"].get("answer") or None,
        "verdict": said.get("verdict"), "category": said.get("category"), "severity": said.get("severity"),
        "interaction_id": None if origin is None else str(origin),
        **{name: lines.compact(row[name]).decode() for name in _JSON},
    }  # fmt: skip
