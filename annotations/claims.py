"""Handing out tasks: one short transaction, no two reviewers on one slot, nobody's draft lost.

The claim takes the most urgent task with a free slot, skipping rows that others are just taking
(``FOR UPDATE SKIP LOCKED``), so reviewers never wait for each other and never get the same slot. A live
lease of mine is handed out again before anything new. Leases end by the database's clock: those that have
run out are given back inside the claim, so the queue is right even if no sweeper runs.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from annotations.models import Claim, Queue, Task
from projects.errors import ApiError
from projects.models import User

HELD = [Claim.State.LEASED, Claim.State.SUBMITTED, Claim.State.SKIPPED]
SKIP_REASONS = {
    "not_my_field": "Not my field",
    "unclear": "Unclear",
    "personal_data": "Personal data",
    "too_long": "Too long",
    "own_answer": "I wrote the answer",
}
# Expired leases that a claim gives back on its way; the sweeper takes more.
RECLAIM_IN_CLAIM, RECLAIM_IN_SWEEP = 20, 500
LOCK = 0x52484C  # the family of the lock that orders one reviewer's claims


def claim_next(*, user: User, queue: Queue) -> Claim | None:
    """A lease on the next task of the queue for this reviewer, or None if there is none for them.

    The same lease again if the reviewer already holds one here: a claim from a second tab at the same moment
    gets the first tab's lease. What the reviewer skipped comes back when nothing else is left and somebody
    else has had it since. A paused queue hands out nothing new.
    """
    for _ in range(3):
        try:
            with transaction.atomic():
                _one_at_a_time(user)
                expire(RECLAIM_IN_CLAIM, queue=queue)
                if (mine := resume(user=user, queue=queue)) or queue.paused_at:
                    return mine
                return _take(user, queue, _most_urgent(user, queue)) or _take_back(user, queue)
        except IntegrityError:
            continue  # a late vote of the same reviewer has just taken this slot: look again
    return None


def claim_task(*, user: User, task: Task) -> Claim | None:
    """A lease on this very task, or None if it is done or its slots are taken."""
    try:
        with transaction.atomic():
            _one_at_a_time(user)
            expire(RECLAIM_IN_CLAIM, queue=task.queue)
            mine = _live(user).filter(task=task).first()
            if mine:
                return mine
            # Skipping was a way to put it aside; opening it again is a way to take it back.
            Claim.objects.filter(task=task, reviewer=user, state=Claim.State.SKIPPED).update(state=Claim.State.RELEASED)
            free = Task.objects.filter(pk=task.pk, state=Task.State.OPEN, taken__lt=F("needed"))
            return _take(user, task.queue, free.exclude(_held_by(user)))
    except IntegrityError:
        return _live(user).filter(task=task).first()


def resume(*, user: User, queue: Queue) -> Claim | None:
    """The reviewer's live lease in this queue, if any; of several (after an undo) the newest."""
    return _live(user).filter(task__queue=queue).order_by("-claimed_at", "-pk").first()


def _one_at_a_time(user: User) -> None:
    """Lets a reviewer's tabs claim one after the other, so that the second sees what the first got."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK, user.pk & 0x7FFFFFFF])


def _live(user: User) -> QuerySet[Claim]:
    return Claim.objects.select_related("task__queue", "task__interaction", "task__project").filter(
        reviewer=user, state=Claim.State.LEASED, expires_at__gt=Now(), task__state=Task.State.OPEN
    )


def _held_by(user: User) -> Q:
    return Q(Exists(Claim.objects.filter(task=OuterRef("pk"), reviewer=user, state__in=HELD)))


def _most_urgent(user: User, queue: Queue) -> QuerySet[Task]:
    return (
        Task.objects.filter(queue=queue, state=Task.State.OPEN, taken__lt=F("needed"))
        .exclude(_held_by(user))
        .order_by("due_at", "id")
    )


def _take_back(user: User, queue: Queue) -> Claim | None:
    """What the reviewer skipped, once somebody else has had it and given it back too."""
    since = Claim.objects.filter(task=OuterRef("task"), claimed_at__gt=OuterRef("ended_at")).exclude(reviewer=user)
    skipped = Claim.objects.filter(
        Exists(since), reviewer=user, state=Claim.State.SKIPPED, task__queue=queue,
        task__state=Task.State.OPEN, task__taken__lt=F("task__needed"),
    )  # fmt: skip
    claim = skipped.order_by("task__due_at", "task_id").first()
    if claim is None:
        return None
    Claim.objects.filter(pk=claim.pk).update(state=Claim.State.RELEASED)
    free = Task.objects.filter(pk=claim.task_id, state=Task.State.OPEN, taken__lt=F("needed"))
    return _take(user, queue, free.exclude(_held_by(user)))


def _take(user: User, queue: Queue, tasks: QuerySet[Task]) -> Claim | None:
    task = tasks.select_for_update(skip_locked=True, of=("self",)).first()
    if task is None:
        return None
    Task.objects.filter(pk=task.pk).update(taken=F("taken") + 1)
    earlier = Claim.objects.filter(task=task, reviewer=user, draft__isnull=False).order_by("-draft_at").first()
    claim = Claim.objects.create(
        task=task,
        reviewer=user,
        expires_at=Now() + timedelta(seconds=queue.lease_seconds),
        draft=earlier.draft if earlier else None,
        draft_at=earlier.draft_at if earlier else None,
    )
    return Claim.objects.select_related("task__queue", "task__interaction", "task__project").get(pk=claim.pk)


def held(*, user: User, token: UUID) -> Claim:
    """The reviewer's claim with this token in whatever state; ApiError 404 if there is none."""
    claim = (
        Claim.objects.select_related("task__queue", "task__interaction", "task__project")
        .filter(token=token, reviewer=user)
        .first()
    )
    if claim is None:
        raise ApiError(404, "not_found", "There is no such claim of yours.")
    return claim


def heartbeat(*, user: User, token: UUID) -> Claim | None:
    """Extends the lease by its full length; None if it is no longer held (then the draft is still there)."""
    claim = held(user=user, token=token)
    lease = timedelta(seconds=claim.task.queue.lease_seconds)
    alive = Claim.objects.filter(pk=claim.pk, state=Claim.State.LEASED, expires_at__gt=Now())
    if not alive.update(expires_at=Now() + lease):
        return None
    claim.refresh_from_db(fields=["expires_at"])
    return claim


def save_draft(*, user: User, token: UUID, draft: dict[str, Any]) -> Claim | None:
    """Keeps what has been typed, also after the lease has run out, and extends a live lease.

    None if the claim has been submitted: a draft that arrives late must not come back from the dead.
    """
    claim = held(user=user, token=token)
    kept = Claim.objects.filter(pk=claim.pk).exclude(state__in=[Claim.State.SUBMITTED, Claim.State.SURPLUS])
    if not kept.update(draft=draft, draft_at=Now()):
        return None
    heartbeat(user=user, token=token)
    claim.refresh_from_db(fields=["draft", "draft_at", "expires_at", "state"])
    return claim


@transaction.atomic
def release(*, user: User, token: UUID) -> bool:
    """Gives the task back for anybody, the reviewer included; the draft stays theirs."""
    return _end(held(user=user, token=token), Claim.State.RELEASED)


@transaction.atomic
def skip(*, user: User, token: UUID, reason: str) -> bool:
    """Gives the task to others, with a reason; the reviewer is not offered it again but can return to it."""
    if reason not in SKIP_REASONS:
        known = ", ".join(SKIP_REASONS)
        raise ApiError(422, "invalid", f"The reason is one of: {known}.", [{"path": "/reason", "message": known}])
    claim = held(user=user, token=token)
    if not _end(claim, Claim.State.SKIPPED, skip_reason=reason):
        return False
    Task.objects.filter(pk=claim.task_id).update(skips=F("skips") + 1)
    return True


def _end(claim: Claim, state: str, **fields: Any) -> bool:
    """Ends a live lease and frees its slot; False if it was not live. Locks the task first, as every writer does."""
    Task.objects.select_for_update().get(pk=claim.task_id)
    if not Claim.objects.filter(pk=claim.pk, state=Claim.State.LEASED).update(state=state, ended_at=Now(), **fields):
        return False
    Task.objects.filter(pk=claim.task_id, taken__gt=0).update(taken=F("taken") - 1)
    return True


EXPIRE = """
WITH gone AS (
  SELECT c.id, c.task_id FROM annotations_claim c JOIN annotations_task t ON t.id = c.task_id
  WHERE c.state = 'leased' AND c.expires_at <= statement_timestamp()
    AND (%(queue)s::bigint IS NULL OR t.queue_id = %(queue)s)
  ORDER BY c.expires_at LIMIT %(limit)s
  FOR UPDATE OF t, c SKIP LOCKED
), ended AS (
  UPDATE annotations_claim SET state = 'expired', ended_at = statement_timestamp()
  FROM gone WHERE annotations_claim.id = gone.id
)
UPDATE annotations_task SET taken = taken - lost.slots
FROM (SELECT task_id, count(*) AS slots FROM gone GROUP BY task_id) AS lost
WHERE annotations_task.id = lost.task_id
"""


def expire(limit: int = RECLAIM_IN_SWEEP, *, queue: Queue | None = None) -> int:
    """Gives back the slots of leases that have run out; returns of how many tasks."""
    with connection.cursor() as cursor:
        cursor.execute(EXPIRE, {"limit": limit, "queue": queue.pk if queue else None})
        return int(cursor.rowcount)


def why_empty(*, user: User, queue: Queue) -> dict[str, int]:
    """Why there is nothing for this reviewer: what is open, with others, put aside by them, done by them."""
    open_tasks = Task.objects.filter(queue=queue, state=Task.State.OPEN)
    mine = Claim.objects.filter(reviewer=user, task__queue=queue)
    return {
        "open": open_tasks.count(),
        "leased": Claim.objects.filter(task__queue=queue, state=Claim.State.LEASED, expires_at__gt=Now())
        .exclude(reviewer=user)
        .count(),
        "snoozed": mine.filter(state=Claim.State.SKIPPED, task__state=Task.State.OPEN).count(),
        "done_by_you": mine.filter(state=Claim.State.SUBMITTED).count(),
    }
