"""The native format: a header line, then one example a line. Its lines are what the checksum is taken over."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from typing import Any

from evals import lines
from evals.formats import Format, pieces
from evals.source import Source

NAME = "reviewhub.golden/1"


def header(source: Source) -> dict[str, Any]:
    """What the first line says; ``count`` and ``sha256`` are those of all lines after it."""
    version = source.version
    frozen_at = version.frozen_at.astimezone(UTC).isoformat().replace("+00:00", "Z") if version.frozen_at else None
    checksum, count = version.checksum, version.count
    if source.filters:
        checksum, count = lines.checksum(version, **source.narrowed())
    told = {
        "format": NAME, "dataset": version.dataset.slug, "version": version.number, "count": count,
        "sha256": checksum, "frozen_at": frozen_at,
    }  # fmt: skip
    return {**told, "filters": source.filters} if source.filters else told


def _lines(source: Source) -> Iterator[bytes]:
    yield lines.canonical(header(source)) + b"\n"
    yield from map(lines.line, source.rows())


def native_jsonl(source: Source) -> Iterator[bytes]:
    """The whole file in pieces of about 64 KiB."""
    return pieces(_lines(source))


FORMAT = Format(
    slug="jsonl",
    label="JSON Lines",
    note="Everything, with provenance and checksum",
    suffix=".jsonl",
    media_type="application/x-ndjson",
    write=native_jsonl,
    position=1,
)
