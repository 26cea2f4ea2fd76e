"""Replays: asking a stored request again, reading its attempts, and what is done with the result."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from evals import replay_pages, replays
from evals.models import Replay, ReplayAttempt
from evals.replay_forms import ReplayForm
from feedback.models import Interaction
from projects.access import ProjectRequest, Right, project_view
from projects.errors import ApiError

USERS = (Right.BUILD, Right.LEAD)


@require_http_methods(["GET", "POST"])
@project_view(*USERS)
def replay_new(request: ProjectRequest, pk: int) -> HttpResponse:
    """The recorded request as a form; POST asks it again."""
    interaction = get_object_or_404(Interaction.objects.select_related("project"), project=request.project, pk=pk)
    form = ReplayForm(interaction, request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            made = replays.start(interaction, actor=request.user, **form.cleaned_data)
        except ApiError as error:
            form.refuse(error)
        else:
            return redirect("evals:replay-detail", request.project.slug, made.pk)
    context = {"section": "interactions", "interaction": interaction, "form": form}
    return render(request, "evals/replay_new.html", context, status=422 if form.errors else 200)


@require_GET
@project_view(Right.READ)
def replay_detail(request: ProjectRequest, pk: int) -> HttpResponse:
    """One replay: fluke or fault, and each attempt beside the recorded answer. While it runs, a region of it moves."""
    replay = _replay(request, pk)
    found = replays.found(replay)
    context = {
        "section": "interactions", "replay": replay, "found": found, "chart": replay_pages.chart(found),
        "obstacle": replay_pages.obstacle(replay, found), "likeness": replay_pages.likeness(replay),
    }  # fmt: skip
    if request.htmx.target == "replay-progress":
        if found.finished == found.planned:
            return HttpResponse(headers={"HX-Refresh": "true"})
        return render(request, "evals/_replay_progress.html", context)
    context |= {"rows": replay_pages.rows(replay), "changes": replay_pages.changes(replay),
                "unsent": replay_pages.unsent(replay)}  # fmt: skip
    return render(request, "evals/replay_detail.html", context)


@require_POST
@project_view(*USERS)
def replay_mark(request: ProjectRequest, pk: int, number: int) -> HttpResponse:
    """A person says whether an attempt fails again."""
    wish = request.POST.get("fails", "")
    if wish not in ("yes", "no"):
        messages.error(request, "Say whether it fails again.")
    else:
        _tried(request, lambda: replays.mark(_attempt(request, pk, number), fails=wish == "yes", actor=request.user))
    return redirect("evals:replay-detail", request.project.slug, pk)


@require_POST
@project_view(*USERS)
def replay_attach(request: ProjectRequest, pk: int) -> HttpResponse:
    """Puts the result beside the interaction, where reviewers see it."""
    if _tried(request, lambda: replays.attach(_replay(request, pk), actor=request.user)):
        messages.success(request, "The result stands among the scores of the interaction.")
    return redirect("evals:replay-detail", request.project.slug, pk)


@require_POST
@project_view(*USERS)
def replay_golden(request: ProjectRequest, pk: int, number: int) -> HttpResponse:
    """Makes this answer the desired one of an example in the golden draft."""
    try:
        example = replays.make_golden(_attempt(request, pk, number), actor=request.user)
    except ApiError as error:
        messages.error(request, error.message)
        return redirect("evals:replay-detail", request.project.slug, pk)
    messages.success(request, "It waits in the draft for approval.")
    return redirect("evals:example-detail", request.project.slug, example.pk)


def _tried(request: ProjectRequest, act: object) -> bool:
    assert callable(act)
    try:
        act()
    except ApiError as error:
        messages.error(request, error.message)
        return False
    return True


def _replay(request: ProjectRequest, pk: int) -> Replay:
    found = Replay.objects.select_related("interaction__project", "project", "connection", "created_by")
    return get_object_or_404(found, project=request.project, pk=pk)


def _attempt(request: ProjectRequest, pk: int, number: int) -> ReplayAttempt:
    found = replays.attempt_of(_replay(request, pk), number)
    if found is None:
        raise Http404("No such attempt")
    return found
