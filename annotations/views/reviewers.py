"""A reviewer's figures: for the person and for leads; and the list of reviewers, for leads."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET

from annotations import reviewer_report
from annotations.agreement_report import Pair
from projects import charts
from projects.access import ProjectRequest, Right, may, project_view
from projects.models import User


@require_GET
@project_view(Right.LEAD)
def reviewer_list(request: ProjectRequest) -> HttpResponse:
    """Everybody who reviews here, by name."""
    context = {"section": "reviewers", "rows": reviewer_report.rows(request.project)}
    return render(request, "annotations/reviewer_list.html", context)


@require_GET
@project_view(Right.REVIEW)
def reviewer_detail(request: ProjectRequest, pk: int) -> HttpResponse:
    """One's own figures, or for leads anybody's; 404 otherwise, as if there were nobody."""
    mine = pk == request.user.pk
    user = reviewer_report.person(request.project, pk) if mine or may(request.membership, Right.LEAD) else None
    if user is None:
        raise Http404("No such reviewer")
    found = reviewer_report.report(request.project, user)
    context = {
        "section": "mine" if mine and not may(request.membership, Right.LEAD) else "reviewers",
        "report": found,
        "mine": mine,
        "chart": _chart(found.by_day),
        "others": [(_other(pair, user), pair) for pair in found.pairs],
        "weeks": found.weeks[::-1],
    }
    return render(request, "annotations/reviewer.html", context)


def _other(pair: Pair, user: User) -> User:
    return pair.other if pair.one == user else pair.one


def _chart(days: Sequence[tuple[date, int]]) -> SafeString:
    last = len(days) - 1
    ticks = [charts.Tick(place / last, f"{days[place][0].day} {days[place][0]:%b}") for place in (0, last // 2, last)]
    total = sum(count for _, count in days)
    plot = charts.Plot(
        key="days", title="Items by day", x=ticks, height=120,
        description=f"{total} items in {len(days)} days, at most {max(count for _, count in days)} on a day.",
    )  # fmt: skip
    return charts.timeseries([charts.Series([float(count) for _, count in days])], plot)
