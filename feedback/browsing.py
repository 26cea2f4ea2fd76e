"""What the list of interactions shows: rows with little text, facets and counts that never scan everything."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.db import connection
from django.utils import timezone

from feedback import filters, finding
from feedback.filters import BOUNDS, EXACT, STEP_WORDS, Fact, Filters, facts
from feedback.finding import Counts
from feedback.models import Feedback, Interaction, text_of
from projects.models import Project
from projects.rendering import show_unseen
from projects.templatetags.ui import milliseconds, usd

PREVIEW = 240
PAGE = 25
FACET_VALUES = 6
FACETS = {
    "model": "Model", "prompt_version": "Prompt version", "release": "Release", "variant": "Variant",
    "feature": "Feature", "environment": "Environment", "language": "Language", "tag": "Tag", "status": "Status",
}  # fmt: skip
OPEN_FACETS = 6  # the others are folded until one of their values is chosen
NAMES = {**FACETS, "provider": "Provider", "prompt": "Prompt", "session": "Session", "user": "User"}
BOUND_NAMES = {
    "min_latency_ms": ("Took at least", "ms"), "max_latency_ms": ("Took at most", "ms"),
    "min_cost_usd": ("Cost at least", "$"), "max_cost_usd": ("Cost at most", "$"),
}  # fmt: skip
# What a page shows of its rows, in one statement that stays prepared; Django wrote four anew for each page. The
# last question is found in the database, so that conversations stay there, and of texts only their beginnings come.
_READ = f"""
SELECT i.id, i.external_id, i.happened_at, i.model, i.prompt_version, i.status, i.latency_ms, i.cost_usd,
  left(i.error_type, 30), left(i.output, {PREVIEW}),
  jsonb_path_query_array(i.messages, '$[*] ? (@.role == "user").content') -> -1,
  ARRAY(SELECT DISTINCT name FROM feedback_score s WHERE s.interaction_id = i.id AND s.flagged ORDER BY name),
  (SELECT jsonb_agg(jsonb_build_array(kind, number, scale, label)) FROM feedback_feedback f
   WHERE f.interaction_id = i.id AND f.superseded_at IS NULL)
FROM unnest(%s::bigint[]) WITH ORDINALITY AS wanted (id, place) JOIN feedback_interaction i ON i.id = wanted.id
ORDER BY wanted.place"""  # noqa: S608  # a number of ours


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
    """A line of the list, as texts: a template that works out each of them again takes longer than the database."""

    pk: int
    when: str
    question: str
    answer: str
    failed: str
    model: str
    prompt: str
    took: str
    cost: str
    feedback: Cell | None = None
    flags: list[str] = field(default_factory=list)
    cells: list[Cell | None] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Choice:
    value: str
    word: str
    count: int
    chosen: bool


@dataclass(frozen=True, slots=True)
class Facet:
    name: str
    title: str
    choices: list[Choice]
    open: bool


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
    counts: Counts
    facets: list[Facet]
    chips: list[Chip]
    kept: list[tuple[str, str]]  # parameters without a control of their own on the page


def listing(project: Project, wanted: Filters, *, cursor: str = "") -> Listing:
    """One page of the project's interactions that ``wanted`` lets through, with facets and bounded counts."""
    names = [*(fact.name for fact in facts), *FACETS]
    page, counts = finding.survey(project, wanted, names, size=PAGE)
    if cursor:
        page = finding.page(project, wanted, cursor=cursor, size=PAGE)
    titles = _titles(project, counts, wanted)
    facets = [facet for fact in facts for facet in _facets_of_fact(fact, counts, wanted, titles)]
    facets += [_facet(name, counts, wanted, place < OPEN_FACETS) for place, name in enumerate(FACETS)]
    shown = {(facet.name, choice.value) for facet in facets for choice in facet.choices}
    return Listing(
        rows=_rows(page.pks), next=page.next, counts=counts, facets=facets,
        chips=_chips(wanted, titles),
        kept=[pair for pair in query_of(wanted) if pair not in shown and pair[0] not in _CONTROLS],
    )  # fmt: skip


_CONTROLS = {"q", "since", "until", *BOUNDS}


def _facet(name: str, counts: Counts, wanted: Filters, open_: bool) -> Facet:
    chosen = wanted.tags if name == "tag" else wanted.exact.get(name, [])
    found = sorted(counts.facets.get(name, []), key=lambda entry: (-entry[1], entry[0]))
    shown = found[:FACET_VALUES] + [entry for entry in found[FACET_VALUES:] if entry[0] in chosen]
    shown += [(value, 0) for value in chosen if value not in dict(shown)]
    return Facet(
        name, FACETS[name], [Choice(value, value, number, value in chosen) for value, number in shown],
        open_ or bool(chosen),
    )  # fmt: skip


def _titles(project: Project, counts: Counts, wanted: Filters) -> dict[tuple[str, str], str]:
    """The words of the keys on the page, by fact and value. A query for each fact that has any."""
    said: dict[tuple[str, str], str] = {}
    for fact in facts:
        values = [*wanted.facts.get(fact.name, []), *(value for value, _ in counts.facets.get(fact.name, []))]
        if fact.titles and (keys := filters.keys(values)):
            said |= {(fact.name, str(key)): title for key, title in fact.titles(project, keys).items()}
    return said


def _facets_of_fact(fact: Fact, counts: Counts, wanted: Filters, titles: Mapping[tuple[str, str], str]) -> list[Facet]:
    """Known values in their own order, as far as they occur; keys by how common they are; others by name."""
    chosen = wanted.facts.get(fact.name, [])
    if fact.titles:
        return [_facet_of_keys(fact, counts, chosen, titles)]
    found = dict(counts.facets.get(fact.name, []))
    values = [
        value for value in fact.choices or sorted({*found, *chosen}, key=_place) if value in found or value in chosen
    ]
    groups: dict[str, list[Choice]] = {}
    for value in values:
        name, _, word = value.rpartition(":") if fact.grouped else ("", "", fact.word(value))
        groups.setdefault(name, []).append(Choice(value, word, found.get(value, 0), value in chosen))
    return [
        Facet(fact.name, f"{fact.title}: {name}" if name else fact.title, choices, True)
        for name, choices in groups.items()
    ]


def _facet_of_keys(fact: Fact, counts: Counts, chosen: list[str], titles: Mapping[tuple[str, str], str]) -> Facet:
    """The commonest of those that two or more rows have, and what is chosen."""
    found = dict(sorted(counts.facets.get(fact.name, []), key=lambda pair: (-pair[1], pair[0])))
    common = [value for value, number in found.items() if number > 1 and (fact.name, value) in titles]
    values = dict.fromkeys([*common[:FACET_VALUES], *chosen])
    choices = [
        Choice(value, titles.get((fact.name, value), value), found.get(value, 0), value in chosen) for value in values
    ]
    return Facet(fact.name, fact.title, choices, True)


def _place(value: str) -> tuple[str, int, str]:
    """Steps of a score stand from low to high under its name, anything else by name."""
    name, _, step = value.rpartition(":")
    return name, STEP_WORDS.index(step) if step in STEP_WORDS else 0, value


def _rows(pks: list[int]) -> list[Row]:
    loaded = [column.load(pks) for column in columns]
    with connection.prepared_cursor() as cursor:  # type: ignore[attr-defined]  # our engine's
        cursor.execute(_READ, [pks])
        return [_row([cells.get(found[0]) for cells in loaded], *found) for found in cursor]


def _row(cells: list[Cell | None], *found: Any) -> Row:
    """The texts of a row from what _READ says of it."""
    pk, name, happened_at, model, prompt, status, took, cost, error, answer, asked, flags, said = found
    failed = status == Interaction.Status.ERROR
    return Row(
        pk=pk, when=_moment(happened_at), took=milliseconds(took), cost=usd(cost),
        question=show_unseen(text_of(json.loads(asked or '""'))[:PREVIEW]) or name,
        answer=show_unseen(answer) or ("" if failed else "(empty answer)"),
        failed=show_unseen(error) or "Error" if failed else "",
        model=show_unseen(model), prompt=show_unseen(prompt), feedback=_loudest(json.loads(said or "[]")), flags=flags,
        cells=cells,
    )  # fmt: skip


def _moment(at: datetime) -> str:
    local = timezone.localtime(at)
    return f"{local.day} {local:%b, %H:%M}"


def _loudest(said: list[list[Any]]) -> Cell | None:
    """What the end users said of a row, in one word: what speaks against the answer comes first."""
    heard = [
        spoken(Feedback(kind=kind, number=number, scale=scale, label=label)) for kind, number, scale, label in said
    ]
    rank, cell = max(heard, key=lambda one: one[0], default=(0, None))
    return cell if rank else None


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
    pairs += [(fact.name, value) for fact in facts for value in wanted.facts.get(fact.name, [])]
    pairs += [(name, value) for name in EXACT for value in wanted.exact.get(name, [])]
    pairs += [("tag", tag) for tag in wanted.tags]
    pairs += [(name, moment.isoformat()) for name in ("since", "until") if (moment := getattr(wanted, name))]
    return pairs + [(name, f"{wanted.bounds[name]:.12g}") for name in BOUNDS if name in wanted.bounds]


def _chips(wanted: Filters, titles: Mapping[tuple[str, str], str]) -> list[Chip]:
    pairs = query_of(wanted)
    chips = []
    for pair in pairs:
        if pair[0] != "q":
            without = urlencode([other for other in pairs if other is not pair])
            name, value = _said(wanted, *pair)
            chips.append(Chip(name, titles.get(pair, value), without))
    return chips


def _said(wanted: Filters, name: str, value: str) -> tuple[str, str]:
    if name in {"since", "until"}:
        moment: Any = getattr(wanted, name)
        return ("From" if name == "since" else "Before"), f"{moment:%d %b %Y, %H:%M}"
    if name in BOUND_NAMES:
        said, unit = BOUND_NAMES[name]
        return said, f"${value}" if unit == "$" else f"{value}\u00a0{unit}"
    for fact in facts:
        if fact.name == name:
            return fact.title, fact.word(value)
    return NAMES[name], value
