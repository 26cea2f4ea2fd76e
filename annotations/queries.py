"""What the pages and the API read, each in a fixed number of queries."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Exists, F, Min, OuterRef, Q
from django.db.models.functions import Now, TruncDate, TruncDay

from annotations import claims
from annotations.models import Annotation, Claim, Queue, QueueMember, Task
from projects.models import Membership, Project, User

NEAR = timedelta(hours=4)
DAYS = 7


@dataclass
class QueueRow:
    """A queue as the overview shows it. ``ages`` counts open tasks: past_due, near_due (within four hours),
    over_4h and under_4h (waiting, not yet near their limit). ``done_by_day`` are the last seven days, oldest first."""

    queue: Queue
    open: int = 0
    oldest_enqueued_at: datetime | None = None
    next_due_at: datetime | None = None
    leased_by: list[User] = field(default_factory=list)
    done_by_day: list[int] = field(default_factory=lambda: [0] * DAYS)
    ages: dict[str, int] = field(default_factory=dict)


def queue_overview(project: Project, user: User | None) -> list[QueueRow]:
    """Every queue, paused ones too, with what waits for this user (or for all), who is on it and how much gets done.

    Four queries.
    """
    rows = {queue.pk: QueueRow(queue) for queue in project.queues.all()}
    for figures in _backlog(project, user):
        row = rows.get(figures["queue"])
        if row is None:
            continue
        row.open = figures["open"]
        row.oldest_enqueued_at, row.next_due_at = figures["oldest"], figures["due"]
        row.ages = {name: figures[name] for name in ("under_4h", "over_4h", "near_due", "past_due")}
    live = Claim.objects.select_related("reviewer", "task").filter(
        task__project=project, state=Claim.State.LEASED, expires_at__gt=Now()
    )
    for claim in live.order_by("claimed_at")[:200]:
        row = rows.get(claim.task.queue_id)
        if row and claim.reviewer not in row.leased_by:
            row.leased_by.append(claim.reviewer)
    for queue, days in _done(project).items():
        if queue in rows:
            rows[queue].done_by_day = days
    return list(rows.values())


def _backlog(project: Project, user: User | None) -> Any:
    waiting = Task.objects.filter(project=project, state=Task.State.OPEN)
    if user is not None:
        had = Claim.objects.filter(reviewer=user, state__in=[Claim.State.SUBMITTED, *claims.ASIDE])
        lead = Membership.objects.filter(project=project, user=user, role__in=claims.MAY_ADJUDICATE)
        waiting = waiting.exclude(claims__in=had).filter(Q(assigned_to=None) | Q(assigned_to=user))
        waiting = waiting.filter(~Q(lane=Task.Lane.ESCALATED) | Q(Exists(lead)))
        held = Claim.objects.filter(task=OuterRef("pk"), reviewer=user, state=Claim.State.LEASED)
        waiting = waiting.filter(Q(taken__lt=F("needed")) | Q(Exists(held)))
        elsewhere = QueueMember.objects.filter(queue=OuterRef("queue"), user=user).exclude(topics=[])
        elsewhere = elsewhere.exclude(topics__contains=[OuterRef("topic")])
        waiting = waiting.exclude(~Q(topic="") & Exists(elsewhere))
    near, past = Q(due_at__lte=Now() + NEAR), Q(due_at__lte=Now())
    young = Q(enqueued_at__gt=Now() - NEAR)
    return waiting.values("queue").annotate(
        open=Count("pk"),
        oldest=Min("enqueued_at"),
        due=Min("due_at"),
        past_due=Count("pk", filter=past),
        near_due=Count("pk", filter=near & ~past),
        over_4h=Count("pk", filter=~near & ~young),
        under_4h=Count("pk", filter=~near & young),
    )


def _done(project: Project) -> dict[int, list[int]]:
    votes = (
        Annotation.objects.filter(
            project=project, state=Annotation.State.COUNTED, created_at__gt=Now() - timedelta(days=DAYS)
        )
        .annotate(day=TruncDate("created_at"), today=TruncDate(Now()))
        .values("task__queue", "day", "today")
        .annotate(done=Count("pk"))
    )
    found: dict[int, list[int]] = defaultdict(lambda: [0] * DAYS)
    for row in votes:
        back = (row["today"] - row["day"]).days
        if 0 <= back < DAYS:
            found[row["task__queue"]][DAYS - 1 - back] = row["done"]
    return found


def done_by(project: Project, user: User) -> dict[int, int]:
    """How many votes of this person count, by queue."""
    mine = Annotation.objects.filter(project=project, reviewer=user, state=Annotation.State.COUNTED)
    return dict(mine.values_list("task__queue").annotate(done=Count("pk")).order_by())


def my_progress(project: Project, user: User) -> int:
    """How many votes of this person count since midnight, UTC."""
    mine = Annotation.objects.filter(project=project, reviewer=user, state=Annotation.State.COUNTED)
    return mine.filter(created_at__gte=TruncDay(Now())).count()
