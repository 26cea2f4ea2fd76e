"""Datasets and regression runs for programs. Bodies are described in ``evals.schema``."""

from __future__ import annotations

import uuid
from typing import Any, cast

from django.db import transaction
from django.db.models import Count, Q
from django.http import HttpResponseNotModified, StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotations.models import Label
from evals import checks, datasets, export, runs, schema
from evals.formats import formats
from evals.models import Dataset, DatasetVersion, Run
from evals.schema import ExamplesIn, FreezeIn, ResultsIn, RunIn
from feedback import bodies, limits
from feedback.openapi import LISTED, WHOLE, body_of
from feedback.schema import check
from projects.access import Right
from projects.auth import allow
from projects.errors import ApiError, invalid
from projects.keys import Caller
from projects.models import ApiKey

CURATORS = (Right.BUILD, Right.LEAD)


def _caller(request: Request) -> Caller:
    return cast(Caller, request.auth)


def _body(request: Request, limit: int) -> dict[str, Any]:
    value = bodies.one(request._request, limit).value
    if not isinstance(value, dict):
        raise invalid("/", "The body is one JSON object.")
    return value


def version_body(version: DatasetVersion) -> dict[str, Any]:
    """A version as the API tells it."""
    return {
        "version": version.number, "frozen_at": version.frozen_at, "count": version.count,
        "sha256": version.checksum or None, "note": version.note,
    }  # fmt: skip


def run_body(run: Run) -> dict[str, Any]:
    """A run as the API tells it; after the end with the gate's report."""
    told = ("total", "split", "rules", "reason", "change", "counts", "flips", "tests", "needed")
    return {
        "id": run.pk, "dataset": run.version.dataset.slug, "version": run.version.number, "candidate": run.candidate,
        "target": run.target, "checks": run.checks, "baseline": run.baseline_id, "state": run.state,
        "verdict": run.verdict or None, "created_at": run.created_at, "finished_at": run.finished_at,
        "approved_at": run.approved_at, **{name: run.summary.get(name) for name in told},
    }  # fmt: skip


class Datasets(APIView):
    permission_classes = [allow(scope=ApiKey.Scope.READ, right=Right.READ)]

    @extend_schema(operation_id="dataset_list", tags=["Datasets"], responses={200: LISTED})
    def get(self, request: Request) -> Response:
        """List the datasets, with their newest frozen version and what waits in the draft."""
        unapproved = Q(versions__frozen_at=None, versions__examples__approved_at=None)
        found = Dataset.objects.filter(project=_caller(request).project).annotate(
            waiting=Count("versions__examples", filter=unapproved)
        )
        newest = {
            version.dataset_id: version
            for version in DatasetVersion.objects.filter(dataset__in=found, frozen_at__isnull=False).order_by("number")
        }
        rows = [
            {
                "slug": dataset.slug, "name": dataset.name, "description": dataset.description, "kind": dataset.kind,
                "waiting": dataset.waiting,
                "latest": version_body(newest[dataset.pk]) if dataset.pk in newest else None,
            }
            for dataset in found
        ]  # fmt: skip
        return Response({"results": rows})


class Versions(APIView):
    """``/api/v1/datasets/{slug}/versions``: list them, or freeze the draft."""

    def get_permissions(self) -> list[BasePermission]:
        if self.request.method == "POST":
            return [allow(scope=ApiKey.Scope.WRITE, right=CURATORS)()]
        return [allow(scope=ApiKey.Scope.READ, right=Right.READ)()]

    @extend_schema(operation_id="version_list", tags=["Datasets"], responses={200: LISTED})
    def get(self, request: Request, slug: str) -> Response:
        """List the versions, newest first; the open draft has no ``frozen_at``."""
        dataset = export.find_dataset(_caller(request).project, slug)
        return Response({"results": [version_body(version) for version in dataset.versions.order_by("-number")]})

    @extend_schema(
        operation_id="version_freeze", tags=["Datasets"], request={"application/json": body_of(FreezeIn)},
        responses={201: WHOLE},
    )  # fmt: skip
    def post(self, request: Request, slug: str) -> Response:
        """Freeze the approved examples of the draft under the next number."""
        caller = _caller(request)
        dataset = export.find_dataset(caller.project, slug)
        parsed = check(_body(request, limits.FEEDBACK_BODY), FreezeIn)
        version = datasets.freeze(dataset, actor=caller.user, note=parsed.note)
        return Response(version_body(version), status=201)


class Examples(APIView):
    permission_classes = [allow(scope=ApiKey.Scope.WRITE, right=CURATORS)]

    @extend_schema(
        operation_id="example_add", tags=["Datasets"], request={"application/json": body_of(ExamplesIn)},
        responses={201: WHOLE},
    )  # fmt: skip
    def post(self, request: Request, slug: str) -> Response:
        """Put up to 500 examples into the draft: in the native form, or ``{"interaction_id": …}`` for the example
        that an interaction's settled label makes. All or none. ``approve`` spares the approval."""
        caller = _caller(request)
        dataset = export.find_dataset(caller.project, slug)
        parsed = check(_body(request, limits.BATCH_BODY), ExamplesIn)
        places = {f"/examples/{place}": item for place, item in enumerate(parsed.examples)}
        wanted = {path: schema.interaction_of(item, path) for path, item in places.items() if "interaction_id" in item}
        contents = [schema.example(item, path) for path, item in places.items() if path not in wanted]
        with transaction.atomic():
            proposed = _propose(dataset, wanted)
            changed, same = datasets.add_examples(dataset, contents, actor=caller.user, approve=parsed.approve)
        return Response({"changed": changed, "unchanged": same, "proposed": proposed}, status=201)


def _propose(dataset: Dataset, wanted: dict[str, str]) -> int:
    """Proposes the current labels of these interactions; 422 with the place of one that has none."""
    current = Label.objects.filter(
        project=dataset.project, interaction__external_id__in=wanted.values(), superseded_at=None
    ).select_related("project", "interaction", "primary_category")
    labels = {label.interaction.external_id: label for label in current}
    for path, external_id in wanted.items():
        if external_id not in labels:
            raise invalid(f"{path}/interaction_id", "This interaction has no settled label.")
        datasets.propose(labels[external_id], dataset=dataset)
    return len(wanted)


class AsAsked(BaseContentNegotiation):
    """Takes ``?format=`` and ``Accept`` out of DRF's hands: here they name export formats, not renderers."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class Export(APIView):
    content_negotiation_class = AsAsked
    permission_classes = [allow(scope=ApiKey.Scope.READ, right=Right.READ)]

    @extend_schema(
        operation_id="version_export", tags=["Datasets"],
        parameters=[OpenApiParameter("format", OpenApiTypes.STR, enum=list(formats()), default="jsonl")],
        responses={(200, "application/x-ndjson"): OpenApiTypes.STR, 304: None},
    )  # fmt: skip
    def get(self, request: Request, slug: str, number: str) -> HttpResponseBase:
        """Stream a frozen version. The same version gives the same bytes; ``ETag`` is its checksum."""
        chosen = export.format_named(request.query_params.get("format", "jsonl"))
        version = export.find_version(export.find_dataset(_caller(request).project, slug), number)
        return stream(version, chosen.slug, request.headers.get("If-None-Match", ""))


def stream(version: DatasetVersion, slug: str, if_none_match: str) -> HttpResponseBase:
    """The answer that carries an export, or 304 where the caller has it already."""
    chosen = export.format_named(slug)
    etag = f'"{version.checksum}"' if slug == "jsonl" else f'"{version.checksum}-{slug}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if etag in (part.strip().removeprefix("W/") for part in if_none_match.split(",")):
        return HttpResponseNotModified(headers=headers)
    headers["Content-Disposition"] = f'attachment; filename="{export.filename(version, chosen)}"'
    return StreamingHttpResponse(chosen.write(version), content_type=chosen.media_type, headers=headers)


class Runs(APIView):
    permission_classes = [allow(scope=ApiKey.Scope.RUNS, right=Right.BUILD)]

    @extend_schema(
        operation_id="run_start", tags=["Runs"], request={"application/json": body_of(RunIn)},
        responses={201: WHOLE, 200: WHOLE},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Start a run of a candidate on a frozen version. With an ``id`` of your making, asking again is harmless."""
        caller = _caller(request)
        parsed = check(_body(request, schema.RUN_BODY), RunIn)
        version = export.find_version(export.find_dataset(caller.project, parsed.dataset), str(parsed.version))
        wanted = checks.parse(parsed.checks) or runs.EXPECTED
        run, created = runs.start_run(
            caller.project, version=version, candidate=parsed.candidate, target=parsed.target, wanted=wanted,
            baseline=_baseline(caller, parsed.baseline, version, wanted), rules=schema.rules(parsed.rules),
            split=parsed.split, run_id=parsed.id, actor=caller.user,
        )  # fmt: skip
        return Response(run_body(run), status=201 if created else 200)


def _baseline(caller: Caller, wish: str, version: DatasetVersion, wanted: list[dict[str, Any]]) -> Run | None:
    """The run that the caller wants to compare with; no approved one yet is no fault."""
    if wish == "approved":
        return runs.approved_baseline(version, wanted)
    if wish == "none":
        return None
    try:
        found = Run.objects.select_related("version").filter(project=caller.project, pk=uuid.UUID(wish)).first()
    except ValueError:
        raise invalid("/baseline", "A baseline is approved, none, or the id of a run.") from None
    if found is None:
        raise invalid("/baseline", "There is no such run.")
    return found


def find_run(caller: Caller, run_id: uuid.UUID) -> Run:
    """The project's run of this id, or 404."""
    run = Run.objects.select_related("version__dataset", "project").filter(project=caller.project, pk=run_id).first()
    if run is None:
        raise ApiError(404, "not_found", "There is no such run.")
    return run


class RunDetail(APIView):
    permission_classes = [allow(scope=ApiKey.Scope.READ, right=Right.READ)]

    @extend_schema(operation_id="run_read", tags=["Runs"], responses={200: WHOLE})
    def get(self, request: Request, run_id: uuid.UUID) -> Response:
        """Read a run. While it is running, ``missing`` are the examples that wait for an answer."""
        run = find_run(_caller(request), run_id)
        missing = runs.missing_keys(run) if run.state == Run.State.RUNNING else []
        return Response({**run_body(run), "missing": missing})


class RunResults(APIView):
    permission_classes = [allow(scope=ApiKey.Scope.RUNS, right=Right.BUILD)]

    @extend_schema(
        operation_id="run_add_results", tags=["Runs"], request={"application/json": body_of(ResultsIn)},
        responses={200: WHOLE},
    )  # fmt: skip
    def post(self, request: Request, run_id: uuid.UUID) -> Response:
        """Send answers, up to 500 at a time. All are stored or none; sending them again changes nothing."""
        run = find_run(_caller(request), run_id)
        added = runs.add_results(run, schema.results(_body(request, limits.BATCH_BODY)))
        return Response({"stored": added.stored, "replayed": added.replayed, "missing": added.missing})


class RunFinish(APIView):
    permission_classes = [allow(scope=ApiKey.Scope.RUNS, right=Right.BUILD)]

    @extend_schema(operation_id="run_finish", tags=["Runs"], request=None, responses={200: WHOLE})
    def post(self, request: Request, run_id: uuid.UUID) -> Response:
        """Let the gate decide: ``verdict``, ``flips`` and ``tests``. Asking again gives the same answer."""
        return Response(run_body(runs.finish_run(find_run(_caller(request), run_id))))
