"""Failure modes and versions of the rubric for programs: the same services as the pages."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from annotations import failure_modes, openapi_taxonomy, reopening, rubric_changes, taxonomy_list
from annotations.api import answer
from annotations.api_manage import READ, Managed
from annotations.checking import Settings, maybe
from annotations.models import FailureMode, Rubric
from projects.access import Right
from projects.auth import allow, caller_of
from projects.errors import invalid
from projects.models import ApiKey

MOST_VERSIONS = 999_999_999  # far within the integers of the database


def mode_as_json(mode: FailureMode) -> dict[str, Any]:
    """A failure mode, and where its labels go if it is retired."""
    return {
        "slug": mode.slug, **{name: getattr(mode, name) for name in failure_modes.SETTINGS},
        "position": mode.position, "retired_at": mode.retired_at,
        "counts_as": mode.counts_as.slug if mode.counts_as else None,
        "split_into": [part.slug for part in mode.split_into.all()],
    }  # fmt: skip


def rubric_as_json(rubric: Rubric) -> dict[str, Any]:
    """A version without its snapshot."""
    by = rubric.changed_by.email if rubric.changed_by else None
    return {"version": rubric.version, "note": rubric.note, "changed_by": by, "created_at": rubric.created_at}


class Read(Managed):
    """Reviewers read the taxonomy as well: they work by it."""

    def get_permissions(self) -> list[BasePermission]:
        if self.request.method == READ:
            return [allow(scope=ApiKey.Scope.READ, right=(Right.REVIEW, Right.READ))()]
        return super().get_permissions()

    @staticmethod
    def mode(request: Request, slug: str) -> FailureMode:
        """The failure mode of this name; 404 otherwise."""
        rows = FailureMode.objects.select_related("project", "counts_as")
        return get_object_or_404(rows, project=caller_of(request).project, slug=slug)

    @staticmethod
    def why(request: Request, *others: str) -> tuple[dict[str, Any], str]:
        """The body and its note; refuses what is neither the note nor one of ``others``."""
        body = Managed.body(request)
        settings = Settings(body)
        settings.know((*others, "note"))
        settings.done()
        return body, body.pop("note", "")


class FailureModes(Read):
    """``/api/v1/failure-modes``."""

    @extend_schema(operation_id="failure_mode_list", **openapi_taxonomy.LIST)
    def get(self, request: Request) -> HttpResponse:
        """All failure modes in their order, retired ones last, with how many current labels count as each."""
        rows = taxonomy_list.listed(caller_of(request).project)
        return answer({"results": [mode_as_json(row.mode) | {"labels": row.labels} for row in rows]})

    @extend_schema(operation_id="failure_mode_create", **openapi_taxonomy.CREATE)
    def post(self, request: Request) -> HttpResponse:
        """Make a failure mode: a new version of the rubric."""
        caller = caller_of(request)
        body, note = self.why(request, *failure_modes.SETTINGS)
        made = failure_modes.save(project=caller.project, actor=caller.user, mode=None, fields=body, note=note)
        return answer(mode_as_json(made), 201)


class OneFailureMode(Read):
    """``/api/v1/failure-modes/{slug}``."""

    @extend_schema(operation_id="failure_mode_read", **openapi_taxonomy.ONE)
    def get(self, request: Request, slug: str) -> HttpResponse:
        """One failure mode."""
        return answer(mode_as_json(self.mode(request, slug)))

    @extend_schema(operation_id="failure_mode_update", **openapi_taxonomy.UPDATE)
    def patch(self, request: Request, slug: str) -> HttpResponse:
        """Change some of it; absent fields stay. What changes its meaning is a new version of the rubric."""
        mode, caller = self.mode(request, slug), caller_of(request)
        body, note = self.why(request, *failure_modes.SETTINGS)
        saved = failure_modes.save(project=caller.project, actor=caller.user, mode=mode, fields=body, note=note)
        return answer(mode_as_json(saved))


class Retire(Read):
    """``/api/v1/failure-modes/{slug}/retire``."""

    @extend_schema(operation_id="failure_mode_retire", **openapi_taxonomy.RETIRE)
    def post(self, request: Request, slug: str) -> HttpResponse:
        """Take it out of use; its labels go on counting as it."""
        mode, (_, note) = self.mode(request, slug), self.why(request)
        failure_modes.retire(actor=caller_of(request).user, mode=mode, note=note)
        return answer(mode_as_json(self.mode(request, slug)))


class BringBack(Read):
    """``/api/v1/failure-modes/{slug}/bring-back``."""

    @extend_schema(operation_id="failure_mode_bring_back", **openapi_taxonomy.BRING_BACK)
    def post(self, request: Request, slug: str) -> HttpResponse:
        """Put a retired one to use again; its labels count as it once more."""
        mode, (_, note) = self.mode(request, slug), self.why(request)
        failure_modes.bring_back(actor=caller_of(request).user, mode=mode, note=note)
        return answer(mode_as_json(self.mode(request, slug)))


class Merge(Read):
    """``/api/v1/failure-modes/{slug}/merge``."""

    @extend_schema(operation_id="failure_mode_merge", **openapi_taxonomy.MERGE)
    def post(self, request: Request, slug: str) -> HttpResponse:
        """Retire it; its labels count as ``into`` from now on."""
        mode, (body, note) = self.mode(request, slug), self.why(request, "into")
        failure_modes.merge(actor=caller_of(request).user, mode=mode, into=body.get("into", ""), note=note)
        return answer(mode_as_json(self.mode(request, slug)))


class Split(Read):
    """``/api/v1/failure-modes/{slug}/split``."""

    @extend_schema(operation_id="failure_mode_split", **openapi_taxonomy.SPLIT)
    def post(self, request: Request, slug: str) -> HttpResponse:
        """Retire it for others. Its items can be opened again: see ``reopen``."""
        mode, (body, note) = self.mode(request, slug), self.why(request, "into", "counts_as")
        settings = Settings(body)
        counts = settings.take("counts_as", None, maybe(_text))
        settings.done()
        failure_modes.split(
            actor=caller_of(request).user, mode=mode, into=body.get("into", []), counts=counts, note=note
        )
        return answer(mode_as_json(self.mode(request, slug)))


class Reopen(Read):
    """``/api/v1/failure-modes/{slug}/reopen``: items whose labels name a retired mode."""

    @extend_schema(operation_id="failure_mode_stale", **openapi_taxonomy.STALE)
    def get(self, request: Request, slug: str) -> HttpResponse:
        """How many items can be opened again, and how many of them wait for reviewers already."""
        mode = self.mode(request, slug)
        return answer({"items": reopening.settled(mode).count(), "waiting": reopening.waiting(mode)})

    @extend_schema(operation_id="failure_mode_reopen", **openapi_taxonomy.REOPEN)
    def post(self, request: Request, slug: str) -> HttpResponse:
        """Open them again, up to 500 at once. Their labels count until reviewers have said something new."""
        mode, settings = self.mode(request, slug), Settings(self.body(request))
        settings.know(())
        settings.done()
        opened = reopening.reopen(actor=caller_of(request).user, mode=mode)
        return answer({"opened": opened, "left": reopening.settled(mode).count()})


class Rubrics(Read):
    """``/api/v1/rubrics``."""

    http_method_names = ["get", "head", "options"]

    @extend_schema(operation_id="rubric_list", **openapi_taxonomy.RUBRICS)
    def get(self, request: Request) -> HttpResponse:
        """The last 200 versions of the rubric, newest first."""
        rows = taxonomy_list.versions(caller_of(request).project)
        return answer({"results": [rubric_as_json(row) for row in rows]})


class OneRubric(Read):
    """``/api/v1/rubrics/{version}``."""

    http_method_names = ["get", "head", "options"]

    @extend_schema(operation_id="rubric_read", **openapi_taxonomy.RUBRIC_ONE)
    def get(self, request: Request, version: int) -> HttpResponse:
        """A version with its failure modes as they were, and what changed ``since`` another: the one before, unless
        it is named."""
        if version > MOST_VERSIONS:
            raise Http404("There is no such version.")
        since = request.GET.get("since", str(version - 1))
        if not (since.isascii() and since.isdecimal() and len(since) <= len(str(MOST_VERSIONS))):
            raise invalid("/since", "The number of a version.")
        project = caller_of(request).project
        found = {row.version: row for row in taxonomy_list.versions(project, {version, int(since)})}
        rubric = found.get(version) or get_object_or_404(Rubric, project=project, version=version)
        base = found.get(int(since))
        if base is None and "since" in request.GET:
            raise invalid("/since", "There is no such version.")
        changes = rubric_changes.changes(base.snapshot if base else [], rubric.snapshot)
        return answer(rubric_as_json(rubric) | {
            "failure_modes": rubric.snapshot, "since": base.version if base else None, "changes": changes,
        })  # fmt: skip


def _text(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise invalid(path, "A text.")
    return value
