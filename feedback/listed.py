"""A list of interactions as a file: one JSON object a line, or a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec

from feedback import detail, finding
from feedback.models import Interaction

MOST = 10_000
CHUNK = 200
COLUMNS = (
    "id", "created_at", "question", "output", "status", "feature", "model", "prompt_name", "prompt_version", "release",
    "variant", "environment", "language", "session_id", "user_id", "latency_ms", "cost_usd", "input_tokens",
    "output_tokens", "tags",
)  # fmt: skip
FORMATS = {"jsonl": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def written(pks: Sequence[int], format_: str) -> Iterator[bytes]:
    """The file in parts, in the order of the keys, never more than CHUNK interactions in memory."""
    if format_ == "csv":
        yield _csv([COLUMNS])
    keys = iter(pks)
    while chunk := list(islice(keys, CHUNK)):
        rows = finding.rows(chunk, Interaction.objects.all())
        if format_ == "csv":
            yield _csv(_cells(row) for row in rows)
        else:
            yield b"".join(msgspec.json.encode(detail.summary(row)) + b"\n" for row in rows)


def _cells(row: Interaction) -> list[Any]:
    return [
        row.external_id, row.created_at.isoformat(), row.question, row.output, row.status, row.feature, row.model,
        row.prompt_name, row.prompt_version, row.release, row.variant, row.environment, row.language, row.session_id,
        row.end_user_id, row.latency_ms, row.cost_usd, row.input_tokens, row.output_tokens, " ".join(row.tags),
    ]  # fmt: skip


def _csv(rows: Any) -> bytes:
    """CSV whose cells no spreadsheet takes for a formula."""
    out = io.StringIO()
    csv.writer(out).writerows(
        [f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell for cell in row] for row in rows
    )
    return out.getvalue().encode()
