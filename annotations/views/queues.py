"""The queues of a project: what waits, since when, and who is on it."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from annotations import cluster_list, coding, queries, routing, workload
from annotations.models import Queue, Task
from annotations.saturation import RUN
from annotations.sections import LISTED
from annotations.views.backlog import Backlog, picture
from projects.access import ProjectRequest, Right, may, project_view

MINE, ALL, PAUSED = "mine", "all", "paused"


@require_GET
@project_view(Right.REVIEW)
def queue_list(request: ProjectRequest) -> HttpResponse:
    """The queues this person may work, all, or the paused ones. The table alone for the page that refreshes it."""
    shown = request.GET.get("show", MINE)
    loads = workload.loads(request.project)
    every = [picture(row, loads[row.queue.pk]) for row in queries.queue_overview(request.project, request.user)]
    mine = set(routing.workable(request.user, request.project).values_list("pk", flat=True))
    rows = {
        ALL: every,
        PAUSED: [row for row in every if row.queue.paused_at],
    }.get(shown, [row for row in every if row.queue.pk in mine and not row.queue.paused_at])
    first = _next([row for row in every if row.queue.pk in mine])
    task = _first_task(request, first)
    context = {
        "section": "queues",
        "shown": shown if shown in {ALL, PAUSED} else MINE,
        "rows": sorted(rows, key=lambda row: row.urgency),
        "any": bool(every),
        "paused": sum(row.queue.paused_at is not None for row in every),
        "waiting": sum(row.open for row in rows),
        "next": first,
        "first_task": task,
        "alike": cluster_list.pattern_of(task.interaction_id) if task else None,
        "done_today": queries.my_progress(request.project, request.user),
        "median": workload.median_seconds(request.project, request.user),
        "late": sum(row.past_due for row in every),
        "coding": _coding(request, rows),
    }
    return render(request, "annotations/_queues.html" if request.htmx else "annotations/queue_list.html", context)


def _coding(request: ProjectRequest, rows: list[Backlog]) -> dict[str, Any]:
    """How many open notes there are and what the last of them brought, where a queue on the page collects them."""
    if all(row.queue.phase != Queue.Phase.OPEN for row in rows):
        return {}
    measured, free = coding.meter(request.project)
    return {"meter": measured, "notes": measured.notes + free, "free": free, "run": RUN}


def _next(rows: list[Backlog]) -> Backlog | None:
    """The queue whose most urgent item is due first, of those that hand something out."""
    waiting = [row for row in rows if row.open and not row.queue.paused_at]
    return min(waiting, key=lambda row: row.urgency, default=None)


def _first_task(request: ProjectRequest, row: Backlog | None) -> Task | None:
    """Why the one up next is there; nothing of a queue that hides it."""
    if row is None or row.queue.blind:
        return None
    waiting = Task.objects.filter(queue=row.queue, state=Task.State.OPEN, purpose__in=LISTED)
    waiting = waiting.filter(Q(assigned_to=None) | Q(assigned_to=request.user)).exclude(claims__reviewer=request.user)
    if not may(request.membership, Right.LEAD):
        waiting = waiting.exclude(lane=Task.Lane.ESCALATED)
    return waiting.only("interaction_id", "reasons", "score", "terms", "due_at").order_by("due_at", "id").first()
