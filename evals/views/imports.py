"""Bringing a file into a dataset's draft: choose it, say what its columns mean, look, import."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from evals.importing import columns, reading, running, uploads
from evals.importing.running import Plan
from evals.models import Dataset, DatasetImport
from evals.views.curation import CURATORS
from projects.access import ProjectRequest, project_view
from projects.errors import ApiError
from projects.strictjson import clean_text


@require_http_methods(["GET", "HEAD", "POST"])
@project_view(*CURATORS)
def dataset_import(request: ProjectRequest, slug: str) -> HttpResponse:
    """Chooses a file; what cannot be read is refused here, with the line."""
    dataset = get_object_or_404(Dataset.objects.select_related("project"), project=request.project, slug=slug)
    fault, status = "", 200
    if request.method == "POST":
        try:
            upload = _kept(request, dataset)
            return redirect("evals:import-detail", request.project.slug, upload.pk)
        except ApiError as error:
            fault, status = error.message, error.status_code
    context = {
        "section": "datasets", "dataset": dataset, "fault": fault, "most": reading.LIMIT, "rows": reading.ROWS,
        "waiting": dataset.imports.select_related("created_by").defer("body").order_by("-pk")[:20],
        "days": uploads.KEPT.days,
    }  # fmt: skip
    return render(request, "evals/dataset_import.html", context, status=status)


def _kept(request: ProjectRequest, dataset: Dataset) -> DatasetImport:
    file = request.FILES.get("file")
    if file is None:
        raise ApiError(422, "invalid", "Choose a file.")
    if (file.size or 0) > reading.LIMIT:
        raise reading.too_large()
    return uploads.keep(dataset, file.read(), clean_text(file.name or ""), actor=request.user)


@require_http_methods(["GET", "HEAD", "POST"])
@project_view(*CURATORS)
def import_detail(request: ProjectRequest, pk: int) -> HttpResponse:
    """What the columns mean, and what would then be added. POST changes the meanings."""
    upload = _upload(request, pk)
    if request.method == "POST":
        _remapped(request, upload)
        return redirect("evals:import-detail", request.project.slug, pk)
    fault, plan = "", None
    try:
        plan = running.dry_run(upload.dataset, uploads.opened(upload))
    except ApiError as error:
        fault = error.message
    context = {
        "section": "datasets", "upload": upload, "dataset": upload.dataset, "plan": plan, "fault": fault,
        "columns": uploads.columns_of(upload), "targets": columns.TARGETS.items(),
    }  # fmt: skip
    return render(request, "evals/import_detail.html", context)


@require_POST
@project_view(*CURATORS)
def import_run(request: ProjectRequest, pk: int) -> HttpResponse:
    """Imports what fits, with the meanings that stand in the form."""
    upload = _upload(request, pk)
    _remapped(request, upload)
    try:
        plan = uploads.finish(upload, actor=request.user)
    except ApiError as error:
        messages.error(request, error.message)
        return redirect("evals:import-detail", request.project.slug, pk)
    messages.success(request, _told(plan))
    return redirect("evals:dataset-detail", request.project.slug, upload.dataset.slug)


@require_POST
@project_view(*CURATORS)
def import_discard(request: ProjectRequest, pk: int) -> HttpResponse:
    """Forgets a file that waits."""
    upload = _upload(request, pk)
    upload.delete()
    messages.success(request, f"Forgot {upload.name or 'the file'}. Nothing was added.")
    return redirect("evals:dataset-import", request.project.slug, upload.dataset.slug)


def _upload(request: ProjectRequest, pk: int) -> DatasetImport:
    found = DatasetImport.objects.select_related("dataset__project", "created_by")
    return get_object_or_404(found, dataset__project=request.project, pk=pk)


def _remapped(request: ProjectRequest, upload: DatasetImport) -> None:
    """Reads ``to-0``, ``to-1``…, the meanings of the columns in their order; what is missing stays."""
    names = [column.name for column in uploads.columns_of(upload)]
    chosen = {name: request.POST[f"to-{place}"] for place, name in enumerate(names) if f"to-{place}" in request.POST}
    uploads.remap(upload, {**upload.mapping, **chosen})


def _told(plan: Plan) -> str:
    said = f"Added {plan.new} example{'' if plan.new == 1 else 's'}, changed {plan.changed}."
    said += f" {plan.refused} did not fit." if plan.refused else ""
    return f"{said} They wait for approval."
