"""Detectors for programs: what they are and what the project has chosen about them."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import Http404
from drf_spectacular.utils import extend_schema
from msgspec import UNSET, Meta, Struct, UnsetType
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from evals import judge_reports, judges
from evals.api import body_object, caller_of
from evals.judge_reports import DetectorRow
from evals.judges import DetectorChoice
from feedback.openapi import body_of
from feedback.schema import check
from projects.access import Right
from projects.auth import allow
from projects.errors import invalid
from projects.models import ApiKey, Project

READERS = allow(scope=ApiKey.Scope.READ, right=Right.READ)
BUILDERS = allow(scope=ApiKey.Scope.WRITE, right=Right.BUILD)
MAX_BODY = 4 * 1024


class ChoiceIn(Struct):
    """``PATCH /api/v1/detectors/{detector}``: what is absent stays; ``threshold`` null is the detector's own."""

    enabled: bool | UnsetType = UNSET
    threshold: Annotated[float, Meta(ge=0, le=1)] | UnsetType | None = UNSET


_TEXT, _COUNT = {"type": "string"}, {"type": "integer", "minimum": 0}
_BAR = {"type": "number", "minimum": 0, "maximum": 1, "nullable": True}
DETECTOR = {
    "type": "object",
    "properties": {
        "detector": _TEXT, "name": _TEXT, "version": _TEXT,
        "description": {**_TEXT, "description": "What its value means"},
        "enabled": {"type": "boolean"},
        "threshold": {**_BAR, "description": "What it flags by in this project; null: it informs and flags nothing"},
        "default_threshold": {**_BAR, "description": "The detector's own"},
        "flags": {"type": "string", "enum": ["from", "under"], "description": "On which side of the threshold"},
        "scored": {**_COUNT, "description": "Its scores of the last 7 days"},
        "flagged": {**_COUNT, "description": "How many of them are flagged"},
    },
}  # fmt: skip
BODY = {**body_of(ChoiceIn), "anyOf": [{"required": ["enabled"]}, {"required": ["threshold"]}]}


def detector_body(row: DetectorRow) -> dict[str, Any]:
    """A detector as the API tells it."""
    one = row.detector
    return {
        "detector": one.name, "name": one.title, "version": one.version, "description": one.meaning,
        "enabled": row.enabled, "threshold": row.threshold, "default_threshold": one.threshold,
        "flags": "under" if one.low_is_bad else "from", "scored": row.found, "flagged": row.flagged,
    }  # fmt: skip


def _row(project: Project, name: str) -> DetectorRow:
    for row in judge_reports.detector_rows(project):
        if row.detector.name == name:
            return row
    raise Http404("No such detector")


class Detectors(APIView):
    """``/api/v1/detectors``."""

    permission_classes = [READERS]

    @extend_schema(
        operation_id="detector_list", tags=["Detectors"], request=None,
        responses={200: {"type": "object", "properties": {"results": {"type": "array", "items": DETECTOR}}}},
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """List the detectors, each with the project's choice and its last seven days."""
        rows = judge_reports.detector_rows(caller_of(request).project)
        return Response({"results": [detector_body(row) for row in rows]})


class OneDetector(APIView):
    """``/api/v1/detectors/{detector}``."""

    def get_permissions(self) -> list[BasePermission]:
        return [(BUILDERS if self.request.method == "PATCH" else READERS)()]

    @extend_schema(operation_id="detector_read", tags=["Detectors"], request=None, responses={200: DETECTOR})
    def get(self, request: Request, detector: str) -> Response:
        """One detector."""
        return Response(detector_body(_row(caller_of(request).project, detector)))

    @extend_schema(
        operation_id="detector_update", tags=["Detectors"], request={"application/json": BODY},
        responses={200: DETECTOR},
    )  # fmt: skip
    def patch(self, request: Request, detector: str) -> Response:
        """Switch it on or off, move its threshold; absent fields stay. It holds for what arrives from now on."""
        caller = caller_of(request)
        _row(caller.project, detector)
        wish = check(body_object(request, MAX_BODY), ChoiceIn)
        choice = DetectorChoice()
        if wish.enabled is not UNSET:
            choice["enabled"] = wish.enabled
        if wish.threshold is not UNSET:
            choice["threshold"] = wish.threshold
        if not choice:
            raise invalid("/", "At least one of enabled and threshold is needed.")
        judges.set_detector(caller.project, detector=detector, choice=choice, actor=caller.user)
        return Response(detector_body(_row(caller.project, detector)))
