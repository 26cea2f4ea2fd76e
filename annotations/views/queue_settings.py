"""A queue's settings as a form, with every version they have had."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from annotations import queue_form, queue_settings, revisions
from annotations.models import Queue
from projects.access import ProjectRequest, Right, project_view
from projects.errors import ApiError


@require_http_methods(["GET", "POST"])
@project_view(Right.LEAD)
def queue_new(request: ProjectRequest) -> HttpResponseBase:
    """A new queue. Nothing comes into it until a rule names it."""
    return _form(request, None)


@require_http_methods(["GET", "POST"])
@project_view(Right.LEAD)
def queue_edit(request: ProjectRequest, queue: str) -> HttpResponseBase:
    """All settings of a queue."""
    return _form(request, _queue(request, queue))


@require_POST
@project_view(Right.LEAD)
def queue_remove(request: ProjectRequest, queue: str) -> HttpResponseBase:
    """Deletes a queue that nothing hangs on, or says what does."""
    row = _queue(request, queue)
    try:
        queue_settings.remove(actor=request.user, queue=row)
    except ApiError as error:
        messages.error(request, error.message)
        return redirect("annotations:queue-settings", request.project.slug, row.slug)
    messages.success(request, f"{row.name} is removed.")
    return redirect("annotations:queue-list", request.project.slug)


def _queue(request: ProjectRequest, slug: str) -> Queue:
    return get_object_or_404(Queue.objects.select_related("project"), project=request.project, slug=slug)


def _form(request: ProjectRequest, queue: Queue | None) -> HttpResponseBase:
    status, form = 200, None
    if request.method == "POST":
        fields = queue_form.fields_of(request.POST, request.project)
        try:
            saved = queue_settings.save(project=request.project, actor=request.user, queue=queue, fields=fields)
        except ApiError as error:
            faults = error.details or [{"path": "/", "message": error.message}]
            status, form = error.status_code, queue_form.posted(request.POST, request.project, faults)
        else:
            messages.success(request, f"{saved.name} is saved.")
            return redirect("annotations:queue-settings", request.project.slug, saved.slug)
    return _page(request, queue, form or queue_form.shown(request.project, queue), status)


def _page(request: ProjectRequest, queue: Queue | None, form: queue_form.Shown, status: int) -> HttpResponse:
    context = {
        "section": "queues",
        "queue": queue,
        "form": form,
        "kinds": Queue.Kind.choices,
        "phases": Queue.Phase.choices,
        "others": [other for other in request.project.queues.all() if other != queue],
        "versions": revisions.of(queue=queue) if queue else [],
        "rules": queue.rules.order_by("position") if queue else [],
    }
    return render(request, "annotations/queue_settings.html", context, status=status)
