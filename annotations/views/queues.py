"""The queues of a project: what waits, since when, and who is on it."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from annotations import queries
from annotations.views.backlog import picture
from projects.access import ProjectRequest, Right, project_view


@require_GET
@project_view(Right.REVIEW)
def queue_list(request: ProjectRequest) -> HttpResponse:
    """All queues, the most urgent one offered first. The table alone for the page that refreshes it."""
    rows = [picture(row) for row in queries.queue_overview(request.project, request.user)]
    waiting = [row for row in rows if row.open and not row.queue.paused_at]
    context = {
        "section": "queues",
        "rows": rows,
        "waiting": sum(row.open for row in rows),
        "next": min(waiting, key=lambda row: row.urgency, default=None),
        "done_today": queries.my_progress(request.project, request.user),
    }
    return render(request, "annotations/_queues.html" if request.htmx else "annotations/queue_list.html", context)
