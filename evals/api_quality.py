"""The quality rate for programs: over a stretch of time, whole or by segment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from evals import quality_rate
from evals.quality_rate import SEGMENTS, Quality
from projects.access import Right
from projects.auth import allow
from projects.errors import invalid
from projects.keys import Caller
from projects.models import ApiKey

WEEK, LONGEST = timedelta(days=7), timedelta(days=366)
_NUMBER = {"type": "number", "nullable": True}
_RATE = {
    "type": "object",
    "properties": {
        "segment": {"type": "string"}, "rate": {**_NUMBER, "description": "null: too few labels to tell (under 30)"},
        "low": _NUMBER, "high": _NUMBER, "labels": {"type": "integer"}, "drawn": {"type": "integer"},
        "judge": {"type": "string", "nullable": True, "description": "Whose scores sharpened it, slug@version"},
        "weight": {"type": "number", "description": "λ of PPI++; 0 where labels speak alone"},
        "saved": {"type": "number", "description": "Share by which the interval is narrower than by labels alone"},
    },
}  # fmt: skip


def body_of(one: Quality) -> dict[str, Any]:
    """A rate as the API tells it; no rate and no interval under 30 labels."""
    found = one.found.rate
    helped = one.judge is not None and one.found.weight != 0
    return {
        "segment": one.segment, "rate": found.value if found.enough else None,
        "low": found.low if found.enough else None, "high": found.high if found.enough else None,
        "labels": found.n, "drawn": one.drawn,
        "judge": f"{one.judge.slug}@{one.judge.version}" if helped and one.judge else None,
        "weight": one.found.weight, "saved": one.found.saved,
    }  # fmt: skip


def _moment(request: Request, name: str, default: datetime) -> datetime:
    text = request.query_params.get(name, "")
    if not text:
        return default
    try:
        found = parse_datetime(text) if len(text) <= 40 else None
    except ValueError:
        found = None
    if found is None or found.tzinfo is None or not 1900 < found.year < 2500:
        raise invalid(f"/{name}", "A time with its zone, e.g. 2026-11-20T12:00:00Z.")
    return found.astimezone(UTC)


class QualityRate(APIView):
    permission_classes = [allow(scope=ApiKey.Scope.READ, right=Right.READ)]

    @extend_schema(
        operation_id="quality_rate", tags=["Quality"], request=None,
        parameters=[
            OpenApiParameter("since", OpenApiTypes.DATETIME, description="From here on; a week before `until`"),
            OpenApiParameter("until", OpenApiTypes.DATETIME, description="Up to here, not included; now"),
            OpenApiParameter("by", OpenApiTypes.STR, enum=[*SEGMENTS], description="Told apart by this"),
        ],
        responses={200: {"type": "object", "properties": {
            "since": {"type": "string", "format": "date-time"}, "until": {"type": "string", "format": "date-time"},
            "total": _RATE, "results": {"type": "array", "items": _RATE},
        }}},
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Tell the share of good answers, from labels of the random sample and a judge's scores, with its interval."""
        until = _moment(request, "until", timezone.now())
        since = _moment(request, "since", until - WEEK)
        if not since < until or until - since > LONGEST:
            raise invalid("/since", "It must be before until, and by a year at most.")
        by = request.query_params.get("by", "")
        if by and by not in SEGMENTS:
            raise invalid("/by", f"One of {', '.join(SEGMENTS)}.")
        project = cast(Caller, request.auth).project
        total = quality_rate.quality_rate(project, since, until)
        parts = quality_rate.quality_by(project, since, until, by) if by else []
        return Response({
            "since": since, "until": until, "total": body_of(total), "results": [body_of(one) for one in parts],
        })  # fmt: skip
