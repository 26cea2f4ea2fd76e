"""Interactions that a person puts into a queue. They stay there until they are reviewed, whatever the rules say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import Q

from annotations import priority
from annotations.models import Queue, Task
from annotations.priority import Reason
from annotations.triage import SENT, locked
from feedback.models import Interaction
from projects import audit
from projects.models import Project, User


@transaction.atomic
def send(project: Project, user: User, pks: Sequence[int], queue: Queue) -> int:
    """Makes a task in this queue for each interaction that has not been in it and waits in no other; returns how many.

    Such a task counts towards no rate: a person chose it. It is due at the queue's limit.
    """
    now = locked(project)
    reviewing = Task.objects.filter(interaction__in=pks, purpose__in=[Task.Purpose.REVIEW, Task.Purpose.AUDIT])
    taken = set(reviewing.filter(Q(queue=queue) | Q(state=Task.State.OPEN)).values_list("interaction_id", flat=True))
    free = Interaction.objects.filter(project=project, pk__in=set(pks) - taken).only("pk")
    reason = Reason(SENT, "", 0.0, "user", f"Sent by {user}", title="Chosen by a person: counts towards no rate")
    tasks = [
        Task(
            project=project, interaction=interaction, queue=queue, queue_version=queue.version, lane=Task.Lane.RISK,
            needed=queue.overlap, reasons=[priority.as_stored(reason, queue.weights)], enqueued_at=now,
            due_at=now + timedelta(hours=queue.sla_max_hours),
        )
        for interaction in free
    ]  # fmt: skip
    Task.objects.bulk_create(tasks)
    audit.record(project, user, "interactions.sent", queue.slug, count=len(tasks))
    return len(tasks)
