"""Feedback on its own: what has come without its interaction."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from feedback import browsing, unlinked
from feedback.models import Feedback
from projects.access import ProjectRequest, Right, project_view
from projects.errors import ApiError


@require_GET
@project_view(Right.READ)
def feedback_unlinked(request: ProjectRequest) -> HttpResponse:
    """Feedback whose interaction has not come, newest first; by age, kind and day."""
    wanted, problem = unlinked.Wanted(), ""
    try:
        wanted = unlinked.parse({name: request.GET.getlist(name) for name in request.GET})
        page = unlinked.page(request.project, wanted, cursor=request.GET.get("cursor", ""))
    except ApiError as error:
        page, problem = unlinked.page(request.project, wanted), f"{error.details[0]['path'][1:]}: {error.message}"
    pairs = wanted.pairs()
    context = {
        "section": "interactions", "wanted": wanted, "problem": problem, "page": page, "query": urlencode(pairs),
        "rows": [(row, browsing.spoken(row)[1]) for row in page.rows], "kinds": Feedback.Kind.choices,
        "states": [("", "All"), *unlinked.STATES.items()], "counts": unlinked.counts(request.project),
        "days": unlinked.DAYS, "rest": urlencode([pair for pair in pairs if pair[0] != "state"]),
        "later": "cursor" in request.GET,
    }  # fmt: skip
    return render(request, "feedback/feedback_unlinked.html", context, status=422 if problem else 200)
