"""Atomic rate limits in PostgreSQL: correct with any number of processes, unlike a cache per process."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection

HIT = """
INSERT INTO projects_ratecounter AS c (key, "window", count, ends_at)
VALUES (%(key)s, floor(extract(epoch FROM now()) / %(seconds)s), 1,
        to_timestamp((floor(extract(epoch FROM now()) / %(seconds)s) + 1) * %(seconds)s))
ON CONFLICT (key, "window") DO UPDATE SET count = c.count + 1
RETURNING count, ceil(extract(epoch FROM ends_at - now()))::int
"""
FORGET = "DELETE FROM projects_ratecounter WHERE key = %s"
SWEEP = "DELETE FROM projects_ratecounter WHERE ends_at < now() - interval '1 hour'"


@dataclass(frozen=True, slots=True)
class Limit:
    """``allowed`` says whether this hit was within the limit; else try again in ``retry_after`` seconds."""

    allowed: bool
    left: int
    retry_after: int


def hit(key: str, *, limit: int, seconds: int) -> Limit:
    """Counts one more of ``key`` in the current stretch of ``seconds`` (fixed windows by the database's clock)."""
    with connection.cursor() as cursor:
        cursor.execute(HIT, {"key": key[:200], "seconds": seconds})
        count, rest = cursor.fetchone()
    return Limit(count <= limit, max(limit - count, 0), max(rest, 1))


def forget(key: str) -> None:
    """Clears a counter, e.g. after a sign-in that succeeded."""
    with connection.cursor() as cursor:
        cursor.execute(FORGET, [key[:200]])


def sweep() -> None:
    """Removes counters that have ended."""
    with connection.cursor() as cursor:
        cursor.execute(SWEEP)
