"""Open notes and their groups: one page, and what a lead does with notes and groups."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from annotations import coding, coding_page
from annotations.models import NoteGroup, Queue
from annotations.views.clusters import whole_number
from projects.access import ProjectRequest, Right, project_view
from projects.errors import ApiError
from projects.strictjson import clean_text


@require_GET
@project_view(Right.LEAD)
def coding_show(request: ProjectRequest) -> HttpResponse:
    """The notes by group, with how saturated they are."""
    return _show(request)


def _show(request: ProjectRequest, error: ApiError | None = None) -> HttpResponse:
    context = {"section": "coding", "error": error, "typed": request.POST, **coding_page.context_of(request.project)}
    context["ticked"] = set(request.POST.getlist("note")) if error else set()
    return render(request, "annotations/coding.html", context, status=error.status_code if error else 200)


def _done(request: ProjectRequest, deed: Callable[[], str]) -> HttpResponseBase:
    try:
        said = deed()
    except ApiError as error:
        return _show(request, error)
    messages.success(request, said)
    return redirect("annotations:coding", request.project.slug)


def _group(request: ProjectRequest, pk: int) -> NoteGroup:
    rows = NoteGroup.objects.select_related("project", "failure_mode__counts_as")
    return get_object_or_404(rows, project=request.project, pk=pk)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


@require_POST
@project_view(Right.LEAD)
def notes_propose(request: ProjectRequest) -> HttpResponseBase:
    """Proposes groups for the notes that nobody has placed."""

    def deed() -> str:
        count = coding.propose(project=request.project, actor=request.user)
        return f"{_counted(count, 'group')} proposed. Check them: nothing is decided yet."

    return _done(request, deed)


@require_POST
@project_view(Right.LEAD)
def notes_place(request: ProjectRequest) -> HttpResponseBase:
    """Moves the ticked notes into a group, a new one, or none."""
    notes = [whole_number(text) for text in request.POST.getlist("note")]
    to, name = request.POST.get("to", ""), clean_text(request.POST.get("name", ""))

    def deed() -> str:
        if to == "new" and not name.strip():
            raise ApiError(422, "invalid", "Give the new group a name.", [{"path": "/name", "message": "No name."}])
        count = coding.place(
            project=request.project, actor=request.user, notes=notes, name=name if to == "new" else "",
            group=whole_number(to) if to not in {"new", "none", ""} else None,
        )  # fmt: skip
        return f"{_counted(count, 'note')} moved."

    return _done(request, deed)


@require_POST
@project_view(Right.LEAD)
def group_describe(request: ProjectRequest, pk: int) -> HttpResponseBase:
    """Names and describes a group."""
    group = _group(request, pk)
    fields = {name: clean_text(request.POST.get(name, "")) for name in ("name", "description")}
    return _done(request, lambda: f"{coding.describe(group=group, fields=fields).name} is saved.")


@require_POST
@project_view(Right.LEAD)
def group_remove(request: ProjectRequest, pk: int) -> HttpResponseBase:
    """Takes a group apart."""
    group = _group(request, pk)

    def deed() -> str:
        coding.remove(actor=request.user, group=group)
        return f"{group.name} is taken apart. Its notes are in no group."

    return _done(request, deed)


@require_POST
@project_view(Right.LEAD)
def group_confirm(request: ProjectRequest, pk: int) -> HttpResponseBase:
    """Makes it a failure mode, or gives its notes to one."""
    group, into = _group(request, pk), clean_text(request.POST.get("into", ""))

    def deed() -> str:
        mode = coding.confirm(actor=request.user, group=group, into=into)
        return f"“{mode.label}” is a failure mode with these notes as examples."

    return _done(request, deed)


@require_POST
@project_view(Right.LEAD)
def group_reclassify(request: ProjectRequest, pk: int) -> HttpResponseBase:
    """Opens the items of its notes again, with the failure mode filled in."""
    group = _group(request, pk)

    def deed() -> str:
        count = coding.reclassify(actor=request.user, group=group)
        return f"{_counted(count, 'item')} open again, with the failure mode filled in. Their reviewers decide."

    return _done(request, deed)


@require_POST
@project_view(Right.LEAD)
def queue_classify(request: ProjectRequest, queue: str) -> HttpResponseBase:
    """Lets the reviewers of a queue choose failure modes from now on."""
    row = get_object_or_404(Queue.objects.select_related("project"), project=request.project, slug=queue)
    return _done(request, lambda: f"{coding.begin_classifying(actor=request.user, queue=row).name} classifies now.")
