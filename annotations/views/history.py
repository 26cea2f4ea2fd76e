"""A reviewer's own labels, newest first, and taking back the newest."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from annotations import claims, labelling
from annotations.models import Annotation, Claim
from annotations.views.adjudication import notices
from annotations.views.review import own_claim, show, uuid_or_none
from annotations.views.screen import body_of, says_something
from projects.access import ProjectRequest, Right, project_view
from projects.rendering import WordDiff, word_diff

PAGE = 50
NOTHING = "There is nothing to undo: no label of yours, or somebody has built on it since."


@require_GET
@project_view(Right.REVIEW)
def annotation_list(request: ProjectRequest) -> HttpResponse:
    """Everything this person has said in the project; nobody else's."""
    votes = Annotation.objects.filter(project=request.project, reviewer=request.user)
    votes = votes.select_related("primary_category", "task__queue", "task__interaction").order_by("-created_at", "-id")
    page = Paginator(votes, PAGE).get_page(request.GET.get("page"))
    rows = [{"vote": vote, "diff": _change(vote)} for vote in page]
    newest = next((vote for vote in page if vote.state == Annotation.State.COUNTED), None) if page.number == 1 else None
    context = {"section": "mine", "page": page, "rows": rows, "newest": newest, **notices(request)}
    return render(request, "annotations/annotation_list.html", context)


def _change(vote: Annotation) -> WordDiff | None:
    return word_diff(vote.task.interaction.output, vote.desired_output) if vote.desired_output else None


@require_POST
@project_view(Right.REVIEW)
def annotation_undo(request: ProjectRequest) -> HttpResponseBase:
    """Takes back the newest label and reopens its item with the label in it. What is being written now is kept."""
    current = _keep_what_is_open(request)
    claim = labelling.undo(user=request.user, project=request.project)
    if claim is None:
        if request.htmx:
            return JsonResponse({"message": NOTHING}, status=409)
        messages.warning(request, NOTHING)
        return show(request, current) if current else redirect("annotations:annotation-list", request.project.slug)
    messages.success(request, "Reopened. Your label is back in the form.")
    if request.htmx:
        return show(request, claim)
    page = reverse("annotations:review", args=[request.project.slug, claim.task.queue.slug])
    return redirect(f"{page}?claim={claim.token}")


def _keep_what_is_open(request: ProjectRequest) -> Claim | None:
    """The item on the screen, its draft stored."""
    token = uuid_or_none(request.POST.get("token", ""))
    if token is None:
        return None
    claim = own_claim(request, token)
    body = body_of(request.POST, claim)
    if says_something(body):
        claims.save_draft(user=request.user, token=token, draft=body)
        claim.draft = body
    return claim
