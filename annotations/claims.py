"""Handing out tasks: one short statement, no two reviewers on one slot, nobody's draft lost.

The claim (``annotations_claim_next`` in the database, see its migration) tries, in this order: what the reviewer
holds already; what was assigned to them; what they put off until a time that has come; for those who may
adjudicate, what was escalated; the lane that their number of claims says, by the queue's shares (60 in 100 by risk,
20 from the random sample, 10 for calibration, 10 the oldest), then the other lanes; last, what they skipped and
somebody else has had since. Within a lane the most urgent comes first, save that after three items of one cluster
in a row one of the next five from elsewhere is preferred. Rows that others are just taking are passed over
(``FOR UPDATE SKIP LOCKED``), so reviewers never wait for each other and never get the same slot.

Leases end by the database's clock: those that have run out are given back inside the claim, so the queue is right
even if no sweeper runs. Whatever ends a claim fences it: a token that no longer holds its slot changes nothing.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models import Count, Exists, F, Min, OuterRef, Q, QuerySet
from django.db.models.functions import Least, Now

from annotations import checks, routing
from annotations.models import Claim, Queue, QueueMember, Task
from feedback.services.writing import say_prepared
from projects.access import RIGHTS, Right
from projects.errors import ApiError, invalid
from projects.models import Membership, Project, User
from projects.strictjson import clean_text

HELD = [Claim.State.LEASED, Claim.State.SUBMITTED, Claim.State.SKIPPED, Claim.State.SNOOZED]
ASIDE = [Claim.State.SKIPPED, Claim.State.SNOOZED]
SKIP_REASONS = {
    "not_my_field": "Not my field",
    "unclear": "Unclear",
    "personal_data": "Personal data",
    "too_long": "Too long",
    "own_answer": "I wrote the answer",
}
ESCALATED = "escalated"  # the reason on the claim of whoever passed it on to those who adjudicate
SNOOZE_LEAST, SNOOZE_MOST = 60, 30 * 86_400
NOTE_MOST = 2000
# So many reviewers pass an item by before it goes to those who adjudicate: it would come to nobody who takes it.
SKIPS_TO_ESCALATE = 2
MAY_ADJUDICATE = [role for role, rights in RIGHTS.items() if Right.LEAD in rights]
ADJUDICATORS = "{" + ",".join(MAY_ADJUDICATE) + "}"  # as PostgreSQL reads it
# Expired leases that a claim gives back on its way; the sweeper takes more.
RECLAIM_IN_CLAIM, RECLAIM_IN_SWEEP = 20, 500
LOCK = 0x52484C  # the family of the lock that orders one reviewer's claims
# Where the queue has checks of reviewers, and none has been looked for yet, that comes before the claim.
_CLAIM = """
SELECT q.id, handed.claim, checks.first{columns}
FROM annotations_queue q CROSS JOIN LATERAL (
  SELECT (q.gold_share > 0 OR q.repeat_share > 0) AND NOT %(checked)s::boolean AS first
) AS checks
CROSS JOIN LATERAL (
  SELECT CASE WHEN checks.first THEN NULL ELSE annotations_claim_next(q.id, %(user)s, %(adjudicators)s) END AS claim
) AS handed{more}
WHERE """
CLAIM = _CLAIM.format(columns="", more="")
BY_ADDRESS = "q.project_id = %(project)s AND q.slug = %(slug)s"
TRIES = 5


def claim_next(*, user: User, queue: Queue) -> Claim | None:
    """A lease on the next task of the queue for this reviewer, or None if there is none for them.

    The same lease again if the reviewer already holds one here: a claim from a second tab at the same moment
    gets the first tab's lease. A paused queue hands out nothing new, one that is not open to all only to members.
    """
    pk = next_lease(user_pk=user.pk, queue_pk=queue.pk)
    return _claims().get(pk=pk) if pk else None


def next_lease(*, user_pk: int, queue_pk: int) -> int | None:
    """``claim_next`` for those who need the claim's key alone."""
    found = _handed_out(CLAIM + "q.id = %(queue)s", user_pk, queue=queue_pk)
    return found.claim if found else None


class Found(NamedTuple):
    """Keys of a queue and of the claim that it handed out, None if it had nothing; then the columns asked for."""

    queue: int
    claim: int | None
    columns: tuple[Any, ...] = ()


@cache
def claim_with(columns: tuple[str, ...]) -> str:
    """The statement of ``next_lease_in`` that reads these columns of the lease as well, in one round trip.

    ``l.c`` is the claim, ``l.t`` its task, ``l.q`` the queue, ``l.i`` the interaction: ``(l.i).output``.
    """
    more = "\nLEFT JOIN LATERAL annotations_leased(handed.claim) AS l ON handed.claim IS NOT NULL"
    return _CLAIM.format(columns=", " + ", ".join(columns), more=more) + BY_ADDRESS


def next_lease_in(*, user_pk: int, project_pk: int, slug: str, columns: tuple[str, ...]) -> Found | None:
    """The same by the queue's address, with columns of ``claim_with``; None if the project has no such queue."""
    return _handed_out(claim_with(columns), user_pk, project=project_pk, slug=slug)


def _handed_out(statement: str, user_pk: int, **queue: Any) -> Found | None:
    parameters = {**queue, "user": user_pk, "adjudicators": ADJUDICATORS, "checked": False}
    row = _say_again(statement, parameters)
    if row and row[2]:
        user, line = User.objects.get(pk=user_pk), Queue.objects.select_related("project").get(pk=row[0])
        with transaction.atomic():
            _one_at_a_time(user)  # else two tabs would each make a check
            checks.due(user, line)
        row = _say_again(statement, parameters | {"checked": True})
    return Found(row[0], row[1], row[3:]) if row else None


def _say_again(statement: str, parameters: dict[str, Any]) -> tuple[Any, ...]:
    for _ in range(TRIES - 1):
        with suppress(IntegrityError):  # a late vote of the same reviewer has just taken this slot: look again
            return say_prepared(statement, parameters)
    return say_prepared(statement, parameters)


def claim_task(*, user: User, task: Task) -> Claim | None:
    """A lease on this very task, also where the reviewer had put it aside.

    None if it is done, its slots are taken, or it is not for this reviewer (see ``may_take``).
    """
    return hold(user=user, task=task) if may_take(user, task) else None


def may_take(user: User, task: Task) -> bool:
    """Whether this person may work on the task at all: its queue, its topic, whom it is assigned or escalated to."""
    theirs = task.assigned_to_id in {None, user.pk} and task.lane != Task.Lane.ESCALATED
    if not routing.may_work(user, task.queue) or not (theirs or _adjudicates(user, task.project_id)):
        return False
    topics = QueueMember.objects.filter(queue=task.queue_id, user=user).values_list("topics", flat=True).first()
    return not topics or not task.topic or task.topic in topics


def _adjudicates(user: User, project_pk: int) -> bool:
    return Membership.objects.filter(project=project_pk, user=user, role__in=MAY_ADJUDICATE).exists()


def hold(*, user: User, task: Task) -> Claim | None:
    """A lease on this task without asking whether it is for them: for somebody who has worked on it before."""
    try:
        with transaction.atomic():
            _one_at_a_time(user)
            expire(RECLAIM_IN_CLAIM, queue=task.queue)
            mine = _live(user).filter(task=task).first()
            if mine:
                return mine
            # Skipping was a way to put it aside; opening it again is a way to take it back.
            Claim.objects.filter(task=task, reviewer=user, state__in=ASIDE).update(state=Claim.State.RELEASED)
            return _take(user, task)
    except IntegrityError:
        return _live(user).filter(task=task).first()


def resume(*, user: User, queue: Queue) -> Claim | None:
    """The reviewer's live lease in this queue, if any; of several (after an undo) the newest."""
    return _live(user).filter(task__queue=queue).order_by("-claimed_at", "-pk").first()


def _one_at_a_time(user: User) -> None:
    """Lets a reviewer's tabs claim one after the other, so that the second sees what the first got."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK, user.pk & 0x7FFFFFFF])


def _claims() -> QuerySet[Claim]:
    return Claim.objects.select_related("task__queue", "task__interaction", "task__project")


def _live(user: User) -> QuerySet[Claim]:
    return _claims().filter(
        reviewer=user, state=Claim.State.LEASED, expires_at__gt=Now(), task__state=Task.State.OPEN
    )  # fmt: skip


def _take(user: User, wanted: Task) -> Claim | None:
    free = Task.objects.filter(pk=wanted.pk, state=Task.State.OPEN, taken__lt=F("needed"))
    mine = Claim.objects.filter(task=OuterRef("pk"), reviewer=user, state__in=HELD)
    task = free.exclude(Exists(mine)).select_for_update(skip_locked=True, of=("self",)).first()
    if task is None:
        return None
    Task.objects.filter(pk=task.pk).update(taken=F("taken") + 1)
    earlier = Claim.objects.filter(task=task, reviewer=user, draft__isnull=False).order_by("-draft_at").first()
    claim = Claim.objects.create(
        task=task,
        reviewer=user,
        expires_at=Now() + timedelta(seconds=wanted.queue.lease_seconds),
        draft=earlier.draft if earlier else None,
        draft_at=earlier.draft_at if earlier else None,
    )
    return _claims().get(pk=claim.pk)


def held(*, user: User, token: UUID, project: Project | None = None) -> Claim:
    """The reviewer's claim with this token in whatever state; ApiError 404 if there is none (in the project)."""
    found = _claims().filter(token=token, reviewer=user)
    claim = (found.filter(task__project=project) if project else found).first()
    if claim is None:
        raise ApiError(404, "not_found", "There is no such claim of yours.")
    return claim


def heartbeat(*, user: User, token: UUID) -> Claim | None:
    """Extends the lease by its full length; None if it is no longer held (then the draft is still there)."""
    claim = held(user=user, token=token)
    return claim if _extend(claim) else None


def _extend(claim: Claim) -> bool:
    lease = timedelta(seconds=claim.task.queue.lease_seconds)
    alive = Claim.objects.filter(pk=claim.pk, state=Claim.State.LEASED, expires_at__gt=Now())
    if not alive.update(expires_at=Now() + lease):
        return False
    claim.refresh_from_db(fields=["expires_at"])
    return True


def save_draft(*, user: User, token: UUID, draft: dict[str, Any]) -> Claim | None:
    """Keeps what has been typed, also after the lease has run out, and extends a live lease.

    None if the claim has been submitted: a draft that arrives late must not come back from the dead.
    """
    claim = held(user=user, token=token)
    kept = Claim.objects.filter(pk=claim.pk).exclude(state__in=[Claim.State.SUBMITTED, Claim.State.SURPLUS])
    if not kept.update(draft=draft, draft_at=Now()):
        return None
    _extend(claim)
    claim.refresh_from_db(fields=["draft", "draft_at", "expires_at", "state"])
    return claim


# -- ending a claim without a vote ------------------------------------------------------------------------------


@transaction.atomic
def release(*, user: User, token: UUID) -> bool:
    """Gives the task back for anybody, the reviewer included; the draft stays theirs."""
    return _end(held(user=user, token=token), Claim.State.RELEASED)


@transaction.atomic
def skip(*, user: User, token: UUID, reason: str) -> bool:
    """Gives the task to others, with a reason; the reviewer is not offered it again but can return to it.

    What two reviewers have passed by goes to those who adjudicate. False if the lease had ended.
    """
    if reason not in SKIP_REASONS:
        known = ", ".join(SKIP_REASONS)
        raise ApiError(422, "invalid", f"The reason is one of: {known}.", [{"path": "/reason", "message": known}])
    claim = held(user=user, token=token)
    if not _end(claim, Claim.State.SKIPPED, skip_reason=reason):
        return False
    Task.objects.filter(pk=claim.task_id).update(skips=F("skips") + 1)
    passed_by = Claim.objects.filter(task=claim.task_id, state=Claim.State.SKIPPED).order_by("ended_at")
    if claim.task.lane != Task.Lane.ESCALATED and passed_by.count() >= SKIPS_TO_ESCALATE:
        why = "; ".join(SKIP_REASONS[one.skip_reason] for one in passed_by)
        _to_adjudicators(claim.task, None, f"Skipped by {passed_by.count()} reviewers: {why}.")
    return True


@transaction.atomic
def snooze(*, user: User, token: UUID, seconds: int) -> Claim | None:
    """Puts the task off for this reviewer alone: until then others may take it, after that it comes back to them.

    None if the lease had ended. ApiError 422 unless it is between a minute and thirty days.
    """
    if not SNOOZE_LEAST <= seconds <= SNOOZE_MOST:
        raise invalid("/seconds", f"Put it off for {SNOOZE_LEAST:,} to {SNOOZE_MOST:,} seconds.")
    claim = held(user=user, token=token)
    if not _end(claim, Claim.State.SNOOZED, snoozed_until=Now() + timedelta(seconds=seconds)):
        return None
    claim.refresh_from_db(fields=["state", "ended_at", "snoozed_until"])
    return claim


@transaction.atomic
def escalate(*, user: User, token: UUID, note: str) -> bool:
    """Passes the task to those who adjudicate, with what the reviewer wants to know. False if the lease had ended."""
    note = clean_text(note.replace("\r\n", "\n")).strip()
    if not note:
        raise invalid("/note", "Say what somebody else should decide.")
    if len(note) > NOTE_MOST:
        raise invalid("/note", f"At most {NOTE_MOST:,} characters.")
    claim = held(user=user, token=token)
    if not _end(claim, Claim.State.SKIPPED, skip_reason=ESCALATED):
        return False
    _to_adjudicators(claim.task, user, note)
    return True


def _to_adjudicators(task: Task, by: User | None, note: str) -> None:
    """From now on one of those who adjudicate is needed, and nobody else is offered it. The task is locked.

    Known items and repeats are checks of the one reviewer they were made for: nobody else is to see them.
    """
    if task.purpose in {Task.Purpose.GOLD, Task.Purpose.REPEAT}:
        return
    Task.objects.filter(pk=task.pk, state=Task.State.OPEN).update(
        lane=Task.Lane.ESCALATED, escalated_by=by, escalated_at=Now(), escalation_note=note, assigned_to=None,
        needed=Least("needed", F("taken") + 1),
    )  # fmt: skip


def _end(claim: Claim, state: str, **fields: Any) -> bool:
    """Ends a live lease and frees its slot; False if it was not live. Locks the task first, as every writer does."""
    Task.objects.select_for_update().get(pk=claim.task_id)
    if not Claim.objects.filter(pk=claim.pk, state=Claim.State.LEASED).update(state=state, ended_at=Now(), **fields):
        return False
    Task.objects.filter(pk=claim.task_id, taken__gt=0).update(taken=F("taken") - 1)
    return True


def expire(limit: int = RECLAIM_IN_SWEEP, *, queue: Queue | None = None) -> int:
    """Gives back the slots of leases that have run out; returns of how many tasks."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT annotations_expire_claims(%s, %s)", [queue.pk if queue else None, limit])
        tasks: int = cursor.fetchone()[0]
    return tasks


# -- what a reviewer has put aside, and why there is nothing ----------------------------------------------------


def put_aside(*, user: User, project: Project) -> QuerySet[Claim]:
    """What this person skipped, escalated or put off here and nobody has finished since, newest first."""
    return (
        _claims()
        .filter(reviewer=user, state__in=ASIDE, task__project=project, task__state=Task.State.OPEN)
        .order_by("-ended_at", "-pk")
    )


def assigned(*, user: User, project: Project) -> QuerySet[Task]:
    """What waits for this very person, most urgent first; known items and repeats stay unmarked."""
    return Task.objects.select_related("queue", "interaction").filter(
        assigned_to=user, project=project, state=Task.State.OPEN, purpose__in=[Task.Purpose.REVIEW, Task.Purpose.AUDIT]
    ).order_by("due_at", "id")  # fmt: skip


def return_to_skipped(*, user: User, token: UUID) -> Claim | None:
    """A new lease on what this claim put aside, with its draft; None if somebody else has it now or it is done.

    ApiError 404 for a claim that is not the user's, 409 where it did not end by being put aside.
    """
    claim = held(user=user, token=token)
    if claim.state not in ASIDE:
        raise ApiError(409, "not_put_aside", "This claim was neither skipped nor put off.")
    return claim_task(user=user, task=claim.task)


def why_empty(*, user: User, queue: Queue) -> dict[str, Any]:
    """Why there is nothing for this reviewer in the queue; counts of tasks unless it says otherwise.

    ``open`` are all that are not done. Of these, ``leased`` are with others (``leased_until``: when the first of
    these leases ends), ``snoozed`` put off by the reviewer (``snoozed_until``: the first to come back), ``skipped``
    put aside by them, ``not_your_topics``, ``assigned`` to others, ``escalated`` and not theirs to decide.
    ``done_by_you`` have the reviewer's vote; ``shed`` were not let in. ``paused`` and ``member`` are true or false.
    """
    membership = QueueMember.objects.filter(queue=queue, user=user).first()
    adjudicates = _adjudicates(user, queue.project_id)
    foreign = Q(pk__isnull=True)
    if membership and membership.topics:
        foreign = ~Q(topic__in=["", *membership.topics])
    others = Q(assigned_to__isnull=False) & ~Q(assigned_to=user)
    tasks = Task.objects.filter(queue=queue, state=Task.State.OPEN).aggregate(
        open=Count("pk"),
        not_your_topics=Count("pk", filter=foreign),
        assigned=Count("pk", filter=others & Q(purpose__in=[Task.Purpose.REVIEW, Task.Purpose.AUDIT])),
        escalated=Count("pk", filter=Q(lane=Task.Lane.ESCALATED)),
    )
    live = Q(state=Claim.State.LEASED, expires_at__gt=Now()) & ~Q(reviewer=user)
    mine, waiting = Q(reviewer=user), Q(task__state=Task.State.OPEN)
    put_off = mine & waiting & Q(state=Claim.State.SNOOZED)
    claims = Claim.objects.filter(task__queue=queue).filter(live | mine).aggregate(
        leased=Count("task", filter=live, distinct=True),
        leased_until=Min("expires_at", filter=live),
        snoozed=Count("pk", filter=put_off),
        snoozed_until=Min("snoozed_until", filter=put_off),
        skipped=Count("pk", filter=mine & waiting & Q(state=Claim.State.SKIPPED)),
        done_by_you=Count("task", filter=mine & Q(state=Claim.State.SUBMITTED), distinct=True),
    )  # fmt: skip
    return {
        **tasks, **claims, "escalated": 0 if adjudicates else tasks["escalated"],
        "shed": Task.objects.filter(queue=queue, state=Task.State.SHED).count(),
        "paused": queue.paused_at is not None, "member": queue.open_to_all or membership is not None,
    }  # fmt: skip
