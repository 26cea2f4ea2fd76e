"""What is done from the list of interactions: acts on many, files, and views that are kept."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from feedback import browsing, bulk, finding, listed, saved_views
from feedback.filters import Filters
from feedback.models import SavedView
from feedback.views.interactions import wanted_of
from projects.access import ProjectRequest, Right, may, project_view, roles_with
from projects.downloads import download
from projects.errors import ApiError


def _to_list(request: ProjectRequest, query: str) -> HttpResponse:
    address = reverse("feedback:interaction-list", args=[request.project.slug])
    return redirect(f"{address}?{query}" if query else address)


@require_POST
@project_view(Right.READ)
def interaction_act(request: ProjectRequest) -> HttpResponseBase:
    """Does one thing to the ticked interactions, or after a question to all that match, at most 1,000."""
    name = request.POST.get("action", "")
    wanted, problem = wanted_of(request)
    if problem:
        raise Http404("No such list")
    everything = "everything" in request.POST
    query = urlencode(browsing.query_of(wanted))
    if name in listed.FORMATS:
        if everything:
            return _file(request, finding.page(request.project, wanted, size=listed.MOST).pks, name)
        return _file(request, _chosen(request, wanted, everything), name)
    action = next((action for action in bulk.actions if action.name == name), None)
    if action is None:
        raise Http404("No such act")
    if not may(request.membership, *action.rights):
        raise PermissionDenied(", ".join(roles_with(*action.rights)))
    pks = _chosen(request, wanted, everything)
    choice = request.POST.get(f"for-{name}", "")
    if everything and pks and "confirmed" not in request.POST:
        context = {"action": action, "count": len(pks), "choice": choice, "query": query, "most": bulk.MOST}
        return render(request, "feedback/interaction_act.html", context | {"section": "interactions"})
    _act(request, action, pks, choice)
    if "stay" in request.POST and len(pks) == 1:  # from the page of that one
        address = reverse("feedback:interaction-detail", args=[request.project.slug, pks[0]])
        return redirect(f"{address}?{query}" if query else address)
    return _to_list(request, query)


def _chosen(request: ProjectRequest, wanted: Filters, everything: bool) -> list[int]:
    return bulk.chosen(request.project, wanted, request.POST.getlist("pk"), everything=everything)


def _act(request: ProjectRequest, action: bulk.Action, pks: list[int], choice: str) -> None:
    if not pks:
        messages.warning(request, "Tick the interactions first.")
        return
    try:
        messages.success(request, action.run(request.project, request.user, pks, choice))
    except ApiError as error:
        messages.error(request, " ".join(str(detail["message"]) for detail in error.details) or error.message)


def _file(request: ProjectRequest, pks: list[int], format_: str) -> HttpResponseBase:
    headers = {"Content-Disposition": f'attachment; filename="{request.project.slug}-interactions.{format_}"'}
    try:
        return download(listed.written(pks, format_), listed.FORMATS[format_], headers)
    except ApiError as error:
        return HttpResponse(error.message, "text/plain", error.status_code, headers=error.headers)


@require_GET
@project_view(Right.READ)
def interaction_export(request: ProjectRequest) -> HttpResponseBase:
    """The list as a file, newest first, at most 10,000: ``?format=jsonl`` or ``csv`` and the filters of the list."""
    format_ = request.GET.get("format", "jsonl")
    wanted, problem = wanted_of(request, "format")
    if problem or format_ not in listed.FORMATS:
        return HttpResponse(problem or "The formats are jsonl and csv.", status=422, content_type="text/plain")
    return _file(request, finding.page(request.project, wanted, size=listed.MOST).pks, format_)


@require_POST
@project_view(Right.READ)
def view_new(request: ProjectRequest) -> HttpResponse:
    """Keeps the search that the list shows."""
    query = request.POST.get("query", "")
    try:
        view = saved_views.create(
            request.project, request.user, name=request.POST.get("name", ""), query=query,
            shared="shared" in request.POST,
        )  # fmt: skip
    except ApiError as error:
        messages.error(request, f"Not saved: {error.details[0]['message'] if error.details else error.message}")
        return _to_list(request, "")
    messages.success(request, f"Saved as “{view.name}”.")
    return _to_list(request, view.query)


@require_GET
@project_view(Right.READ)
def view_open(request: ProjectRequest, pk: int) -> HttpResponse:
    """The lasting address of a view: the list as the view shows it now."""
    return _to_list(request, get_object_or_404(saved_views.visible(request.project, request.user), pk=pk).query)


def _mine(request: ProjectRequest, pk: int) -> SavedView:
    """A view that this person may change: one's own, and for admins every shared one."""
    view = get_object_or_404(saved_views.visible(request.project, request.user), pk=pk)
    if view.owner_id != request.user.pk and not may(request.membership, Right.ADMIN):
        raise PermissionDenied(", ".join(["the owner", *roles_with(Right.ADMIN)]))
    return view


@require_POST
@project_view(Right.READ)
def view_change(request: ProjectRequest, pk: int) -> HttpResponse:
    """A new name, and whether the others see it."""
    view = _mine(request, pk)
    try:
        saved_views.change(view, name=request.POST.get("name", ""), shared="shared" in request.POST)
        messages.success(request, f"Saved as “{view.name}”.")
    except ApiError as error:
        messages.error(request, f"Not saved: {error.details[0]['message']}")
    return _to_list(request, view.query)


@require_POST
@project_view(Right.READ)
def view_remove(request: ProjectRequest, pk: int) -> HttpResponse:
    """Deletes a view; what it showed stays."""
    view = _mine(request, pk)
    view.delete()
    messages.success(request, f"Deleted the view “{view.name}”.")
    return _to_list(request, "")
