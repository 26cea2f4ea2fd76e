"""One interaction: its page, the parts that the page fetches when they are asked for, and its JSON."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import msgspec
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from feedback import browsing, detail, finding, story, waterfall
from feedback.models import Interaction, Span
from feedback.views.interactions import offered, wanted_of
from projects.access import ProjectRequest, Right, project_view

OWN = ("span", "fold", "first", "turns")  # parameters that are not filters of the list
FOLDS = 200  # changed at once
MOST_SHOWN = 500_000  # characters of JSON on the page; the file has all of it
TREE = (
    "interaction_id", "external_id", "parent_external_id", "kind", "name", "started_at", "ended_at", "status",
)  # fmt: skip
LIGHT = ("project_id", "time_to_first_token_ms")  # of an interaction, where only its steps are wanted


@require_GET
@project_view(Right.READ)
def interaction_detail(request: ProjectRequest, pk: int) -> HttpResponse:
    """Everything about one interaction; ``?span=`` chooses the step that is shown in full, ``?fold=`` folds or
    unfolds one, ``?first=`` is the first row of a long trace and ``?turns=`` how many messages to show.

    htmx receives the part that it puts in place.
    """
    wanted, _ = wanted_of(request, *OWN)
    query = urlencode(browsing.query_of(wanted))
    part = (request.htmx.target or "") if request.htmx and not request.htmx.history_restore_request else ""
    context: dict[str, Any] = {"section": "interactions", "query": query}
    if part == "span-detail":
        return render(request, "feedback/_span_detail.html", {"chosen": _span(_found(request, pk, LIGHT), request)})
    if part in {"steps", "steps-more"}:
        context |= _trace(request, _found(request, pk, LIGHT))
        return render(request, "feedback/_steps.html", context)
    interaction = _found(request, pk)
    if part == "earlier":
        told = story.conversation(interaction, _number(request, "turns"), only_added=True)
        return render(request, "feedback/_turns.html", context | {"told": told, "interaction": interaction})
    if part == "trace":
        context |= {"interaction": interaction, **_trace(request, interaction)}
        if context["waterfall"]:
            context["chosen"] = interaction.spans.get(pk=context["chosen_pk"])
        return render(request, "feedback/_trace.html", context)
    newer, older = finding.neighbours(request.project, wanted, interaction)
    context |= {"interaction": interaction, "title": story.title(interaction), "newer": newer, "older": older}
    context |= {"actions": [offer for offer in offered(request) if offer["choices"]]}
    context |= {**_trace(request, interaction), **_told(request, interaction)}
    if context["waterfall"]:
        context["chosen"] = interaction.spans.get(pk=context["chosen_pk"])
    return render(request, "feedback/interaction_detail.html", context)


@require_GET
@project_view(Right.READ)
def interaction_json(request: ProjectRequest, pk: int) -> HttpResponse:
    """The JSON that the API answers, to read and copy; ``?file`` saves it."""
    interaction = _found(request, pk)
    whole = detail.whole(interaction)
    if "file" in request.GET:
        response = HttpResponse(msgspec.json.encode(whole), content_type="application/json")
        response["Content-Disposition"] = f'attachment; filename="{request.project.slug}-interaction-{pk}.json"'
        return response
    text = story.as_json(whole)
    context = {
        "section": "interactions", "interaction": interaction, "title": story.title(interaction),
        "text": text[:MOST_SHOWN], "characters": len(text), "whole": len(text) <= MOST_SHOWN,
    }  # fmt: skip
    return render(request, "feedback/interaction_json.html", context)


def _found(request: ProjectRequest, pk: int, columns: tuple[str, ...] = ()) -> Interaction:
    rows = Interaction.objects.filter(project=request.project, pk=pk)
    interaction = (rows.only(*columns) if columns else rows).first()
    if interaction is None:
        raise Http404("No such interaction")
    return interaction


def _number(request: ProjectRequest, name: str) -> int:
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _span(interaction: Interaction, request: ProjectRequest) -> Span:
    span = interaction.spans.filter(external_id=request.GET.get("span", "")).first()
    if span is None:
        raise Http404("No such step")
    return span


def _trace(request: ProjectRequest, interaction: Interaction) -> dict[str, Any]:
    """The tree without the long parts of its steps, and the step that is chosen."""
    spans = list(interaction.spans.only(*TREE))
    if not spans:
        return {"waterfall": None}
    flipped = list(dict.fromkeys(request.GET.getlist("fold")))[:FOLDS]
    drawn = waterfall.draw(
        spans, flipped=set(flipped), first=_number(request, "first"),
        first_token_ms=interaction.time_to_first_token_ms,
    )  # fmt: skip
    chosen = next((span for span in spans if span.external_id == request.GET.get("span")), None) or _telling(spans)
    return {"waterfall": drawn, "flipped": flipped, "chosen_pk": chosen.pk, "chosen_id": chosen.external_id}


def _telling(spans: list[Span]) -> Span:
    """The step to show first: one that failed, else the longest model call, else any."""

    def rank(span: Span) -> tuple[bool, bool, timedelta]:
        length = span.ended_at - span.started_at if span.started_at and span.ended_at else timedelta(0)
        return span.status == "error", span.kind == "llm", length

    return max(spans, key=rank)


def _told(request: ProjectRequest, interaction: Interaction) -> dict[str, Any]:
    feedback = list(interaction.feedback.order_by("created_at", "pk"))
    sections = [(section, section.load(interaction)) for section in detail.sections if section.panel or section.actions]
    return {
        "told": story.conversation(interaction, _number(request, "turns")), "feedback": feedback,
        "verdicts": story.verdicts(interaction, list(interaction.scores.order_by("name", "pk"))),
        "events": [
            (event, story.after(interaction.created_at, event.at)) for event in story.events(interaction, feedback)
        ],
        "sources": story.sources(interaction), "sections": sections,
    }  # fmt: skip
