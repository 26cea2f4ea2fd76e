"""Which interactions a list shows: the same parameters for the page and the API, from an allow-list."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from feedback import limits
from feedback.models import Feedback, Interaction
from projects import moments
from projects.errors import ApiError, invalid

# Parameter -> column. Equality only; each value may be repeated.
EXACT = {
    "model": "model", "feature": "feature", "environment": "environment", "release": "release", "variant": "variant",
    "provider": "provider", "prompt": "prompt_name", "prompt_version": "prompt_version", "language": "language",
    "status": "status", "session": "session_id", "user": "end_user_id",
}  # fmt: skip
CONTROLS = ("feature", "model", "prompt_version", "release", "environment", "status")
SIGNALS = {
    "negative": "Negative", "positive": "Positive", "comment": "With a comment", "any": "Any", "none": "None",
}  # fmt: skip
DAY = len("2026-11-20")
OTHERS = ("q", "tag", "feedback", "since", "until", "cursor", "limit")


@dataclass(frozen=True, slots=True)
class Filters:
    """What was asked for. ``exact`` maps a parameter to its values; any of them fits."""

    exact: Mapping[str, list[str]] = field(default_factory=dict)
    q: str = ""
    tags: list[str] = field(default_factory=list)
    signal: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def apply(self, interactions: QuerySet[Interaction]) -> QuerySet[Interaction]:
        for name, values in self.exact.items():
            interactions = interactions.filter(**{f"{EXACT[name]}__in": values})  # names from the table above
        if self.tags:
            interactions = interactions.filter(tags__contains=self.tags)
        if self.since:
            interactions = interactions.filter(created_at__gte=self.since)
        if self.until:
            interactions = interactions.filter(created_at__lt=self.until)
        if self.q:
            interactions = interactions.filter(_mentions(self.q))
        return _with_feedback(interactions, self.signal)

    @property
    def last_day(self) -> datetime | None:
        """``until`` as a person enters it: the last day that is included."""
        return self.until - timedelta(microseconds=1) if self.until else None

    @property
    def kept(self) -> dict[str, list[str]]:
        """Parameters without a control of their own on the page."""
        return {name: values for name, values in self.exact.items() if name not in CONTROLS} | {"tag": self.tags}

    def __bool__(self) -> bool:
        return bool(self.exact or self.q or self.tags or self.signal or self.since or self.until)


def _mentions(text: str) -> Q:
    """Question, answer or id. ILIKE on the messages' JSON finds any turn."""
    return Q(output__icontains=text) | Q(messages__icontains=text) | Q(external_id=text)


def _with_feedback(interactions: QuerySet[Interaction], signal: str) -> QuerySet[Interaction]:
    if not signal:
        return interactions
    of_it = Feedback.objects.filter(interaction=OuterRef("pk"), superseded_at=None)
    if signal == "none":
        return interactions.filter(~Exists(of_it))
    return interactions.filter(Exists(of_it.filter(SIGNAL_QUERIES[signal])))


NEGATIVE = (
    Q(kind="thumbs", number=-1)
    | Q(kind="rating", number__lte=F("scale") / 2)
    | Q(kind="implicit", label__in=["regenerated", "rephrased", "abandoned", "escalated"])
    | Q(kind__in=["report", "correction"])
)
POSITIVE = Q(kind="thumbs", number=1) | Q(kind="rating", number__gt=F("scale") / 2) | Q(kind="implicit", label="copied")
SIGNAL_QUERIES = {
    "negative": NEGATIVE,
    "positive": POSITIVE,
    "comment": ~Q(comment=""),
    "any": Q(),
}  # fmt: skip


def parse(query: Mapping[str, list[str]]) -> Filters:
    """The filters of a query string (name -> values). ApiError 422 names a parameter that does not fit."""
    for name in query:
        if name not in EXACT and name not in OTHERS:
            raise invalid(f"/{name}", f"There is no filter {name[:50]!r}.")
        if any("\0" in value or len(value) > limits.SEARCH for value in query[name]):
            raise invalid(f"/{name}", f"At most {limits.SEARCH} characters, and no NUL.")
    signal = _one(query, "feedback")
    if signal and signal not in SIGNALS:
        raise invalid("/feedback", f"One of {', '.join(SIGNALS)}.")
    exact = {name: [value for value in query[name] if value] for name in EXACT if name in query}
    return Filters(
        exact={name: values for name, values in exact.items() if values}, q=_one(query, "q").strip(),
        tags=[tag for tag in query.get("tag", []) if tag], signal=signal, since=_moment(query, "since"),
        until=_moment(query, "until"),
    )  # fmt: skip


def _one(query: Mapping[str, list[str]], name: str) -> str:
    values = query.get(name, [])
    return values[-1] if values else ""


def _moment(query: Mapping[str, list[str]], name: str) -> datetime | None:
    """A time, or a day: ``since`` it begins, ``until`` it has ended."""
    text = _one(query, name)
    if not text:
        return None
    a_day = len(text) == DAY
    moment = moments.read(f"{text}T00:00:00Z" if a_day else text)
    if moment is None or not limits.FIRST_YEAR <= moment.year <= limits.LAST_YEAR + 1:
        raise invalid(f"/{name}", "A date, 2026-11-20, or a time, 2026-11-20T12:00:00Z.")
    return moment + timedelta(days=a_day and name == "until")


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the order newest first: after the row with this time and key."""

    created_at: datetime
    pk: int

    def __str__(self) -> str:
        micros = (self.created_at - _EPOCH) // timedelta(microseconds=1)
        return base64.urlsafe_b64encode(struct.pack(">qq", micros, self.pk)).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Cursor:
        try:
            micros, pk = struct.unpack(">qq", base64.urlsafe_b64decode(text + "=="))
            return cls(_EPOCH + timedelta(microseconds=micros), pk)
        except (struct.error, binascii.Error, ValueError, OverflowError):
            raise ApiError(422, "invalid", "This cursor is not one of ours.",
                           [{"path": "/cursor", "message": "Take it from the answer before."}]) from None  # fmt: skip


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Page:
    rows: list[Interaction]
    next: str  # the cursor of the page after this one, or ""


def page(interactions: QuerySet[Interaction], *, cursor: str = "", size: int = limits.PAGE_SIZE) -> Page:
    """One page newest first. The cursor holds time and key, so rows that arrive meanwhile shift nothing."""
    if cursor:
        place = Cursor.parse(cursor)
        interactions = interactions.filter(created_at__lte=place.created_at).exclude(
            created_at=place.created_at, pk__gte=place.pk
        )
    rows = list(interactions.order_by("-created_at", "-pk")[: size + 1])
    more = len(rows) > size
    rows = rows[:size]
    return Page(rows, str(Cursor(rows[-1].created_at, rows[-1].pk)) if more else "")
