"""The items that two or more reviewers have labelled on their own, and where those labels differ.

What agreement is computed from (``agreement_report``) and what its figures lead to: both read the same items, so a
figure and its list cannot say different things. Only independent votes count (``settlement.independent_votes``), of
each person the first. Failure modes that were merged count as what they went into.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import combinations
from typing import Any

from django.db.models import Count, Max, QuerySet

from annotations.models import Annotation, FailureMode, Queue, Verdict
from annotations.settlement import independent_votes
from projects.models import Project, User

MOST = 5_000  # items; more would not make the intervals narrower than a point
FIELDS = (
    "task__interaction", "pk", "reviewer", "verdict", "primary_category", "categories", "severity", "task",
    "created_at",
)  # fmt: skip
RESPECTS = {"verdict": "Verdict", "category": "Category", "severity": "Severity"}


@dataclass(frozen=True, slots=True)
class Vote:
    """What one person said of an item: verdict, failure modes by slug (``main`` the primary one), severity 1 to 4."""

    pk: int
    reviewer: int
    verdict: str
    main: str
    modes: frozenset[str]
    severity: int | None
    task: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Item:
    """An interaction with the votes of two or more people, first come first."""

    interaction: int
    votes: tuple[Vote, ...]

    def by(self, reviewer: int) -> Vote | None:
        """The vote of this person."""
        return next((vote for vote in self.votes if vote.reviewer == reviewer), None)

    def pairs(self) -> Iterator[tuple[Vote, Vote]]:
        """Every two votes, the one of the smaller key of a reviewer first."""
        yield from combinations(sorted(self.votes, key=lambda vote: vote.reviewer), 2)

    @property
    def differs_in(self) -> list[str]:
        """In what not all said the same; category and severity only where all say that it fails."""
        if len({vote.verdict for vote in self.votes}) > 1:
            return ["verdict"]
        if self.votes[0].verdict != Verdict.FAIL:
            return []
        found = [] if len({vote.main for vote in self.votes}) == 1 else ["category"]
        return found if len({vote.severity for vote in self.votes}) == 1 else [*found, "severity"]


@dataclass(frozen=True)
class Shared:
    """The shared items of a project, those with the newest votes first; ``more`` says that there are older ones.

    ``modes`` are the names of failure modes by slug, ``people`` those who have a part in the items, by key.
    """

    items: list[Item] = field(default_factory=list)
    more: bool = False
    modes: dict[str, str] = field(default_factory=dict)
    people: dict[int, User] = field(default_factory=dict)

    def of_pair(self, one: int, other: int) -> list[tuple[Vote, Vote]]:
        """What these two said of what both labelled."""
        found = [(item.by(one), item.by(other)) for item in self.items]
        return [(a, b) for a, b in found if a and b]


@dataclass(frozen=True)
class Narrowed:
    """Which of the shared items a list shows. Empty means any.

    ``pair`` both have labelled it; ``first`` and ``second`` are the verdicts of the first two votes (of the pair, if
    one is given, in its order); ``mode`` somebody names this failure mode; ``differ`` they differ in this respect, or
    in the mode if one is given.
    """

    pair: tuple[int, int] | None = None
    first: str = ""
    second: str = ""
    mode: str = ""
    differ: str = ""

    def holds(self, item: Item) -> bool:
        """Whether the item is on the list."""
        votes = [item.by(one) for one in self.pair] if self.pair else item.votes
        known = [vote for vote in votes if vote]
        if len(known) < 2:
            return False
        if (self.first and known[0].verdict != self.first) or (self.second and known[1].verdict != self.second):
            return False
        named = {self.mode in vote.modes for vote in known} if self.mode else {True}
        if True not in named:
            return False
        if not self.differ:
            return True
        return len(named) > 1 if self.mode else self.differ in Item(item.interaction, tuple(known)).differs_in


def load(
    project: Project, *, queue: Queue | None = None, since: datetime | None = None, until: datetime | None = None,
    reviewer: User | None = None, most: int = MOST,
) -> Shared:  # fmt: skip
    """The shared items of which the newest vote lies in the period, ``reviewer``'s vote among them if one is named.

    Four queries, whatever the number of items.
    """
    votes = independent_votes(project)
    if queue is not None:
        votes = votes.filter(task__queue=queue)
    if until is not None:
        votes = votes.filter(created_at__lt=until)
    newest = _newest(votes, since, reviewer, most + 1)
    chosen = votes.filter(task__interaction__in=newest[:most]).order_by("pk")
    rows: list[Any] = list(chosen.values_list(*FIELDS))
    names, ends = _modes(project)
    found: dict[int, dict[int, Vote]] = defaultdict(dict)
    for interaction, pk, who, verdict, primary, others, severity, task, at in rows:
        main = ends.get(primary, "")
        modes = frozenset([*([main] if main else []), *(ends.get(slug, slug) for slug in others)])
        vote = Vote(pk, who, verdict, main, modes, severity, task, at)
        found[interaction].setdefault(who, vote)
    items = [Item(pk, tuple(found[pk].values())) for pk in newest[:most] if len(found[pk]) > 1]
    people = User.objects.in_bulk({vote.reviewer for item in items for vote in item.votes})
    return Shared(items, len(newest) > most, names, people)


def _newest(votes: QuerySet[Annotation], since: datetime | None, reviewer: User | None, most: int) -> list[int]:
    """The keys of interactions with votes of two people, those with the newest vote first."""
    rows = votes
    if since is not None:
        rows = rows.filter(task__interaction__in=votes.filter(created_at__gte=since).values("task__interaction"))
    if reviewer is not None:
        rows = rows.filter(task__interaction__in=votes.filter(reviewer=reviewer).values("task__interaction"))
    shared = rows.values("task__interaction").annotate(people=Count("reviewer", distinct=True), last=Max("pk"))
    shared = shared.filter(people__gt=1).order_by("-last")
    return list(shared.values_list("task__interaction", flat=True)[:most])


def _modes(project: Project) -> tuple[dict[str, str], dict[int | str, str]]:
    """The names of failure modes by slug; and by key and by slug what each one counts as, merged ones followed."""
    modes = {mode.pk: mode for mode in FailureMode.objects.filter(project=project)}
    ends: dict[int | str, str] = {}
    for mode in modes.values():
        end = mode
        while end.merged_into_id is not None:
            end = modes[end.merged_into_id]
        ends[mode.pk] = ends[mode.slug] = end.slug
    return {mode.slug: mode.label for mode in modes.values()}, ends


def narrowed(items: Iterable[Item], which: Narrowed) -> list[Item]:
    """The items of a list, in their order."""
    return [item for item in items if which.holds(item)]
