"""Liveness, readiness, the API's schema, and the pages that say what went wrong."""

from __future__ import annotations

import uuid

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import RequestDataTooBig
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET
from drf_spectacular.views import SpectacularAPIView

from projects import openapi  # noqa: F401  # registers the ways to sign in, for the schema
from projects.access import ProjectRequest, Right, may, project_view
from projects.errors import error_body
from projects.models import Membership
from reviewhub.middleware import for_machine

schema = login_not_required(SpectacularAPIView.as_view())
_migrated = False


@login_not_required
def healthz(request: HttpRequest) -> HttpResponse:
    """Alive: touches nothing."""
    return HttpResponse("ok\n", content_type="text/plain")


@login_not_required
def readyz(request: HttpRequest) -> JsonResponse:
    """Ready to serve: the database answers and all migrations are applied."""
    global _migrated
    if not _migrated:
        executor = MigrationExecutor(connection)
        waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if waiting:
            return JsonResponse({"ready": False, "reason": f"{len(waiting)} migrations are not applied"}, status=503)
        _migrated = True
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return JsonResponse({"ready": True})


@require_GET
def home(request: ProjectRequest) -> HttpResponse:
    """To the only project, or to the choice."""
    slugs = list(Membership.objects.filter(user=request.user).values_list("project__slug", flat=True)[:2])
    return redirect("project-home", slugs[0]) if len(slugs) == 1 else redirect("projects:project-list")


@require_GET
@project_view(*Right)
def project_home(request: ProjectRequest) -> HttpResponse:
    """Reviewers land on their queues, everybody else on the health page."""
    page = "monitoring:health" if may(request.membership, Right.READ) else "annotations:queue-list"
    return redirect(page, request.project.slug)


def _wants_json(request: HttpRequest) -> bool:
    return for_machine(request)


@login_not_required
def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _wants_json(request):
        return JsonResponse(error_body("bad_request", "The request is not acceptable."), status=400)
    if isinstance(exception, RequestDataTooBig):
        return render(request, "400.html", {"reason": str(exception)}, status=413)
    return render(request, "400.html", status=400)


@login_not_required
def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _wants_json(request):
        return JsonResponse(error_body("forbidden", "This is not allowed."), status=403)
    return render(request, "403.html", {"roles": str(exception)}, status=403)


@login_not_required
def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return render(request, "403_csrf.html", status=403)


@login_not_required
def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _wants_json(request):
        return JsonResponse(error_body("not_found", "There is nothing at this address."), status=404)
    return render(request, "404.html", status=404)


@login_not_required
def server_error(request: HttpRequest) -> HttpResponse:
    number = uuid.uuid4().hex[:8]
    if _wants_json(request):
        return JsonResponse(error_body("server_error", f"Something broke here. Number: {number}"), status=500)
    return render(request, "500.html", {"number": number}, status=500)
