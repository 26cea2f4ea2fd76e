"""What the list of interactions shows: rows with little text, facets and counts that never scan everything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from django.db import connection
from django.db.models import F, Func, JSONField, QuerySet
from django.db.models.functions import Left

from feedback import filters
from feedback.filters import EXACT, SIGNALS, Filters
from feedback.models import Feedback, Interaction, Score, text_of
from projects.models import Project

PREVIEW = 240
# Counts and facets look at this many of the newest matches: exact below, "more than" above.
LOOK_BACK = 1_000
FACET_VALUES = 6
FACETS = {
    "feature": "Feature", "model": "Model", "prompt_version": "Prompt version", "release": "Release",
    "environment": "Environment", "status": "Status",
}  # fmt: skip
NAMES = {**FACETS, "variant": "Variant", "provider": "Provider", "prompt": "Prompt", "language": "Language",
         "session": "Session", "user": "User"}  # fmt: skip
# Columns a row needs. Everything else of an interaction may be megabytes.
ROW = (
    "id", "external_id", "created_at", "feature", "model", "prompt_version", "status", "latency_ms", "cost_usd",
    "error_type", "project_id",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cell:
    """What another app says of an interaction in a column of the list."""

    text: str
    icon: str = ""
    tone: str = ""  # "pass", "fail", "warn" or nothing


@dataclass(frozen=True, slots=True)
class Column:
    """A column that another app adds. ``load`` is called once for a page with the primary keys of its rows."""

    title: str
    load: Callable[[list[int]], Mapping[int, Cell]]


columns: list[Column] = []


@dataclass(slots=True)
class Row:
    interaction: Interaction
    question: str
    answer: str
    feedback: Cell | None = None
    flags: list[str] = field(default_factory=list)
    cells: list[Cell | None] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Choice:
    value: str
    count: int
    chosen: bool


@dataclass(frozen=True, slots=True)
class Facet:
    name: str
    title: str
    choices: list[Choice]


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter that is on, and the query string without it."""

    name: str
    value: str
    without: str


@dataclass(frozen=True, slots=True)
class Listing:
    rows: list[Row]
    next: str
    count: int
    more: bool  # there are more matches than ``count``, which is then LOOK_BACK
    facets: list[Facet]
    chips: list[Chip]


class _LastQuestion(Func):
    """The content of the last message of the user, found in the database so that conversations stay there."""

    template = """jsonb_path_query_array(%(expressions)s, '$[*] ? (@.role == "user").content') -> -1"""
    output_field = JSONField()


def listing(project: Project, wanted: Filters, *, cursor: str = "") -> Listing:
    """One page of the project's interactions that ``wanted`` lets through, with facets and a bounded count."""
    everything = Interaction.objects.filter(project=project)
    found = wanted.apply(everything)
    light = found.only(*ROW).annotate(asked=_LastQuestion(F("messages")), answer=Left("output", PREVIEW))
    page = filters.page(light, cursor=cursor)
    counts = _counts(found, list(FACETS))
    count = counts.pop("")[0][1] if counts.get("") else 0
    for name in wanted.exact.keys() & FACETS.keys():  # a chosen facet offers its other values too
        others = replace(wanted, exact={key: values for key, values in wanted.exact.items() if key != name})
        counts[name] = _counts(others.apply(everything), [name])[name]
    return Listing(
        rows=_rows(page.rows), next=page.next, count=min(count, LOOK_BACK), more=count > LOOK_BACK,
        facets=[_facet(name, counts.get(name, []), wanted.exact.get(name, [])) for name in FACETS],
        chips=_chips(wanted),
    )  # fmt: skip


def _counts(found: QuerySet[Interaction], names: list[str]) -> dict[str, list[tuple[str, int]]]:
    """The values of some columns and how often each occurs among the newest matches, and under "" their number.

    One scan along the index that orders the list, cut off after LOOK_BACK + 1 rows.
    """
    newest = found.order_by("-created_at", "-pk").values_list(*(EXACT[name] for name in names))[: LOOK_BACK + 1]
    inner, parameters = newest.query.sql_with_params()
    places = [f"c{place}" for place in range(len(names))]
    sets = ", ".join(f"({place})" for place in places)
    statement = (
        f"SELECT GROUPING({', '.join(places)}), COALESCE({', '.join(places)}), count(*) "  # noqa: S608
        f"FROM ({inner}) AS newest ({', '.join(places)}) GROUP BY GROUPING SETS ((), {sets})"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows = cursor.fetchall()
    everything = (1 << len(names)) - 1
    counts: dict[str, list[tuple[str, int]]] = {name: [] for name in names}
    for grouping, value, number in rows:
        if grouping == everything:
            counts[""] = [("", number)]
        elif value:  # each grouping set leaves one bit unset: that of its column
            name = names[len(names) - (everything & ~grouping).bit_length()]
            counts[name].append((value, number))
    return counts


def _facet(name: str, counts: list[tuple[str, int]], chosen: list[str]) -> Facet:
    counts = sorted(counts, key=lambda entry: (-entry[1], entry[0]))
    shown = counts[:FACET_VALUES] + [entry for entry in counts[FACET_VALUES:] if entry[0] in chosen]
    shown += [(value, 0) for value in chosen if value not in dict(shown)]
    choices = [Choice(value, min(number, LOOK_BACK), value in chosen) for value, number in shown]
    return Facet(name, FACETS[name], choices)


def _rows(interactions: list[Interaction]) -> list[Row]:
    pks = [interaction.pk for interaction in interactions]
    votes = _votes(pks)
    flags: dict[int, list[str]] = {}
    flagged = Score.objects.filter(interaction__in=pks, flagged=True).order_by("name")
    for pk, name in flagged.values_list("interaction_id", "name").distinct():
        flags.setdefault(pk, []).append(name)
    loaded = [column.load(pks) for column in columns]
    return [
        Row(
            interaction=interaction, question=text_of(getattr(interaction, "asked", ""))[:PREVIEW],
            answer=getattr(interaction, "answer", ""), feedback=votes.get(interaction.pk),
            flags=flags.get(interaction.pk, []), cells=[cells.get(interaction.pk) for cells in loaded],
        )
        for interaction in interactions
    ]  # fmt: skip


def _votes(pks: list[int]) -> dict[int, Cell]:
    """What the end users said of each row, in one word: what speaks against the answer comes first."""
    heard: dict[int, tuple[int, Cell]] = {}
    said = Feedback.objects.filter(interaction__in=pks, superseded_at=None)
    for feedback in said.only("interaction_id", "kind", "number", "scale", "label", "superseded_at"):
        rank, cell = spoken(feedback)
        if feedback.interaction_id is not None and rank > heard.get(feedback.interaction_id, (0, cell))[0]:
            heard[feedback.interaction_id] = (rank, cell)
    return {pk: cell for pk, (_, cell) in heard.items()}


BEHAVIOUR = {
    "copied": ("copy", "Copied"), "regenerated": ("retry", "Regenerated"), "rephrased": ("retry", "Asked again"),
    "abandoned": ("stop", "Left"), "edited": ("pencil", "Edited"), "escalated": ("user", "Asked for a person"),
}  # fmt: skip


def spoken(feedback: Feedback) -> tuple[int, Cell]:
    """A feedback in one word, and how loud it speaks; 0 is silence (a vote that was taken back)."""
    tone = "fail" if feedback.negative else ""
    if feedback.kind == Feedback.Kind.THUMBS:
        if feedback.number is None:
            return 0, Cell("Taken back", "undo")
        icon, word = {-1: ("thumb-down", "Down"), 1: ("thumb-up", "Up")}.get(int(feedback.number), ("minus", "Neutral"))
        return (9 if feedback.negative else 5), Cell(word, icon, tone)
    if feedback.kind == Feedback.Kind.RATING:
        if feedback.number is None:
            return 0, Cell("Taken back", "undo")
        return (7 if feedback.negative else 4), Cell(f"{feedback.number:g} of {feedback.scale or 5:g}", "star", tone)
    if feedback.kind == Feedback.Kind.IMPLICIT:
        icon, word = BEHAVIOUR.get(feedback.label, ("dot", feedback.label))
        return (6 if feedback.negative else 2), Cell(word, icon, tone)
    return {
        Feedback.Kind.REPORT: (10, Cell("Reported", "flag", tone)),
        Feedback.Kind.CORRECTION: (8, Cell("Corrected", "pencil", tone)),
        Feedback.Kind.CATEGORY: (3, Cell(feedback.label, "tag", tone)),
    }.get(Feedback.Kind(feedback.kind), (1, Cell("Comment", "comment", tone)))


def query_of(wanted: Filters) -> list[tuple[str, str]]:
    """The parameters of a list in a fixed order, for links."""
    pairs = [("q", wanted.q)] if wanted.q else []
    pairs += [(name, value) for name in EXACT for value in wanted.exact.get(name, [])]
    pairs += [("tag", tag) for tag in wanted.tags]
    if wanted.signal:
        pairs.append(("feedback", wanted.signal))
    pairs += [(name, moment.isoformat()) for name in ("since", "until") if (moment := getattr(wanted, name))]
    return pairs


def _chips(wanted: Filters) -> list[Chip]:
    pairs = query_of(wanted)
    chips = []
    for pair in pairs:
        name, value = pair
        if name == "q":
            continue
        without = urlencode([other for other in pairs if other is not pair])
        chips.append(Chip(*_said(wanted, name, value), without))
    return chips


def _said(wanted: Filters, name: str, value: str) -> tuple[str, str]:
    if name == "feedback":
        return "Feedback", SIGNALS[value].lower()
    if name in {"since", "until"}:
        moment: Any = getattr(wanted, name)
        return ("From" if name == "since" else "Before"), f"{moment:%d %b %Y, %H:%M}"
    return ("Tag" if name == "tag" else NAMES[name]), value


def neighbours(project: Project, wanted: Filters, interaction: Interaction) -> tuple[int | None, int | None]:
    """Primary keys of the interaction above and below this one in the list, by its order and filters."""
    found = wanted.apply(Interaction.objects.filter(project=project))
    at, pk = interaction.created_at, interaction.pk
    newer = found.filter(created_at__gte=at).exclude(created_at=at, pk__lte=pk)
    older = found.filter(created_at__lte=at).exclude(created_at=at, pk__gte=pk)
    return (
        newer.order_by("created_at", "pk").values_list("pk", flat=True).first(),
        older.order_by("-created_at", "-pk").values_list("pk", flat=True).first(),
    )
