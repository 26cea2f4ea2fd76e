"""Regression runs: the list, and one run with its verdict, its flips and its answers."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from evals import queries, run_again, run_pages, runs
from evals.models import Dataset, Run
from projects import moments
from projects.access import ProjectRequest, Right, may, project_view
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
        "hub": hub_of(request),
    }
    return render(request, "evals/run_list.html", context)


@require_GET
@project_view(Right.READ)
def run_detail(request: ProjectRequest, pk: uuid.UUID) -> HttpResponse:
    """One run: verdict, rules, flips first, and the answers side by side. While it runs, a region of it moves."""
    run = _run(request, pk)
    running = run.state == Run.State.RUNNING
    if request.htmx.target == "run-progress":
        if not running:
            return HttpResponse(headers={"HX-Refresh": "true"})
        return render(request, "evals/_run_progress.html", {"run": run, "progress": run_pages.progress(run)})
    asked = request.GET
    page = queries.run_page(
        run, show=asked.get("show", ""), after=asked.get("after", ""), opened=asked.get("open", ""),
        category=asked.get("category", ""),
    )  # fmt: skip
    context = {
        "section": "runs", "run": run, "dataset": run.version.dataset, "report": run.summary, "page": page,
        "rates": queries.pass_rates(run), "flips_told": queries.flips_told(run), "category": asked.get("category", ""),
        "categories": run_pages.category_rows(run), "progress": run_pages.progress(run) if running else None,
        "change": run_pages.change_of(run), "taken": run_pages.taken(run), "forms": run_pages.REPORTS,
        "again": run_again.again(run), "hub": hub_of(request),
        "can_override": _can_override(request, run), "others": [] if running else run_pages.comparable(run),
    }  # fmt: skip
    return render(request, "evals/run_detail.html", context)


def hub_of(request: ProjectRequest) -> str:
    """Where the clients of this browser's user reach the hub."""
    return request.build_absolute_uri("/").rstrip("/")


def _can_override(request: ProjectRequest, run: Run) -> bool:
    closed = run.state == Run.State.FINISHED and run.verdict != Run.Verdict.PASS and run.overridden_at is None
    return closed and may(request.membership, Right.LEAD)


@require_GET
@project_view(Right.READ)
def run_compare(request: ProjectRequest, pk: uuid.UUID) -> HttpResponse:
    """Any two runs of a dataset side by side; ``with`` names the other one."""
    run, asked = _run(request, pk), request.GET
    if run.state != Run.State.FINISHED:
        raise Http404
    others = run_pages.comparable(run)
    other = _other(run, asked.get("with", "")) or next(iter(others), None)
    if other is None:
        messages.error(request, "There is no other finished run on this dataset.")
        return redirect("evals:run-detail", request.project.slug, pk)
    told = run_pages.compare(
        run, other, show=asked.get("show", ""), after=asked.get("after", ""), opened=asked.get("open", "")
    )
    context = {"section": "runs", "run": run, "other": other, "others": others, "told": told, "page": told.page,
               "dataset": run.version.dataset}  # fmt: skip
    return render(request, "evals/run_compare.html", context)


def _other(run: Run, wish: str) -> Run | None:
    """The run that is to be compared with; 404 where the words name none of this dataset."""
    if not wish:
        return None
    try:
        found = Run.objects.select_related("version").filter(pk=uuid.UUID(wish), state=Run.State.FINISHED)
    except ValueError:
        raise Http404 from None
    return get_object_or_404(found, version__dataset_id=run.version.dataset_id)


@require_GET
@project_view(Right.READ)
def run_report(request: ProjectRequest, pk: uuid.UUID, form: str) -> HttpResponse:
    """The report as the command line writes it: text, Markdown, JUnit or JSON."""
    run = _run(request, pk)
    if form not in run_pages.REPORTS or run.state != Run.State.FINISHED:
        raise Http404
    media_type, name, body = run_pages.written(run, form)
    return HttpResponse(body, media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})


@require_GET
@project_view(Right.READ)
def example_history(request: ProjectRequest, slug: str, key: str) -> HttpResponse:
    """What the last runs made of one example."""
    dataset = get_object_or_404(Dataset, project=request.project, slug=slug)
    example = run_pages.newest_example(dataset, key)
    if example is None:
        raise Http404
    context = {
        "section": "runs", "dataset": dataset, "example": example, "row": queries.example_rows([example])[0],
        "results": run_pages.history(dataset, key),
    }  # fmt: skip
    return render(request, "evals/example_history.html", context)


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
@project_view(Right.LEAD)
def run_override(request: ProjectRequest, pk: uuid.UUID) -> HttpResponse:
    """Opens the gate against its verdict, with a reason that stays readable."""
    try:
        runs.override(_run(request, pk), reason=request.POST.get("reason", ""), actor=request.user)
        messages.success(request, "The gate is open by your decision. The verdict and your reason stay on this page.")
    except ApiError as error:
        messages.error(request, error.details[0]["message"] if error.details else error.message)
    return redirect("evals:run-detail", request.project.slug, pk)


@require_POST
@project_view(Right.BUILD)
def run_abandon(request: ProjectRequest, pk: uuid.UUID) -> HttpResponse:
    """Ends a run that will not be completed."""
    if runs.abandon_run(_run(request, pk), actor=request.user):
        messages.success(request, "The run is given up. Its answers stay readable.")
    return redirect("evals:run-detail", request.project.slug, pk)


def _run(request: ProjectRequest, pk: uuid.UUID) -> Run:
    found = Run.objects.select_related(
        "project", "version__dataset", "baseline__version", "approved_by", "created_by", "overridden_by"
    )
    return get_object_or_404(found, project=request.project, pk=pk)
