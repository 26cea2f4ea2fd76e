"""Named metrics: what a bucket's sums mean, with the uncertainty that belongs to each figure.

``points`` reads buckets for a stretch of time in two queries, however many facts are behind them. Sums of points
add up to sums of longer stretches, so a page computes its totals from the points of its chart.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.db import connection

from annotations.estimation import Z, wilson
from monitoring.buckets import SCORE_DIMENSION, floor
from monitoring.sketch import Sketch
from projects.models import Project


@dataclass(frozen=True, slots=True)
class Value:
    """A figure with its 95 % interval and the number of observations behind it.

    ``value`` is None where nothing was observed. ``low`` and ``high`` are None for plain counts and sums, which
    are not estimates, and where the data do not bound that side.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(slots=True)
class Sums:
    """What the buckets of one source say about a stretch of time. Adds up."""

    n: int = 0
    total: float = 0.0
    sketch: Sketch = field(default_factory=Sketch)

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.n + other.n, self.total + other.total, self.sketch.merge(other.sketch))


Sources = Mapping[str, Sums]  # by the metric of the bucket
EMPTY = Sums()


def proportion(hits: float, n: int) -> Value:
    """A rate with its Wilson interval."""
    return Value(hits / n, *wilson(hits, n), n) if n > 0 else Value(None, None, None, 0)


class Unit(StrEnum):
    COUNT = "count"
    PER_MINUTE = "per_minute"
    SHARE = "share"
    MILLISECONDS = "ms"
    USD = "usd"


@dataclass(frozen=True, slots=True)
class Metric:
    """``worse`` is the direction in which it gets worse: up, down, or neither. ``counts``: it grows with the length
    of the stretch, so that different lengths cannot be compared and no least number of observations is asked for."""

    name: str
    label: str
    unit: Unit
    sources: tuple[str, ...]
    compute: Callable[[Sources, float], Value]
    worse: str = ""
    counts: bool = False
    only_by: str = ""


def _n(source: str) -> Callable[[Sources, float], Value]:
    return lambda sums, seconds: Value(float(sums[source].n), None, None, sums[source].n)


def _total(source: str) -> Callable[[Sources, float], Value]:
    return lambda sums, seconds: Value(sums[source].total, None, None, sums[source].n)


def _mean(source: str) -> Callable[[Sources, float], Value]:
    def compute(sums: Sources, seconds: float) -> Value:
        one = sums[source]
        return Value(one.total / one.n if one.n else None, None, None, one.n)

    return compute


def _hit_rate(source: str, *, misses: bool = False) -> Callable[[Sources, float], Value]:
    def compute(sums: Sources, seconds: float) -> Value:
        one = sums[source]
        return proportion(one.n - one.total if misses else one.total, one.n)

    return compute


def _quantile(source: str, q: float) -> Callable[[Sources, float], Value]:
    def compute(sums: Sources, seconds: float) -> Value:
        sketch = sums[source].sketch
        return Value(sketch.quantile(q), *sketch.interval(q, Z), sketch.count)

    return compute


def _throughput(sums: Sources, seconds: float) -> Value:
    n = sums["requests"].n
    return Value(n * 60 / seconds if seconds > 0 else None, None, None, n)


def _refusal_rate(sums: Sources, seconds: float) -> Value:
    # The detector scores only answers that read like a refusal at all; all others are none.
    return proportion(sums["refusal"].total, max(sums["requests"].n, sums["refusal"].n))


def _feedback_rate(source: str) -> Callable[[Sources, float], Value]:
    def compute(sums: Sources, seconds: float) -> Value:
        votes, requests = sums[source].n, sums["requests"].n
        return Value(votes / requests if requests else None, None, None, requests)

    return compute


METRICS = {
    metric.name: metric
    for metric in (
        Metric("volume", "Volume", Unit.COUNT, ("requests",), _n("requests"), counts=True),
        Metric("throughput", "Requests per minute", Unit.PER_MINUTE, ("requests",), _throughput),
        Metric("error_rate", "Error rate", Unit.SHARE, ("requests",), _hit_rate("requests"), "up"),
        Metric("latency_p50", "Latency p50", Unit.MILLISECONDS, ("latency",), _quantile("latency", 0.50), "up"),
        Metric("latency_p95", "Latency p95", Unit.MILLISECONDS, ("latency",), _quantile("latency", 0.95), "up"),
        Metric("latency_p99", "Latency p99", Unit.MILLISECONDS, ("latency",), _quantile("latency", 0.99), "up"),
        Metric("ttft_p50", "First token p50", Unit.MILLISECONDS, ("ttft",), _quantile("ttft", 0.50), "up"),
        Metric("ttft_p95", "First token p95", Unit.MILLISECONDS, ("ttft",), _quantile("ttft", 0.95), "up"),
        Metric("cost", "Cost", Unit.USD, ("cost",), _total("cost"), "up", counts=True),
        Metric("cost_per_request", "Cost per request", Unit.USD, ("cost",), _mean("cost"), "up"),
        Metric("input_tokens", "Input tokens", Unit.COUNT, ("input_tokens",), _total("input_tokens"), counts=True),
        Metric("output_tokens", "Output tokens", Unit.COUNT, ("output_tokens",), _total("output_tokens"), counts=True),
        Metric("thumbs_down_rate", "Thumbs-down", Unit.SHARE, ("thumbs",), _hit_rate("thumbs"), "up"),
        Metric("thumbs_up_rate", "Thumbs-up", Unit.SHARE, ("thumbs",), _hit_rate("thumbs", misses=True), "down"),
        Metric("feedback_rate", "Votes per request", Unit.SHARE, ("thumbs", "requests"), _feedback_rate("thumbs")),
        Metric("refusal_rate", "Refusal", Unit.SHARE, ("refusal", "requests"), _refusal_rate, "up"),
        Metric("flag_rate", "Flagged", Unit.SHARE, ("flags",), _hit_rate("flags"), "up", only_by=SCORE_DIMENSION),
        Metric("labels_settled", "Labels settled", Unit.COUNT, ("labels",), _n("labels"), counts=True),
    )
}
# What alert rules read: the same, but nobody's unvouched votes, which anybody with a page's key could send.
VOUCHED = {
    metric.name: metric
    for metric in (
        replace(METRICS["thumbs_down_rate"], sources=("vouched",), compute=_hit_rate("vouched")),
        replace(METRICS["thumbs_up_rate"], sources=("vouched",), compute=_hit_rate("vouched", misses=True)),
        replace(METRICS["feedback_rate"], sources=("vouched", "requests"), compute=_feedback_rate("vouched")),
    )
}
FOR_ALERTS = {**METRICS, **VOUCHED}


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time in whole buckets of ``width`` seconds, cut into ``points`` pieces of equal length."""

    since: datetime
    until: datetime
    width: int
    points: int = 1

    @property
    def step(self) -> timedelta:
        return (self.until - self.since) / self.points

    @property
    def before(self) -> Window:
        """The stretch of the same length that ends where this one begins."""
        return Window(self.since - (self.until - self.since), self.since, self.width, self.points)

    def start(self, index: int) -> datetime:
        return self.since + index * self.step


def trailing(now: datetime, length: timedelta, *, width: int, points: int = 1) -> Window:
    """The last ``length``, in whole buckets of ``width`` seconds, up to and with the one that is filling."""
    until = floor(now, width) + timedelta(seconds=width)
    buckets = math.ceil(length.total_seconds() / width)
    return Window(until - timedelta(seconds=buckets * width), until, width, points)


_SLICED = """
FROM (
  SELECT floor(extract(epoch FROM start - %(since)s) / %(step)s)::int AS point,
    CASE WHEN %(grouped)s THEN value ELSE '' END AS value, metric, n, total, sketch
  FROM monitoring_metricbucket
  WHERE project_id = %(project)s AND metric = ANY(%(metrics)s) AND width = %(width)s AND dimension = %(dimension)s
    AND (%(grouped)s OR value = %(value)s) AND start >= %(since)s AND start < %(until)s
) AS bucket"""
_SUMS = f"SELECT point, value, metric, sum(n)::bigint, sum(total) {_SLICED} GROUP BY 1, 2, 3"
_BINS = f"""SELECT point, bucket.value, metric, bin.key, sum(bin.value::bigint)::bigint
{_SLICED}, jsonb_each_text(bucket.sketch) AS bin WHERE bucket.sketch IS NOT NULL GROUP BY 1, 2, 3, 4"""

Points = dict[str, list[dict[str, Sums]]]  # by group: one entry a point, by source


def load(
    project: Project, metrics: Iterable[Metric], window: Window, *, group_by: str = "", only: tuple[str, str] = ("", "")
) -> Points:
    """The sums of every point of the window: of all (key ""), of one slice (``only=("model", "m1")``), or of each
    value of a dimension (``group_by``). One query, and a second where quantiles are asked for."""
    asked = sorted({source for metric in metrics for source in metric.sources})
    sketched = sorted({source for metric in metrics for source in metric.sources if metric.unit == Unit.MILLISECONDS})
    parameters: dict[str, Any] = {
        "project": project.pk, "metrics": asked, "width": window.width, "since": window.since, "until": window.until,
        "step": window.step.total_seconds(), "grouped": bool(group_by), "dimension": group_by or only[0],
        "value": only[1],
    }  # fmt: skip
    empty: Points = {} if group_by else {"": _blank(asked, window.points)}
    found: Points = defaultdict(lambda: _blank(asked, window.points), empty)
    with connection.cursor() as cursor:
        cursor.execute(_SUMS, parameters)
        for point, value, source, n, total in cursor.fetchall():
            found[value][point][source] = Sums(n, total)
        if sketched:
            cursor.execute(_BINS, {**parameters, "metrics": sketched})
            bins: dict[tuple[int, str, str], dict[str, int]] = defaultdict(dict)
            for point, value, source, name, count in cursor.fetchall():
                bins[point, value, source][name] = count
            for (point, value, source), document in bins.items():
                found[value][point][source].sketch = Sketch.from_json(document)
    return dict(found)


def _blank(sources: list[str], points: int) -> list[dict[str, Sums]]:
    return [{source: Sums() for source in sources} for _ in range(points)]


def total(points: Iterable[Mapping[str, Sums]]) -> dict[str, Sums]:
    """The sums of all the points together."""
    result: dict[str, Sums] = {}
    for point in points:
        for source, sums in point.items():
            result[source] = result.get(source, EMPTY) + sums
    return result


def values(metric: Metric, points: Iterable[Sources], window: Window) -> list[Value]:
    """The metric at each point."""
    return [metric.compute(sums, window.step.total_seconds()) for sums in points]


def value_over(project: Project, metric: Metric, window: Window, only: tuple[str, str] = ("", "")) -> Value:
    """The metric over the whole of a window."""
    points = load(project, [metric], window, only=only)[""]
    return metric.compute(total(points), (window.until - window.since).total_seconds())


def database_now() -> datetime:
    """The database's clock, which every time in a row comes from."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment
