"""Traces that came by OpenTelemetry and made no interaction."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from feedback.telemetry import unread
from projects.access import ProjectRequest, Right, project_view


@require_GET
@project_view(Right.READ)
def trace_list(request: ProjectRequest) -> HttpResponse:
    """Each with its reason and what to do; ``?show=all`` adds those that ask no model anything."""
    everything = request.GET.get("show") == "all"
    rows = list(unread.newest(request.project, everything=everything, most=unread.SHOWN))
    context = {
        "section": "interactions", "rows": [(row, unread.advice(row)) for row in rows], "everything": everything,
        "count": unread.count(request.project), "all": unread.count(request.project, everything=True),
        "most": unread.LOOK_BACK, "days": settings.TELEMETRY_DAYS,
    }  # fmt: skip
    return render(request, "feedback/trace_list.html", context)
