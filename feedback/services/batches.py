"""What batches of feedback and of scores share: refusing faulty items alone, keys, links, and the answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from django.db import DataError, connection

from feedback import locks
from feedback.models import Feedback, Interaction, Score
from feedback.services.writing import retried
from projects.errors import ApiError, invalid
from projects.models import Project

CREATED, REPLAYED, REFUSED = 201, 200, 422


@dataclass(frozen=True, slots=True)
class FactOutcome:
    """What became of one item: ``status`` is 201 (stored), 200 (was here already) or 422 (``error``)."""

    index: int
    status: int
    pk: int | None = None
    linked: bool = False
    error: dict[str, Any] | None = None


class Keyed(Protocol):
    @property
    def key(self) -> str | None: ...
    @property
    def fingerprint(self) -> bytes: ...
    @property
    def interaction_external_id(self) -> str: ...


R = TypeVar("R", bound=Keyed)
Known = dict[str, tuple[int, bytes, bool]]


class Batch(Generic[R]):
    """Items on their way into a table: those that fit are stored together, the others are refused one by one."""

    def __init__(self, items: list[dict[str, Any]], row: Callable[[int, dict[str, Any]], R]) -> None:
        self.size = len(items)
        self.refused: dict[int, FactOutcome] = {}
        self.good: list[tuple[int, R]] = []
        for index, item in enumerate(items):
            try:
                self.good.append((index, row(index, item)))
            except ApiError as error:
                self.refused[index] = FactOutcome(index, REFUSED, error=error.body()["error"])

    def outcomes(self, store: Callable[[list[tuple[int, R]]], dict[int, FactOutcome]]) -> list[FactOutcome]:
        """One outcome for each item, in their order. ``store`` is one transaction."""
        found = self.refused | self._stored(store, self.good)
        return [found[index] for index in range(self.size)]

    def _stored(
        self, store: Callable[[list[tuple[int, R]]], dict[int, FactOutcome]], good: list[tuple[int, R]]
    ) -> dict[int, FactOutcome]:
        if not good:
            return {}
        try:
            return retried(lambda: store(good))
        except DataError as error:
            if len(good) == 1:  # a value that our checks let through and PostgreSQL does not take
                problem = invalid("/", f"The item cannot be stored: {error.__cause__}").body()["error"]
                return {good[0][0]: FactOutcome(good[0][0], REFUSED, error=problem)}
            return {index: outcome for one in good for index, outcome in self._stored(store, [one]).items()}


class Fresh(Generic[R]):
    """The rows of a batch that are not stored yet; of two with one key the first."""

    def __init__(self, good: list[tuple[int, R]], known: Known) -> None:
        self._good, self._known = good, known
        self._places: dict[str, int] = {}
        self._fresh: dict[int, int] = {}  # index of the item -> place among the fresh rows
        self.rows: list[R] = []
        for index, row in good:
            if row.key is None or (row.key not in known and row.key not in self._places):
                if row.key is not None:
                    self._places[row.key] = len(self.rows)
                self._fresh[index] = len(self.rows)
                self.rows.append(row)

    def outcomes(self, pks: list[int], interactions: dict[str, int]) -> dict[int, FactOutcome]:
        """The answers, given the primary keys of the fresh rows and the interactions that are known."""
        answers = {}
        for index, row in self._good:
            if index in self._fresh:
                pk = pks[self._fresh[index]]
                answers[index] = FactOutcome(index, CREATED, pk, row.interaction_external_id in interactions)
                continue
            assert row.key is not None
            if row.key in self._known:
                pk, fingerprint, linked = self._known[row.key]
            else:
                first = self.rows[self._places[row.key]]
                pk, fingerprint = pks[self._places[row.key]], first.fingerprint
                linked = first.interaction_external_id in interactions
            if fingerprint == row.fingerprint:
                answers[index] = FactOutcome(index, REPLAYED, pk, linked)
            else:
                answers[index] = FactOutcome(index, REFUSED, pk, linked, mismatch("item").body()["error"])
        return answers


def mismatch(what: str) -> ApiError:
    """422: the idempotency key is taken by another body."""
    message = f"Another {what} with this key and another body is stored. It was not changed."
    return ApiError(REFUSED, "idempotency_mismatch", message, [{"path": "/key", "message": message}])


def take_locks(statement: str, parameters: dict[str, Any]) -> datetime:
    """Waits for many locks and returns the database's time after that."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        cursor.execute("SELECT statement_timestamp()")
        now: datetime = cursor.fetchone()[0]
        return now


def known_keys(table: type[Feedback] | type[Score], project: Project, keys: list[str]) -> Known:
    """Primary key, fingerprint and whether it is linked, of the stored rows with these idempotency keys."""
    if not keys:
        return {}
    stored = table._default_manager.filter(project=project, key__in=keys)
    return {
        str(key): (pk, bytes(fingerprint), interaction_id is not None)
        for key, pk, fingerprint, interaction_id in stored.values_list("key", "pk", "fingerprint", "interaction_id")
    }


def find_interactions(project: Project, external_ids: Iterable[str]) -> dict[str, int]:
    """The primary keys of those that are known; the others cannot arrive before this transaction ends."""
    wanted = set(external_ids)
    found = _look_up(project, wanted)
    missing = wanted - found.keys()
    if missing:
        take_locks(locks.MANY, locks.many(locks.ARRIVAL, project.pk, missing))
        found |= _look_up(project, missing)
    return found


def _look_up(project: Project, external_ids: set[str]) -> dict[str, int]:
    known = Interaction.objects.filter(project=project, external_id__in=external_ids)
    return dict(known.values_list("external_id", "pk"))
