"""Applying a rule to what has arrived already: counted, then started, then watched."""

from __future__ import annotations

from datetime import datetime, time

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.views.decorators.http import require_http_methods, require_POST

from annotations import backfill
from annotations.models import TriageRule
from projects.access import ProjectRequest, Right, project_view
from projects.errors import ApiError

NO_DATE = "A date such as 2026-11-20, or nothing for all of the past."


@require_http_methods(["GET", "POST"])
@project_view(Right.LEAD)
def rule_backfill(request: ProjectRequest, slug: str) -> HttpResponseBase:
    """How far the last one is, and with ``?count=1`` what one would do; a POST starts it."""
    rule = get_object_or_404(TriageRule.objects.select_related("project"), project=request.project, slug=slug)
    context = {"section": "queues", "rule": rule, "job": backfill.newest_of(rule)}
    if request.htmx:
        return render(request, "annotations/_backfill.html", context)
    asked = request.POST if request.method == "POST" else request.GET
    context["since"] = asked.get("since", "")
    try:
        since = _since(asked.get("since", ""))
        if request.method == "POST":
            backfill.start(actor=request.user, rule=rule, since=since)
            messages.success(request, "Started. You can leave this page; it goes on in the background.")
            return redirect("annotations:rule-backfill", request.project.slug, rule.slug)
        if request.GET.get("count"):
            context["count"] = backfill.count(rule, since=since)
    except ApiError as error:
        context["fault"] = error.message
        return render(request, "annotations/rule_backfill.html", context, status=error.status_code)
    return render(request, "annotations/rule_backfill.html", context)


@require_POST
@project_view(Right.LEAD)
def backfill_stop(request: ProjectRequest, slug: str) -> HttpResponse:
    """Ends it; what it has made stays."""
    rule = get_object_or_404(TriageRule, project=request.project, slug=slug)
    job = backfill.newest_of(rule)
    if job is not None:
        backfill.stop(actor=request.user, job=job)
    return redirect("annotations:rule-backfill", request.project.slug, rule.slug)


def _since(text: str) -> datetime | None:
    """The beginning of the day that was entered, None for all of the past; ApiError 422 for what is no date."""
    if not text.strip():
        return None
    try:
        day = parse_date(text.strip())
    except ValueError:
        day = None
    if day is None:
        raise ApiError(422, "invalid", NO_DATE)
    return timezone.make_aware(datetime.combine(day, time.min))
