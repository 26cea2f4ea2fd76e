"""Alert rules: a metric, a bound, and for how long it must be crossed.

Let the window of a rule be its last ``minutes`` and the recent half the later half of it.

* An alert **opens** when the metric over the whole window crosses the bound with at least ``min_count``
  observations, and the recent half crosses it too. The long stretch keeps an outlier from firing, the short one
  keeps a trouble that has passed from firing late (the multiwindow alerts of the Site Reliability Workbook, chapter
  5). For counts and sums (volume, cost) only the whole window is looked at, and ``min_count`` plays no part.
* It **closes** when the whole window is fine, or when the recent half is and has at least half of ``min_count``
  observations, or when nothing at all was observed. Fine means a tenth better than the bound, so that a metric that
  hovers there does not open and close all day.
* After it has closed, by itself or by hand, the rule starts afresh: it opens again when its whole window lies
  after the closing, about ``minutes`` later.

Windows are whole five-minute buckets (hours beyond a day), the one that is filling included. One evaluator at a
time is not assumed: a rule has at most one open alert by constraint, and closing is a compare-and-set.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.db.models.functions import Now

from monitoring import metrics
from monitoring.buckets import COARSE, FINE
from monitoring.metrics import FOR_ALERTS, METRICS, Metric, Value, Window
from monitoring.models import Alert, AlertRule
from projects import audit, webhooks
from projects.models import Project, User

CROSSES: dict[str, Callable[[float, float], bool]] = {">": operator.gt, "<": operator.lt}
EASE = 0.1  # how much better than the bound is fine, as a share of it
# What a new project watches from the start.
DEFAULTS: list[dict[str, Any]] = [
    {"name": "Error burst", "metric": "error_rate", "op": ">", "threshold": 0.05, "minutes": 15, "min_count": 20,
     "severity": AlertRule.Severity.CRITICAL},
    {"name": "Thumbs-down", "metric": "thumbs_down_rate", "op": ">", "threshold": 0.25, "minutes": 60,
     "min_count": 20},
    {"name": "Slow answers", "metric": "latency_p95", "op": ">", "threshold": 10_000, "minutes": 30, "min_count": 50},
    {"name": "Refusals", "metric": "refusal_rate", "op": ">", "threshold": 0.20, "minutes": 60, "min_count": 30},
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reading:
    """The metric over the whole window of a rule and over the recent half."""

    whole: Value
    recent: Value


def create_defaults(project: Project) -> None:
    """The rules of a new project."""
    AlertRule.objects.bulk_create([AlertRule(project=project, **fields) for fields in DEFAULTS], ignore_conflicts=True)


def open_alerts(project: Project) -> list[Alert]:
    """The open alerts of a project, critical ones first, then the oldest."""
    found = Alert.objects.filter(rule__project=project, closed_at=None).select_related("rule", "taken_by")
    return list(found.order_by("rule__severity", "opened_at"))


def closed_alerts(project: Project, limit: int) -> list[Alert]:
    """The last closed alerts of a project, newest first."""
    found = Alert.objects.filter(rule__project=project, closed_at__isnull=False).select_related("rule", "taken_by")
    return list(found.order_by("-closed_at")[:limit])


def window_of(rule: AlertRule, now: datetime) -> Window:
    """The rule's last ``minutes``, one point a bucket."""
    length = timedelta(minutes=rule.minutes)
    width = FINE if length <= timedelta(days=1) else COARSE
    window = metrics.trailing(now, length, width=width)
    return replace(window, points=int((window.until - window.since).total_seconds()) // width)


def read(rule: AlertRule, window: Window) -> Reading:
    """What the rule sees. Of an odd number of buckets the middle one belongs to the recent half too."""
    metric = FOR_ALERTS[rule.metric]
    points = metrics.load(rule.project, [metric], window)[""]
    recent = points[-math.ceil(len(points) / 2) :]
    return Reading(_over(metric, points, window), _over(metric, recent, window))


def _over(metric: Metric, points: list[dict[str, metrics.Sums]], window: Window) -> Value:
    return metric.compute(metrics.total(points), window.step.total_seconds() * len(points))


def opens(rule: AlertRule, reading: Reading) -> bool:
    """Whether an alert is due; see the module for the definition."""
    if METRICS[rule.metric].counts:
        return _crosses(rule, reading.whole)
    return reading.whole.n >= rule.min_count and _crosses(rule, reading.whole) and _crosses(rule, reading.recent)


def closes(rule: AlertRule, reading: Reading) -> bool:
    """Whether an open alert is over; see the module for the definition."""
    if reading.whole.value is None or _fine(rule, reading.whole):
        return True
    enough = reading.recent.n >= max(rule.min_count / 2, 1)
    return not METRICS[rule.metric].counts and enough and _fine(rule, reading.recent)


def _fine(rule: AlertRule, value: Value) -> bool:
    ease = abs(rule.threshold) * EASE * (-1 if rule.op == AlertRule.Op.ABOVE else 1)
    return value.value is not None and not CROSSES[rule.op](value.value, rule.threshold + ease)


def _crosses(rule: AlertRule, value: Value) -> bool:
    return value.value is not None and CROSSES[rule.op](value.value, rule.threshold)


def evaluate(*, now: datetime | None = None) -> None:
    """Evaluates every enabled rule of every project once, as of ``now`` (default: the database's clock)."""
    moment = now or metrics.database_now()
    rules = AlertRule.objects.filter(enabled=True).select_related("project").annotate(ended=Max("alerts__closed_at"))
    open_alerts = {alert.rule_id: alert for alert in Alert.objects.filter(closed_at=None, rule__enabled=True)}
    for rule in rules.order_by("pk"):
        window, alert = window_of(rule, moment), open_alerts.get(rule.pk)
        if alert is not None:
            _follow(rule, alert, read(rule, window), moment)
        elif rule.ended is None or rule.ended <= window.since:
            reading = read(rule, window)
            if opens(rule, reading):
                open_alert(rule, reading.whole, moment)


def open_alert(rule: AlertRule, value: Value, now: datetime) -> Alert | None:
    """Opens an alert and tells the webhooks; None if the rule has an open one already."""
    seen = value.value if value.value is not None else 0.0
    try:
        with transaction.atomic():
            alert = Alert.objects.create(rule=rule, opened_at=now, value=seen, worst=seen, n=value.n)
            _tell("alert.opened", rule, alert)
    except IntegrityError:
        return None
    return alert


def _follow(rule: AlertRule, alert: Alert, reading: Reading, now: datetime) -> None:
    """Keeps an open alert's figures current, and closes it when it is over."""
    value = reading.whole.value
    if value is not None:
        worse = max if rule.op == AlertRule.Op.ABOVE else min
        changes = {"value": value, "n": reading.whole.n, "worst": worse(alert.worst, value)}
        Alert.objects.filter(pk=alert.pk, closed_at=None).update(**changes)
    if closes(rule, reading):
        _close(alert, now)


@transaction.atomic
def _close(alert: Alert, now: datetime) -> bool:
    closed = Alert.objects.filter(pk=alert.pk, closed_at=None, opened_at__lte=now).update(closed_at=now)
    if closed:
        fresh = Alert.objects.select_related("rule__project").get(pk=alert.pk)
        _tell("alert.closed", fresh.rule, fresh)
    return bool(closed)


def _tell(event: str, rule: AlertRule, alert: Alert) -> None:
    payload = {
        "alert": alert.pk, "rule": rule.pk, "name": rule.name, "metric": rule.metric, "op": rule.op,
        "threshold": rule.threshold, "minutes": rule.minutes, "severity": rule.severity, "value": alert.value,
        "n": alert.n, "worst": alert.worst,
    }  # fmt: skip
    webhooks.emit(rule.project, event, payload)


@transaction.atomic
def take(alert: Alert, *, user: User) -> bool:
    """Says who looks after an open alert; False if somebody has it or it is closed."""
    taken = Alert.objects.filter(pk=alert.pk, taken_by=None, closed_at=None).update(taken_by=user, taken_at=Now())
    if taken:
        audit.record(alert.rule.project, user, "alert.taken", alert.rule.name, alert=alert.pk)
    return bool(taken)


@transaction.atomic
def close(alert: Alert, *, user: User) -> bool:
    """Closes an open alert by hand; False if it is closed already."""
    closed = _close(alert, metrics.database_now())
    if closed:
        audit.record(alert.rule.project, user, "alert.closed", alert.rule.name, alert=alert.pk)
    return closed


@transaction.atomic
def save_rule(rule: AlertRule, *, user: User) -> AlertRule:
    """Stores a new or changed rule that its form has checked. Switching a rule off closes its open alert."""
    action = "alert_rule.changed" if rule.pk else "alert_rule.created"
    fields = ["name", "metric", "op", "threshold", "minutes", "min_count", "severity", "enabled"]
    rule.save(update_fields=fields if rule.pk else None)
    audit.record(rule.project, user, action, rule.name, **{name: getattr(rule, name) for name in fields[1:]})
    if not rule.enabled:
        for alert in Alert.objects.filter(rule=rule, closed_at=None):
            _close(alert, metrics.database_now())
    return rule
