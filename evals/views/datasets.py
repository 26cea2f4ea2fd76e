"""Golden datasets: what is in them, what waits for approval, freezing and export."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.text import slugify
from django.views.decorators.http import require_GET, require_POST

from annotations.models import Label
from evals import api, curation, datasets, export, queries, version_diff
from evals.formats import formats
from evals.models import Dataset, DatasetVersion, Example, Run
from projects.access import ProjectRequest, Right, project_view
from projects.errors import ApiError
from projects.strictjson import clean_text

CURATORS = (Right.BUILD, Right.LEAD)


@require_GET
@project_view(Right.READ)
def dataset_list(request: ProjectRequest) -> HttpResponse:
    """Every dataset of the project, and the settled failures that are in none."""
    failures = curation.settled_failures(request.project)
    context = {
        "section": "datasets",
        "datasets": queries.dataset_list(request.project),
        "failures": failures.count(),
        "kinds": Dataset.Kind.choices,
        "second_person": datasets.asks_second_person(request.project),
    }
    return render(request, "evals/dataset_list.html", context)


@require_POST
@project_view(*CURATORS)
def dataset_new(request: ProjectRequest) -> HttpResponse:
    """An empty dataset; its slug follows from its name."""
    name = " ".join(clean_text(request.POST.get("name", "")).split())[:120]
    slug = slugify(name)[:60]
    if not slug:
        messages.error(request, "Write a name with at least one letter or digit.")
        return redirect("evals:dataset-list", request.project.slug)
    description = clean_text(request.POST.get("description", "")).strip()[:300]
    return _act(
        request,
        lambda: datasets.create_dataset(
            request.project,
            slug=slug,
            name=name,
            description=description,
            actor=request.user,
            kind=request.POST.get("kind") or Dataset.Kind.GOLDEN,
        ),
        f"Made {name}.",
    ) or redirect("evals:dataset-detail", request.project.slug, slug)


@require_GET
@project_view(Right.READ)
def dataset_detail(request: ProjectRequest, slug: str, number: int | None = None) -> HttpResponse:
    """One version of a dataset: the open draft first, because something waits there; else the newest."""
    dataset = get_object_or_404(Dataset, project=request.project, slug=slug)
    versions = queries.versions(dataset)
    version = next((each for each in versions if number in (None, each.number)), None)
    if version is None and number is not None:
        raise Http404("No such version")
    frozen = [each for each in versions if each.frozen_at is not None]
    context: dict[str, Any] = {
        "section": "datasets",
        "dataset": dataset,
        "versions": versions,
        "version": version,
        "latest": frozen[0] if frozen else None,
        "failures": queries.failure_rows(request.project),
        "formats": formats().values(),
        "second_person": datasets.asks_second_person(request.project),
        **(_contents(version, frozen, request.GET.get("after", "")[:60]) if version else {}),
    }
    return render(request, "evals/dataset_detail.html", context)


def _contents(version: DatasetVersion, frozen: list[DatasetVersion], after: str) -> dict[str, Any]:
    rows, next_after = queries.examples_page(version, after)
    before = next((each for each in frozen if each.number < version.number), None)
    return {
        "figures": queries.figures(version),
        "rows": rows,
        "after": after,
        "next_after": next_after,
        "waiting": queries.waiting_rows(version),
        "before": before,
        "changes": version_diff.counted(version, before) if before else None,
        "runs": Run.objects.filter(version=version).order_by("-created_at")[:10],
    }


@require_GET
@project_view(Right.READ)
def dataset_export(request: ProjectRequest, slug: str, number: int, format: str) -> HttpResponseBase:
    """A frozen version as a file."""
    dataset = get_object_or_404(Dataset, project=request.project, slug=slug)
    try:
        wanted = {**request.GET.dict(), "format": format}
        return api.stream(export.find_version(dataset, str(number)), wanted, request.headers.get("If-None-Match", ""))
    except ApiError as error:
        messages.error(request, error.message)
        return redirect("evals:dataset-detail", request.project.slug, slug)


@require_POST
@project_view(*CURATORS)
def dataset_freeze(request: ProjectRequest, slug: str) -> HttpResponse:
    """Freezes the draft's approved examples."""
    dataset = get_object_or_404(Dataset, project=request.project, slug=slug)
    note = " ".join(clean_text(request.POST.get("note", "")).split())
    _act(request, lambda: datasets.freeze(dataset, actor=request.user, note=note), "Frozen. It never changes again.")
    return redirect("evals:dataset-detail", request.project.slug, slug)


@require_POST
@project_view(*CURATORS)
def dataset_approve(request: ProjectRequest, slug: str) -> HttpResponse:
    """Approves everything that waits in the draft."""
    dataset = get_object_or_404(Dataset, project=request.project, slug=slug)
    count = datasets.approve_all(dataset, actor=request.user)
    messages.success(request, f"Approved {count} example{'' if count == 1 else 's'}.")
    return redirect("evals:dataset-detail", request.project.slug, slug)


@require_POST
@project_view(*CURATORS)
def dataset_propose(request: ProjectRequest, slug: str, label: int) -> HttpResponse:
    """Proposes what a settled label says, for a failure that nobody marked as golden."""
    dataset = get_object_or_404(Dataset, project=request.project, slug=slug)
    settled = get_object_or_404(
        Label.objects.select_related("project", "interaction", "primary_category__counts_as"),
        project=request.project,
        pk=label,
    )
    _act(
        request,
        lambda: datasets.propose(settled, dataset=dataset, actor=request.user),
        "Proposed. It waits for approval.",
    )
    return redirect("evals:dataset-detail", request.project.slug, slug)


@require_GET
@project_view(Right.READ)
def example_detail(request: ProjectRequest, pk: int) -> HttpResponse:
    """One example whole: what is asked, what is expected, where it comes from."""
    example = _example(request, pk)
    (row,) = queries.example_rows([example], with_diff=True)
    history = Example.objects.filter(version__dataset=example.version.dataset, key=example.key)
    context = {
        "section": "datasets",
        "row": row,
        "example": example,
        "dataset": example.version.dataset,
        "turns": queries.turns(example),
        "documents": queries.documents(example),
        "origin": queries.origin(example),
        "history": history.select_related("version").order_by("-version__number"),
    }
    return render(request, "evals/example_detail.html", context)


@require_POST
@project_view(*CURATORS)
def example_approve(request: ProjectRequest, pk: int) -> HttpResponse:
    """Lets an example into the next version."""
    example = _example(request, pk)
    _act(request, lambda: datasets.approve(example, actor=request.user), "Approved.")
    return redirect("evals:dataset-detail", request.project.slug, example.version.dataset.slug)


@require_POST
@project_view(*CURATORS)
def example_remove(request: ProjectRequest, pk: int) -> HttpResponse:
    """Takes an example out of the draft."""
    example = _example(request, pk)
    _act(request, lambda: datasets.remove(example, actor=request.user), "Removed from the draft.")
    return redirect("evals:dataset-detail", request.project.slug, example.version.dataset.slug)


@require_POST
@project_view(*CURATORS)
def example_edit(request: ProjectRequest, pk: int) -> HttpResponse:
    """Changes the desired answer and the assertions; the example then waits for approval again."""
    example = _example(request, pk)
    assertions = [
        {"type": kind, "text": text}
        for kind in ("must", "must_not")
        for line in clean_text(request.POST.get(kind, "")).splitlines()
        if (text := line.strip())
    ]
    output = clean_text(request.POST.get("output", "")).replace("\r\n", "\n")
    _act(
        request,
        lambda: datasets.edit_expected(example, actor=request.user, output=output, assertions=assertions),
        "Saved. The example waits for approval.",
    )
    return redirect("evals:example-detail", request.project.slug, example.pk)


def _example(request: ProjectRequest, pk: int) -> Example:
    found = Example.objects.select_related("version__dataset__project", "approved_by")
    return get_object_or_404(found, version__dataset__project=request.project, pk=pk)


def _act(request: ProjectRequest, act: Callable[[], object], done: str) -> HttpResponse | None:
    """Does it and says so; a refusal becomes a message on the page, and the way back to the list."""
    try:
        act()
    except ApiError as error:
        messages.error(request, error.message)
        return redirect("evals:dataset-list", request.project.slug)
    messages.success(request, done)
    return None
