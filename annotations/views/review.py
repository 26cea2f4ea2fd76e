"""The review screen: take the next item, label it, keep the draft, skip it, give it back.

Opening ``…/review/`` leases the next item although it is a GET. A lease is not a change of data: it ends by
itself, repeating the request gives the same item again, and nothing that anybody wrote is touched. So the
address can be bookmarked and sent to a colleague, who then gets an item of her own.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.http import HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST
from django_htmx.http import HttpResponseClientRedirect

from annotations import ahead, applying, claims, labelling, queries
from annotations.models import Annotation, Claim, Queue, Task
from annotations.views.screen import BLIND, Values, body_of, context_of, progress_of, says_something
from projects.access import ProjectRequest, Right, project_view
from projects.errors import ApiError, invalid

# After a blind vote on these the reviewer is shown what others think; a check would give itself away.
TELLS = {Task.Purpose.REVIEW, Task.Purpose.AUDIT}


def own_claim(request: ProjectRequest, token: UUID) -> Claim:
    """This person's claim in this project, live or ended."""
    return get_object_or_404(
        Claim.objects.select_related("task__queue", "task__interaction"),
        token=token, reviewer=request.user, task__project=request.project,
    )  # fmt: skip


def uuid_or_none(text: str) -> UUID | None:
    """A token from a query or a form; None where it cannot be one."""
    try:
        return UUID(text)
    except ValueError:
        return None


def show(request: ProjectRequest, claim: Claim, **extra: object) -> HttpResponse:
    """The whole page, or its parts for a page that is open already."""
    status = extra.pop("status", 200)
    template = "annotations/_review_parts.html" if request.htmx else "annotations/review.html"
    return render(request, template, context_of(request, claim, **extra), status=status)  # type: ignore[arg-type]


def go_on(request: ProjectRequest, queue: Queue) -> HttpResponseBase:
    """The next item of the queue; without scripts by way of its page."""
    page = reverse("annotations:review", args=[request.project.slug, queue.slug])
    if not request.htmx:
        return redirect(page)
    claim = claims.claim_next(user=request.user, queue=queue)
    return show(request, claim) if claim else HttpResponseClientRedirect(page)


@require_POST
@project_view(Right.REVIEW)
def claim_ahead(request: ProjectRequest, token: UUID) -> HttpResponse:
    """The item after this one, for the page to keep ready; 204 where there is none."""
    claim = ahead.claim_ahead(user=request.user, token=own_claim(request, token).token)
    if claim is None:
        return HttpResponse(status=204)
    return render(request, "annotations/_review_parts.html", context_of(request, claim))


@require_GET
@project_view(Right.REVIEW)
def review(request: ProjectRequest, queue: str) -> HttpResponseBase:
    """The item named by ``?claim=`` where it is still this person's, else the next one, else why there is none."""
    line = get_object_or_404(Queue, project=request.project, slug=queue)
    claim = _live_claim(request) or claims.claim_next(user=request.user, queue=line)
    if claim is not None:
        return show(request, claim)
    rows = queries.queue_overview(request.project, request.user)
    context = {
        "section": "queues",
        "queue": line,
        "why": claims.why_empty(user=request.user, queue=line),
        "done_today": queries.my_progress(request.project, request.user),
        "other": next((row for row in rows if row.open and not row.queue.paused_at and row.queue != line), None),
    }
    return render(request, "annotations/queue_empty.html", context)


def _live_claim(request: ProjectRequest) -> Claim | None:
    token = uuid_or_none(request.GET.get("claim", ""))
    return claims.heartbeat(user=request.user, token=own_claim(request, token).token) if token else None


@require_POST
@project_view(Right.REVIEW)
def claim_label(request: ProjectRequest, token: UUID) -> HttpResponseBase:
    """Stores the label and goes on. What does not fit comes back with every word still in place."""
    claim = own_claim(request, token)
    body = body_of(request.POST, claim)
    try:
        if quote := body.get("mark_quote"):
            raise invalid("/spans", f"“{quote[:80]}” stands neither in the answer nor in a source or an earlier turn.")
        submission = labelling.parse_submission(request.project, body)
        outcome = labelling.submit(user=request.user, token=token, submission=submission)
    except ApiError as error:
        return _send_back(request, claim, body, error)
    if outcome.status == "surplus":
        said, tell = "Your reservation had ended. Your label is kept, but it does not count.", messages.warning
    else:
        said, tell = f"Saved: {_in_words(outcome.annotation)}.", messages.success
    if "behind" in request.POST:  # the page shows the next item already
        return JsonResponse({"said": said, **_like_it(request, outcome), **progress_of(request, claim.task.queue)})
    tell(request, said)
    if outcome.status == "counted" and outcome.annotation.blind and claim.task.purpose in TELLS:
        page = reverse("annotations:reveal", args=[request.project.slug, outcome.annotation.pk])
        return HttpResponseClientRedirect(page) if request.htmx else redirect(page)
    return go_on(request, claim.task.queue)


def _like_it(request: ProjectRequest, outcome: labelling.Submitted) -> dict[str, Any]:
    """Where the label can be given to items like this one, and to how many; nothing that tells of others first."""
    vote = outcome.annotation
    if outcome.status != "counted" or vote.blind or vote.task.purpose not in TELLS:
        return {}
    found = applying.could_take(request.user, vote.task.interaction)
    page = reverse("annotations:cluster-detail", args=[request.project.slug, found[0]]) if found else ""
    return {"like": found[1], "like_page": page} if found else {}


def _send_back(request: ProjectRequest, claim: Claim, body: dict[str, Any], error: ApiError) -> HttpResponse:
    if request.htmx and error.status_code != HTTPStatus.UNPROCESSABLE_ENTITY:
        return JsonResponse({"message": error.message}, status=error.status_code)
    faults = {detail["path"].split("/")[1]: detail["message"] for detail in error.details}
    values = Values.of(body, claim.task.interaction.output)
    return show(request, claim, values=values, errors=faults or {"": error.message}, status=error.status_code)


def _in_words(annotation: Annotation) -> str:
    verdict = annotation.get_verdict_display()
    return f"{verdict}, {annotation.primary_category}" if annotation.primary_category else verdict


@require_POST
@project_view(Right.REVIEW)
def claim_draft(request: ProjectRequest, token: UUID) -> HttpResponse:
    """Keeps what has been entered so far and extends the lease. Once that is gone: kept all the same, and 409."""
    claim = own_claim(request, token)
    kept = claims.save_draft(user=request.user, token=token, draft=body_of(request.POST, claim))
    return _lease(kept)


@require_POST
@project_view(Right.REVIEW)
def claim_blind(request: ProjectRequest, token: UUID) -> HttpResponseBase:
    """Hides what others think from this person, or shows it again; what is written stays."""
    claim = own_claim(request, token)
    body = body_of(request.POST, claim)
    claims.save_draft(user=request.user, token=token, draft=body)
    request.session[BLIND] = not request.session.get(BLIND, False)
    if request.htmx:
        return show(request, claim, values=Values.of(body, claim.task.interaction.output))
    page = reverse("annotations:review", args=[request.project.slug, claim.task.queue.slug])
    return redirect(f"{page}?claim={token}")


@require_POST
@project_view(Right.REVIEW)
def claim_heartbeat(request: ProjectRequest, token: UUID) -> HttpResponse:
    """Extends the lease of somebody who is reading."""
    return _lease(claims.heartbeat(user=request.user, token=own_claim(request, token).token))


def _lease(claim: Claim | None) -> HttpResponse:
    seconds = int((claim.expires_at - timezone.now()).total_seconds()) if claim else 0
    live = claim is not None and claim.state == Claim.State.LEASED and seconds > 0
    return JsonResponse({"seconds": seconds}) if live else JsonResponse({"lost": True}, status=409)


@require_POST
@project_view(Right.REVIEW)
def claim_skip(request: ProjectRequest, token: UUID) -> HttpResponseBase:
    """Passes the item to somebody else, with a reason."""
    claim = own_claim(request, token)
    reason = request.POST.get("reason", "")
    if reason not in claims.SKIP_REASONS:
        raise BadRequest("No such reason")
    claims.skip(user=request.user, token=token, reason=reason)
    messages.success(request, "Skipped. Somebody else will see it.")
    return go_on(request, claim.task.queue)


@require_POST
@project_view(Right.REVIEW)
def claim_release(request: ProjectRequest, token: UUID) -> HttpResponseBase:
    """Leaves review. An item on which nothing was written goes back at once; else draft and lease stay."""
    claim = own_claim(request, token)
    body = body_of(request.POST, claim)
    if says_something(body):
        claims.save_draft(user=request.user, token=token, draft=body)
    else:
        claims.release(user=request.user, token=token)
    if unused := uuid_or_none(request.POST.get("ahead", "")):
        ahead.give_back(user=request.user, token=own_claim(request, unused).token)
    return redirect("annotations:queue-list", request.project.slug)


@require_POST
@project_view(Right.REVIEW)
def claim_give_back(request: ProjectRequest, token: UUID) -> HttpResponse:
    """Frees an item that the page had ready and did not come to."""
    ahead.give_back(user=request.user, token=own_claim(request, token).token)
    return HttpResponse(status=204)


@require_POST
@project_view(Right.REVIEW)
def task_claim(request: ProjectRequest, pk: int) -> HttpResponseBase:
    """Reserves this very item where it is free: from its interaction's page, or again after the time ran out."""
    task = get_object_or_404(Task.objects.select_related("queue"), pk=pk, project=request.project)
    claim = claims.claim_task(user=request.user, task=task)
    if claim is not None and request.htmx:
        return show(request, claim)
    if claim is not None:
        page = reverse("annotations:review", args=[request.project.slug, task.queue.slug])
        return redirect(f"{page}?claim={claim.token}")
    if request.htmx:
        return JsonResponse({"lost": True}, status=409)
    messages.warning(request, "Somebody else has this item now. Here is the next one.")
    return redirect("annotations:review", request.project.slug, task.queue.slug)
