"""Provider connections: where judges send what they judge, with which key. Keys go in and never come out."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from evals.judge_forms import ConnectionForm, KeyForm
from projects import connections
from projects.access import ProjectRequest, Right, project_view


@require_http_methods(["GET", "POST"])
@project_view(Right.ADMIN)
def connection_list(request: ProjectRequest) -> HttpResponse:
    """The project's connections; POST adds one."""
    form = ConnectionForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            made = connections.create_connection(request.project, actor=request.user, **form.cleaned_data)
        except ValidationError as error:
            form.add_error(None, error)
        else:
            messages.success(request, f"{made.name} is ready for judges.")
            return redirect("evals:connection-list", request.project.slug)
    context = {
        "section": "judges",
        "form": form,
        "connections": request.project.connections.order_by("name"),
    }
    return render(request, "evals/connection_list.html", context, status=422 if form.errors else 200)


@require_POST
@project_view(Right.ADMIN)
def connection_key(request: ProjectRequest, pk: int) -> HttpResponse:
    """Replaces the key."""
    connection = get_object_or_404(request.project.connections.all(), pk=pk)
    form = KeyForm(request.POST)
    if form.is_valid():
        connections.replace_key(connection, actor=request.user, **form.cleaned_data)
        messages.success(request, f"{connection.name} has a new key.")
    else:
        messages.error(request, "No key was given. The old one stays.")
    return redirect("evals:connection-list", request.project.slug)


@require_POST
@project_view(Right.ADMIN)
def connection_remove(request: ProjectRequest, pk: int) -> HttpResponse:
    """Deletes the connection and its key, if no judge uses it."""
    connection = get_object_or_404(request.project.connections.all(), pk=pk)
    try:
        connections.remove_connection(connection, actor=request.user)
        messages.success(request, f"{connection.name} and its key are gone.")
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    return redirect("evals:connection-list", request.project.slug)
