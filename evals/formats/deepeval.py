"""deepeval: a JSON list of goldens, as ``EvaluationDataset.add_goldens_from_json_file`` reads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from evals import lines
from evals.formats import Format, chat, pieces
from evals.source import Source


def golden(row: dict[str, Any]) -> dict[str, Any]:
    """One golden. What deepeval has no field for, the conversation and the assertions, is in ``additional_metadata``.

    The documents are ``context``. ``retrieval_context`` and ``actual_output`` are the candidate's, so they are null.
    """
    asserted = [
        f"{kind.replace('_', ' ')}: {text}" for kind in ("must", "must_not") for text in chat.asserted(row, kind)
    ]
    return {
        "input": chat.question(row), "actual_output": None, "expected_output": chat.desired(row) or None,
        "context": chat.contents(row) or None, "retrieval_context": None, "name": row["key"],
        "comments": "\n".join(asserted) or None,
        "additional_metadata": {
            "id": row["key"], "split": row["split"], "messages": chat.openai(row), "tags": row["tags"],
            "must": chat.asserted(row, "must"), "must_not": chat.asserted(row, "must_not"),
            "verdict": chat.label(row).get("verdict"), "category": chat.label(row).get("category"),
            "severity": chat.label(row).get("severity"), "recorded_answer": row["metadata"].get("answer"),
        },
    }  # fmt: skip


def _parts(source: Source) -> Iterator[bytes]:
    before = b"[\n"
    for row in source.rows():
        yield before + lines.compact(golden(row))
        before = b",\n"
    yield b"[]\n" if before == b"[\n" else b"\n]\n"


def write(source: Source) -> Iterator[bytes]:
    """The file in pieces."""
    return pieces(_parts(source))


FORMAT = Format(
    slug="deepeval",
    label="deepeval goldens",
    note="For an EvaluationDataset",
    suffix=".deepeval.json",
    media_type="application/json",
    write=write,
    position=13,
)
