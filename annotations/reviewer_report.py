"""What a reviewer's own votes say of their work: how much, how fast, how right, how steady. Nobody is ranked.

For the person and for leads. How the figures are made is in docs/agreement.md. Times are those the page measured; days
and weeks are UTC.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from statistics import quantiles
from typing import Any

from django.db import connection
from django.db.models import Q
from django.utils import timezone

from annotations import agreement_report, checks, shared_items
from annotations.agreement import Agreement, percent
from annotations.agreement_report import Pair
from annotations.checks import Standing
from annotations.estimation import LEAST_LABELS, wilson
from annotations.models import Annotation, Task, Verdict
from annotations.shared_items import Shared
from projects.access import RIGHTS, Right
from projects.models import Membership, Project, User

DAYS, WEEKS = 30, 12
MOST = 20_000  # votes of one person that are looked at, the newest
FEW_TIMES = 5
PAUSE = timedelta(minutes=30)  # a longer one ends a session
FRESH, LATE = timedelta(hours=1), timedelta(hours=2)  # into a session
SLOWER = 1.25  # times the median of the first hour
TOTALS = """
SELECT reviewer_id, count(*), max(created_at), count(seconds), percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds)
FROM annotations_annotation WHERE project_id = %s AND state = 'counted' AND created_at > %s GROUP BY reviewer_id"""


@dataclass(frozen=True, slots=True)
class Share:
    """``hits`` of ``n`` with the Wilson interval; told from 30 on."""

    hits: int
    n: int

    @property
    def value(self) -> float | None:
        return self.hits / self.n if self.n >= LEAST_LABELS else None

    @property
    def low(self) -> float:
        return wilson(self.hits, self.n)[0]

    @property
    def high(self) -> float:
        return wilson(self.hits, self.n)[1]

    def apart(self, other: Share) -> bool:
        """Whether both can be told and their intervals do not touch: stricter than a test at 5 %."""
        told = self.value is not None and other.value is not None
        return told and (self.high < other.low or other.high < self.low)


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds for an item: the middle one, and the quarter below and above. None under five items."""

    n: int
    median: float | None = None
    lower: float | None = None
    upper: float | None = None

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Pace:
        """Of these times."""
        if len(seconds) < FEW_TIMES:
            return cls(len(seconds))
        lower, middle, upper = quantiles(seconds, n=4, method="inclusive")
        return cls(len(seconds), middle, lower, upper)


@dataclass(frozen=True, slots=True)
class Week:
    """One week from its Monday: items, how many fail, the pace, and how often others said the same."""

    start: date
    items: int
    fails: Share
    pace: Pace
    same: Share


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of long sessions: the pace, and how often the verdict was that of others or of a known item."""

    pace: Pace
    same: Share


@dataclass(frozen=True)
class Fatigue:
    """The first hour of sessions that last more than two, beside what comes after the second. ``sessions`` counts
    them."""

    sessions: int
    fresh: Stretch
    late: Stretch

    @property
    def enough(self) -> bool:
        """Whether there are thirty items in both."""
        return min(self.fresh.pace.n, self.late.pace.n) >= LEAST_LABELS

    @property
    def slower(self) -> bool:
        """Whether the middle item takes a quarter longer late in a session."""
        early, late = self.fresh.pace.median, self.late.pace.median
        return self.enough and bool(early) and bool(late) and (late or 0) > SLOWER * (early or 0)

    @property
    def less_alike(self) -> bool:
        """Whether others say the same more rarely, beyond chance."""
        return self.late.same.apart(self.fresh.same) and self.late.same.hits * self.fresh.same.n < (
            self.fresh.same.hits * self.late.same.n
        )


@dataclass(frozen=True)
class ReviewerReport:
    """The whole page. ``by_day`` are the last thirty days, oldest first; ``pairs`` those with each other reviewer."""

    user: User
    items: int
    by_day: list[tuple[date, int]]
    pace: Pace
    known: Standing
    repeats: Standing
    same: Agreement
    pairs: list[Pair]
    weeks: list[Week]
    fatigue: Fatigue

    @property
    def drift(self) -> list[str]:
        """What has moved in the last four weeks against the eight before, beyond chance."""
        before, lately = self.weeks[:-4], self.weeks[-4:]
        found = []
        for words, name in (("of what they see fails", "fails"), ("of verdicts are those of others", "same")):
            old, new = (_sum(getattr(week, name) for week in weeks) for weeks in (before, lately))
            if new.apart(old):
                found.append(f"{new.hits / new.n:.0%} {words}, {old.hits / old.n:.0%} in the eight weeks before")
        return found


def _sum(shares: Iterable[Share]) -> Share:
    known = list(shares)
    return Share(sum(one.hits for one in known), sum(one.n for one in known))


@dataclass(frozen=True, slots=True)
class _Vote:
    at: datetime
    seconds: float | None
    verdict: str
    purpose: str
    interaction: int
    known: str | None


def report(project: Project, user: User) -> ReviewerReport:
    """Everything about this person in this project, of the last twelve weeks. A fixed number of queries."""
    today = timezone.now().astimezone(UTC).date()
    monday = today - timedelta(days=today.weekday(), weeks=WEEKS - 1)
    since = datetime(monday.year, monday.month, monday.day, tzinfo=UTC)
    votes = _votes(project, user, since)
    month = [vote for vote in votes if vote.at.date() > today - timedelta(days=DAYS)]
    shared = shared_items.load(project, since=since, reviewer=user)
    others = _others(shared, user)
    pairs = [(mine, one) for _, mine, theirs in others.values() for one in theirs]
    return ReviewerReport(
        user=user, items=len(month), by_day=_by_day(month, today), pace=Pace.of(_seconds(month)),
        known=checks.gold_standing(user, project), repeats=checks.self_consistency(user, project),
        same=percent(pairs), pairs=_pairs_of(shared, user), weeks=_weeks(votes, others, monday),
        fatigue=_fatigue(votes, others),
    )  # fmt: skip


def _votes(project: Project, user: User, since: datetime) -> list[_Vote]:
    """What counts, oldest first."""
    rows = Annotation.objects.filter(project=project, reviewer=user, created_at__gte=since)
    rows = rows.filter(Q(state=Annotation.State.COUNTED) | Q(reveal=Annotation.Reveal.CHANGED), supersedes=None)
    values = rows.order_by("-created_at", "-pk").values_list(
        "created_at", "seconds", "verdict", "task__purpose", "task__interaction", "task__known__verdict"
    )
    return [_Vote(*row) for row in values[:MOST]][::-1]


Others = dict[int, tuple[datetime, str, list[str]]]


def _others(shared: Shared, user: User) -> Others:
    """By interaction: when this person voted, what they said, what the others said."""
    found: Others = {}
    for item in shared.items:
        if mine := item.by(user.pk):
            theirs = [vote.verdict for vote in item.votes if vote.reviewer != user.pk]
            found[item.interaction] = (mine.created_at, mine.verdict, theirs)
    return found


def _pairs_of(shared: Shared, user: User) -> list[Pair]:
    own = agreement_report.pairs(shared)
    return [pair for pair in own if user.pk in {pair.one.pk, pair.other.pk}]


def _by_day(votes: Sequence[_Vote], today: date) -> list[tuple[date, int]]:
    counts = Counter(vote.at.date() for vote in votes)
    days = [today - timedelta(days=back) for back in reversed(range(DAYS))]
    return [(day, counts[day]) for day in days]


def _seconds(votes: Iterable[_Vote]) -> list[float]:
    return [vote.seconds for vote in votes if vote.seconds is not None]


def _weeks(votes: Sequence[_Vote], others: Others, monday: date) -> list[Week]:
    by_week: dict[int, list[_Vote]] = defaultdict(list)
    for vote in votes:
        by_week[(vote.at.date() - monday).days // 7].append(vote)
    same: dict[int, list[bool]] = defaultdict(list)
    for at, mine, theirs in others.values():
        same[(at.date() - monday).days // 7] += [mine == one for one in theirs]
    found = []
    for number in range(WEEKS):
        week = by_week[number]
        judged = [vote for vote in week if vote.purpose in checks.SETTLING and vote.verdict != Verdict.UNSURE]
        fails = Share(sum(vote.verdict == Verdict.FAIL for vote in judged), len(judged))
        start = monday + timedelta(weeks=number)
        alike = Share(sum(same[number]), len(same[number]))
        found.append(Week(start, len(week), fails, Pace.of(_seconds(week)), alike))
    return found


def _fatigue(votes: Sequence[_Vote], others: Others) -> Fatigue:
    sessions: list[list[_Vote]] = []
    for vote in votes:
        if not sessions or vote.at - sessions[-1][-1].at > PAUSE:
            sessions.append([])
        sessions[-1].append(vote)
    long = [session for session in sessions if session[-1].at - session[0].at > LATE]
    fresh = [vote for session in long for vote in session if vote.at - session[0].at < FRESH]
    late = [vote for session in long for vote in session if vote.at - session[0].at >= LATE]
    return Fatigue(len(long), _stretch(fresh, others), _stretch(late, others))


def _stretch(votes: Sequence[_Vote], others: Others) -> Stretch:
    alike: list[bool] = []
    for vote in votes:
        against = [vote.known] if vote.known else others.get(vote.interaction, (None, "", []))[2]
        alike += [vote.verdict == one for one in against]
    return Stretch(Pace.of(_seconds(votes)), Share(sum(alike), len(alike)))


# -- all of them, for leads -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """A reviewer in the list, of the last thirty days; known items and repeats of all time."""

    user: User
    items: int
    last: datetime | None
    median: float | None
    known: Standing
    repeats: Standing
    same: Share


def rows(project: Project) -> list[Row]:
    """Everybody who may review here or has voted in the last thirty days, by name. A fixed number of queries."""
    since = timezone.now() - timedelta(days=DAYS)
    with connection.cursor() as cursor:
        cursor.execute(TOTALS, [project.pk, since])
        totals: dict[int, tuple[Any, ...]] = {row[0]: row[1:] for row in cursor.fetchall()}
    known = checks.standings(project, Task.Purpose.GOLD)
    repeats = checks.standings(project, Task.Purpose.REPEAT)
    same: dict[int, list[bool]] = defaultdict(list)
    for item in shared_items.load(project, since=since).items:
        for one, other in item.pairs():
            same[one.reviewer].append(one.verdict == other.verdict)
            same[other.reviewer].append(one.verdict == other.verdict)
    found = []
    for user in sorted(_people(project, totals), key=lambda user: (str(user).lower(), user.pk)):
        items, last, timed, middle = totals.get(user.pk, (0, None, 0, None))
        alike = Share(sum(same[user.pk]), len(same[user.pk]))
        found.append(Row(
            user, items, last, middle if timed >= FEW_TIMES else None, known.get(user.pk, Standing()),
            repeats.get(user.pk, Standing()), alike,
        ))  # fmt: skip
    return found


def _people(project: Project, voted: Iterable[int]) -> set[User]:
    roles = [role for role, rights in RIGHTS.items() if Right.REVIEW in rights]
    members = Membership.objects.filter(project=project, role__in=roles).values("user")
    return set(User.objects.filter(Q(pk__in=members) | Q(pk__in=list(voted))))


def person(project: Project, pk: int) -> User | None:
    """Somebody who may review here or ever has; None otherwise."""
    found = User.objects.filter(pk=pk).first()
    if found is None:
        return None
    member = Membership.objects.filter(project=project, user=found).exists()
    return found if member or Annotation.objects.filter(project=project, reviewer=found).exists() else None
