"""Making datasets and filling them from files, for programs."""

from __future__ import annotations

from django.db import transaction
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from evals import export
from evals.api import CURATORS, AsAsked, caller_of
from evals.importing import reading, running
from feedback import bodies
from feedback.openapi import WHOLE
from projects.auth import allow
from projects.errors import invalid
from projects.models import ApiKey

MAX_NAME = 200
_YES_NO = {"": False, "0": False, "false": False, "1": True, "true": True}


def _switch(request: Request, name: str) -> bool:
    value = request.query_params.get(name, "").lower()
    if value not in _YES_NO:
        raise invalid(f"/{name}", "Say true or false.")
    return _YES_NO[value]


class Import(APIView):
    content_negotiation_class = AsAsked  # the body is a file, whatever its type is called
    permission_classes = [allow(scope=ApiKey.Scope.WRITE, right=CURATORS)]

    @extend_schema(
        operation_id="dataset_import", tags=["Datasets"], request={"application/octet-stream": OpenApiTypes.BINARY},
        parameters=[
            OpenApiParameter("name", OpenApiTypes.STR, description="The file's name; an ending .yaml tells YAML"),
            OpenApiParameter(
                "map", OpenApiTypes.STR, many=True,
                description="`TARGET=COLUMN`, as often as needed; without it columns are guessed by their names",
            ),
            OpenApiParameter("dry_run", OpenApiTypes.BOOL, description="Tell what would be added, and add nothing"),
            OpenApiParameter("approve", OpenApiTypes.BOOL, description="Spare the approval"),
        ],
        responses={200: WHOLE, 201: WHOLE},
    )  # fmt: skip
    def post(self, request: Request, slug: str) -> Response:
        """Put the examples of a file into the draft: JSON lines, JSON, CSV, Parquet, promptfoo's YAML, exports of
        LangSmith, Langfuse and OpenAI Evals; up to 16 MiB. Records that do not fit are listed with their place, all
        others come in together."""
        caller = caller_of(request)
        dataset = export.find_dataset(caller.project, slug)
        dry, approve = _switch(request, "dry_run"), _switch(request, "approve")
        data = bodies.read(request._request, reading.LIMIT)
        name = request.query_params.get("name", "")[:MAX_NAME]
        opened = running.open_file(data, name, request.query_params.getlist("map"))
        if dry:
            return Response({**running.dry_run(dataset, opened).told(), "mapping": opened.mapping})
        with transaction.atomic():
            plan = running.run(dataset, opened, actor=caller.user, approve=approve)
        return Response({**plan.told(), "mapping": opened.mapping}, status=201)
