"""A golden example as it is written: the canonical line, and the rows of a version in the order of their keys.

Freezing, checksums and every export format read through here, so that they cannot disagree.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import msgspec
from django.db.models import TextField
from django.db.models.functions import Cast

from evals.models import DatasetVersion, Example
from feedback.models import text_of

CHUNK = 1_000
APART = "apart"  # marks a row whose floats have to be written by ``canonical``
_encoder = msgspec.json.Encoder(order="sorted")
COLUMNS = ("key", "split", "input", "expected", "provenance", "tags", "metadata")

_JSON = ("input", "expected", "provenance", "metadata")
_READ = ("key", "split", "tags", *(f"{name}_text" for name in _JSON))


def canonical(value: Any) -> bytes:
    """JSON with sorted keys, no spaces, UTF-8: the same value gives the same bytes on every machine."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def compact(value: Any) -> bytes:
    """Sorted JSON without spaces, in a fifth of the time of ``canonical``, whose bytes it has but for floats with an
    exponent. For values that the database holds: there are no NaN."""
    try:
        return _encoder.encode(value)
    except OverflowError:  # an integer that is too long
        return canonical(value)


class _Reader:
    """Reads JSON as Python's own reader does, and notices floats that ``compact`` writes otherwise."""

    def __init__(self) -> None:
        self.apart = False
        self.read = msgspec.json.Decoder(float_hook=self._float).decode

    def _float(self, text: str) -> float:
        value = float(text)
        self.apart = self.apart or (value != 0 and not 1e-4 <= abs(value) < 1e16)
        return value


def sha256(value: Any) -> str:
    """The SHA-256 of the canonical form, in hex."""
    return hashlib.sha256(canonical(value)).hexdigest()


def native(row: dict[str, Any]) -> dict[str, Any]:
    """An example as the native format has it: the columns, with ``key`` under its outside name ``id``."""
    return {("id" if name == "key" else name): row[name] for name in COLUMNS}


def line(row: dict[str, Any]) -> bytes:
    """One line of the native format."""
    return (canonical if row.get(APART) else compact)(native(row)) + b"\n"


def rows(version: DatasetVersion, **narrowed: Any) -> Iterator[dict[str, Any]]:
    """The approved examples of a version by key, bytewise; a thousand at a time in memory. ``narrowed`` are filters.

    Page by page on the unique index, not by a server-side cursor: outside a transaction that one would have to
    be WITH HOLD, for which PostgreSQL first writes the whole result to disk.
    """
    approved = Example.objects.filter(version=version, approved_at__isnull=False, **narrowed).order_by("key")
    # As text, because reading JSON is half the work of an export and Python's reader is the slow one.
    wanted = approved.annotate(**{f"{name}_text": Cast(name, TextField()) for name in _JSON}).values_list(*_READ)
    reader, last = _Reader(), ""
    while page := list(wanted.filter(key__gt=last)[:CHUNK]):
        for key, split, tags, *texts in page:
            reader.apart = False
            row = {"key": key, "split": split, "tags": tags, **dict(zip(_JSON, map(reader.read, texts), strict=True))}
            if reader.apart:
                row[APART] = True
            yield row
        last = page[-1][0]


def checksum(version: DatasetVersion, **narrowed: Any) -> tuple[str, int]:
    """SHA-256 over the lines of the approved examples, and how many there are. ``narrowed`` are filters."""
    digest, count = hashlib.sha256(), 0
    for row in rows(version, **narrowed):
        digest.update(line(row))
        count += 1
    return digest.hexdigest(), count


def question_of(messages: list[Any]) -> str:
    """The last thing the user said."""
    for message in reversed(messages):
        if isinstance(message, dict) and message.get("role") == "user":
            return text_of(message.get("content"))
    return ""
