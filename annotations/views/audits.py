"""Audits: the list, drawing one, its report, and signing it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotations import audit_form, audits
from annotations.audits import SEGMENTS, Line
from annotations.models import Audit, Label
from annotations.views.clusters import whole_number
from projects import charts
from projects.access import ProjectRequest, Right, project_view
from projects.errors import ApiError

PAGE = 50
CONFLICT = 409


def own_audit(request: ProjectRequest, pk: int) -> Audit:
    """The project's audit; 404 otherwise."""
    rows = Audit.objects.select_related("queue", "created_by", "signed_by", "project")
    return get_object_or_404(rows, pk=pk, project=request.project)


@require_GET
@project_view(Right.READ)
def audit_list(request: ProjectRequest) -> HttpResponse:
    """The audits, newest first."""
    rows = Audit.objects.filter(project=request.project).select_related("signed_by").order_by("-created_at", "-pk")
    page = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    done = audits.labelled([found.pk for found in page if found.result is None])
    context = {
        "section": "audits",
        "page": page,
        "rows": [
            (found, audits.Result.of(found.result).total.labelled if found.result else done.get(found.pk, 0))
            for found in page
        ],
    }
    return render(request, "annotations/audit_runs.html", context)


@require_http_methods(["GET", "POST"])
@project_view(Right.LEAD)
def audit_new(request: ProjectRequest) -> HttpResponseBase:
    """A new audit; ``?like=`` starts from an earlier one."""
    like = request.GET.get("like", "")
    if request.method == "GET":
        shown = audit_form.fresh(own_audit(request, whole_number(like)) if like else None)
        return _form(request, shown)
    shown = audit_form.posted(request.POST)
    try:
        found = audits.define(project=request.project, actor=request.user, plan=audit_form.plan_of(shown))
    except ApiError as error:
        shown.errors = {fault["path"].split("/")[1]: fault["message"] for fault in error.details}
        shown.errors = shown.errors or {"": error.message}
        return _form(request, shown, error.status_code)
    messages.success(request, f"{found.size} items drawn. What has no label yet waits in {found.queue.name}.")
    return redirect("annotations:audit-report", request.project.slug, found.pk)


def _form(request: ProjectRequest, shown: audit_form.Shown, status: int = 200) -> HttpResponse:
    context = {"section": "audits", "form": shown, "segments": SEGMENTS, "allocations": Audit.Allocation.choices}
    return render(request, "annotations/audit_new.html", context, status=status)


@require_GET
@project_view(Right.READ)
def audit_report(request: ProjectRequest, pk: int) -> HttpResponse:
    """How far it is, the figures by segment, the items, and the signature. Made to be printed."""
    return _report(request, own_audit(request, pk))


@require_POST
@project_view(Right.LEAD)
def audit_sign(request: ProjectRequest, pk: int) -> HttpResponseBase:
    """Signs it. What does not fit comes back with the words in place."""
    found = own_audit(request, pk)
    statement = request.POST.get("statement", "")
    try:
        audits.sign(actor=request.user, found=found, statement=statement, incomplete="incomplete" in request.POST)
    except ApiError as error:
        if error.status_code == CONFLICT:
            messages.warning(request, error.message)
            return redirect("annotations:audit-report", request.project.slug, pk)
        return _report(request, found, statement=statement, error=error.message, status=error.status_code)
    messages.success(request, "Signed. Nothing of it changes from now on.")
    return redirect("annotations:audit-report", request.project.slug, pk)


def _report(request: ProjectRequest, found: Audit, *, status: int = 200, **more: Any) -> HttpResponse:
    figures = audits.result(found)
    items = found.items.select_related("interaction").order_by("segment", "pk")
    page = Paginator(items, PAGE).get_page(request.GET.get("page"))
    labels = Label.objects.filter(interaction__in=[item.interaction_id for item in page], superseded_at=None)
    by_item = {label.interaction_id: label for label in labels.select_related("primary_category")}
    context = {
        "section": "audits",
        "audit": found,
        "result": figures,
        "lines": [(line, _bar(line)) for line in figures.lines] if found.segment_by else [],
        "by": SEGMENTS.get(found.segment_by, ""),
        "narrowed": [(SEGMENTS.get(name, name), value) for name, value in found.filters.items()],
        "page": page,
        "rows": [(item, by_item.get(item.interaction_id)) for item in page],
        **more,
    }
    return render(request, "annotations/audit_report.html", context, status=status)


def _bar(line: Line) -> SafeString:
    if line.value is None or line.low is None or line.high is None:
        return charts.NOTHING
    return charts.interval_row(line.value, line.low, line.high, scale=(0, 1))
