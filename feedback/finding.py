"""Finding interactions by any combination of filters, newest first, in a time that does not grow with their number.

A list looks at the newest thousand interactions first, or a few thousand. What is common fills a page from those, and
the counts beside the facets are counts of those. Only what is too rare to fill a page there is looked up by index: then
it is rare enough for that. Roads not taken: one index per facet, which the intake pays for; and leaving the choice to
the planner, which multiplies the shares of filters that go together and now and then scans everything.
"""

# ruff: noqa: S608  # only names from the tables below are written into SQL; every value is a parameter
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from feedback import facet_tokens, filters, limits, search
from feedback.filters import EXACT, NONE, Cursor, Fact, Filters, facts
from feedback.models import FACET_COLUMNS, Interaction
from projects.models import Project

NEAR = 1_000  # how many of the newest are looked at first
DEEPER = 8  # and how many times as many before an index is asked, where the first promise that this fills a page
TWICE = 2  # and so much deeper before words and feedback are: they are read whole before the first row is known
EXACTLY = 1_000  # rare matches are counted up to here
KEYS = 20  # of a fact whose values are keys, which may be as many as the rows: the chosen and the commonest
_COLUMNS = list(dict.fromkeys(["id", "happened_at", *EXACT.values(), "tags", "latency_ms", "cost_usd"]))
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

    def near(self, columns: Sequence[str] = _COLUMNS) -> str:
        """The newest interactions, matching or not."""
        return (
            f"SELECT {', '.join(columns)} FROM feedback_interaction WHERE {' AND '.join(self.place)} "
            f"ORDER BY {self.order} LIMIT %(near)s"
        )

    def far(self) -> str:
        """Those that match, wherever they are, by what an index can find."""
        plainly = [condition for name, condition in self.set.items() if name in EXACT]
        conditions = [*self.place, *self.tokens, *plainly, *self.plain, *self.rare, *self.absent]
        matching = f"SELECT {', '.join(_COLUMNS)} FROM feedback_interaction WHERE {' AND '.join(conditions)}"
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
    while near:
        ((seen, pks, times),) = query.run(statement, size=size, near=near)
        if len(pks) >= size or seen < near:
            return list(zip(pks, times, strict=True))
        near = _deeper(query, near, len(pks), size)
    return query.run(f"SELECT id, happened_at FROM ({query.far()}) AS far ORDER BY {query.order}", far=size)


def _deeper(query: _Query, near: int, matches: int, size: int) -> int:
    """How many of the newest to look at once ``near`` of them hold too few matches to fill a page; 0 for no more.

    Reading on along the index costs 0.7 ms for a thousand. One that must look up what matches from anywhere reads a
    block of the table for each of them before it knows which are the newest: at a million, up to 25,000 times.
    """
    if near > NEAR or matches == 0:
        return 0
    times = -(-3 * size // (2 * matches))  # half as many again as would do by what has been seen
    return NEAR * times if times <= DEEPER * (TWICE if query.rare else 1) else 0


def survey(project: Project, wanted: Filters, names: Sequence[str], *, size: int) -> tuple[Page, Counts]:
    """The first page, how many match, and the values of the facets ``names`` among them; mostly in one statement."""
    query, near = _Query(project, wanted), NEAR
    while near:
        found, first = _count(query, project, names, size + 1, near=near)
        seen, matches = found.pop("")[0][1], found.pop("match")[0][1]
        if matches > size or seen < near:
            return _page(first, size), Counts(matches, near if seen == near else None, False, found)
        near = _deeper(query, near, matches, size + 1)
    free = [name for name in names if name not in query.set]
    rare, first = _count(query, project, free, size + 1)
    total = rare.pop("match")[0][1]
    del rare[""]
    return _page(first, size), Counts(min(total, EXACTLY), None, total > EXACTLY, found | rare)


def _page(rows: list[tuple[int, str]], size: int) -> Page:
    pks = [pk for pk, _ in rows[:size]]
    if len(rows) <= size:
        return Page(pks, "")
    last, moment = rows[size - 1]
    return Page(pks, str(Cursor(datetime.fromisoformat(moment), last)))


def _count(
    query: _Query, project: Project, names: Sequence[str], size: int, *, near: int = 0
) -> tuple[dict[str, list[tuple[str, int]]], list[tuple[int, str]]]:
    """Counts by facet and value, under "" of the rows looked at, under "match" of those that match; and the first rows.

    Looks at the newest ``near`` rows, or at 0 at those that match, from anywhere. Of the newest a facet that is set is
    counted among what all the others let through, so that a row that misses one filter stays. What other tables say is
    looked up by the keys of what is counted: as an array, because a join would be planned for the few rows that are
    expected where filters go together.
    """
    set_ = query.set if near else {}
    always = ["plainly"] if near and query.plain else []
    source = _tested(query, names) if near else query.far()
    looked_up = [f"({condition}) AS {_hit(name)}" for name, condition in set_.items() if name not in EXACT]
    tested = f"SELECT {', '.join(['near.*', *looked_up])} FROM near WHERE {' AND '.join(query.slow) or 'true'}"
    by_row = not looked_up and not (near and query.slow)
    every = " AND ".join([*always, *map(_hit, set_)]) or "true"
    free = [name for name in names if name in EXACT and name not in set_]
    columns = ", ".join(EXACT[name] for name in free)
    parts = [
        f"SELECT '', '', count(*) FROM ({query.near(['1']) if near else 'SELECT FROM near'}) AS seen",
        "SELECT 'match', '', count(*) FROM found",
        f"(SELECT 'row', happened_at::text, id FROM found ORDER BY {query.order} LIMIT %(size)s)",
    ]  # fmt: skip
    if free:
        which = "CASE " + " ".join(f"WHEN GROUPING({EXACT[name]}) = 0 THEN '{name}'" for name in free) + " END"
        sets = ", ".join(f"({EXACT[name]})" for name in free)
        parts.append(f"SELECT {which}, COALESCE({columns}), count(*) FROM found GROUP BY GROUPING SETS ({sets})")
    if "tag" in names:
        parts.append("SELECT 'tag', tag, count(*) FROM found, unnest(tags) AS tag GROUP BY 2")
    for name in names:
        others = " AND ".join([*always, *(_hit(other) for other in set_ if other != name)]) or "true"
        if name in EXACT and name in set_:
            parts.append(f"SELECT '{name}', {EXACT[name]}, count(*) FROM tested WHERE {others} GROUP BY 2")
        keys = f"SELECT id FROM tested WHERE {others}" if name in set_ else "SELECT id FROM found"
        parts += [_count_fact(query, project, fact, keys) for fact in facts if fact.name == name]
    statement = (
        f"WITH near AS MATERIALIZED ({source}), {ENDS}, "
        f"tested AS {'NOT ' if by_row else ''}MATERIALIZED ({tested if near else 'SELECT * FROM near'}), "
        f"found AS MATERIALIZED (SELECT id, happened_at, tags{', ' + columns if free else ''} FROM tested "
        f"WHERE {every}) {' UNION ALL '.join(parts)}"
    )
    found: dict[str, list[tuple[str, int]]] = {name: [] for name in names}
    first = []
    for name, value, number in query.run(statement, size=size, near=near, far=EXACTLY + 1):
        if name == "row":
            first.append((number, value))
        elif value or name in {"", "match"}:
            found.setdefault(name, []).append((value, number))
    return found, first


def _tested(query: _Query, names: Sequence[str]) -> str:
    """The newest rows with what their columns say to the filters, without those that miss two: they are in no count.

    A row is tested while it is read, and only what is wanted of it is kept: copies cost as much as reading.
    """
    columns = {EXACT[name]: None for name in names if name in EXACT}
    hits = {_hit(name): condition for name, condition in query.set.items() if name in EXACT}
    hits |= {"plainly": " AND ".join(query.plain)} if query.plain else {}
    tests = [f"({condition}) AS {name}" for name, condition in hits.items()]
    newest = query.near(["id", "happened_at", "tags", *columns, *tests])
    enough = f"{' + '.join(f'{name}::int' for name in hits)} >= {len(hits) - 1}" if hits else "true"
    return f"SELECT * FROM ({newest}) AS newest WHERE {enough}"


def _count_fact(query: _Query, project: Project, fact: Fact, keys: str) -> str:
    """Counts the values of a fact among the rows with these keys; of one whose values are keys, the commonest."""
    counted = (
        f"SELECT '{fact.name}', fact.value::text, count(DISTINCT fact.id) FROM {query.rows_of(fact, project)} "
        f"WHERE fact.id = ANY(ARRAY({keys})) GROUP BY 2"
    )
    if not fact.titles:
        return counted
    query.values[f"chosen_{fact.name}"] = query.wanted.facts.get(fact.name, [])  # counted however rare it is
    chosen = f"fact.value::text = ANY(%(chosen_{fact.name})s::text[])"
    return f"({counted} ORDER BY {chosen} DESC, 3 DESC, 2 LIMIT {KEYS})"


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
