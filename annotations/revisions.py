"""The versions that a rule or a queue has had, newest first, each with who made it and what it changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from annotations import wording
from annotations.models import TriageRevision

SHOWN = 200  # versions of one thing


@dataclass(frozen=True, slots=True)
class Version:
    """One version: its number, who made it when, what it changed in words, and all that it said."""

    number: int
    by: str
    at: datetime
    changes: list[str]
    snapshot: dict[str, Any]


def versions(revisions: Iterable[TriageRevision]) -> list[Version]:
    """The last 200 of these revisions of one thing, newest first."""
    rows = list(revisions)
    found = []
    before: dict[str, Any] | None = None
    for row in rows:
        found.append(Version(
            row.version, str(row.changed_by) if row.changed_by else "", row.changed_at,
            wording.changes(before, row.snapshot), row.snapshot,
        ))  # fmt: skip
        before = row.snapshot
    return found[::-1][:SHOWN]


def of(**what: Any) -> list[Version]:
    """``of(rule=rule)`` or ``of(queue=queue)``, in one query."""
    rows = TriageRevision.objects.filter(**what).select_related("changed_by").order_by("version")
    return versions(rows)
