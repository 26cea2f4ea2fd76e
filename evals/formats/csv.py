"""CSV for a spreadsheet: one row an example, with what people read in columns of their own.

A cell that a spreadsheet would run as a formula gets an apostrophe in front
(https://owasp.org/www-community/attacks/CSV_Injection), and the file starts with a byte order mark, without
which Excel reads UTF-8 as the machine's own encoding.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from evals import lines
from evals.formats import PIECE, Format
from evals.source import Source

_RISKY = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
COLUMNS = (
    "id", "split", "question", "desired_output", "must", "must_not", "verdict", "category", "severity",
    "recorded_answer", "messages", "documents", "tags", "interaction_id", "settled_by", "reviewers", "blind",
)  # fmt: skip


def write(source: Source) -> Iterator[bytes]:
    """The file in pieces of about 64 KiB."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    buffer.write("\ufeff")
    writer.writerow(COLUMNS)
    for row in source.rows():
        writer.writerow([disarm(cell) for cell in cells(row)])
        if buffer.tell() >= PIECE:
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()
    if buffer.tell():
        yield buffer.getvalue().encode()


def cells(row: dict[str, Any]) -> list[str]:
    """The texts of one row, in the order of COLUMNS."""
    expected, provenance = row["expected"], row["provenance"]
    label = expected.get("label") or {}
    messages = row["input"].get("messages") or []
    return [
        row["key"], row["split"], lines.question_of(messages), expected.get("output") or "",
        _assertions(expected, "must"), _assertions(expected, "must_not"),
        label.get("verdict") or "", label.get("category") or "", _plain(label.get("severity")),
        row["metadata"].get("answer") or "", lines.compact(messages).decode(),
        lines.compact(row["input"].get("documents") or []).decode(), "; ".join(row["tags"]),
        _plain(provenance.get("interaction_id")), _plain(provenance.get("settled_by")),
        _plain(provenance.get("reviewers")), _plain(provenance.get("blind")),
    ]  # fmt: skip


def disarm(cell: str) -> str:
    """The cell as text that no spreadsheet runs."""
    return f"'{cell}" if cell.startswith(_RISKY) else cell


def _assertions(expected: dict[str, Any], kind: str) -> str:
    return "\n".join(entry["text"] for entry in expected.get("assertions") or [] if entry.get("type") == kind)


def _plain(value: object) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


FORMAT = Format(
    slug="csv",
    label="CSV",
    note="For a spreadsheet, formulas disarmed",
    suffix=".csv",
    media_type="text/csv; charset=utf-8",
    write=write,
    position=2,
)
