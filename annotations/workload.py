"""How much comes into the queues of a project beside what gets done, and what was not let in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db import connection
from django.db.models import Count, Min, Q
from django.db.models.functions import Now

from annotations.models import Queue, Task
from projects.models import Project, User

DAYS = 7
FEW = 5  # of fewer times no median is told
MEDIAN = """
SELECT count(seconds), percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) FROM annotations_annotation
WHERE reviewer_id = %s AND project_id = %s AND state = 'counted' AND created_at > now() - interval '7 days'"""


@dataclass(frozen=True, slots=True)
class Load:
    """Traffic of a queue in tasks a day over the last seven days (or since its first task), shed ones included.

    ``capacity`` is what a lead has set or what was measured, None where neither is known; ``share`` is the one over
    the other, ``admitted`` the part of low scores that is let in where that is less than all; ``shed`` counts every
    task that waits outside.
    """

    inflow: float = 0.0
    capacity: float | None = None
    share: float | None = None
    admitted: float | None = None
    shed: int = 0


def loads(project: Project) -> dict[int, Load]:
    """The load of each queue of the project, in two queries."""
    since = Now() - timedelta(days=DAYS)
    came = Q(enqueued_at__gt=since)
    figures = {
        row["queue"]: row
        for row in Task.objects.filter(project=project)
        .filter(came | Q(state=Task.State.SHED))
        .values("queue")
        .annotate(
            came=Count("pk", filter=came), first=Min("enqueued_at", filter=came),
            shed=Count("pk", filter=Q(state=Task.State.SHED)), now=Now(),
        )
    }  # fmt: skip
    found = {}
    for queue in project.queues.all():
        row = figures.get(queue.pk)
        days = (
            min(max((row["now"] - row["first"]) / timedelta(days=1), 1.0), float(DAYS)) if row and row["first"] else 1
        )
        inflow = row["came"] / days if row else 0.0
        capacity = queue.measured_per_day if queue.capacity_per_day is None else queue.capacity_per_day
        thins = queue.admission and queue.admission_p < 1 and queue.kind != Queue.Kind.RANDOM
        found[queue.pk] = Load(
            inflow, capacity, inflow / capacity if capacity else None, queue.admission_p if thins else None,
            row["shed"] if row else 0,
        )  # fmt: skip
    return found


def median_seconds(project: Project, user: User) -> float | None:
    """How long this person took for an item over the last seven days, the middle of all; None under five items."""
    with connection.cursor() as cursor:
        cursor.execute(MEDIAN, [user.pk, project.pk])
        count, middle = cursor.fetchone()
    return middle if count >= FEW else None
