"""What is untidy in a dataset: doubles, contradictions, groups in several splits, and what production has left behind.

Looked at is the open draft, or where there is none the newest frozen version, from which a remedy makes a draft. A
finding has a fingerprint of what its examples say: looked at once, it comes back only when one of them changes.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from annotations.near_duplicates import Print, printed, similarity
from evals import datasets, grouping, lines, staleness
from evals.few_shot import QUESTION
from evals.models import Dataset, DatasetVersion, Example, HygieneStep, Judge

MOST = 10_000  # examples that are looked at: about four seconds
ALIKE = 0.8  # of questions; the threshold of complaints is lower, because what people write there varies more
SHOWN = 25  # findings of each kind on a page


@dataclass(frozen=True, slots=True)
class Kind:
    """A list of the page: its heading, what it means, and what can be done about a finding of it."""

    slug: str
    heading: str
    meaning: str
    verbs: tuple[str, ...]


_KINDS = (
    Kind(
        "torn", "Groups in several splits",
        "One conversation, cluster or question stands on both sides of a split: what was trained on would be tested."
        " Such a version is not frozen.", ("move",),
    ),
    Kind(
        "leaked", "Told to a judge",
        "A judge in use was told an answer to this question as an example, and this is not of the train split: that"
        " judge already knows what it is to say.", ("train", "drop", "reviewed"),
    ),
    Kind(
        "conflicts", "Contradictions",
        "The same input, but not the same expectation. A candidate cannot pass both.", ("keep", "reviewed"),
    ),
    Kind(
        "duplicates", "Doubles",
        "The same input and the same expectation: counted twice, it weighs double.", ("keep", "reviewed"),
    ),
    Kind(
        "near", "Nearly the same",
        "Questions that differ by a few words or only by their numbers. On both sides of a split they are a leak.",
        ("keep", "move", "reviewed"),
    ),
    Kind(
        "stale", "Left behind",
        "Production has used another version of this prompt, document or tool since, and not this one any more.",
        ("drop", "reviewed"),
    ),
)  # fmt: skip
KINDS = {kind.slug: kind for kind in _KINDS}


@dataclass(frozen=True, slots=True)
class Item:
    """An example as far as it is looked at."""

    pk: int
    key: str
    split: str
    question: str
    expected: str
    approved: bool
    group: str
    origin: str  # the interaction that it is a copy of
    asked: str  # what stands for its input
    wanted: str  # and for its expectation
    whole: str  # and for all of it


@dataclass(frozen=True, slots=True)
class Finding:
    """Examples of one kind that belong together. ``keep`` is the one that stays unless somebody chooses another."""

    kind: str
    fingerprint: str
    items: tuple[Item, ...]
    keep: str
    note: str = ""

    @property
    def verbs(self) -> tuple[str, ...]:
        """What can be done about it: bringing together only what is apart."""
        apart = len({item.split for item in self.items}) > 1
        return tuple(verb for verb in KINDS[self.kind].verbs if verb != "move" or apart)


@dataclass(slots=True)
class Report:
    """The findings of each kind, without those that somebody has looked at, whose number is told."""

    version: DatasetVersion | None
    looked_at: int = 0
    found: dict[str, list[Finding]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    reviewed: int = 0

    @property
    def total(self) -> int:
        return sum(map(len, self.found.values()))


def version_of(dataset: Dataset) -> DatasetVersion | None:
    """What is looked at: the open draft, else the newest frozen version."""
    return dataset.versions.filter(frozen_at=None).first() or datasets.latest_frozen(dataset)


def report(dataset: Dataset) -> Report:
    """Every finding; a fixed number of queries."""
    version = version_of(dataset)
    if version is None:
        return Report(None)
    items = _items(version)
    found = Report(version, looked_at=len(items))
    seen = set(
        HygieneStep.objects.filter(dataset=dataset, verb="reviewed", undone_at=None).values_list("finding", flat=True)
    )
    for finding in _findings(dataset, version, items):
        if finding.fingerprint in seen:
            found.reviewed += 1
        else:
            found.found[finding.kind].append(finding)
    return found


def _items(version: DatasetVersion) -> list[Item]:
    rows = version.examples.order_by("key").values("pk", "approved_at", *lines.COLUMNS)[:MOST]
    return [_item(row) for row in rows.iterator(chunk_size=1_000)]


def _item(row: dict[str, Any]) -> Item:
    expected = row["expected"]
    said = expected.get("output") or "; ".join(each.get("text", "") for each in expected.get("assertions") or [])
    wanted = {name: expected.get(name) for name in ("output", "assertions", "schema", "refusal") if expected.get(name)}
    return Item(
        row["pk"], row["key"], row["split"], lines.question_of(row["input"].get("messages") or []), said,
        row["approved_at"] is not None, str(row["provenance"].get("group") or ""),
        str(row["provenance"].get("interaction_id") or ""), _mark(row["input"]),
        _mark(wanted), _mark(lines.native(row)),
    )  # fmt: skip


def _mark(value: Any) -> str:
    return hashlib.sha256(lines.compact(value)).hexdigest()


def _findings(dataset: Dataset, version: DatasetVersion, items: list[Item]) -> Iterable[Finding]:
    by_key = {item.key: item for item in items}
    yield from _torn(version, by_key)
    yield from _leaked(dataset.project_id, items)
    same: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        same[item.asked].append(item)
    for each in same.values():
        if len(each) > 1:
            yield _finding("conflicts" if len({item.wanted for item in each}) > 1 else "duplicates", each)
    yield from _near(dataset.project_id, [each[0] for each in same.values()])
    for key, notes in staleness.left_behind(version).items():
        if key in by_key:
            yield _finding("stale", [by_key[key]], note="; ".join(notes))


def _finding(kind: str, items: list[Item], *, note: str = "") -> Finding:
    """The one that stays is the first that is approved, else the first."""
    keep = next((item.key for item in items if item.approved), items[0].key)
    mark = _mark([kind, note, *sorted(item.whole for item in items)])
    return Finding(kind, mark, tuple(items), keep, note)


def _torn(version: DatasetVersion, by_key: dict[str, Item]) -> Iterable[Finding]:
    for torn in grouping.torn(version):
        there = [by_key[key] for key in torn.keys if key in by_key]
        if there:
            yield _finding("torn", there, note=f"brought together they are in {torn.split}")


def _leaked(project: int, items: list[Item]) -> Iterable[Finding]:
    """Examples outside the train split that an enabled judge was told of, by their interaction or by their question."""
    told: dict[str, list[str]] = defaultdict(list)
    judges = Judge.objects.filter(project=project, enabled=True).exclude(examples=[]).order_by("slug", "version")
    for slug, version, examples in judges.values_list("slug", "version", "examples"):
        for example in examples:
            for what in (f"of {example.get('interaction_id')}", f"asks {_plain(example.get('question') or '')}"):
                told[what].append(f"{slug} v{version}")
    for item in items:
        if item.split == Example.Split.TRAIN:
            continue
        asked = _plain(item.question[:QUESTION])
        who = [*told.get(f"of {item.origin}", ()), *(told.get(f"asks {asked}", ()) if asked else ())]
        if who:
            yield _finding("leaked", [item], note=f"told to {', '.join(dict.fromkeys(who))}")


def _plain(question: str) -> str:
    return " ".join(question.casefold().split())


def _near(project: int, items: list[Item]) -> Iterable[Finding]:
    """Groups of questions that are nearly the same, each like its first: chains do not grow without bound."""
    bands: dict[int, list[tuple[Print, int]]] = defaultdict(list)
    heads: dict[int, list[Item]] = {}
    for place, item in enumerate(items):
        mark = printed(project, item.question, "") if item.question else None
        if mark is None:
            continue
        close = {head: other for band in mark.bands for other, head in bands[band]}
        best = max(((similarity(mark, other), -head) for head, other in close.items()), default=(0.0, 0))
        if best[0] >= ALIKE:
            heads[-best[1]].append(item)
            continue
        heads[place] = [item]
        for band in mark.bands:
            bands[band].append((mark, place))
    for each in heads.values():
        if len(each) > 1:
            splits = sorted({item.split for item in each})
            yield _finding("near", each, note=f"in {' and '.join(splits)}" if len(splits) > 1 else "")
