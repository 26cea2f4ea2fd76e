"""Grouping pieces into traces with bounded memory: a temporary SQLite database that nobody has to clean up.

Exports are in no useful order: a trace's spans lie anywhere in a file, its scores in another. SQLite with an empty
name keeps its pages in memory up to its cache and then in a file that is already deleted, so that even a killed
import leaves nothing behind.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import msgspec

from feedback.importers.records import Piece

CACHE_KIB = 16_384
# More pieces than this are no trace, and are not loaded.
PIECES = 10_000
RESOLVED_AT_ONCE = 5_000
SCHEMA = f"""
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -{CACHE_KIB};
CREATE TABLE piece (id INTEGER PRIMARY KEY, trace TEXT, about TEXT, place TEXT, body BLOB);
CREATE TABLE span (id TEXT PRIMARY KEY, trace TEXT) WITHOUT ROWID;
"""
RESOLVE = """
UPDATE piece SET trace = (SELECT span.trace FROM span WHERE span.id = piece.about) WHERE trace IS NULL
"""


@dataclass(frozen=True, slots=True)
class Trace:
    """``place`` is where its first piece was found; ``bodies`` is empty where there are more than PIECES."""

    id: str
    place: str
    size: int
    bodies: list[dict[str, Any]]


class Spool:
    """``add`` all pieces, ``resolve`` those that name no trace, then go through ``traces`` as they first appeared."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("")
        self._database.executescript(SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._database.close()

    def add(self, place: str, piece: Piece) -> None:
        """``place`` says something to the caller, such as a line."""
        trace = piece.trace or None
        self._database.execute(
            "INSERT INTO piece (trace, about, place, body) VALUES (?, ?, ?, ?)",
            (trace, piece.about, place, msgspec.json.encode(piece.body)),
        )
        if trace and piece.span:
            self._database.execute("INSERT OR IGNORE INTO span VALUES (?, ?)", (piece.span, trace))

    def resolve(self, elsewhere: Callable[[list[str]], dict[str, str]], *, roots: bool) -> list[tuple[str, str]]:
        """Finds the traces of pieces that name only a span: here, ``elsewhere``, or by the span's own id (``roots``).

        Returns the places and spans of those that stay unknown; they belong to no trace.
        """
        self._database.execute(RESOLVE)
        unknown = self._database.execute("SELECT DISTINCT about FROM piece WHERE trace IS NULL AND about <> ''")
        while some := unknown.fetchmany(RESOLVED_AT_ONCE):
            found = elsewhere([about for (about,) in some])
            self._database.executemany("INSERT OR IGNORE INTO span VALUES (?, ?)", found.items())
        self._database.execute(RESOLVE)
        if roots:
            self._database.execute("UPDATE piece SET trace = about WHERE trace IS NULL AND about <> ''")
        return self._database.execute("SELECT place, about FROM piece WHERE trace IS NULL ORDER BY id").fetchall()

    def count(self) -> int:
        """How many traces there are."""
        self._database.executescript(
            "CREATE INDEX IF NOT EXISTS piece_of_trace ON piece (trace, id);"
            "CREATE TABLE IF NOT EXISTS trace AS SELECT min(id) AS first, trace AS id, count(*) AS size"
            " FROM piece WHERE trace IS NOT NULL GROUP BY trace ORDER BY 1;"
        )
        number: int = self._database.execute("SELECT count(*) FROM trace").fetchone()[0]
        return number

    def traces(self) -> Iterator[Trace]:
        """Each trace with all its pieces, oldest place first."""
        self.count()
        with closing(self._database.execute("SELECT id, size FROM trace ORDER BY first")) as every:
            for trace, size in every:
                pieces = self._database.execute(
                    "SELECT place, body FROM piece WHERE trace = ? ORDER BY id LIMIT ?",
                    (trace, PIECES if size <= PIECES else 1),
                ).fetchall()
                bodies = [msgspec.json.decode(body) for _, body in pieces] if size <= PIECES else []
                yield Trace(trace, pieces[0][0], size, bodies)
