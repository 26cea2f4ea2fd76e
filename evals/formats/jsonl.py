"""The native format: a header line, then one example a line. Its lines are what the checksum is taken over."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from typing import Any

from evals import lines
from evals.formats import Format
from evals.models import DatasetVersion

NAME = "reviewhub.golden/1"
PIECE = 64 * 1024


def header(version: DatasetVersion) -> dict[str, Any]:
    """What the first line says; ``sha256`` is that of all lines after it."""
    frozen_at = version.frozen_at.astimezone(UTC).isoformat().replace("+00:00", "Z") if version.frozen_at else None
    return {
        "format": NAME, "dataset": version.dataset.slug, "version": version.number, "count": version.count,
        "sha256": version.checksum, "frozen_at": frozen_at,
    }  # fmt: skip


def native_jsonl(version: DatasetVersion) -> Iterator[bytes]:
    """The whole file in pieces of about 64 KiB."""
    piece = bytearray(lines.canonical(header(version)) + b"\n")
    for row in lines.rows(version):
        piece += lines.line(row)
        if len(piece) >= PIECE:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)


FORMAT = Format(
    slug="jsonl",
    label="JSON Lines",
    note="Everything, with provenance and checksum",
    suffix=".jsonl",
    media_type="application/x-ndjson",
    write=native_jsonl,
    position=1,
)
