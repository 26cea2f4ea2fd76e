"""What the health page says about a project: computed here, in a fixed number of queries, and only shown there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from statistics import median
from typing import Any

from django.db.models import Min
from django.urls import reverse
from django.utils.safestring import SafeString

from annotations.queries import QueueRow, queue_overview
from monitoring import figures, metrics, quality
from monitoring.alerts import open_alerts
from monitoring.buckets import COARSE
from monitoring.metrics import METRICS, Metric, Sums, Unit, Value, Window
from monitoring.models import Alert, AlertRule, MetricBucket
from monitoring.wording import FILTERS, alert_link, evidence, failures, headline, interactions
from projects import charts
from projects.models import Project, User

PERIODS = {
    "24h": ("24 hours", timedelta(hours=24), 24),
    "7d": ("7 days", timedelta(days=7), 28),
    "30d": ("30 days", timedelta(days=30), 30),
}
# How many neighbouring points may be put together, by period, and from how many observations a point speaks.
SIZES = {"24h": (1, 2, 4), "7d": (1, 2, 4), "30d": (1, 3, 5)}
ENOUGH = 20
UNCERTAIN = {Unit.SHARE, Unit.MILLISECONDS}
CHARTED = [
    "thumbs_down_rate", "error_rate", "refusal_rate", "latency_p95", "latency_p50", "ttft_p95", "volume", "cost",
    "cost_per_request", "feedback_rate",
]  # fmt: skip
TILES = ["thumbs_down_rate", "refusal_rate", "error_rate", "volume", "latency_p95", "ttft_p95", "cost"]
LATENCIES = ["latency_p95", "latency_p50", "latency_p99"]
MOST_MARKS = 6

Points = list[dict[str, Sums]]


@dataclass(frozen=True, slots=True)
class Tile:
    """A vital sign. ``figure`` is never shown without ``detail``, which holds its interval and n."""

    label: str
    href: str
    figure: str
    detail: str
    spark: SafeString = charts.NOTHING
    change: figures.Change | None = None
    status: str = ""
    status_kind: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the chart's table."""

    start: datetime
    value: str
    interval: str
    n: int


@dataclass(frozen=True, slots=True)
class Chart:
    metric: Metric
    drawing: SafeString
    rows: list[Row]
    compared: bool
    limit: str


@dataclass(frozen=True, slots=True)
class Callout:
    """State, reason, action. ``kind`` is pass, warn or fail."""

    kind: str
    state: str
    reason: str
    link: str = ""
    link_text: str = ""
    alert: Alert | None = None


@dataclass(frozen=True, slots=True)
class Backlog:
    row: QueueRow
    bar: SafeString


class Health:
    """Everything of one page view: a project, a period, a charted metric, and who looks.

    ``reviews``: whether the queues are open to them; others are led to the backlog on this page instead.
    """

    def __init__(self, project: Project, user: User, *, period: str, metric: str, reviews: bool) -> None:
        self.project, self.user, self.reviews = project, user, reviews
        self.period = period if period in PERIODS else "7d"
        self.metric = METRICS[metric if metric in CHARTED else CHARTED[0]]
        self.period_name, length, points = PERIODS[self.period]
        self.now = metrics.database_now()
        self.window = metrics.trailing(self.now, length, width=COARSE, points=points)
        needed = [METRICS[name] for name in {*TILES, *LATENCIES, *CHARTED}]
        self.points = metrics.load(project, needed, self.window)[""]
        self.earlier = metrics.load(project, needed, self.window.before)[""]
        self.sums, self.sums_before = metrics.total(self.points), metrics.total(self.earlier)
        self.rules = list(AlertRule.objects.filter(project=project, enabled=True).order_by("threshold"))
        self.alerts = list(open_alerts(project))

    @property
    def passed(self) -> float:
        """How much of the period lies behind us; its last hour is still filling."""
        return (self.now - self.window.since) / (self.window.until - self.window.since)

    def link(self, **wanted: str) -> str:
        """The interactions behind a figure: those of the period, filtered."""
        return interactions(self.project, self.window, **wanted)

    # Vital signs

    @cached_property
    def tiles(self) -> list[Tile]:
        named = {name: self._tile(METRICS[name]) for name in TILES}
        return [
            self._quality(), named["thumbs_down_rate"], named["refusal_rate"], named["error_rate"], self._waiting(),
            named["volume"], named["latency_p95"], named["ttft_p95"], named["cost"], self._votes(),
        ]  # fmt: skip

    def _tile(self, metric: Metric) -> Tile:
        seconds = (self.window.until - self.window.since).total_seconds()
        now, before = (metric.compute(sums, seconds) for sums in (self.sums, self.sums_before))
        change = figures.change(metric.unit, now, before, metric.worse, scale=self.passed if metric.counts else 1.0)
        alerted = any(alert.rule.metric == metric.name for alert in self.alerts)
        bad = change is not None and change.kind == "bad"
        return Tile(
            label=metric.label,
            href=self.link(**FILTERS.get(metric.name, {})),
            figure=figures.text(metric.unit, now.value),
            detail=self._detail(metric, now),
            spark=charts.spark(self._line(metric, self.points), bad=bad or alerted),
            change=change,
            status="Alert" if alerted else "Rising" if bad and metric.worse == "up" else "Falling" if bad else "",
            status_kind="fail" if alerted else "warn",
        )

    def _detail(self, metric: Metric, value: Value) -> str:
        """What the figure rests on."""
        if metric.name == "volume":
            days = max((self.now - self.window.since) / timedelta(days=1), 1 / 24)
            return f"{figures.text(Unit.COUNT, value.n / days)} a day"
        if metric.name == "cost":
            each = METRICS["cost_per_request"].compute(self.sums, 0).value
            return f"{figures.text(Unit.USD, each)} each, n {value.n:,}" if value.n else "no cost known"
        if not value.n:
            return {"thumbs_down_rate": "no votes yet", "refusal_rate": "nothing checked yet"}.get(metric.name, "n 0")
        return f"{figures.interval(metric.unit, value)}, n {value.n:,}"

    def _line(self, metric: Metric, points: Points) -> list[float | None]:
        window, points = self._readable(metric, points)
        return [value.value for value in metrics.values(metric, points, window)]

    def _readable(self, metric: Metric, points: Points) -> tuple[Window, Points]:
        """The points, put together until most have enough observations to say something; counts stay as they are.

        How many go into one is decided by this period, so that both periods are drawn alike.
        """
        together = 1 if metric.unit not in UNCERTAIN else self._together(metric.sources[0])
        window = replace(self.window, points=self.window.points // together)
        return window, [metrics.total(points[at : at + together]) for at in range(0, len(points), together)]

    def _together(self, source: str) -> int:
        counts = [point[source].n for point in self.points]
        for size in SIZES[self.period]:
            sums = [sum(counts[at : at + size]) for at in range(0, len(counts), size)]
            if median([n for n in sums if n] or [0]) >= ENOUGH:
                return size
        return SIZES[self.period][-1]

    def _quality(self) -> Tile:
        now = quality.quality_rate(self.project, self.window.since, self.window.until)
        before = quality.quality_rate(self.project, self.window.before.since, self.window.since)
        rate = now.rate
        known = rate.value is not None
        change = figures.change(Unit.SHARE, rate, before.rate, "down")
        helped = f", with the scores of {now.judge.name}" if now.judge else ""
        few = f"{rate.n} of {now.drawn} random samples labelled"
        return Tile(
            label="Quality rate",
            href=failures(self.project, self.window),
            figure=figures.text(Unit.SHARE, rate.value) if known else "Too few labels",
            detail=f"{figures.interval(Unit.SHARE, rate)}, n {rate.n:,}{helped}" if known else f"to tell: {few}",
            change=change,
            status="Falling" if change and change.kind == "bad" else "",
            status_kind="warn",
        )

    def _votes(self) -> Tile:
        metric = METRICS["feedback_rate"]
        now, before = metric.compute(self.sums, 0), metric.compute(self.sums_before, 0)
        return Tile(
            label="Feedback",
            href=self.link(feedback="any"),
            figure=f"{self.sums['thumbs'].n:,}",
            detail=f"{figures.text(Unit.SHARE, now.value)} of answers" if now.n else "no votes yet",
            spark=charts.spark([float(point["thumbs"].n) for point in self.points]),
            change=figures.change(metric.unit, now, before, ""),
        )

    def _waiting(self) -> Tile:
        rows = self.queues
        waiting, late = sum(row.open for row in rows), sum(row.ages.get("past_due", 0) for row in rows)
        return Tile(
            label="Review backlog",
            href=self._queues(),
            figure=f"{waiting:,}",
            detail=f"{late:,} past their limit" if late else "none past its limit" if waiting else "all caught up",
            status="Late" if late else "",
            status_kind="warn",
        )

    # Charts

    def chart(self) -> Chart:
        metric = self.metric
        window, points = self._readable(metric, self.points)
        values = metrics.values(metric, points, window)
        before = self._line(metric, self.earlier)
        compared = any(value for value in before)
        rule = next((rule for rule in self.rules if rule.metric == metric.name), None)
        series = [
            charts.Series(
                [value.value for value in values], low=[value.low for value in values],
                high=[value.high for value in values], label=figures.text(metric.unit, _last(values)),
            )
        ]  # fmt: skip
        if compared:
            series.append(charts.Series(before, kind="s2"))
        limit = f"Alert {rule.get_op_display()} {figures.text(metric.unit, rule.threshold)}" if rule else ""
        plot = charts.Plot(
            key="main", title=f"{metric.label}, last {self.period_name}", description=self._describe(values),
            x=self._ticks(window), marks=self._releases(window),
            threshold=None if metric.counts or rule is None else rule.threshold,
            threshold_label=limit, breach=rule.op if rule else "", text=lambda value: figures.tick(metric.unit, value),
        )  # fmt: skip
        rows = [
            Row(window.start(index), figures.text(metric.unit, value.value),
                figures.interval(metric.unit, value), value.n)
            for index, value in enumerate(values)
        ]  # fmt: skip
        return Chart(metric, charts.timeseries(series, plot), rows, compared, limit)

    def latency(self) -> SafeString:
        """p50, p95 and p99 in one small chart."""
        window, _ = self._readable(METRICS["latency_p95"], self.points)
        kinds = {"latency_p95": "s1", "latency_p50": "s2", "latency_p99": "dash"}
        series = [
            charts.Series(self._line(METRICS[name], self.points), kind=kind, label=name.removeprefix("latency_"))
            for name, kind in kinds.items()
        ]
        over = {name: METRICS[name].compute(self.sums, 0).value for name in sorted(kinds)}
        said = ", ".join(
            f"{name.removeprefix('latency_')} {figures.text(Unit.MILLISECONDS, value)}" for name, value in over.items()
        )
        plot = charts.Plot(
            key="latency", title=f"Latency, last {self.period_name}", description=f"Over the whole period: {said}.",
            x=self._ticks(window, 3), height=84, text=lambda value: figures.tick(Unit.MILLISECONDS, value),
        )  # fmt: skip
        return charts.timeseries(series, plot)

    def _describe(self, values: list[Value]) -> str:
        known = [value.value for value in values if value.value is not None]
        if not known:
            return "Nothing was measured in this period."
        low, high, last = (figures.text(self.metric.unit, value) for value in (min(known), max(known), known[-1]))
        return f"Between {low} and {high}; {last} at the end."

    def _ticks(self, window: Window, count: int = 5) -> list[charts.Tick]:
        last = window.points - 1
        count = next((even for even in (count, 4, 3) if last % (even - 1) == 0), count)
        form = "{:%H:%M}" if self.period == "24h" else "{0.day} {0:%b}"
        places = [round(last * number / (count - 1)) for number in range(count)]
        return [charts.Tick(place / last, form.format(window.start(place))) for place in places]

    def _releases(self, window: Window) -> list[charts.Mark]:
        """Releases whose first interaction lies in the period."""
        seen = MetricBucket.objects.filter(project=self.project, metric="requests", width=COARSE, dimension="release")
        first = seen.values("value").annotate(first=Min("start")).filter(first__gte=self.window.since)
        length = window.step * (window.points - 1)
        return [
            charts.Mark((row["first"] - self.window.since) / length, row["value"][:24])
            for row in first.order_by("-first")[:MOST_MARKS]
        ]

    # The rest of the page

    def failures(self) -> list[tuple[quality.Failures, SafeString]]:
        found = quality.failures(self.project, self.window.since, self.window.until)
        most = max((one.count for one in found), default=1)
        return [(one, charts.bar(one.count / most, "" if place == 0 else "d2")) for place, one in enumerate(found[:5])]

    @cached_property
    def queues(self) -> list[QueueRow]:
        return queue_overview(self.project, self.user)

    def backlog(self) -> list[Backlog]:
        rows = self.queues
        most = max((row.open for row in rows), default=0) or 1
        return [Backlog(row, charts.bar(row.open / most)) for row in rows]

    def callout(self) -> Callout:
        """The one thing to know first."""
        worst = min(self.alerts, key=lambda alert: (alert.rule.severity != "critical", alert.opened_at), default=None)
        if worst:
            kind = "fail" if worst.rule.severity == AlertRule.Severity.CRITICAL else "warn"
            return Callout(kind, headline(worst), evidence(worst), alert_link(self.project, worst),
                           "See the interactions", worst)  # fmt: skip
        if not self.sums["requests"].n and not self.sums_before["requests"].n:
            return self._nothing_yet()
        bad = next((tile for tile in self.tiles if tile.change and tile.change.kind == "bad"), None)
        if bad and bad.change:
            words = f"{bad.change.arrow} {bad.change.words} against the {self.period_name} before: now {bad.figure}"
            return Callout("warn", f"{bad.label} has got worse", f"{words} ({bad.detail}).", bad.href,
                           "See the interactions")  # fmt: skip
        late = sum(row.ages.get("past_due", 0) for row in self.queues)
        if late:
            noun = "item is" if late == 1 else "items are"
            return Callout("warn", f"{late:,} {noun} past the limit in the review queues",
                           "The oldest complaints go stale first.", self._queues(), "Open the queues")  # fmt: skip
        return Callout("pass", "All is well", "No alert is open, nothing has got worse for certain, and no item is "
                       "past its limit.")  # fmt: skip

    def _nothing_yet(self) -> Callout:
        if MetricBucket.objects.filter(project=self.project, metric="requests").exists():
            return Callout("warn", f"Nothing has come in for {self.period_name}",
                           "The application may be quiet, or its key may have been revoked.",
                           reverse("feedback:interaction-list", args=[self.project.slug]),
                           "See the last interactions")  # fmt: skip
        return Callout("warn", "Nothing has come in yet", "Send an interaction with a secret key; figures appear here "
                       "within seconds.")  # fmt: skip

    def _queues(self) -> str:
        if not self.reviews:
            return "#backlog"
        return reverse("annotations:queue-list", args=[self.project.slug])

    def context(self) -> Mapping[str, Any]:
        """What the template needs."""
        failed = self.failures()
        rows = self.queues
        return {
            "section": "health",
            "health": self,
            "periods": [(key, key.replace("h", " h").replace("d", " days"), key == self.period) for key in PERIODS],
            "charted": [METRICS[name] for name in CHARTED],
            "tiles": self.tiles,
            "chart": self.chart(),
            "latency": self.latency(),
            "failures": failed,
            "failed": sum(one.count for one, _ in failed),
            "alerts": [(alert, headline(alert), evidence(alert)) for alert in self.alerts],
            "backlog": self.backlog(),
            "waiting": sum(row.open for row in rows),
            "callout": self.callout(),
            "since": f"{self.window.since:%Y-%m-%dT%H:%M:%SZ}",
            "until": f"{self.window.until:%Y-%m-%dT%H:%M:%SZ}",
        }


def _last(values: list[Value]) -> float | None:
    return next((value.value for value in reversed(values) if value.value is not None), None)
