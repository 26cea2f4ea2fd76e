"""After a blind vote: what others think, and whether it changes the answer."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from annotations import labelling
from annotations.models import Annotation, Task
from annotations.views.screen import others_of
from projects.access import ProjectRequest, Right, project_view
from projects.errors import ApiError


@require_GET
@project_view(Right.REVIEW)
def reveal_show(request: ProjectRequest, pk: int) -> HttpResponse:
    """The reviewer's own blind vote beside what the user, the judges and other reviewers think."""
    votes = Annotation.objects.select_related("primary_category", "task__queue", "task__interaction")
    vote = get_object_or_404(
        votes, pk=pk, project=request.project, reviewer=request.user, blind=True, state=Annotation.State.COUNTED,
        task__purpose__in=[Task.Purpose.REVIEW, Task.Purpose.AUDIT],
    )  # fmt: skip
    Annotation.objects.filter(pk=pk, reveal=Annotation.Reveal.NONE).update(reveal=Annotation.Reveal.SHOWN)
    return render(request, "annotations/reveal.html", {"section": "queues", "vote": vote, **others_of(vote)})


@require_POST
@project_view(Right.REVIEW)
def reveal_answer(request: ProjectRequest, pk: int) -> HttpResponseBase:
    """Keeps the vote, or takes it back and opens its item again, now with all that was hidden."""
    answer = request.POST.get("answer")
    if answer not in {"kept", "changed"}:
        raise BadRequest("No such answer")
    try:
        vote, claim = labelling.reveal(
            user=request.user, project=request.project, pk=pk, changes=answer == "changed"
        )  # fmt: skip
    except ApiError as error:
        messages.warning(request, error.message)
        return redirect("annotations:annotation-list", request.project.slug)
    page = reverse("annotations:review", args=[request.project.slug, vote.task.queue.slug])
    if claim is not None:
        return redirect(f"{page}?claim={claim.token}&open=1")
    if answer == "changed":
        messages.warning(request, "Others have built on your label since; it stays as it is.")
    return redirect(page)
