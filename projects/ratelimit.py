"""Atomic rate limits in PostgreSQL: correct with any number of processes, unlike a cache per process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.db import connection
from django.utils.crypto import salted_hmac

# Several counters in one statement: its rows are locked in the order of the names, see ``hit_all``.
HIT = """
INSERT INTO projects_ratecounter AS c (key, "window", count, ends_at)
SELECT name, floor(extract(epoch FROM now()) / %(seconds)s), 1,
       to_timestamp((floor(extract(epoch FROM now()) / %(seconds)s) + 1) * %(seconds)s)
FROM unnest(%(names)s::text[]) WITH ORDINALITY AS names (name, place) ORDER BY place
ON CONFLICT (key, "window") DO UPDATE SET count = c.count + 1
RETURNING key, count, ceil(extract(epoch FROM ends_at - now()))::int
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
    return hit_all({key: limit}, seconds=seconds)


def hit_all(limits: Mapping[str, int], *, seconds: int) -> Limit:
    """Counts one more of every key at once; allowed if each is within its limit.

    All callers that share a key name it in the same place among the others, so that two of them never wait for
    each other in a circle.
    """
    with connection.cursor() as cursor:
        cursor.execute(HIT, {"names": [key[:200] for key in limits], "seconds": seconds})
        found = {key: (count, rest) for key, count, rest in cursor.fetchall()}
    left = min(limit - found[key[:200]][0] for key, limit in limits.items())
    return Limit(left >= 0, max(left, 0), max(1, *(rest for _, rest in found.values())))


def hidden(what: str) -> str:
    """A name for somebody who must not be stored, such as a network address: keyed, so that it cannot be guessed."""
    return salted_hmac("projects.ratelimit", what, algorithm="sha256").hexdigest()


def forget(key: str) -> None:
    """Clears a counter, e.g. after a sign-in that succeeded."""
    with connection.cursor() as cursor:
        cursor.execute(FORGET, [key[:200]])


def sweep() -> None:
    """Removes counters that have ended."""
    with connection.cursor() as cursor:
        cursor.execute(SWEEP)
