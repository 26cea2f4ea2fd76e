"""A lead lets a label be served as a known item, or no longer."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from annotations import checks
from annotations.models import Label
from projects.access import ProjectRequest, Right, project_view
from projects.errors import ApiError


@require_POST
@project_view(Right.LEAD)
def label_known(request: ProjectRequest, pk: int) -> HttpResponseBase:
    """``known=1`` makes it one, anything else takes it out; back to the page of its interaction."""
    label = get_object_or_404(Label, pk=pk, project=request.project)
    known = request.POST.get("known") == "1"
    try:
        checks.set_known(actor=request.user, label=label, known=known)
        said = "Reviewers may get it as a known item now, unmarked." if known else "It is no known item any more."
        messages.success(request, said)
    except ApiError as error:
        messages.warning(request, error.message)
    return redirect("feedback:interaction-detail", request.project.slug, label.interaction_id)
