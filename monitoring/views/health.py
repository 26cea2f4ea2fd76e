"""The health page, its regions, and the failures behind its counts."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from feedback import filters
from monitoring import quality
from monitoring.health import Health
from projects.access import ProjectRequest, Right, may, project_view
from projects.errors import ApiError

# What htmx asks for by the id of the region it replaces.
REGIONS = {
    "vitals": "monitoring/_vitals.html",
    "chart": "monitoring/_chart.html",
    "alerts": "monitoring/_alerts.html",
    "backlog": "monitoring/_backlog.html",
}


@require_GET
@project_view(Right.READ)
def health(request: ProjectRequest) -> HttpResponse:
    """How the application does: ``?period=24h|7d|30d`` and ``?metric=`` for the large chart."""
    page = Health(
        request.project,
        request.user,
        period=request.GET.get("period", "7d"),
        metric=request.GET.get("metric", ""),
        reviews=may(request.membership, Right.REVIEW),
    )
    template = REGIONS.get(request.htmx.target or "", "monitoring/health.html")
    return render(request, template, page.context())


@require_GET
@project_view(Right.READ)
def failure_list(request: ProjectRequest) -> HttpResponse:
    """The answers that people's labels call failures: ``?category=``, ``?since=``, ``?until=``."""
    names = ("category", "since", "until")
    asked = {name: request.GET.getlist(name) for name in names if name in request.GET}
    category = asked.pop("category", [""])[-1]
    try:
        window, status = filters.parse(asked), 200
    except ApiError:
        window, status = filters.Filters(), 422
    context = {
        "section": "health",
        "labels": quality.failed_labels(request.project, window.since, window.until, category=category),
        "modes": request.project.failure_modes.filter(counts_as=None),
        "category": category,
        "since": request.GET.get("since", ""),
        "until": request.GET.get("until", ""),
    }
    return render(request, "monitoring/failure_list.html", context, status=status)
