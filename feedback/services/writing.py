"""What the services share: one message per fact, COPY for many, and a second try after a lost race."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any, TypeVar

from django.db import IntegrityError, OperationalError, connection, transaction

from feedback import inbox
from feedback.models import Inbox

TRIES = 4
# Parameters of ``spread``: which stages read which kind, as a ``text[]``.
STAGES: dict[str, str] = {f"{kind}_stages": "{" + ",".join(stages) + "}" for kind, stages in inbox.STAGES.items()}

T = TypeVar("T")


def spread(kind: Inbox.Kind, source: str, condition: str = "true") -> str:
    """SQL that puts the rows of the CTE ``source`` into the inbox of every stage that reads their kind."""
    return f"""
  INSERT INTO feedback_inbox (stage, kind, project_id, object_id, failures)
  SELECT stage, '{kind}', %(project)s, {source}.id, 0
  FROM {source}, unnest(%({kind}_stages)s::text[]) AS stage WHERE {condition}"""  # noqa: S608  # constants only


def say(message: str, parameters: dict[str, Any]) -> tuple[Any, ...]:
    """Sends one or more statements as one message and returns the first row of the last; () if it has none.

    Outside a transaction the message is one by itself: it is committed, or nothing of it has happened, after
    a single round trip. Each statement in it sees what was committed before that statement began.
    """
    with _savepoint(), connection.cursor() as cursor:
        cursor.execute(message, parameters)
        while cursor.nextset():
            pass
        return cursor.fetchone() or ()


def say_prepared(statement: str, parameters: Mapping[str, Any]) -> tuple[Any, ...]:
    """Runs one statement that the server has parsed and planned before; returns its first row, () if it has none.

    For what happens thousands of times a second: planning costs PostgreSQL more than storing. Values travel apart
    from the statement and all as text, so that it is one statement whatever is NULL in it and however large a
    number is; where the context does not say what a text is to become, the statement must. Outside a transaction it
    is one by itself, as with ``say``.
    """
    texts = {name: as_text(value) for name, value in parameters.items()}
    with _savepoint(), connection.prepared_cursor() as cursor:  # type: ignore[attr-defined]  # our engine's
        cursor.execute(statement, texts)
        return cursor.fetchone() or ()


def as_text(value: Any) -> str | None:
    """A value as PostgreSQL reads it from text, whatever its column's type."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    return str(value)


def _savepoint() -> AbstractContextManager[Any]:
    return transaction.atomic() if connection.in_atomic_block else nullcontext()


def copy(table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """COPY of rows into a table, about twice as fast as the fastest INSERT."""
    names = ", ".join(f'"{name}"' for name in columns)
    # Django does not translate the exceptions of copy(), and ``retried`` waits for an IntegrityError.
    with (
        connection.wrap_database_errors,
        connection.cursor() as cursor,
        cursor.copy(f"COPY {table} ({names}) FROM STDIN") as target,
    ):
        for row in rows:
            target.write_row(row)


def new_ids(table: str, count: int) -> list[int]:
    """Primary keys for rows that COPY will write."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)", [table, count])
        return [pk for (pk,) in cursor.fetchall()]


def retried(work: Callable[[], T]) -> T:
    """Runs ``work``, which is a transaction, again if it lost a race for a unique key or was a deadlock's victim.

    The second run sees what the winner stored.
    """
    for left in reversed(range(TRIES)):
        try:
            return work()
        except IntegrityError:
            if not left:
                raise
        except OperationalError as error:
            if not left or getattr(error.__cause__, "sqlstate", "") not in {"40P01", "40001"}:
                raise
    raise AssertionError("unreachable")
