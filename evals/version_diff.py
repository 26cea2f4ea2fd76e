"""What became of the examples from one version of a dataset to a later one: added, removed, changed and how."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.db.models import CharField, Exists, OuterRef, QuerySet, Value

from evals import lines
from evals.models import DatasetVersion, Example
from projects.rendering import WordDiff, word_diff

PAGE = 25
KINDS = {"changed": "Changed", "added": "Added", "removed": "Removed"}


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that changed in an example, by its name for people."""

    name: str
    diff: WordDiff


@dataclass(frozen=True, slots=True)
class Change:
    """An example that is not the same in both versions. ``example`` is the newer one, of a removed one the older."""

    kind: str
    example: Example
    question: str
    desired: str
    parts: list[Part]


@dataclass(frozen=True, slots=True)
class Changes:
    """A page of changes: how many of each kind and how many are the same, the rows, and where the next page starts."""

    counts: dict[str, int]
    same: int
    rows: list[Change]
    next_after: str

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def between(version: DatasetVersion, since: DatasetVersion, after: str = "") -> Changes:
    """The changes from ``since`` to ``version``, changed ones first, PAGE at a time after ``KIND KEY``.

    Of a draft only what is approved counts as added or changed: the rest would not be frozen.
    """
    sets, counts = _sets(version, since), counted(version, since)
    keys = _page(sets, after)
    shown = keys[:PAGE]
    newer = {each.key: each for each in version.examples.filter(key__in=[key for _, key in shown])}
    older = {each.key: each for each in since.examples.filter(key__in=[key for _, key in shown])}
    rows = [_change(kind, newer.get(key) if kind != "removed" else None, older.get(key)) for kind, key in shown]
    # An unapproved change counts as none: freezing would keep the earlier example.
    same = since.examples.count() - counts["removed"] - counts["changed"]
    return Changes(counts, same, rows, " ".join(shown[-1]) if len(keys) > PAGE else "")


def counted(version: DatasetVersion, since: DatasetVersion) -> dict[str, int]:
    """How many examples were changed, added and removed, by those names."""
    return {kind: found.count() for kind, found in _sets(version, since).items()}


def _sets(version: DatasetVersion, since: DatasetVersion) -> dict[str, QuerySet[Example]]:
    before = Example.objects.filter(version=since, key=OuterRef("key"))
    after = Example.objects.filter(version=version, key=OuterRef("key"))
    alike = before.filter(**{name: OuterRef(name) for name in lines.COLUMNS if name != "key"})
    approved = version.examples.filter(approved_at__isnull=False)
    return {
        "changed": approved.filter(Exists(before), ~Exists(alike)),
        "added": approved.filter(~Exists(before)),
        "removed": since.examples.filter(~Exists(after)),
    }


def _page(sets: dict[str, QuerySet[Example]], after: str) -> list[tuple[str, str]]:
    """The kinds and keys of one page and one more, in order."""
    from_kind, _, from_key = after.partition(" ")
    found: list[tuple[str, str]] = []
    for kind, wanted in sets.items():
        if from_kind in sets and list(sets).index(kind) < list(sets).index(from_kind):
            continue
        if kind == from_kind:
            wanted = wanted.filter(key__gt=from_key)
        rows = wanted.annotate(kind=Value(kind, CharField())).order_by("key").values_list("kind", "key")
        found += rows[: PAGE + 1 - len(found)]
        if len(found) > PAGE:
            break
    return found


def _change(kind: str, newer: Example | None, older: Example | None) -> Change:
    example = newer or older
    assert example is not None
    parts = _parts(older, newer) if newer is not None and older is not None else []
    return Change(
        kind,
        example,
        lines.question_of(example.input.get("messages") or []),
        example.expected.get("output") or "",
        parts,
    )


def _parts(older: Example, newer: Example) -> list[Part]:
    told = zip(_told(older).items(), _told(newer).values(), strict=True)
    return [Part(name, word_diff(before, after)) for (name, before), after in told if before != after]


def _told(example: Example) -> dict[str, str]:
    """What of an example may change, as texts under names for people."""
    expected, label = example.expected, example.expected.get("label") or {}
    asserted = [f"{each['type'].replace('_', ' ')}: {each['text']}" for each in expected.get("assertions") or []]
    return {
        "Desired answer": expected.get("output") or "",
        "Refusal": "expected" if expected.get("refusal") else "",
        "Assertions": "\n".join(asserted),
        "Verdict on the recorded answer": label.get("verdict") or "",
        "Category": label.get("category") or "",
        "Severity": str(label.get("severity") or ""),
        "Schema": pretty(expected.get("schema")),
        "Messages": pretty(example.input.get("messages")),
        "Documents": pretty(example.input.get("documents")),
        "Tools": pretty(example.input.get("tools")),
        "Parameters": pretty(example.input.get("parameters")),
        "Split": example.split,
        "Tags": ", ".join(example.tags),
        "Provenance": pretty(example.provenance),
        "Metadata": pretty(example.metadata),
    }


def pretty(value: Any) -> str:
    """A value as people compare it; nothing of an empty one."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, indent=1) if value else ""
