"""How a dataset is curated: its terms, who approves, and what changed between versions."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from evals import datasets, version_diff
from evals.models import Dataset, DatasetVersion
from projects.access import ProjectRequest, Right, project_view
from projects.strictjson import clean_text

CURATORS = (Right.BUILD, Right.LEAD)


def field(request: ProjectRequest, name: str, limit: int) -> str:
    """One line of a form: clean, without blanks around, cut to what the column holds."""
    return " ".join(clean_text(request.POST.get(name, "")).split())[:limit]


@require_POST
@project_view(*CURATORS)
def dataset_terms(request: ProjectRequest, slug: str) -> HttpResponse:
    """Says what a dataset is for and how its next version may be used."""
    dataset = get_object_or_404(Dataset, project=request.project, slug=slug)
    datasets.set_terms(
        dataset, actor=request.user, description=field(request, "description", 300),
        licence=field(request, "licence", 200), consent=field(request, "consent", 300),
    )  # fmt: skip
    messages.success(request, "Saved. The next version is frozen with it.")
    return redirect("evals:dataset-detail", request.project.slug, slug)


@require_POST
@project_view(Right.LEAD, Right.ADMIN)
def curation_settings(request: ProjectRequest) -> HttpResponse:
    """Sets whether a second person approves."""
    wanted = request.POST.get("second_person") == "yes"
    datasets.ask_second_person(request.project, wanted, actor=request.user)
    messages.success(request, "A second person approves from now on." if wanted else "Whoever proposes may approve.")
    return redirect("evals:dataset-list", request.project.slug)


@require_GET
@project_view(Right.READ)
def version_changes(request: ProjectRequest, slug: str, number: int) -> HttpResponse:
    """What changed from an earlier version, the one before unless another is asked for."""
    dataset = get_object_or_404(Dataset, project=request.project, slug=slug)
    versions = list(dataset.versions.order_by("-number"))
    version = next((each for each in versions if each.number == number), None)
    if version is None:
        raise Http404("No such version")
    earlier = [each for each in versions if each.number < number]
    asked = request.GET.get("since", "")
    since: DatasetVersion | None = next(
        (each for each in earlier if str(each.number) == asked), next(iter(earlier), None)
    )
    context = {
        "section": "datasets", "dataset": dataset, "version": version, "versions": versions, "earlier": earlier,
        "since": since, "kinds": version_diff.KINDS,
        "changes": version_diff.between(version, since, request.GET.get("after", "")[:80]) if since else None,
    }  # fmt: skip
    return render(request, "evals/version_changes.html", context)
