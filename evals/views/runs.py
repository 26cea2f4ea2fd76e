"""Regression runs: the list, and one run with its verdict, its flips and its answers."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from evals import queries, runs
from evals.models import Dataset, Run
from projects import moments
from projects.access import ProjectRequest, Right, project_view
from projects.errors import ApiError


@require_GET
@project_view(Right.READ)
def run_list(request: ProjectRequest) -> HttpResponse:
    """Runs, newest first, and how to start one."""
    before = moments.read(request.GET.get("before", "").replace(" ", "+"))
    rows, next_before = queries.run_list(request.project, before)
    context = {
        "section": "runs",
        "runs": rows,
        "before": before,
        "next_before": next_before,
        "dataset": Dataset.objects.filter(project=request.project, versions__frozen_at__isnull=False).first(),
        "hub": request.build_absolute_uri("/").rstrip("/"),
    }
    return render(request, "evals/run_list.html", context)


@require_GET
@project_view(Right.READ)
def run_detail(request: ProjectRequest, pk: uuid.UUID) -> HttpResponse:
    """One run: verdict, rules, flips first, and the answers side by side."""
    run = _run(request, pk)
    asked = request.GET
    page = queries.run_page(run, show=asked.get("show", ""), after=asked.get("after", ""), opened=asked.get("open", ""))
    context = {
        "section": "runs",
        "run": run,
        "dataset": run.version.dataset,
        "report": run.summary,
        "rates": queries.pass_rates(run),
        "flips_told": queries.flips_told(run),
        "page": page,
    }
    return render(request, "evals/run_detail.html", context)


@require_POST
@project_view(Right.BUILD, Right.LEAD)
def run_approve(request: ProjectRequest, pk: uuid.UUID) -> HttpResponse:
    """Makes this run the baseline that later candidates are compared with."""
    run = _run(request, pk)
    try:
        runs.approve_baseline(run, actor=request.user)
        messages.success(request, "This is the baseline now. The next run is compared with it.")
    except ApiError as error:
        messages.error(request, error.message)
    return redirect("evals:run-detail", request.project.slug, pk)


@require_POST
@project_view(Right.BUILD)
def run_abandon(request: ProjectRequest, pk: uuid.UUID) -> HttpResponse:
    """Ends a run that will not be completed."""
    if runs.abandon_run(_run(request, pk), actor=request.user):
        messages.success(request, "The run is given up. Its answers stay readable.")
    return redirect("evals:run-detail", request.project.slug, pk)


def _run(request: ProjectRequest, pk: uuid.UUID) -> Run:
    found = Run.objects.select_related("project", "version__dataset", "baseline__version", "approved_by", "created_by")
    return get_object_or_404(found, project=request.project, pk=pk)
