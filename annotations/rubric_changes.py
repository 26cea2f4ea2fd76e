"""What differs between two versions of a rubric, mode by mode. Pure: works on their snapshots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from annotations.taxonomy import SEVERITIES

ADDED, CHANGED, RETIRED, RETURNED = "added", "changed", "retired", "returned"
WORDS = {ADDED: "New", CHANGED: "Changed", RETIRED: "Retired", RETURNED: "Brought back"}
NAMES = {
    "label": "Name", "description": "Description", "group": "Kind", "guide": "Guide", "examples": "Examples",
    "counter_examples": "Examples of what it is not", "digit": "Key", "default_severity": "Usual severity",
    "merged_into": "Counts as", "split_into": "Split into",
}  # fmt: skip
Snapshot = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of a mode, before and after, as people read it; empty for nothing."""

    field: str
    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one mode."""

    kind: str
    slug: str
    label: str
    differences: list[Difference] = field(default_factory=list)

    @property
    def word(self) -> str:
        """The kind in words."""
        return WORDS[self.kind]


def changes(before: Snapshot, after: Snapshot) -> list[Change]:
    """All changes from one version to another, in the order of the later one; what it no longer names comes last.

    Fields that an older version did not keep are not compared: that they are absent says nothing.
    """
    old = {mode["slug"]: mode for mode in before}
    labels = {mode["slug"]: str(mode["label"]) for mode in (*before, *after)}
    found = [change for mode in after if (change := _change(old.get(mode["slug"]), mode, labels))]
    gone = {mode["slug"] for mode in after}
    return [*found, *(Change(RETIRED, slug, labels[slug]) for slug, mode in old.items()
                      if slug not in gone and not mode.get("retired"))]  # fmt: skip


def _change(old: Mapping[str, Any] | None, new: Mapping[str, Any], labels: Mapping[str, str]) -> Change | None:
    slug, label = new["slug"], str(new["label"])
    retired, was_retired = bool(new.get("retired")), bool(old and old.get("retired"))
    if retired and (old is None or was_retired):
        kept = old or {}
        differences = _differences(kept, new, labels, ("merged_into", "split_into")) if old else []
        return Change(CHANGED, slug, label, differences) if differences else None
    if retired:
        return Change(RETIRED, slug, label, _differences({}, new, labels, ("merged_into", "split_into")))
    if old is None:
        return Change(ADDED, slug, label, _differences({}, new, labels, ("description", "default_severity")))
    if was_retired:
        return Change(RETURNED, slug, label)
    shared = [name for name in NAMES if name in old and name in new]
    differences = _differences(old, new, labels, shared)
    return Change(CHANGED, slug, label, differences) if differences else None


def _differences(
    old: Mapping[str, Any], new: Mapping[str, Any], labels: Mapping[str, str], names: Sequence[str]
) -> list[Difference]:
    pairs = ((name, _read(name, old.get(name), labels), _read(name, new.get(name), labels)) for name in names)
    return [Difference(name, NAMES[name], before, after) for name, before, after in pairs if before != after]


def _read(name: str, value: Any, labels: Mapping[str, str]) -> str:
    if value is None:
        return ""
    if name == "default_severity":
        return dict(SEVERITIES).get(value, str(value))
    if name == "merged_into":
        return labels.get(value, str(value))
    if name == "split_into":
        return ", ".join(labels.get(slug, slug) for slug in value)
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)
