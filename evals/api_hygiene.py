"""The hygiene page for programs: its findings, its remedies and the way back, and how production is covered."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from msgspec import Meta, Struct
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from evals import coverage, export, hygiene, tidying
from evals.api import CURATORS, body_object, caller_of
from evals.hygiene import Finding, Item
from evals.models import HygieneStep
from evals.schema import Key
from feedback import limits
from feedback.openapi import WHOLE, body_of
from feedback.schema import check
from projects.access import Right
from projects.auth import allow
from projects.errors import ApiError, invalid
from projects.models import ApiKey
from projects.openapi import ERROR

GONE = OpenApiResponse(ERROR, "It has changed or was taken back in the meantime")


class RemedyIn(Struct):
    """``POST /api/v1/datasets/{slug}/hygiene``. ``key`` is the example that ``keep`` keeps, or that ``drop`` drops."""

    kind: Literal["torn", "leaked", "conflicts", "duplicates", "near", "stale"]
    finding: Annotated[str, Meta(min_length=1, max_length=64)]
    verb: Literal["keep", "drop", "move", "train", "reviewed"]
    key: Key | Literal[""] = ""


class Hygiene(APIView):
    """``/api/v1/datasets/{slug}/hygiene``: list the findings, or do a remedy."""

    def get_permissions(self) -> list[BasePermission]:
        if self.request.method == "POST":
            return [allow(scope=ApiKey.Scope.WRITE, right=CURATORS)()]
        return [allow(scope=ApiKey.Scope.READ, right=Right.READ)()]

    @extend_schema(
        operation_id="hygiene_list", tags=["Datasets"], responses={200: WHOLE},
        parameters=[OpenApiParameter("kind", OpenApiTypes.STR, enum=list(hygiene.KINDS), description="One list alone")],
    )  # fmt: skip
    def get(self, request: Request, slug: str) -> Response:
        """List what is untidy in the draft (or the newest version): groups in several splits, what judges were told,
        contradictions, doubles, near doubles, what production left behind. The first 200 of each kind with the
        ``verbs`` that help, ``counts`` of all, and the newest remedies that can be taken back."""
        dataset = export.find_dataset(caller_of(request).project, slug)
        kind = request.query_params.get("kind", "")
        if kind and kind not in hygiene.KINDS:
            raise invalid("/kind", f"One of {', '.join(hygiene.KINDS)}.")
        report = hygiene.report(dataset)
        shown = [
            one for name in ([kind] if kind else hygiene.KINDS) for one in report.found[name][: limits.PAGE_SIZE_MAX]
        ]
        return Response({
            "version": report.version.number if report.version else None, "looked_at": report.looked_at,
            "counts": {name: len(found) for name, found in report.found.items()}, "reviewed": report.reviewed,
            "results": [finding_body(one) for one in shown],
            "steps": [step_body(step) for step in tidying.newest(dataset)],
        })  # fmt: skip

    @extend_schema(
        operation_id="hygiene_act", tags=["Datasets"], request={"application/json": body_of(RemedyIn)},
        responses={201: WHOLE, 409: GONE},
    )  # fmt: skip
    def post(self, request: Request, slug: str) -> Response:
        """Do one remedy to one finding, which `finding` names by its fingerprint."""
        caller = caller_of(request)
        dataset = export.find_dataset(caller.project, slug)
        given = check(body_object(request, limits.FEEDBACK_BODY), RemedyIn)
        step = tidying.act(
            dataset, kind=given.kind, fingerprint=given.finding, verb=given.verb, key=given.key, actor=caller.user
        )
        return Response(step_body(step), status=201)


class HygieneUndo(APIView):
    permission_classes = [allow(scope=ApiKey.Scope.WRITE, right=CURATORS)]

    @extend_schema(
        operation_id="hygiene_undo", tags=["Datasets"], request=None, responses={200: WHOLE, 409: GONE}
    )  # fmt: skip
    def post(self, request: Request, pk: int) -> Response:
        """Take a remedy back. Nothing that has come in since is overwritten."""
        caller = caller_of(request)
        found = HygieneStep.objects.select_related("dataset__project")
        step = found.filter(dataset__project=caller.project, pk=pk).first()
        if step is None:
            raise ApiError(404, "not_found", "There is no such remedy.")
        tidying.undo(step, actor=caller.user)
        return Response({**step_body(step), "undone": True})


class Coverage(APIView):
    permission_classes = [allow(scope=ApiKey.Scope.READ, right=Right.READ)]

    @extend_schema(operation_id="dataset_coverage", tags=["Datasets"], responses={200: WHOLE})
    def get(self, request: Request, slug: str) -> Response:
        """Hold the dataset against production: by segment with what came in lately, by failure mode with the share of
        all answers that fail in it, estimated from random draws with its 95 % interval (null under 30 labels)."""
        dataset = export.find_dataset(caller_of(request).project, slug)
        version = hygiene.version_of(dataset)
        segments = coverage.segments(version) if version else []
        modes = coverage.modes(version) if version else []
        return Response({
            "version": version.number if version else None,
            "segments": [{**asdict(one), "missing": one.missing} for one in segments],
            "modes": [mode_body(one) for one in modes],
        })  # fmt: skip


def finding_body(finding: Finding) -> dict[str, Any]:
    """A finding as the API tells it."""
    return {
        "kind": finding.kind, "finding": finding.fingerprint, "note": finding.note, "keep": finding.keep,
        "verbs": finding.verbs, "examples": [item_body(item) for item in finding.items],
    }  # fmt: skip


def item_body(item: Item) -> dict[str, Any]:
    return {
        "id": item.key, "split": item.split, "question": item.question, "expected": item.expected,
        "approved": item.approved, "group": item.group or None, "interaction_id": item.origin or None,
    }  # fmt: skip


def step_body(step: HygieneStep) -> dict[str, Any]:
    """A remedy as the API tells it."""
    return {
        "id": step.pk, "kind": step.kind, "verb": step.verb, "finding": step.finding, "count": step.count,
        "at": step.at, "told": tidying.told(step),
    }  # fmt: skip


def mode_body(mode: coverage.ModeShare) -> dict[str, Any]:
    told = mode.found if mode.found.enough else None
    return {
        "mode": mode.slug, "label": mode.label, "inside": mode.inside, "missing": mode.missing,
        "share": told and told.value, "low": told and told.low, "high": told and told.high, "labels": mode.found.n,
    }  # fmt: skip
