"""Queues filled by the table, for tests of what is handed out: quick, and free to be odd."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from annotations.models import Queue, Task
from feedback.models import Interaction
from projects.models import Project


def filled(
    project: Project, count: int, *, prefix: str = "i", queue: str = "negative-feedback", **task: Any
) -> list[Task]:
    """So many tasks in a queue, the first the most urgent. ``task`` are fields of each."""
    line, now = Queue.objects.get(project=project, slug=queue), timezone.now()
    items = Interaction.objects.bulk_create(
        Interaction(
            project=project, external_id=f"{prefix}-{number}", created_at=now, fingerprint=b"f", output="It is 5.",
            messages=[{"role": "user", "content": "Fee?"}],
        )
        for number in range(count)
    )  # fmt: skip
    common = {"project": project, "queue": line, "lane": "risk", "needed": line.overlap, **task}
    start = common.pop("due_at", now)
    return Task.objects.bulk_create(
        Task(interaction=item, due_at=start + timedelta(seconds=number), **common) for number, item in enumerate(items)
    )


def line_of(project: Project, slug: str = "negative-feedback", **changes: Any) -> Queue:
    """The queue, after these changes to it."""
    lines = Queue.objects.filter(project=project, slug=slug)
    if changes:
        lines.update(**changes)
    return lines.get()
