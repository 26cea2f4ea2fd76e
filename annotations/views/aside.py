"""Putting the item on the screen aside: off until later, or on to those who adjudicate."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from annotations import claims
from annotations.models import Claim
from annotations.views.review import go_on, own_claim
from projects.access import ProjectRequest, Right, project_view
from projects.errors import ApiError

TOO_LATE = "Your reservation had ended; what you wrote is kept."


@require_POST
@project_view(Right.REVIEW)
def claim_snooze(request: ProjectRequest, token: UUID) -> HttpResponseBase:
    """Puts the item off for this person, for as many seconds as the button says."""
    claim = own_claim(request, token)
    seconds = request.POST.get("seconds", "")
    if not seconds.isascii() or not seconds.isdecimal() or len(seconds) > 9:
        raise BadRequest("No such time")
    try:
        put_off = claims.snooze(user=request.user, token=token, seconds=int(seconds))
    except ApiError as error:
        raise BadRequest(error.message) from None
    if put_off:
        messages.success(request, "Put off. Somebody else may take it meanwhile; else it comes back to you first.")
    else:
        messages.warning(request, TOO_LATE)
    return go_on(request, claim.task.queue)


@require_POST
@project_view(Right.REVIEW)
def claim_escalate(request: ProjectRequest, token: UUID) -> HttpResponseBase:
    """Passes the item to those who adjudicate; without a word for them it stays on the screen."""
    claim = own_claim(request, token)
    try:
        passed_on = claims.escalate(user=request.user, token=token, note=request.POST.get("escalation", ""))
    except ApiError as error:
        messages.warning(request, error.message)
        return _stay(request, claim)
    if passed_on:
        messages.success(request, "Passed on with your note to those who adjudicate.")
    else:
        messages.warning(request, TOO_LATE)
    return go_on(request, claim.task.queue)


def _stay(request: ProjectRequest, claim: Claim) -> HttpResponseBase:
    page = reverse("annotations:review", args=[request.project.slug, claim.task.queue.slug])
    return redirect(f"{page}?claim={claim.token}")
