"""What the page of open notes shows, in a fixed number of queries."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count, Q

from annotations import coding
from annotations.models import Annotation, FailureMode, NoteGroup, Queue, Task
from annotations.saturation import BASE, LEAST, RUN, THRESHOLD
from projects.models import Project

FREE, IN_GROUP = 200, 500  # notes shown: in no group; in all groups together


@dataclass(slots=True)
class Shown:
    """A group with its notes; ``count`` are all, ``again`` those whose items can be opened again."""

    group: NoteGroup
    count: int
    again: int
    notes: list[Annotation] = field(default_factory=list)


def context_of(project: Project) -> dict[str, Any]:
    """Groups, notes without one, saturation, open queues and failure modes in use."""
    measured, free = coding.meter(project)
    done = Q(notes__annotation__task__state=Task.State.DONE)
    rows = NoteGroup.objects.filter(project=project).select_related("failure_mode")
    rows = rows.annotate(count=Count("notes"), again=Count("notes__annotation__task", filter=done, distinct=True))
    groups = {row.pk: Shown(row, row.count, row.again) for row in rows.order_by("position", "pk")}
    told = coding.open_notes(project).select_related("task__interaction", "reviewer", "note_group")
    for note in told.filter(note_group__isnull=False)[:IN_GROUP]:
        groups[note.note_group.group_id].notes.append(note)
    return {
        "groups": list(groups.values()), "free": list(coding.ungrouped(project).select_related(
            "task__interaction", "reviewer"
        )[:FREE]), "free_count": free, "meter": measured, "base": BASE, "run": RUN, "threshold": THRESHOLD,
        "least": LEAST, "modes": list(FailureMode.objects.filter(project=project, retired_at=None)),
        "open_queues": list(Queue.objects.filter(project=project, phase=Queue.Phase.OPEN)),
        "proposed": any(shown.group.proposed for shown in groups.values()),
    }  # fmt: skip
