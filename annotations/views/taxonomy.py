"""The failure modes of a project: all of them, one as a form, what can be done with it, and the rubric's versions."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotations import failure_modes, mode_form, reopening, rubric_changes, taxonomy_list
from annotations.models import FailureMode
from annotations.presets import PRESETS
from annotations.taxonomy import SEVERITIES
from projects.access import ProjectRequest, Right, project_view
from projects.errors import ApiError
from projects.strictjson import clean_text

MOST_DIGITS = 9


@require_GET
@project_view(Right.READ, Right.REVIEW)
def mode_list(request: ProjectRequest) -> HttpResponse:
    """All failure modes with their guides; leads set order and keys here."""
    return _list(request)


def _list(request: ProjectRequest, error: ApiError | None = None) -> HttpResponse:
    rows = taxonomy_list.listed(request.project)
    in_use = [row for row in rows if row.mode.retired_at is None]
    version = request.project.rubrics.order_by("-version").values_list("version", flat=True).first()
    context = {
        "section": "taxonomy", "rows": in_use, "retired": [row for row in rows if row.mode.retired_at is not None],
        "unclear": [row for row in rows if row.unclear], "version": version, "presets": PRESETS, "error": error,
        "severities": dict(SEVERITIES), "typed": request.POST,
    }  # fmt: skip
    return render(request, "annotations/taxonomy.html", context, status=error.status_code if error else 200)


@require_POST
@project_view(Right.LEAD)
def mode_arrange(request: ProjectRequest) -> HttpResponseBase:
    """Stores the order and the keys of the list."""
    modes = FailureMode.objects.filter(project=request.project, retired_at=None)
    order, digits = mode_form.arrangement_of(request.POST, modes.values_list("slug", flat=True))
    try:
        failure_modes.arrange(project=request.project, actor=request.user, order=order, digits=digits)
    except ApiError as error:
        return _list(request, error)
    messages.success(request, "Order and keys are saved.")
    return redirect("annotations:mode-list", request.project.slug)


@require_POST
@project_view(Right.LEAD)
def preset_adopt(request: ProjectRequest) -> HttpResponseBase:
    """Adds the modes of a preset, or puts them in the place of those in use."""
    preset, replace = clean_text(request.POST.get("preset", "")), request.POST.get("how") == "replace"
    try:
        count = failure_modes.adopt(project=request.project, actor=request.user, preset=preset, replace=replace)
    except ApiError as error:
        return _list(request, error)
    messages.success(request, f"{count} failure mode{'' if count == 1 else 's'} added.")
    return redirect("annotations:mode-list", request.project.slug)


@require_http_methods(["GET", "POST"])
@project_view(Right.LEAD)
def mode_new(request: ProjectRequest) -> HttpResponseBase:
    """A new failure mode."""
    return _edit(request, None)


@require_http_methods(["GET", "POST"])
@project_view(Right.LEAD)
def mode_edit(request: ProjectRequest, slug: str) -> HttpResponseBase:
    """One failure mode: its form, and what else can be done with it."""
    return _edit(request, _mode(request, slug))


def _mode(request: ProjectRequest, slug: str) -> FailureMode:
    rows = FailureMode.objects.select_related("project", "counts_as", "merged_into")
    return get_object_or_404(rows, project=request.project, slug=slug)


def _edit(request: ProjectRequest, mode: FailureMode | None) -> HttpResponseBase:
    if request.method != "POST":
        return _page(request, mode, mode_form.shown(mode))
    values = mode_form.posted(request.POST)
    fields, note = mode_form.fields_of(values), values["note"]
    try:
        saved = failure_modes.save(
            project=request.project, actor=request.user, mode=mode, fields=fields, note=note
        )  # fmt: skip
    except ApiError as error:
        return _page(request, mode, values, error)
    messages.success(request, f"{saved.label} is saved.")
    return redirect("annotations:mode-list", request.project.slug)


def _page(
    request: ProjectRequest, mode: FailureMode | None, values: dict[str, str], error: ApiError | None = None
) -> HttpResponse:
    errors: dict[str, list[str]] = {}
    for fault in error.details if error else ():
        errors.setdefault(fault["path"].split("/")[1], []).append(fault["message"])
    others = FailureMode.objects.filter(project=request.project, retired_at=None).order_by("position", "pk")
    context = {
        "section": "taxonomy", "mode": mode, "values": values, "error": error, "errors": errors,
        "severities": SEVERITIES, "others": [other for other in others if other != mode], "typed": request.POST,
        "new_parts": [text for text in request.POST.getlist("new") if text] + [""] * mode_form.NEW_PARTS,
        "ticked": set(request.POST.getlist("into")), "reopen": 0, "waiting": 0, "parts": [],
    }  # fmt: skip
    if mode is not None and mode.retired_at is not None:
        context |= {"reopen": reopening.settled(mode).count(), "waiting": reopening.waiting(mode)}
        context["parts"] = list(mode.split_into.all())
    return render(request, "annotations/mode_form.html", context, status=error.status_code if error else 200)


def _deed(request: ProjectRequest, slug: str, deed: Callable[[FailureMode, str], str]) -> HttpResponseBase:
    """Does it, says what was done, and shows the mode; a refusal leaves the page as it was filled in."""
    mode = _mode(request, slug)
    try:
        said = deed(mode, clean_text(request.POST.get("note", "")))
    except ApiError as error:
        return _page(request, _mode(request, slug), mode_form.shown(mode), error)
    messages.success(request, said)
    return redirect("annotations:mode-edit", request.project.slug, slug)


@require_POST
@project_view(Right.LEAD)
def mode_retire(request: ProjectRequest, slug: str) -> HttpResponseBase:
    """Takes it out of use; its labels go on counting as it."""

    def deed(mode: FailureMode, note: str) -> str:
        failure_modes.retire(actor=request.user, mode=mode, note=note)
        return f"{mode.label} is retired."

    return _deed(request, slug, deed)


@require_POST
@project_view(Right.LEAD)
def mode_bring_back(request: ProjectRequest, slug: str) -> HttpResponseBase:
    """Puts it to use again."""

    def deed(mode: FailureMode, note: str) -> str:
        failure_modes.bring_back(actor=request.user, mode=mode, note=note)
        return f"{mode.label} is in use again."

    return _deed(request, slug, deed)


@require_POST
@project_view(Right.LEAD)
def mode_merge(request: ProjectRequest, slug: str) -> HttpResponseBase:
    """Merges it into another one."""

    def deed(mode: FailureMode, note: str) -> str:
        into = clean_text(request.POST.get("into", ""))
        failure_modes.merge(actor=request.user, mode=mode, into=into, note=note)
        return f"{mode.label} is merged. Its labels count there from now on."

    return _deed(request, slug, deed)


@require_POST
@project_view(Right.LEAD)
def mode_split(request: ProjectRequest, slug: str) -> HttpResponseBase:
    """Splits it into others; its items can be opened again then."""

    def deed(mode: FailureMode, note: str) -> str:
        counts = clean_text(request.POST.get("counts_as", "")).strip() or None
        parts = mode_form.parts_of(request.POST)
        failure_modes.split(actor=request.user, mode=mode, into=parts, counts=counts, note=note)
        return f"{mode.label} is split."

    return _deed(request, slug, deed)


@require_POST
@project_view(Right.LEAD)
def mode_reopen(request: ProjectRequest, slug: str) -> HttpResponseBase:
    """Opens the items again whose labels name it."""

    def deed(mode: FailureMode, note: str) -> str:
        count = reopening.reopen(actor=request.user, mode=mode)
        return f"{count} item{'' if count == 1 else 's'} wait{'s' if count == 1 else ''} for review again."

    return _deed(request, slug, deed)


@require_GET
@project_view(Right.READ, Right.REVIEW)
def rubric_list(request: ProjectRequest) -> HttpResponse:
    """The versions of the rubric, and what changed from one (``?from=``) to another (``?to=``)."""
    versions = taxonomy_list.versions(request.project)
    newest = versions[0].version if versions else 0
    to = _number(request.GET.get("to", ""), newest)
    since = _number(request.GET.get("from", ""), to - 1)
    found = {row.version: row for row in taxonomy_list.versions(request.project, {since, to})}
    before, after = found.get(since), found.get(to)
    context = {
        "section": "taxonomy", "versions": versions, "before": before, "after": after,
        "changes": rubric_changes.changes(before.snapshot, after.snapshot) if before and after else [],
    }  # fmt: skip
    return render(request, "annotations/rubric_list.html", context)


def _number(text: str, otherwise: int) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS else otherwise
