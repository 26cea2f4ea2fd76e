"""Interactions that a person puts into a queue. They stay there until they are reviewed, whatever the rules say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from django.db import transaction

from annotations import priority
from annotations.models import Queue, Task
from annotations.priority import Reason
from annotations.triage import SENT, locked
from feedback.models import Interaction
from projects import audit
from projects.models import Project, User


@transaction.atomic
def send(project: Project, user: User, pks: Sequence[int], queue: Queue) -> tuple[int, int]:
    """Puts each interaction that has not been in this queue into it; returns how many, and how many of them moved.

    What waits elsewhere moves, unless somebody has it or it was assigned, escalated or drawn for an audit; what it was
    drawn for stays with it. A new task counts towards no rate: a person chose it. It is due at the queue's limit.
    """
    now = locked(project)
    reviewing = Task.objects.filter(
        project=project, interaction__in=pks, purpose__in=[Task.Purpose.REVIEW, Task.Purpose.AUDIT]
    )
    been = set(reviewing.filter(queue=queue).values_list("interaction_id", flat=True))
    waiting = reviewing.filter(state=Task.State.OPEN)
    free = Interaction.objects.filter(project=project, pk__in=set(pks) - been)
    new = list(free.exclude(pk__in=waiting.values("interaction")).only("pk"))
    due = now + timedelta(hours=queue.sla_max_hours)
    reason = Reason(SENT, "", 0.0, "user", f"Sent by {user}", title="Chosen by a person: counts towards no rate")
    sent = priority.as_stored(reason, queue.weights)
    movable = waiting.filter(purpose=Task.Purpose.REVIEW, taken=0, assigned_to=None).exclude(lane=Task.Lane.ESCALATED)
    # Whoever claims one at this moment holds its row: it is theirs, and stays.
    moved = list(movable.exclude(interaction__in=been).select_for_update(skip_locked=True))
    for task in moved:
        task.queue, task.queue_version, task.lane, task.needed = queue, queue.version, Task.Lane.RISK, queue.overlap
        task.reasons, task.due_at = [*task.reasons, sent], min(task.due_at, due)
    Task.objects.bulk_update(moved, ["queue", "queue_version", "lane", "needed", "reasons", "due_at"])
    Task.objects.bulk_create(
        Task(
            project=project, interaction=interaction, queue=queue, queue_version=queue.version, lane=Task.Lane.RISK,
            needed=queue.overlap, reasons=[sent], enqueued_at=now, due_at=due,
        )
        for interaction in new
    )  # fmt: skip
    count = len(new) + len(moved)
    audit.record(project, user, "interactions.sent", queue.slug, count=count, moved=len(moved))
    return count, len(moved)
