"""Takes a lock out of the claim, so that tests of races can show that they would notice."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from django.db import connection

FUNCTION = "annotations_claim_next(bigint, bigint, text[])"
LOCK = "FOR UPDATE OF k SKIP LOCKED"
WRITE = "UPDATE annotations_task SET taken = taken + 1 WHERE id = picked"


@contextlib.contextmanager
def changed(*changes: tuple[str, str]) -> Iterator[None]:
    """The claim with each first text replaced by the second while the block runs; both are SQL."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_functiondef(%s::regprocedure)", [FUNCTION])
        good: str = cursor.fetchone()[0]
        bad = good
        for old, new in changes:
            assert old in bad, f"the claim no longer says {old!r}"
            bad = bad.replace(old, new)
        cursor.execute(bad.replace("%", "%%"), [])
        try:
            yield
        finally:
            cursor.execute(good.replace("%", "%%"), [])


def without_the_lock(seconds: float) -> contextlib.AbstractContextManager[None]:
    """Nobody locks what they have found, everybody writes this long after, and writes what they had read plus one."""
    return changed((LOCK, ""), (WRITE, f"PERFORM pg_sleep({seconds}); {WRITE.replace('taken + 1', '1')}"))


def without_the_lock_but_counting(seconds: float) -> contextlib.AbstractContextManager[None]:
    """As above, but the slots are counted in the table."""
    return changed((LOCK, ""), (WRITE, f"PERFORM pg_sleep({seconds}); {WRITE}"))
