"""The hygiene page of a dataset: what is untidy, the remedies, and the way back."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from evals import coverage, hygiene, tidying
from evals.models import Dataset, HygieneStep
from evals.views.curation import CURATORS
from projects.access import ProjectRequest, Right, project_view
from projects.errors import ApiError


@require_GET
@project_view(Right.READ)
def dataset_hygiene(request: ProjectRequest, slug: str) -> HttpResponse:
    """Every list of findings, and how the dataset covers production."""
    dataset = get_object_or_404(Dataset.objects.select_related("project"), project=request.project, slug=slug)
    report = hygiene.report(dataset)
    context = {
        "section": "datasets", "dataset": dataset, "report": report, "version": report.version,
        "lists": [(kind, report.found[kind.slug], report.found[kind.slug][: hygiene.SHOWN])
                  for kind in hygiene.KINDS.values()],
        "steps": [(step, tidying.told(step)) for step in tidying.newest(dataset)], "most": hygiene.MOST,
        "segments": coverage.segments(report.version) if report.version else [],
        "segment_names": coverage.SEGMENTS,
        "modes": coverage.modes(report.version) if report.version else [],
        "recent": coverage.RECENT, "days": coverage.DAYS,
    }  # fmt: skip
    return render(request, "evals/dataset_hygiene.html", context)


@require_POST
@project_view(*CURATORS)
def hygiene_act(request: ProjectRequest, slug: str) -> HttpResponse:
    """Does a remedy: ``verb`` (and the example, ``verb:key``) to the finding that the form names."""
    dataset = get_object_or_404(Dataset.objects.select_related("project"), project=request.project, slug=slug)
    verb, _, key = request.POST.get("verb", "").partition(":")
    kind, finding = request.POST.get("kind", ""), request.POST.get("finding", "")
    try:
        step = tidying.act(dataset, kind=kind, fingerprint=finding, verb=verb, key=key, actor=request.user)
        messages.success(request, f"{tidying.told(step)}.")
    except ApiError as error:
        messages.error(request, error.message)
    return redirect("evals:dataset-hygiene", request.project.slug, slug)


@require_POST
@project_view(*CURATORS)
def hygiene_undo(request: ProjectRequest, pk: int) -> HttpResponse:
    """Takes a remedy back."""
    found = HygieneStep.objects.select_related("dataset__project")
    step = get_object_or_404(found, dataset__project=request.project, pk=pk)
    try:
        tidying.undo(step, actor=request.user)
        messages.success(request, "Taken back.")
    except ApiError as error:
        messages.error(request, error.message)
    return redirect("evals:dataset-hygiene", request.project.slug, step.dataset.slug)
