"""Three families of locks that make the order of arrival irrelevant.

A feedback and its interaction may be stored at the same moment by two transactions, neither of which sees
the other. ``ARRIVAL`` closes this gap: interactions take it shared, so they never wait for each other, and
feedback that finds no interaction takes it exclusively and looks again. Feedback that finds its interaction
(nearly all) takes no lock of this family.

``VOTE`` orders the votes on one interaction, so that exactly one of a user's votes counts.

``SESSION`` lets one worker at a time decide what the turns of a session say about each other.

All are advisory transaction locks on a bucket of the interaction's or session's id. There are BUCKETS per project, not
one per id, because a batch of 1,000 would otherwise fill PostgreSQL's lock table. A transaction takes
SESSION before VOTE before ARRIVAL and buckets in ascending order: no deadlock.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from zlib import crc32

BUCKETS = 128
VOTE, ARRIVAL, SESSION = 0x52480000, 0x52490000, 0x524A0000

# For one interaction, with the parameters of ``one``: statements to put before the one that stores.
ONE_VOTE = "SELECT pg_advisory_xact_lock(%(vote_lock)s, %(lock_project)s);"
ONE_ARRIVAL = "SELECT pg_advisory_xact_lock(%(arrival_lock)s, %(lock_project)s);"
# The same to stand in a FROM: taken before the first row is made, but after the statement has begun to look.
ONE_ARRIVAL_SHARED = "SELECT pg_advisory_xact_lock_shared(%(arrival_lock)s::int, %(lock_project)s::int)"
# For many, with the parameters of ``many``.
MANY = "SELECT pg_advisory_xact_lock(bucket, %(lock_project)s) FROM unnest(%(buckets)s::int[]) AS bucket"
MANY_SHARED = "SELECT pg_advisory_xact_lock_shared(bucket, %(lock_project)s) FROM unnest(%(buckets)s::int[]) AS bucket"


def one(project_id: int, external_id: str) -> dict[str, int]:
    bucket = _bucket(external_id)
    return {"vote_lock": VOTE + bucket, "arrival_lock": ARRIVAL + bucket, "lock_project": _project(project_id)}


def many(family: int, project_id: int, external_ids: Iterable[str]) -> dict[str, Any]:
    buckets = sorted({family + _bucket(external_id) for external_id in external_ids})
    return {"buckets": buckets, "lock_project": _project(project_id)}


def _bucket(external_id: str) -> int:
    return crc32(external_id.encode()) % BUCKETS


def _project(project_id: int) -> int:
    return project_id & 0x7FFFFFFF  # the second half of an advisory lock's name has 32 bits
