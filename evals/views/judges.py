"""Judges and detectors: what they ask, whether they can work, what they said, how they agree with people."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from evals import judge_reports, judges, judging
from evals.detectors import detectors
from evals.judge_forms import MAX_BACKFILL, BackfillForm, DetectorForm, JudgeForm, RateForm, SwitchForm
from evals.judge_prompts import SYSTEM
from evals.models import Judge
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
        "needs": sorted({row.needs for row in rows if row.needs and row.judge.enabled}),
    }
    return render(request, "evals/judge_list.html", context)


def _judge(request: ProjectRequest, slug: str, version: str | None = None) -> Judge:
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
    shown = _judge(request, judge, request.GET.get("version"))
    cell = request.GET.get("cell", "")
    if cell and cell not in judge_reports.CELLS:
        raise Http404("No such cell")
    figures = judge_reports.figures(shown)
    context = {
        "section": "judges",
        "judge": shown,
        "versions": Judge.objects.filter(project=request.project, slug=shown.slug).order_by("-version"),
        "needs": judging.missing_key(shown),
        "system": SYSTEM,
        "figures": figures,
        "histogram": _histogram(shown) if figures.agreement.enough else "",
        "cell": cell,
        "verdicts": judge_reports.verdicts(shown, cell=cell),
        "rate": f"{shown.sample_rate * 100:g}",
        "not_judged": judging.not_judged(shown)[:MAX_BACKFILL].count(),
    }
    return render(request, "evals/judge_detail.html", context)


def _histogram(judge: Judge) -> str:
    return charts.histogram(
        judge_reports.score_bins(judge), key="scores", title="Scores by people's verdict",
        description="How many answers got each score, and how many of them people pass and fail.",
        threshold=judge.threshold, threshold_label=f"Flagged under {judge.threshold:.2f}",
    )  # fmt: skip


@require_http_methods(["GET", "POST"])
@project_view(Right.BUILD)
def judge_new(request: ProjectRequest) -> HttpResponse:
    """A new judge; ``?from=slug`` starts from the one at work and makes its next version."""
    initial: dict[str, object] = {"threshold": 0.5, "sample_rate": 0}
    if request.GET.get("from"):
        origin = _judge(request, request.GET["from"][:60])
        initial = {
            "name": origin.name, "criterion": origin.criterion, "model": origin.model, "threshold": origin.threshold,
            "source": str(origin.connection_id or origin.provider), "sample_rate": origin.sample_rate * 100,
        }  # fmt: skip
    form = JudgeForm(request.project, request.POST if request.method == "POST" else None, initial=initial)
    if form.is_valid():
        judge = judges.create_judge(request.project, actor=request.user, **form.cleaned_data)
        messages.success(request, f"{judge} is at work.")
        return redirect("evals:judge-detail", request.project.slug, judge.slug)
    context = {"section": "judges", "form": form}
    return render(request, "evals/judge_new.html", context, status=422 if form.errors else 200)


@require_POST
@project_view(Right.BUILD)
def judge_rate(request: ProjectRequest, judge: str) -> HttpResponse:
    """Sets the share of new interactions that the judge is shown."""
    shown = _judge(request, judge, request.POST.get("version"))
    form = RateForm(request.POST)
    if form.is_valid():
        judges.set_rate(shown, actor=request.user, **form.cleaned_data)
        messages.success(request, f"{shown} is shown {shown.sample_rate:.1%} of new interactions.")
    else:
        messages.error(request, "The share is a number from 0 to 100.")
    return redirect("evals:judge-detail", request.project.slug, shown.slug)


@require_POST
@project_view(Right.BUILD)
def judge_backfill(request: ProjectRequest, judge: str) -> HttpResponse:
    """Enqueues the newest interactions that the judge has not seen."""
    shown = _judge(request, judge, request.POST.get("version"))
    form = BackfillForm(request.POST)
    if form.is_valid():
        count = judges.start_backfill(shown, actor=request.user, **form.cleaned_data)
        messages.success(request, f"{count} interactions are waiting for {shown}.")
    else:
        messages.error(request, "Say how many: from 1 to 10,000.")
    return redirect("evals:judge-detail", request.project.slug, shown.slug)


@require_POST
@project_view(Right.BUILD)
def judge_replay(request: ProjectRequest, judge: str) -> HttpResponse:
    """Tries the failed jobs again."""
    shown = _judge(request, judge, request.POST.get("version"))
    messages.success(request, f"{judges.replay(shown, actor=request.user)} jobs are tried again.")
    return redirect("evals:judge-detail", request.project.slug, shown.slug)


@require_POST
@project_view(Right.BUILD)
def judge_switch(request: ProjectRequest, judge: str) -> HttpResponse:
    """Puts a version to work or to rest."""
    shown = _judge(request, judge, request.POST.get("version"))
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
        judges.set_detector(request.project, detector=detector, actor=request.user, **form.cleaned_data)
        messages.success(request, f"{title}: saved. It holds for interactions that arrive from now on.")
    else:
        messages.error(request, "A threshold is a number from 0 to 1.")
    return redirect("evals:judge-list", request.project.slug)
