"""Finding interactions by any combination of filters, newest first, in a time that does not grow with their number.

A list looks at the newest few thousand interactions first. What is common fills a page from those, and the counts
beside the facets are counts of those. Only what is too rare to fill a page there is looked up by index: then it
is rare enough for that. Roads not taken: one index per facet, which the intake pays for; and leaving the choice to the
planner, which multiplies the shares of filters that go together and now and then scans everything.
"""

# ruff: noqa: S608  # only names from the tables below are written into SQL; every value is a parameter
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from feedback import facet_tokens, filters, limits, search
from feedback.filters import EXACT, NONE, Cursor, Fact, Filters, facts
from feedback.models import FACET_COLUMNS, Interaction
from projects.models import Project

NEAR = 2_000  # how many of the newest are looked at before an index is asked
EXACTLY = 1_000  # rare matches are counted up to here
KEYS = 20  # of a fact whose values are keys, which may be as many as the rows: the chosen and the commonest
_COLUMNS = ", ".join(dict.fromkeys(["id", "happened_at", *EXACT.values(), "tags", "latency_ms", "cost_usd"]))
_TOKENS = facet_tokens.spelt("project_id", "tags", list(FACET_COLUMNS))


@dataclass(frozen=True, slots=True)
class Page:
    """Primary keys of one page, newest first, and the cursor of the page after it, or ""."""

    pks: list[int]
    next: str


@dataclass(frozen=True, slots=True)
class Counts:
    """How many match. ``of`` is None where ``matches`` is of all, else how many of the newest were looked at.

    ``more`` says that there are more than ``matches``. ``facets`` maps each facet to its values with their counts
    among the same; for a facet that is set, as if it were not.
    """

    matches: int
    of: int | None
    more: bool
    facets: dict[str, list[tuple[str, int]]]


class _Query:
    """The parts of a statement for one project and one set of filters."""

    def __init__(
        self, project: Project, wanted: Filters, start: Cursor | None = None, *, upwards: bool = False
    ) -> None:
        self.wanted = wanted
        self.order = "happened_at, id" if upwards else "happened_at DESC, id DESC"
        self.values: dict[str, Any] = {"project": project.pk, "near": NEAR}
        self.place = ["project_id = %(project)s"]
        for name, sign in (("since", ">="), ("until", "<")):
            if moment := getattr(wanted, name):
                self.values[name] = moment
                self.place.append(f"happened_at {sign} %({name})s")
        if start:
            self.values |= {"at": start.created_at, "pk": start.pk}
            self.place.append(f"(happened_at, id) {'>' if upwards else '<'} (%(at)s, %(pk)s)")
        self.tokens: list[str] = []
        self.set: dict[str, str] = {}  # facet -> condition
        self.plain = self._plain(project)
        self.text = search.words(project.pk, wanted.q) if wanted.q else None
        if self.text:
            self.values |= self.text.parameters
        self.rare: list[str] = [self.text.anywhere] if self.text else []
        self.slow = [self.text.near] if self.text else []
        self.absent: list[str] = []
        self._facts(project)

    def _plain(self, project: Project) -> list[str]:
        """Conditions on the row itself."""
        conditions = []
        for name, values in self.wanted.exact.items():
            column = EXACT[name]
            self.values[name] = values
            self.set[name] = f"{column} = ANY(%({name})s)"
            if column in FACET_COLUMNS:
                self.values[f"{name}_tokens"] = [facet_tokens.token(project.pk, column, value) for value in values]
                self.tokens.append(f"({_TOKENS}) && %({name}_tokens)s")
        if self.wanted.tags:
            self.values["tags"] = self.wanted.tags
            conditions.append("tags @> %(tags)s::varchar[]")
            self.tokens.append(f"({_TOKENS}) @> %(tags)s")
        for name, (column, sign) in BOUNDS.items():
            if (bound := self.wanted.bounds.get(name)) is not None:
                self.values[name] = bound
                conditions.append(f"{column} {sign} %({name})s")
        return conditions

    def _facts(self, project: Project) -> None:
        for fact in facts:
            if values := self.wanted.facts.get(fact.name):
                self.set[fact.name] = self._has(fact, project, values, near=True)
                (self.absent if NONE in values else self.rare).append(self._has(fact, project, values, near=False))

    def _has(self, fact: Fact, project: Project, values: list[str], *, near: bool) -> str:
        rows = self.rows_of(fact, project)
        name = f"fact_{fact.name}"
        self.values[name] = filters.keys(values) if fact.titles else values
        if near:
            has = f"near.id IN (SELECT fact.id FROM {rows} WHERE {WITHIN} AND fact.value = ANY(%({name})s))"
            none = f"NOT EXISTS (SELECT 1 FROM {rows} WHERE {WITHIN} AND fact.id = near.id)"
        else:
            has = f"id = ANY(ARRAY(SELECT fact.id FROM {rows} WHERE fact.value = ANY(%({name})s)))"
            none = f"NOT EXISTS (SELECT 1 FROM {rows} WHERE fact.id = feedback_interaction.id)"
        if NONE not in values:
            return has
        return none if values == [NONE] else f"({has} OR {none})"

    def rows_of(self, fact: Fact, project: Project) -> str:
        """The rows (id, value) of a fact as a table of the statement."""
        sql, parameters = _compiled(fact.rows, project.pk)
        names = [f"{fact.name}_{place}" for place in range(len(parameters))]
        self.values |= zip(names, parameters, strict=True)
        return f"({sql % tuple(f'%({name})s' for name in names)}) AS fact (id, value)"

    def near(self) -> str:
        """The newest interactions, matching or not."""
        return (
            f"SELECT {_COLUMNS} FROM feedback_interaction WHERE {' AND '.join(self.place)} "
            f"ORDER BY {self.order} LIMIT %(near)s"
        )

    def far(self) -> str:
        """Those that match, wherever they are, by what an index can find."""
        plainly = [condition for name, condition in self.set.items() if name in EXACT]
        conditions = [*self.place, *self.tokens, *plainly, *self.plain, *self.rare, *self.absent]
        matching = f"SELECT {_COLUMNS} FROM feedback_interaction WHERE {' AND '.join(conditions)}"
        if self.tokens or self.rare or self.set.keys() & INDEXED:
            # as a CTE, so that the order does not tempt the planner to walk along it
            matching = f"WITH far AS MATERIALIZED ({matching}) SELECT * FROM far"
        return f"{matching} ORDER BY {self.order} LIMIT %(far)s"

    def run(self, statement: str, **more: Any) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(statement, {**self.values, **more})
            found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


@lru_cache(maxsize=1_000)
def _compiled(rows: Callable[[Project], QuerySet[Any, Any]], project_id: int) -> tuple[str, tuple[Any, ...]]:
    """Compiling the queries of all facts anew for each page takes longer than running them."""
    sql, parameters = rows(Project(pk=project_id)).query.sql_with_params()
    return sql, tuple(parameters)


BOUNDS = {
    "min_latency_ms": ("latency_ms", ">="), "max_latency_ms": ("latency_ms", "<="), "min_cost_usd": ("cost_usd", ">="),
    "max_cost_usd": ("cost_usd", "<="),
}  # fmt: skip
INDEXED = {"session"}  # besides what the tokens hold
# The newest rows have keys side by side: what other tables say of them is a short stretch of an index.
ENDS = "ends AS MATERIALIZED (SELECT min(id) AS low, max(id) AS high FROM near)"
WITHIN = "fact.id BETWEEN (SELECT low FROM ends) AND (SELECT high FROM ends)"


def page(project: Project, wanted: Filters, *, cursor: str = "", size: int = limits.PAGE_SIZE) -> Page:
    """One page of what ``wanted`` lets through. Its cursor holds time and key: rows that arrive shift nothing.

    ApiError 422 for a cursor that is not one of ours.
    """
    rows = _first(_Query(project, wanted, Cursor.parse(cursor) if cursor else None), size + 1)
    last = rows[size - 1] if len(rows) > size else None
    return Page([pk for pk, _ in rows[:size]], str(Cursor(last[1], last[0])) if last else "")


def _first(query: _Query, size: int) -> list[tuple[Any, ...]]:
    """Key and time of up to ``size`` matches, in the order of the query."""
    conditions = " AND ".join([*query.set.values(), *query.plain, *query.slow]) or "true"
    near = NEAR if query.wanted else size
    statement = (
        f"WITH near AS MATERIALIZED ({query.near()}), {ENDS}, found AS MATERIALIZED (SELECT id, happened_at FROM near "
        f"WHERE {conditions} ORDER BY {query.order} LIMIT %(size)s) SELECT (SELECT count(*) FROM near), "
        f"ARRAY(SELECT id FROM found ORDER BY {query.order}), "
        f"ARRAY(SELECT happened_at FROM found ORDER BY {query.order})"
    )
    ((seen, pks, times),) = query.run(statement, size=size, near=near)
    if len(pks) < size and seen == near:
        return query.run(f"SELECT id, happened_at FROM ({query.far()}) AS far ORDER BY {query.order}", far=size)
    return list(zip(pks, times, strict=True))


def survey(project: Project, wanted: Filters, names: Sequence[str], *, size: int) -> tuple[Page, Counts]:
    """The first page, how many match, and the values of the facets ``names`` among them; mostly in one statement."""
    query = _Query(project, wanted)
    found, pks = _count(query, project, names, query.near(), query.set, size=size + 1, near=NEAR)
    near, matches = found.pop("")[0][1], found.pop("match")[0][1]
    counts = Counts(matches, NEAR if near == NEAR else None, False, found)
    if near == NEAR and matches <= size:
        free = [name for name in names if name not in query.set]
        rare, pks = _count(query, project, free, query.far(), None, size=size + 1, far=EXACTLY + 1)
        total = rare.pop("match")[0][1]
        del rare[""]
        counts = Counts(min(total, EXACTLY), None, total > EXACTLY, found | rare)
    return _page(pks, size), counts


def _page(pks: list[int], size: int) -> Page:
    if len(pks) <= size:
        return Page(pks, "")
    last = Interaction.objects.values_list("happened_at", flat=True).get(pk=pks[size - 1])
    return Page(pks[:size], str(Cursor(last, pks[size - 1])))


def _count(
    query: _Query, project: Project, names: Sequence[str], source: str, set_: dict[str, str] | None, **more: Any
) -> tuple[dict[str, list[tuple[str, int]]], list[int]]:
    """Counts by facet and value, under "" of the rows looked at, under "match" of those that match; and the first keys.

    ``source`` are the newest rows, of which a facet of ``set_`` is counted among what all the others let through, so
    that a row that misses one filter stays; or with None those that match already, from anywhere.
    """
    scattered, set_ = set_ is None, set_ or {}
    conditions = [] if scattered else [*query.plain, *query.slow]
    tests = ", ".join(f"({condition})::int AS {_hit(name)}" for name, condition in set_.items())
    hits = [_hit(name) for name in set_]
    enough = f"{' + '.join(hits)} >= {len(hits) - 1}" if hits else "true"
    every = " AND ".join(f"{hit} = 1" for hit in hits) or "true"
    free = [name for name in names if name in EXACT and name not in set_]
    parts = [
        "SELECT '', '', count(*) FROM near", f"SELECT 'match', '', count(*) FROM hits WHERE {every}",
        f"(SELECT 'row', '', id FROM hits WHERE {every} ORDER BY {query.order} LIMIT %(size)s)",
    ]  # fmt: skip
    if free:
        columns = [EXACT[name] for name in free]
        which = "CASE " + " ".join(f"WHEN GROUPING({EXACT[name]}) = 0 THEN '{name}'" for name in free) + " END"
        sets = ", ".join(f"({column})" for column in columns)
        parts.append(
            f"SELECT {which}, COALESCE({', '.join(columns)}), count(*) FROM hits WHERE {every} "
            f"GROUP BY GROUPING SETS ({sets})"
        )
    if "tag" in names:
        parts.append(f"SELECT 'tag', tag, count(*) FROM hits, unnest(tags) AS tag WHERE {every} GROUP BY 2")
    for name in names:
        others = " AND ".join(f"{_hit(other)} = 1" for other in set_ if other != name) or "true"
        if name in EXACT and name in set_:
            parts.append(f"SELECT '{name}', {EXACT[name]}, count(*) FROM hits WHERE {others} GROUP BY 2")
        for fact in facts:
            if fact.name == name:
                said = query.rows_of(fact, project)
                if (
                    scattered
                ):  # keys from anywhere: look each of them up. OFFSET keeps the planner from reading everything
                    said = f"LATERAL (SELECT * FROM {said} WHERE fact.id = hits.id OFFSET 0) AS fact"
                counted = (
                    f"SELECT '{name}', fact.value::text, count(DISTINCT hits.id) FROM hits, {said} "
                    f"WHERE {others} AND fact.id = hits.id AND {WITHIN} GROUP BY 2"
                )
                if fact.titles:  # what is chosen is counted however rare it is
                    query.values[f"chosen_{name}"] = query.wanted.facts.get(name, [])
                    chosen = f"fact.value::text = ANY(%(chosen_{name})s::text[])"
                    counted = f"({counted} ORDER BY {chosen} DESC, 3 DESC, 2 LIMIT {KEYS})"
                parts.append(counted)
    statement = (
        f"WITH near AS MATERIALIZED ({source}), {ENDS}, "
        f"tested AS MATERIALIZED (SELECT *{', ' + tests if tests else ''} FROM near "
        f"WHERE {' AND '.join(conditions) or 'true'}), "
        f"hits AS MATERIALIZED (SELECT * FROM tested WHERE {enough}) {' UNION ALL '.join(parts)}"
    )
    found: dict[str, list[tuple[str, int]]] = {name: [] for name in names}
    pks = []
    for name, value, number in query.run(statement, **more):
        if name == "row":
            pks.append(number)
        elif value or name in {"", "match"}:
            found.setdefault(name, []).append((value, number))
    return found, pks


def _hit(name: str) -> str:
    return f"hit_{name}"


def rows(pks: Sequence[int], interactions: QuerySet[Interaction]) -> list[Interaction]:
    """The interactions of a page in its order."""
    by_key = interactions.in_bulk(pks)
    return [by_key[pk] for pk in pks if pk in by_key]


def neighbours(project: Project, wanted: Filters, interaction: Interaction) -> tuple[int | None, int | None]:
    """Primary keys of the interaction above and below this one in the list, by its order and filters."""
    here = Cursor(interaction.happened_at, interaction.pk)
    above, below = (_first(_Query(project, wanted, here, upwards=upwards), 1) for upwards in (True, False))
    return above[0][0] if above else None, below[0][0] if below else None
