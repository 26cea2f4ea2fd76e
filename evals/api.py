"""Datasets for programs; runs are in ``evals.api_runs``. Bodies are described in ``evals.schema``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from django.db import transaction
from django.db.models import Count, Q
from django.http import HttpResponse, HttpResponseNotModified
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotations.models import Label
from evals import datasets, export, lines, packing, schema
from evals.formats import formats
from evals.models import Dataset, DatasetVersion, Example
from evals.schema import DatasetIn, ExamplesIn, FreezeIn
from feedback import bodies, limits
from feedback.openapi import LISTED, WHOLE, body_of
from feedback.schema import check
from projects.access import Right
from projects.auth import allow
from projects.downloads import download
from projects.errors import invalid
from projects.keys import Caller
from projects.models import ApiKey, User

CURATORS = (Right.BUILD, Right.LEAD)
PACKAGES = ("file", "zip", "manifest")


def caller_of(request: Request) -> Caller:
    """Who asks, by a key or a personal token."""
    return cast(Caller, request.auth)


def body_object(request: Request, limit: int) -> dict[str, Any]:
    """The body, which must be one JSON object of at most ``limit`` bytes; 422 otherwise."""
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


class Datasets(APIView):
    """``/api/v1/datasets``: list them, or make one."""

    def get_permissions(self) -> list[BasePermission]:
        if self.request.method == "POST":
            return [allow(scope=ApiKey.Scope.WRITE, right=CURATORS)()]
        return [allow(scope=ApiKey.Scope.READ, right=Right.READ)()]

    @extend_schema(operation_id="dataset_list", tags=["Datasets"], responses={200: LISTED})
    def get(self, request: Request) -> Response:
        """List the datasets, with their newest frozen version and what waits in the draft."""
        unapproved = Q(versions__frozen_at=None, versions__examples__approved_at=None)
        found = Dataset.objects.filter(project=caller_of(request).project).annotate(
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

    @extend_schema(
        operation_id="dataset_create", tags=["Datasets"], request={"application/json": body_of(DatasetIn)},
        responses={201: WHOLE},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Make an empty dataset."""
        caller = caller_of(request)
        given = schema.dataset(body_object(request, limits.FEEDBACK_BODY))
        made = datasets.create_dataset(caller.project, actor=caller.user, **given)
        told = {name: getattr(made, name) for name in ("slug", "name", "description", "kind", "licence", "consent")}
        return Response({**told, "waiting": 0, "latest": None}, status=201)


class Versions(APIView):
    """``/api/v1/datasets/{slug}/versions``: list them, or freeze the draft."""

    def get_permissions(self) -> list[BasePermission]:
        if self.request.method == "POST":
            return [allow(scope=ApiKey.Scope.WRITE, right=CURATORS)()]
        return [allow(scope=ApiKey.Scope.READ, right=Right.READ)()]

    @extend_schema(operation_id="version_list", tags=["Datasets"], responses={200: LISTED})
    def get(self, request: Request, slug: str) -> Response:
        """List the versions, newest first; the open draft has no ``frozen_at``."""
        dataset = export.find_dataset(caller_of(request).project, slug)
        return Response({"results": [version_body(version) for version in dataset.versions.order_by("-number")]})

    @extend_schema(
        operation_id="version_freeze", tags=["Datasets"], request={"application/json": body_of(FreezeIn)},
        responses={201: WHOLE},
    )  # fmt: skip
    def post(self, request: Request, slug: str) -> Response:
        """Freeze the approved examples of the draft under the next number."""
        caller = caller_of(request)
        dataset = export.find_dataset(caller.project, slug)
        parsed = check(body_object(request, limits.FEEDBACK_BODY), FreezeIn)
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
        caller = caller_of(request)
        dataset = export.find_dataset(caller.project, slug)
        parsed = check(body_object(request, limits.BATCH_BODY), ExamplesIn)
        places = {f"/examples/{place}": item for place, item in enumerate(parsed.examples)}
        wanted = {path: schema.interaction_of(item, path) for path, item in places.items() if "interaction_id" in item}
        contents = [schema.example(item, path) for path, item in places.items() if path not in wanted]
        with transaction.atomic():
            proposed = _propose(dataset, wanted, caller.user)
            changed, same = datasets.add_examples(dataset, contents, actor=caller.user, approve=parsed.approve)
        return Response({"changed": changed, "unchanged": same, "proposed": proposed}, status=201)


def _propose(dataset: Dataset, wanted: dict[str, str], actor: User | None) -> int:
    """Proposes the current labels of these interactions; 422 with the place of one that has none."""
    current = Label.objects.filter(
        project=dataset.project, interaction__external_id__in=wanted.values(), superseded_at=None
    ).select_related("project", "interaction", "primary_category__counts_as")
    labels = {label.interaction.external_id: label for label in current}
    for path, external_id in wanted.items():
        if external_id not in labels:
            raise invalid(f"{path}/interaction_id", "This interaction has no settled label.")
        datasets.propose(labels[external_id], dataset=dataset, actor=actor)
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
        parameters=[
            OpenApiParameter("format", OpenApiTypes.STR, enum=list(formats()), default="jsonl"),
            OpenApiParameter("split", OpenApiTypes.STR, enum=Example.Split.values, description="Only this split"),
            OpenApiParameter("tag", OpenApiTypes.STR, description="Only what has this tag"),
            OpenApiParameter("category", OpenApiTypes.STR, description="Only this failure mode"),
            OpenApiParameter(
                "package", OpenApiTypes.STR, enum=[*PACKAGES], default="file",
                description="`zip`: the file with its manifest; `manifest`: the manifest alone, as JSON",
            ),
        ],
        responses={(200, "application/x-ndjson"): OpenApiTypes.STR, 304: None},
    )  # fmt: skip
    def get(self, request: Request, slug: str, number: str) -> HttpResponseBase:
        """Stream a frozen version. The same version gives the same bytes; ``ETag`` is its checksum."""
        export.format_named(request.query_params.get("format", "jsonl"))
        version = export.find_version(export.find_dataset(caller_of(request).project, slug), number)
        return stream(version, request.query_params, request.headers.get("If-None-Match", ""))


def stream(version: DatasetVersion, wanted: Mapping[str, str], if_none_match: str) -> HttpResponseBase:
    """The answer that carries an export (``format``, ``package``, filters), or 304 where the caller has it already."""
    chosen, source = export.format_named(wanted.get("format", "jsonl")), export.source_of(version, wanted)
    package = wanted.get("package", "file")
    if package not in PACKAGES:
        raise invalid("/package", f"A package is one of {', '.join(PACKAGES)}.")
    marks = [slug for slug in (chosen.slug, package) if slug not in ("jsonl", "file")]
    marks += [lines.sha256(source.filters)[:16]] if source.filters else []
    headers = {"ETag": f'"{"-".join([version.checksum, *marks])}"', "Cache-Control": "private, no-cache"}
    if headers["ETag"] in (part.strip().removeprefix("W/") for part in if_none_match.split(",")):
        return HttpResponseNotModified(headers=headers)
    if package == "manifest":
        return HttpResponse(packing.dumped(packing.manifest(source, chosen)), "application/json", headers=headers)
    bundle = package == "zip"
    headers["Content-Disposition"] = f'attachment; filename="{packing.filename(source, chosen, bundle=bundle)}"'
    kind = "application/zip" if bundle else chosen.media_type
    return download(packing.stream(source, chosen, bundle=bundle), kind, headers)
