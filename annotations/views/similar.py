"""Items like the one in hand, as a page and as the part that review shows beside it."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from annotations import labelling, similar
from annotations.views.review import own_claim
from annotations.views.screen import BLIND
from projects.access import ProjectRequest, Right, project_view


@require_GET
@project_view(Right.REVIEW)
def claim_similar(request: ProjectRequest, token: UUID) -> HttpResponse:
    """What others said of like items; nothing while this one is to be judged blind."""
    claim = own_claim(request, token)
    blind = labelling.is_blind(claim.task) or bool(request.session.get(BLIND))
    rows = [] if blind else similar.items_like(claim.task.interaction, request.project)
    context = {"section": "queues", "claim": claim, "queue": claim.task.queue, "blind": blind, "rows": rows}
    context["cluster"] = next((row.cluster for row in rows if row.same), None)
    return render(request, "annotations/_similar.html" if request.htmx else "annotations/similar.html", context)
