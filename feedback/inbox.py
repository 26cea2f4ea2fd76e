"""How the later stages read new facts: exactly once, in order of arrival, without ever holding up the intake."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import timedelta

from django.db import connection, transaction
from django.db.models import F, Min
from django.db.models.functions import Now

from feedback.models import Inbox
from projects import doorbell

log = logging.getLogger("reviewhub.inbox")
BATCH = 500
MAX_FAILURES = 5

STAGES = {
    Inbox.Kind.INTERACTION: (Inbox.Stage.ANALYSE, Inbox.Stage.TRIAGE, Inbox.Stage.MEASURE),
    Inbox.Kind.FEEDBACK: (Inbox.Stage.TRIAGE, Inbox.Stage.MEASURE),
    Inbox.Kind.SCORE: (Inbox.Stage.TRIAGE, Inbox.Stage.MEASURE),
    Inbox.Kind.LABEL: (Inbox.Stage.CURATE, Inbox.Stage.MEASURE),
}


ANNOUNCE = """
INSERT INTO feedback_inbox (stage, kind, project_id, object_id, failures)
SELECT stage, %(kind)s, %(project)s, fact, 0
FROM unnest(%(stages)s::text[]) AS stage, unnest(%(ids)s::bigint[]) AS fact"""


def announce(kind: Inbox.Kind, project_id: int, object_ids: Iterable[int]) -> None:
    """Puts new facts into the inbox of every stage that reads their kind, and rings. Call it in their transaction."""
    ids = list(object_ids)
    if not ids:
        return
    with connection.cursor() as cursor:
        stages = [str(stage) for stage in STAGES[kind]]
        cursor.execute(ANNOUNCE, {"kind": kind, "project": project_id, "stages": stages, "ids": ids})
    ring(kind)


def ring(kind: Inbox.Kind) -> None:
    """Rings the stages that read this kind, after commit.

    Of interactions the first alone: it rings the others when it is done. Rung at once they would read each interaction
    and a moment later its scores.
    """
    _ring(STAGES[kind][:1] if kind == Inbox.Kind.INTERACTION else STAGES[kind])


def ring_others() -> None:
    """Rings the stages that read interactions after the first, at the end of its transaction."""
    _ring(STAGES[Inbox.Kind.INTERACTION][1:])


def _ring(stages: Iterable[Inbox.Stage]) -> None:
    for stage in stages:
        doorbell.ring(f"inbox.{stage}")


def consume(stage: Inbox.Stage, handle: Callable[[list[Inbox]], None], *, batch: int = BATCH) -> bool:
    """Hands the oldest unread facts of a stage to ``handle`` and forgets them in the same transaction.

    Returns whether there may be more. If ``handle`` raises, nothing of the batch has happened; the facts
    are then handed over one by one, so that a poison fact fails alone. After MAX_FAILURES it stays in the
    table, where ``stuck`` lists it, and is tried no more.
    """
    try:
        with transaction.atomic():
            rows = _take(stage, batch)
            if rows:
                handle(rows)
    except Exception:
        log.exception("stage %s: a batch failed; going one by one", stage)
        return _one_by_one(stage, handle, batch)
    return len(rows) == batch


TAKE = """
DELETE FROM feedback_inbox WHERE id = ANY (ARRAY(
  SELECT id FROM feedback_inbox WHERE stage = %(stage)s AND failures < %(failures)s
  ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)) RETURNING id, stage, kind, project_id, object_id, failures"""


def _take(stage: Inbox.Stage, limit: int) -> list[Inbox]:
    """The oldest facts that nobody else is taking, in order; in one statement."""
    parameters = {"stage": str(stage), "failures": MAX_FAILURES, "limit": limit}
    return sorted(Inbox.objects.raw(TAKE, parameters), key=lambda row: row.pk)


def _one_by_one(stage: Inbox.Stage, handle: Callable[[list[Inbox]], None], batch: int) -> bool:
    ids = list(
        Inbox.objects.filter(stage=stage, failures__lt=MAX_FAILURES).order_by("id").values_list("id", flat=True)[:batch]
    )
    for pk in ids:
        try:
            with transaction.atomic():
                rows = list(Inbox.objects.select_for_update(skip_locked=True).filter(pk=pk))
                if rows:
                    Inbox.objects.filter(pk=pk).delete()
                    handle(rows)
        except Exception:
            log.exception("stage %s: inbox row %s failed", stage, pk)
            Inbox.objects.filter(pk=pk).update(failures=F("failures") + 1)
    return len(ids) == batch


def drain(stage: Inbox.Stage, handle: Callable[[list[Inbox]], None], *, batch: int = BATCH) -> None:
    """Consumes until the stage has nothing left."""
    while consume(stage, handle, batch=batch):
        pass


def lag(stage: Inbox.Stage) -> timedelta:
    """How long the oldest unread fact of a stage has been waiting, by the database's clock; zero if there is none."""
    answer = Inbox.objects.filter(stage=stage, failures__lt=MAX_FAILURES).aggregate(oldest=Min("arrived_at"), now=Now())
    return answer["now"] - answer["oldest"] if answer["oldest"] else timedelta(0)


def waits(stage: Inbox.Stage, longer_than: timedelta) -> bool:
    """Whether the oldest unread fact of a stage has waited for longer; costs the same however many wait."""
    rows = Inbox.objects.filter(stage=stage, failures__lt=MAX_FAILURES).order_by("id")
    waited = rows.values_list(Now() - F("arrived_at"), flat=True).first()
    return waited is not None and waited > longer_than
