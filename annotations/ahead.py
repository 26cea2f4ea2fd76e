"""The item after this one, leased ahead so that the page can have it ready: one at most, and it goes back unused."""

from __future__ import annotations

from uuid import UUID

from django.db import connection, transaction
from django.db.models.functions import Now

from annotations import claims
from annotations.models import Claim, Task
from projects.models import User


def claim_ahead(*, user: User, token: UUID) -> Claim | None:
    """A lease on the item that comes after the claim with this token; None if nothing does, or the claim has ended.

    The same one again until it is used. The claim in hand stays the newest, so that whoever opens the queue anew gets
    that one first. Raises ApiError 404 for a claim that is not the user's.
    """
    in_hand = claims.held(user=user, token=token)
    live = Claim.objects.filter(
        reviewer=user, state=Claim.State.LEASED, expires_at__gt=Now(), task__queue=in_hand.task.queue_id,
        task__state=Task.State.OPEN,
    )  # fmt: skip
    with transaction.atomic():
        with connection.cursor() as cursor:  # a reviewer's tabs claim one after the other
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [claims.LOCK, user.pk & 0x7FFFFFFF])
        # The task first, as every writer does; where its label is just being stored, there is nothing to keep ready.
        task = Task.objects.select_for_update(skip_locked=True, of=("self",)).filter(pk=in_hand.task_id)
        if task.first() is None or not live.filter(pk=in_hand.pk).exists():
            return None
        other = live.exclude(pk=in_hand.pk).order_by("-claimed_at", "-pk").first()
        other_pk = other.pk if other else _next_besides(in_hand, user)
        Claim.objects.filter(pk=in_hand.pk).update(claimed_at=Now())
        if other_pk:
            # In hand beats ahead also where both were claimed by one transaction, whose time is the same.
            Claim.objects.filter(pk=other_pk, claimed_at__gte=Now()).update(claimed_at=in_hand.claimed_at)
    return claims.held(user=user, token=Claim.objects.get(pk=other_pk).token) if other_pk else None


def _next_besides(in_hand: Claim, user: User) -> int | None:
    """The next lease as if the one in hand were used: within this transaction it looks so, and nobody else sees it."""
    mine = Claim.objects.filter(pk=in_hand.pk)
    mine.update(state=Claim.State.SUBMITTED, ended_at=Now())
    pk = claims.next_lease(user_pk=user.pk, queue_pk=in_hand.task.queue_id)
    mine.update(state=Claim.State.LEASED, ended_at=None)
    return pk


def give_back(*, user: User, token: UUID) -> None:
    """Frees an item that was leased ahead and not used; nothing happens where it was."""
    claim = claims.held(user=user, token=token)
    if claim.draft is None:
        claims.release(user=user, token=token)
