"""The list of interactions, and one interaction."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from feedback import browsing, detail, filters, story, waterfall
from feedback.filters import Filters
from feedback.models import Interaction, Span
from projects.access import ProjectRequest, Right, project_view
from projects.errors import ApiError


def _wanted(request: ProjectRequest, *others: str) -> tuple[Filters, str]:
    """The filters of the query string; or none, and what is wrong with them."""
    query = {name: request.GET.getlist(name) for name in request.GET if name not in others}
    try:
        return filters.parse(query), ""
    except ApiError as error:
        return Filters(), f"{error.details[0]['path'].strip('/')}: {error.message}"


@require_GET
@project_view(Right.READ)
def interaction_list(request: ProjectRequest) -> HttpResponse:
    """Newest first, with filters; htmx receives the results alone."""
    wanted, problem = _wanted(request)
    try:
        listing = browsing.listing(request.project, wanted, cursor=request.GET.get("cursor", ""))
    except ApiError as error:
        listing, problem = browsing.listing(request.project, wanted), error.message
    context = {
        "section": "interactions", "wanted": wanted, "problem": problem, "listing": listing,
        "columns": browsing.columns, "signals": filters.SIGNALS, "query": urlencode(browsing.query_of(wanted)),
        "later": "cursor" in request.GET, "anything": bool(wanted) or bool(listing.rows) or bool(problem),
    }  # fmt: skip
    partial = bool(request.htmx) and not request.htmx.boosted and not request.htmx.history_restore_request
    template = "feedback/_results.html" if partial else "feedback/interaction_list.html"
    return render(request, template, context, status=422 if problem else 200)


@require_GET
@project_view(Right.READ)
def interaction_detail(request: ProjectRequest, pk: int) -> HttpResponse:
    """Everything about one interaction; ``?span=`` chooses the step that is shown in full."""
    interaction = Interaction.objects.filter(project=request.project, pk=pk).first()
    if interaction is None:
        raise Http404("No such interaction")
    wanted, _ = _wanted(request, "span")
    newer, older = browsing.neighbours(request.project, wanted, interaction)
    context = {
        "section": "interactions", "interaction": interaction, "title": story.title(interaction), "newer": newer,
        "older": older, "query": urlencode(browsing.query_of(wanted)), **_trace(request, interaction),
        **_told(interaction),
    }  # fmt: skip
    return render(request, "feedback/interaction_detail.html", context)


def _trace(request: ProjectRequest, interaction: Interaction) -> dict[str, Any]:
    spans = list(interaction.spans.all())
    chosen = next((span for span in spans if span.external_id == request.GET.get("span")), None)
    return {"waterfall": waterfall.draw(spans) if spans else None, "chosen": chosen or _telling(spans)}


def _telling(spans: list[Span]) -> Span | None:
    """The step to show first: one that failed, else the longest model call, else any."""

    def rank(span: Span) -> tuple[bool, bool, timedelta]:
        length = span.ended_at - span.started_at if span.started_at and span.ended_at else timedelta(0)
        return span.status == "error", span.kind == "llm", length

    return max(spans, key=rank, default=None)


def _told(interaction: Interaction) -> dict[str, Any]:
    earlier, recent = story.turns(interaction)
    feedback = list(interaction.feedback.order_by("created_at", "pk"))
    sections = [(section, section.load(interaction)) for section in detail.sections if section.panel or section.actions]
    return {
        "earlier": earlier, "recent": recent, "feedback": feedback,
        "verdicts": story.verdicts(list(interaction.scores.order_by("name", "pk"))),
        "events": [
            (event, story.after(interaction.created_at, event.at)) for event in story.events(interaction, feedback)
        ],
        "sources": story.sources(interaction), "sections": sections,
    }  # fmt: skip
