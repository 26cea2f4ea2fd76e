"""The metrics API, and the same numbers for Prometheus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from django.http import HttpResponse
from django.utils.dateparse import parse_datetime
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from monitoring import metrics, prometheus
from monitoring.buckets import COARSE, DIMENSIONS, FINE, SCORE_DIMENSION, floor
from monitoring.metrics import METRICS, Metric, Value, Window
from projects.access import Right
from projects.auth import allow
from projects.errors import invalid
from projects.keys import Caller
from projects.models import ApiKey

BUCKETS = {
    "5m": timedelta(minutes=5), "15m": timedelta(minutes=15), "1h": timedelta(hours=1), "6h": timedelta(hours=6),
    "1d": timedelta(days=1),
}  # fmt: skip
PARAMETERS = ("name", "since", "until", "bucket", "group_by")
MOST_POINTS = 2_000
MOST_GROUPS = 50
DEFAULT_LENGTH = timedelta(days=1)
DEFAULT_POINTS = 100


@dataclass(frozen=True, slots=True)
class Question:
    """A checked query: which metric, when, in which steps, by what."""

    metric: Metric
    window: Window
    bucket: str
    group_by: str


def parse(query: Mapping[str, list[str]], now: datetime) -> Question:
    """The question of a query string (name -> values); ApiError 422 names the parameter that does not fit."""
    for name, values in query.items():
        if name not in PARAMETERS:
            raise invalid(f"/{name[:50]}", f"There is no parameter {name[:50]!r}.")
        if len(values) > 1:
            raise invalid(f"/{name}", "Give it once.")
    asked = {name: values[0] for name, values in query.items()}
    metric = METRICS.get(asked.get("name", ""))
    if metric is None:
        raise invalid("/name", f"One of {', '.join(METRICS)}.")
    until = _moment(asked, "until") or now
    since = _moment(asked, "since") or until - DEFAULT_LENGTH
    if since >= until:
        raise invalid("/since", "It must be before until.")
    bucket = asked.get("bucket") or _fitting(until - since)
    if bucket not in BUCKETS:
        raise invalid("/bucket", f"One of {', '.join(BUCKETS)}.")
    return Question(metric, _window(since, until, bucket), bucket, _group_by(asked, metric))


def _moment(asked: Mapping[str, str], name: str) -> datetime | None:
    if not asked.get(name):
        return None
    try:
        moment = parse_datetime(asked[name])
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or not 1900 < moment.year < 2500:
        raise invalid(f"/{name}", "A time with its zone, e.g. 2026-11-20T12:00:00Z.")
    return moment.astimezone(UTC)


def _fitting(length: timedelta) -> str:
    """The finest bucket that needs at most DEFAULT_POINTS points."""
    return next((name for name, step in BUCKETS.items() if length / step <= DEFAULT_POINTS), "1d")


def _window(since: datetime, until: datetime, bucket: str) -> Window:
    """Whole buckets that cover the stretch: its ends are moved outwards."""
    step = BUCKETS[bucket]
    first = floor(since, int(step.total_seconds()))
    points = -((first - until) // step)
    if points > MOST_POINTS:
        raise invalid("/bucket", f"That would be {points:,} points. At most {MOST_POINTS:,} are given at once.")
    return Window(first, first + points * step, FINE if step < timedelta(seconds=COARSE) else COARSE, points)


def _group_by(asked: Mapping[str, str], metric: Metric) -> str:
    group_by = asked.get("group_by", "")
    allowed = (metric.only_by,) if metric.only_by else DIMENSIONS
    if group_by not in allowed and (group_by or metric.only_by):
        raise invalid("/group_by", f"One of {', '.join(allowed)}.")
    return group_by


def answer(question: Question, points: metrics.Points) -> dict[str, Any]:
    """The body: of grouped points those with most observations first, at most MOST_GROUPS groups."""
    metric, window = question.metric, question.window
    computed = {group: metrics.values(metric, sums, window) for group, sums in points.items()}
    largest = sorted(computed, key=lambda group: (-sum(value.n for value in computed[group]), group))[:MOST_GROUPS]
    return {
        "name": metric.name,
        "unit": metric.unit.value,
        "since": _time(window.since),
        "until": _time(window.until),
        "bucket": question.bucket,
        "group_by": question.group_by or None,
        "points": [
            _point(window.start(index), value, {"group": group} if question.group_by else {})
            for group in largest
            for index, value in enumerate(computed[group])
        ],
    }


def _point(start: datetime, value: Value, group: dict[str, str]) -> dict[str, Any]:
    return {"start": _time(start), **group, "value": value.value, "low": value.low, "high": value.high, "n": value.n}


def _time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


_NUMBER = {"type": "number", "nullable": True}
_ANSWER = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "unit": {"type": "string", "enum": [unit.value for unit in metrics.Unit]},
        "since": {"type": "string", "format": "date-time"},
        "until": {"type": "string", "format": "date-time"},
        "bucket": {"type": "string", "enum": list(BUCKETS)},
        "group_by": {"type": "string", "nullable": True},
        "points": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "start": {"type": "string", "format": "date-time"},
                    "group": {"type": "string"},
                    "value": _NUMBER, "low": _NUMBER, "high": _NUMBER, "n": {"type": "integer"},
                },
            },
        },
    },
}  # fmt: skip


class Metrics(APIView):
    """``/api/v1/metrics``: one metric over time."""

    permission_classes = [allow(scope=ApiKey.Scope.READ, right=Right.READ)]

    @extend_schema(
        operation_id="metric_read",
        tags=["Metrics"],
        parameters=[
            OpenApiParameter("name", str, required=True, enum=list(METRICS)),
            OpenApiParameter("since", OpenApiTypes.DATETIME, description="Default: a day before until"),
            OpenApiParameter("until", OpenApiTypes.DATETIME, description="Default: now"),
            OpenApiParameter("bucket", str, enum=list(BUCKETS), description="Default: what gives about 100 points"),
            OpenApiParameter("group_by", str, enum=[*DIMENSIONS, SCORE_DIMENSION]),
        ],
        responses={200: OpenApiResponse(_ANSWER, "Points with value, 95 % interval and n")},
    )
    def get(self, request: Request) -> Response:
        """Points over time with ``value``, ``low``, ``high`` and ``n``."""
        query = {name: request.query_params.getlist(name) for name in request.query_params}
        question = parse(query, metrics.database_now())
        project = cast(Caller, request.auth).project
        points = metrics.load(project, [question.metric], question.window, group_by=question.group_by)
        return Response(answer(question, points))


class PrometheusText(APIView):
    """``/metrics``: what Prometheus scrapes, for the project of the key."""

    permission_classes = [allow(scope=ApiKey.Scope.READ, right=Right.READ)]

    @extend_schema(
        operation_id="metrics_prometheus", tags=["Metrics"], responses={(200, "text/plain"): OpenApiTypes.STR}
    )
    def get(self, request: Request) -> HttpResponse:
        """The text format of Prometheus. Give Prometheus the key as ``authorization: credentials``."""
        text = prometheus.exposition(cast(Caller, request.auth).project)
        return HttpResponse(text, content_type=prometheus.CONTENT_TYPE)
