"""A golden example as it is written: the canonical line, and the rows of a version in the order of their keys.

Freezing, checksums and every export format read through here, so that they cannot disagree.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from evals.models import DatasetVersion, Example
from feedback.models import text_of

CHUNK = 1_000
COLUMNS = ("key", "split", "input", "expected", "provenance", "tags", "metadata")


def canonical(value: Any) -> bytes:
    """JSON with sorted keys, no spaces, UTF-8: the same value gives the same bytes on every machine."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def sha256(value: Any) -> str:
    """The SHA-256 of the canonical form, in hex."""
    return hashlib.sha256(canonical(value)).hexdigest()


def native(row: dict[str, Any]) -> dict[str, Any]:
    """An example as the native format has it: the columns, with ``key`` under its outside name ``id``."""
    return {("id" if name == "key" else name): row[name] for name in COLUMNS}


def line(row: dict[str, Any]) -> bytes:
    """One line of the native format."""
    return canonical(native(row)) + b"\n"


def rows(version: DatasetVersion) -> Iterator[dict[str, Any]]:
    """The approved examples of a version by key, bytewise; a thousand at a time in memory.

    Page by page on the unique index, not by a server-side cursor: outside a transaction that one would have to
    be WITH HOLD, for which PostgreSQL first writes the whole result to disk.
    """
    approved = Example.objects.filter(version=version, approved_at__isnull=False).order_by("key")
    last = ""
    while page := list(approved.filter(key__gt=last).values(*COLUMNS)[:CHUNK]):
        yield from page
        last = page[-1]["key"]


def checksum(version: DatasetVersion) -> tuple[str, int]:
    """SHA-256 over the lines of the approved examples, and how many there are."""
    digest, count = hashlib.sha256(), 0
    for row in rows(version):
        digest.update(line(row))
        count += 1
    return digest.hexdigest(), count


def question_of(messages: list[Any]) -> str:
    """The last thing the user said."""
    for message in reversed(messages):
        if isinstance(message, dict) and message.get("role") == "user":
            return text_of(message.get("content"))
    return ""
