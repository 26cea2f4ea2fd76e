"""Feedback whose interaction has not come. It is kept and linked whenever that comes; until then it is listed.

For the first ``DAYS`` it is expected: a backend may send its interactions in batches, later than its users vote.
After that it is probably the sign of a fault, such as ids that differ between the page and the backend.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.db.models.functions import Now

from feedback import filters, limits
from feedback.filters import Cursor
from feedback.models import Feedback
from projects.errors import invalid
from projects.models import Project

DAYS = 7
WAITING, MISSING = "waiting", "missing"
STATES = {MISSING: f"Missing after {DAYS} days", WAITING: "Waiting"}
PARAMETERS = ("linked", "state", "kind", "since", "until", "cursor", "limit")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of it: by age, kind and time of arrival. ``until`` is exclusive."""

    state: str = ""
    kinds: list[str] = field(default_factory=list)
    since: datetime | None = None
    until: datetime | None = None

    @property
    def last_day(self) -> datetime | None:
        """``until`` as a person enters it: the last day that is included."""
        return self.until - timedelta(microseconds=1) if self.until else None

    def pairs(self) -> list[tuple[str, str]]:
        """The parameters that say this, for links."""
        said = [("state", self.state), *(("kind", kind) for kind in self.kinds)]
        said += [(name, moment.isoformat()) for name in ("since", "until") if (moment := getattr(self, name))]
        return [(name, value) for name, value in said if value]


@dataclass(frozen=True, slots=True)
class Page:
    rows: list[Feedback]
    next: str  # the cursor of the page after this one, or ""


def parse(query: Mapping[str, list[str]]) -> Wanted:
    """What a query string asks for. ApiError 422 names a parameter that does not fit."""
    for name in query:
        if name not in PARAMETERS:
            raise invalid(f"/{name}", f"There is no filter {name[:50]!r}.")
    times = filters.parse({name: query[name] for name in ("since", "until") if name in query})
    state = query["state"][-1] if query.get("state") else ""
    if state and state not in STATES:
        raise invalid("/state", f"One of {', '.join(STATES)}.")
    kinds = [kind for kind in query.get("kind", []) if kind]
    if unknown := set(kinds) - set(Feedback.Kind.values):
        raise invalid("/kind", f"There is no kind {min(unknown)[:50]!r}.")
    return Wanted(state, kinds, times.since, times.until)


def of(project: Project) -> QuerySet[Feedback]:
    """All feedback of the project that waits for its interaction."""
    return Feedback.objects.filter(project=project, interaction=None)


def in_state(rows: QuerySet[Feedback], state: str) -> QuerySet[Feedback]:
    """Those that wait, or are missing, by the database's clock; all without a state."""
    border = Now() - timedelta(days=DAYS)
    if state == WAITING:
        return rows.filter(received_at__gt=border)
    return rows.filter(received_at__lte=border) if state == MISSING else rows


def page(project: Project, wanted: Wanted, *, cursor: str = "", size: int = limits.PAGE_SIZE) -> Page:
    """One page in the order of arrival, newest first. ApiError 422 for a cursor that is not one of ours."""
    rows = in_state(of(project), wanted.state)
    if wanted.kinds:
        rows = rows.filter(kind__in=wanted.kinds)
    if wanted.since:
        rows = rows.filter(received_at__gte=wanted.since)
    if wanted.until:
        rows = rows.filter(received_at__lt=wanted.until)
    if cursor:
        place = Cursor.parse(cursor)
        rows = rows.filter(received_at__lte=place.created_at).exclude(received_at=place.created_at, pk__gte=place.pk)
    found = list(rows.order_by("-received_at", "-pk")[: size + 1])
    return Page(found[:size], _after(found[:size]) if len(found) > size else "")


def _after(rows: list[Feedback]) -> str:
    return str(Cursor(rows[-1].received_at, rows[-1].pk))


def counts(project: Project) -> dict[str, int]:
    """How much there is of each state."""
    return {state: in_state(of(project), state).count() for state in STATES}
