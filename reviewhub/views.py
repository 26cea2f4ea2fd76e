"""Liveness, readiness, the API's schema, and the pages that say what went wrong."""

from __future__ import annotations

import uuid

from django.contrib.auth.decorators import login_not_required
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from drf_spectacular.views import SpectacularAPIView

from projects.errors import error_body

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


def _wants_json(request: HttpRequest) -> bool:
    return request.path.startswith(("/api/", "/v1/"))


@login_not_required
def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _wants_json(request):
        return JsonResponse(error_body("bad_request", "The request is not acceptable."), status=400)
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
