"""Judges and detectors: what they ask, whether they can work, what they said, how they agree with people."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from evals import backfills, batches, calibration, embedder, judge_reports, judges, judging, spending, throttle
from evals.calibration import Pair
from evals.detectors import detectors
from evals.judge_forms import (
    MAX_BACKFILL,
    BackfillForm,
    BudgetForm,
    DetectorForm,
    LimitsForm,
    RateForm,
    ReplayForm,
    SwitchForm,
)
from evals.judge_prompts import SYSTEM, SYSTEM_PAIR
from evals.models import Judge, JudgeBudget
from projects import charts
from projects.access import ProjectRequest, Right, project_view


@require_GET
@project_view(Right.READ)
def judge_list(request: ProjectRequest) -> HttpResponse:
    """Every judge and every detector of the project, with their last week."""
    rows = judge_reports.judge_rows(request.project)
    context = {
        "section": "judges",
        "judges": rows,
        "detectors": judge_reports.detector_rows(request.project),
        "install": "" if embedder.available() else embedder.INSTALL,
        "needs": sorted({row.needs for row in rows if row.needs and row.judge.enabled}),
        "budget": JudgeBudget.objects.filter(project=request.project).first(),
    }
    return render(request, "evals/judge_list.html", context)


def judge_of(request: ProjectRequest, slug: str, version: str | None = None) -> Judge:
    """The version asked for, else the one at work, else the newest."""
    versions = Judge.objects.filter(project=request.project, slug=slug).select_related("connection", "project")
    if version:
        if not version.isascii() or not version.isdigit() or len(version) > 6:
            raise Http404("No such version")
        return get_object_or_404(versions, version=int(version))
    judge = versions.order_by("-enabled", "-version").first()
    if judge is None:
        raise Http404("No such judge")
    return judge


@require_GET
@project_view(Right.READ)
def judge_detail(request: ProjectRequest, judge: str) -> HttpResponse:
    """One version: its question, its figures against people, its newest verdicts (``?cell=missed`` for the misses)."""
    shown = judge_of(request, judge, request.GET.get("version"))
    cell = request.GET.get("cell", "")
    if cell and cell not in {*judge_reports.CELLS, judge_reports.FAILED}:
        raise Http404("No such cell")
    pairs = calibration.pairs(shown)
    seen = judge_reports.visible(pairs)
    figures = judge_reports.figures(shown, seen)
    context = {
        "section": "judges",
        "judge": shown,
        "versions": Judge.objects.filter(project=request.project, slug=shown.slug).order_by("-version"),
        "needs": judging.missing_key(shown),
        "system": SYSTEM_PAIR if shown.kind == Judge.Kind.PAIRWISE else SYSTEM,
        "figures": figures,
        "positions": judge_reports.positions(shown),
        "trust": judge_reports.trust(shown, pairs, figures),
        "histogram": _histogram(shown, seen) if figures.agreement.enough else "",
        "reliability": _reliability(seen) if figures.agreement.enough else "",
        "cell": cell,
        "verdicts": judge_reports.verdicts(shown, cell=cell, pairs=seen),
        "rate": f"{shown.sample_rate * 100:g}",
        "not_judged": judging.not_judged(shown)[:MAX_BACKFILL].count(),
        "paused": throttle.paused(shown),
        "obstacle": spending.obstacle(shown),
        "caps": spending.caps(shown),
        "progress": backfills.progress(shown),
        "batches": batches.summary(shown),
    }
    return render(request, "evals/judge_detail.html", context)


def _reliability(seen: list[Pair]) -> str:
    bins, _ = calibration.reliability(seen)
    return charts.reliability([(one.score, one.passes, one.low, one.high) for one in bins])


def _histogram(judge: Judge, seen: list[Pair]) -> str:
    return charts.histogram(
        judge_reports.score_bins(seen), key="scores", title="Scores by people's verdict",
        description="How many answers got each score, and how many of them people pass and fail.",
        threshold=judge.threshold, threshold_label=f"Flagged under {judge.threshold:.2f}",
    )  # fmt: skip


@require_POST
@project_view(Right.BUILD)
def judge_rate(request: ProjectRequest, judge: str) -> HttpResponse:
    """Sets the share of new interactions that the judge is shown."""
    shown = judge_of(request, judge, request.POST.get("version"))
    form = RateForm(request.POST)
    if form.is_valid():
        judges.set_rate(shown, actor=request.user, **form.cleaned_data)
        messages.success(request, f"{shown} is shown {shown.sample_rate:.1%} of new interactions.")
    else:
        messages.error(request, "The share is a number from 0 to 100.")
    return redirect("evals:judge-detail", request.project.slug, shown.slug)


@require_POST
@project_view(Right.BUILD)
def judge_calibrate(request: ProjectRequest, judge: str) -> HttpResponse:
    """Reads the test part of the labels, once for a version."""
    shown = judge_of(request, judge, request.POST.get("version"))
    if judges.read_test(shown, actor=request.user) is None:
        messages.error(request, "The test part has too few labels: 30 with passes and fails among them are needed.")
    return redirect(f"{reverse('evals:judge-detail', args=[request.project.slug, shown.slug])}?version={shown.version}")


@require_POST
@project_view(Right.BUILD)
def judge_limits(request: ProjectRequest, judge: str) -> HttpResponse:
    """Sets what the version may spend in a day and do at once, and its own prices."""
    shown = judge_of(request, judge, request.POST.get("version"))
    form = LimitsForm(request.POST)
    if form.is_valid():
        judges.set_limits(shown, actor=request.user, **form.cleaned_data)
        messages.success(request, f"The limits of {shown} are set.")
    else:
        messages.error(request, " ".join(str(one) for errors in form.errors.values() for one in errors))
    return redirect("evals:judge-detail", request.project.slug, shown.slug)


@require_POST
@project_view(Right.BUILD)
def judge_budget(request: ProjectRequest) -> HttpResponse:
    """Sets what all judges of the project may spend in a day and in a month."""
    form = BudgetForm(request.POST)
    if form.is_valid():
        judges.set_budget(request.project, actor=request.user, **form.cleaned_data)
        messages.success(request, "The budget of all judges is set.")
    else:
        messages.error(request, "A budget is an amount in US dollars, or empty.")
    return redirect("evals:judge-list", request.project.slug)


@require_http_methods(["GET", "POST"])
@project_view(Right.BUILD)
def judge_backfill(request: ProjectRequest, judge: str) -> HttpResponse:
    """What a backfill of the newest interactions would take and cost; POST starts it."""
    shown = judge_of(request, judge, (request.POST or request.GET).get("version"))
    form = BackfillForm(request.POST or request.GET)
    if form.is_valid() and request.method == "GET":
        found = backfills.preview(shown, form.cleaned_data["limit"])
        context = {"section": "judges", "judge": shown, "preview": found, "needs": judging.missing_key(shown)}
        return render(request, "evals/judge_backfill.html", context)
    if form.is_valid():
        try:
            count = judges.start_backfill(shown, actor=request.user, **form.cleaned_data)
            messages.success(request, f"{count} interactions are waiting for {shown}.")
        except batches.NotOffered:
            messages.error(request, "This provider takes no batches at half the price.")
    else:
        messages.error(request, "Say how many: from 1 to 10,000.")
    return redirect("evals:judge-detail", request.project.slug, shown.slug)


@require_POST
@project_view(Right.BUILD)
def judge_batches_cancel(request: ProjectRequest, judge: str) -> HttpResponse:
    """Stops the batches of a version."""
    shown = judge_of(request, judge, request.POST.get("version"))
    count = judges.cancel_batches(shown, actor=request.user)
    messages.success(request, f"Stopped: {count} interactions were in batches. Verdicts that are there already count.")
    return redirect("evals:judge-detail", request.project.slug, shown.slug)


@require_POST
@project_view(Right.BUILD)
def judge_replay(request: ProjectRequest, judge: str) -> HttpResponse:
    """Tries the failed jobs again."""
    shown = judge_of(request, judge, request.POST.get("version"))
    form = ReplayForm(request.POST)
    if form.is_valid():
        job = form.cleaned_data["job"]
        count = judges.replay(shown, actor=request.user, only=None if job is None else [job])
        messages.success(request, f"{count} job{'' if count == 1 else 's'} will be tried again.")
    return redirect("evals:judge-detail", request.project.slug, shown.slug)


@require_POST
@project_view(Right.BUILD)
def judge_switch(request: ProjectRequest, judge: str) -> HttpResponse:
    """Puts a version to work or to rest."""
    shown = judge_of(request, judge, request.POST.get("version"))
    form = SwitchForm(request.POST)
    if form.is_valid():
        judges.switch(shown, actor=request.user, **form.cleaned_data)
        messages.success(request, f"{shown} is {'at work' if form.cleaned_data['enabled'] else 'switched off'}.")
    return redirect("evals:judge-detail", request.project.slug, shown.slug)


@require_POST
@project_view(Right.BUILD)
def detector_set(request: ProjectRequest, detector: str) -> HttpResponse:
    """Switches a detector on or off for this project, or moves its threshold."""
    title = {one.name: one.title for one in detectors()}.get(detector)
    if title is None:
        raise Http404("No such detector")
    form = DetectorForm(request.POST)
    if form.is_valid():
        choice: judges.DetectorChoice = {
            "enabled": form.cleaned_data["enabled"], "threshold": form.cleaned_data["threshold"],
        }  # fmt: skip
        judges.set_detector(request.project, detector=detector, choice=choice, actor=request.user)
        messages.success(request, f"{title}: saved. It holds for interactions that arrive from now on.")
    else:
        messages.error(request, "A threshold is a number from 0 to 1.")
    return redirect("evals:judge-list", request.project.slug)
