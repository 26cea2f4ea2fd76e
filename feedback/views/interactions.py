"""The list of interactions, and one interaction."""

from __future__ import annotations

from django.http import HttpResponse
from django.views.decorators.http import require_GET

from projects.access import ProjectRequest, Right, project_view


@require_GET
@project_view(Right.READ)
def interaction_list(request: ProjectRequest) -> HttpResponse:
    return HttpResponse("soon")


@require_GET
@project_view(Right.READ)
def interaction_detail(request: ProjectRequest, pk: int) -> HttpResponse:
    return HttpResponse("soon")
