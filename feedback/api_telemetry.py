"""``POST /v1/traces``: the door for any OpenTelemetry exporter. Nothing in the sending application knows of us."""

from __future__ import annotations

from typing import Any

import msgspec
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.views import APIView

from feedback import bodies, limits
from feedback.telemetry import intake, unread, wire
from projects.access import Right
from projects.auth import allow, caller_of
from projects.models import ApiKey

PROTOBUF = "application/x-protobuf"
SPANS = {
    "type": "object", "properties": {"resourceSpans": {"type": "array", "nullable": True, "items": {"type": "object"}}},
}  # fmt: skip

_TEXT = {"type": "string"}
UNREAD = {
    "type": "object", "required": ["results"],
    "properties": {"results": {"type": "array", "items": {"type": "object", "properties": {
        "trace_id": _TEXT, "touched_at": {"type": "string", "format": "date-time"}, "service": _TEXT, "name": _TEXT,
        "problem": _TEXT, "advice": _TEXT,
    }}}},
}  # fmt: skip


class AnswerAsAsked(BaseContentNegotiation):
    """OTLP answers in the encoding of the request, whatever ``Accept`` says."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0] if parsers else None

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class Traces(APIView):
    """OTLP/HTTP traces, protobuf or JSON, gzip or not.

    200 means that the spans are on disk; spans that cannot be taken are counted in ``partial_success``, with
    the reason. Interactions are made of them by a worker about a second after a trace has paused.
    """

    permission_classes = [allow(scope="ingest")]
    parser_classes: list[type] = []
    content_negotiation_class = AnswerAsAsked

    @extend_schema(
        operation_id="trace_export", tags=["Intake"],
        request={"application/json": SPANS, PROTOBUF: OpenApiTypes.BINARY},
        responses={(200, "application/json"): OpenApiTypes.OBJECT, (200, PROTOBUF): OpenApiTypes.BINARY},
    )  # fmt: skip
    def post(self, request: Request) -> HttpResponse:
        content_type = request.content_type or ""
        wire.check_content_type(content_type)
        export = wire.decode(bodies.read(request._request, limits.BATCH_BODY), content_type)
        intake.record_spans(caller_of(request).project, export.spans)
        return _answer(export.rejected, content_type)


def _answer(rejected: list[str], content_type: str) -> HttpResponse:
    message = "; ".join(rejected[:5]) + (" …" if len(rejected) > 5 else "")
    if content_type.lower().startswith(PROTOBUF):
        answer = ExportTraceServiceResponse()
        if rejected:
            answer.partial_success.rejected_spans = len(rejected)
            answer.partial_success.error_message = message
        return HttpResponse(answer.SerializeToString(), content_type=PROTOBUF)
    body = {"partialSuccess": {"rejectedSpans": str(len(rejected)), "errorMessage": message}} if rejected else {}
    return HttpResponse(msgspec.json.encode(body), content_type="application/json")


class UnreadTraces(APIView):
    """``/api/v1/traces/unread``: traces that made no interaction."""

    permission_classes = [allow(scope=ApiKey.Scope.READ, right=Right.READ)]

    @extend_schema(operation_id="trace_unread", tags=["Intake"], responses={200: UNREAD})
    def get(self, request: Request) -> HttpResponse:
        """List the newest traces that made no interaction, up to 1,000, with the reason and what to do."""
        rows = unread.newest(caller_of(request).project, everything=True)
        results = [
            {
                "trace_id": row.trace_id, "touched_at": row.touched_at, "service": row.service, "name": row.name,
                "problem": row.problem, "advice": unread.advice(row),
            }
            for row in rows
        ]  # fmt: skip
        return HttpResponse(msgspec.json.encode({"results": results}), content_type="application/json")
