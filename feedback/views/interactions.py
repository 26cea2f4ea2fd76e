"""The list of interactions."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from feedback import browsing, bulk, filters, listed, saved_views
from feedback.filters import Filters
from projects.access import ProjectRequest, Right, may, project_view
from projects.errors import ApiError


def wanted_of(request: ProjectRequest, *others: str) -> tuple[Filters, str]:
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
    wanted, problem = wanted_of(request)
    try:
        listing = browsing.listing(request.project, wanted, cursor=request.GET.get("cursor", ""))
    except ApiError as error:
        listing, problem = browsing.listing(request.project, wanted), error.message
    query = urlencode(browsing.query_of(wanted))
    context = {
        "section": "interactions", "wanted": wanted, "problem": problem, "listing": listing,
        "columns": browsing.columns, "query": query, "tail": f"?{query}" if query else "",
        "views": _views(request, query),
        "actions": offered(request), "most": {"act": bulk.MOST, "file": listed.MOST},
        "later": "cursor" in request.GET, "anything": bool(wanted) or bool(listing.rows) or bool(problem),
    }  # fmt: skip
    partial = bool(request.htmx) and not request.htmx.boosted and not request.htmx.history_restore_request
    template = "feedback/_results.html" if partial else "feedback/interaction_list.html"
    return render(request, template, context | {"partial": partial}, status=422 if problem else 200)


def _views(request: ProjectRequest, query: str) -> list[dict[str, Any]]:
    admin = may(request.membership, Right.ADMIN)
    return [
        {"view": view, "here": view.query == query, "mine": admin or view.owner_id == request.user.pk}
        for view in saved_views.visible(request.project, request.user)
    ]


def offered(request: ProjectRequest) -> list[dict[str, Any]]:
    """What this person may do to interactions, with what there is to choose."""
    found = []
    for action in bulk.actions:
        if may(request.membership, *action.rights):
            choices = action.choices(request.project) if action.choices else None
            if choices is None or choices:
                found.append({"action": action, "choices": choices})
    return found
