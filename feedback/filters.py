"""Which interactions a list shows: the same parameters for the page and the API, from an allow-list."""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Case, F, Func, Q, QuerySet, TextField, Value, When
from django.db.models.functions import Concat

from feedback import limits
from feedback.models import Feedback, Score
from projects import moments
from projects.errors import ApiError, invalid
from projects.models import Project

# Parameter -> column. Equality only; each value may be repeated.
EXACT = {
    "model": "model", "feature": "feature", "environment": "environment", "release": "release", "variant": "variant",
    "provider": "provider", "prompt": "prompt_name", "prompt_version": "prompt_version", "language": "language",
    "status": "status", "session": "session_id", "user": "end_user_id",
}  # fmt: skip
BOUNDS = ("min_latency_ms", "max_latency_ms", "min_cost_usd", "max_cost_usd")
LARGEST = 1e12
NONE = "none"  # the value of a fact that an interaction has if it has no other
KEY = re.compile(r"[1-9][0-9]{0,17}")  # what fits into a bigint
DAY = len("2026-11-20")
OTHERS = ("q", "tag", "since", "until", "cursor", "limit", *BOUNDS)


@dataclass(frozen=True, slots=True)
class Fact:
    """A filter by what other tables say of an interaction. Apps that know more append theirs to ``facts``.

    ``rows`` are pairs of an interaction's key and a value, as many as there are. ``choices`` are the values that exist
    with their words, in the order of the page; None where every value does. ``none`` stands for having no row.

    With ``titles`` the values are keys, whole numbers, and titles their words: those of the ones that are the
    project's. It is asked once for a page, and only the commonest are offered.
    """

    name: str
    title: str
    rows: Callable[[Project], QuerySet[Any, Any]]
    choices: Mapping[str, str] | None = None
    grouped: bool = False  # values are ``name:word``, and each name has a heading of its own
    titles: Callable[[Project, Sequence[int]], Mapping[int, str]] | None = None

    def word(self, value: str) -> str:
        return self.choices[value] if self.choices else value.replace(":", " ")


@dataclass(frozen=True, slots=True)
class Filters:
    """What was asked for. ``exact`` and ``facts`` map a parameter to its values, of which any fits."""

    exact: Mapping[str, list[str]] = field(default_factory=dict)
    facts: Mapping[str, list[str]] = field(default_factory=dict)
    q: str = ""
    tags: list[str] = field(default_factory=list)
    since: datetime | None = None
    until: datetime | None = None
    bounds: Mapping[str, float] = field(default_factory=dict)

    @property
    def last_day(self) -> datetime | None:
        """``until`` as a person enters it: the last day that is included."""
        return self.until - timedelta(microseconds=1) if self.until else None

    def __bool__(self) -> bool:
        return bool(self.exact or self.facts or self.q or self.tags or self.since or self.until or self.bounds)


NEGATIVE = (
    Q(kind="thumbs", number=-1)
    | Q(kind="rating", number__lte=F("scale") / 2)
    | Q(kind="implicit", label__in=["regenerated", "rephrased", "abandoned", "escalated"])
    | Q(kind__in=["report", "correction"])
)
POSITIVE = Q(kind="thumbs", number=1) | Q(kind="rating", number__gt=F("scale") / 2) | Q(kind="implicit", label="copied")
SIGNALS = {
    "negative": "Negative", "positive": "Positive", "thumbs-down": "Thumbs-down", "thumbs-up": "Thumbs-up",
    "comment": "Comment", "copied": "Copied", "rephrased": "Asked again", "regenerated": "Regenerated",
    "edited": "Edited", "abandoned": "Left", "escalated": "Asked for a person", "correction": "Correction",
    "report": "Report", "rating": "Rating", "category": "Category", "any": "Any", "none": "None",
}  # fmt: skip


def _heard(project: Project) -> QuerySet[Any, Any]:
    """What users said, by sign and by kind: one feedback has several of the values."""
    words = [
        When(Q(kind="thumbs", number=-1), then=Value("thumbs-down")),
        When(Q(kind="thumbs", number=1), then=Value("thumbs-up")),
        When(kind="implicit", then=F("label")),
        When(kind__in=["correction", "report", "rating", "category"], then=F("kind")),
    ]
    parts = [
        Value("any"), Case(When(NEGATIVE, then=Value("negative")), When(POSITIVE, then=Value("positive"))),
        Case(*words), Case(When(~Q(comment=""), then=Value("comment"))),
    ]  # fmt: skip
    array = Func(*parts, template="unnest(ARRAY[%(expressions)s])", output_field=TextField())
    counting = Feedback.objects.filter(project=project, interaction__isnull=False, superseded_at=None)
    return counting.annotate(value=array).values_list("interaction_id", "value")


STEPS = ((0.5, "under 0.50"), (0.8, "0.50 to 0.80"))
TOP = "over 0.80"
STEP_WORDS = [*(word for _, word in STEPS), TOP]


def _scored(project: Project) -> QuerySet[Any, Any]:
    """Scores between 0 and 1 in three steps: ``faithfulness:under 0.50``."""
    step = Case(*(When(value__lt=limit, then=Value(f":{word}")) for limit, word in STEPS), default=Value(f":{TOP}"))
    scores = Score.objects.filter(project=project, interaction__isnull=False, value__gte=0, value__lte=1)
    return scores.annotate(step=Concat("name", step)).values_list("interaction_id", "step")


def _flagged(project: Project) -> QuerySet[Any, Any]:
    scores = Score.objects.filter(project=project, interaction__isnull=False, flagged=True)
    return scores.values_list("interaction_id", "name")


facts: list[Fact] = [
    Fact("feedback", "Feedback", _heard, SIGNALS),
    Fact("score", "Score", _scored, grouped=True),
    Fact("flag", "Flagged by", _flagged),
]


def keys(values: Iterable[str]) -> list[int]:
    """The keys among the values of a fact with titles."""
    return [int(value) for value in values if value != NONE]


def names() -> set[str]:
    """Every filter that the list takes."""
    return {*EXACT, *OTHERS, *(fact.name for fact in facts)}


def parse(query: Mapping[str, list[str]]) -> Filters:
    """The filters of a query string (name -> values). ApiError 422 names a parameter that does not fit."""
    known = {fact.name: fact for fact in facts}
    for name in query:
        if name not in names():
            raise invalid(f"/{name}", f"There is no filter {name[:50]!r}.")
        if any("\0" in value or len(value) > limits.SEARCH for value in query[name]):
            raise invalid(f"/{name}", f"At most {limits.SEARCH} characters, and no NUL.")
    for name, fact in known.items():
        if fact.choices and any(value and value not in fact.choices for value in query.get(name, [])):
            raise invalid(f"/{name}", f"One of {', '.join(fact.choices)}.")
        if fact.titles and any(value and value != NONE and not KEY.fullmatch(value) for value in query.get(name, [])):
            raise invalid(f"/{name}", f"A whole number, or {NONE}.")
    return Filters(
        exact=_several(query, EXACT), facts=_several(query, known), q=_one(query, "q").strip(),
        tags=[tag for tag in query.get("tag", []) if tag], since=_moment(query, "since"),
        until=_moment(query, "until"), bounds=_bounds(query),
    )  # fmt: skip


def _several(query: Mapping[str, list[str]], names: Iterable[str]) -> dict[str, list[str]]:
    found = {name: [value for value in query.get(name, []) if value] for name in names}
    return {name: values for name, values in found.items() if values}


def _bounds(query: Mapping[str, list[str]]) -> dict[str, float]:
    bounds = {}
    for name in BOUNDS:
        if text := _one(query, name):
            try:
                bounds[name] = float(text)
            except ValueError:
                bounds[name] = -1.0
            if not 0 <= bounds[name] <= LARGEST:
                raise invalid(f"/{name}", "A number from 0 to 1,000,000,000,000.")
    return bounds


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
