"""Alerts and figures in words, and the door behind each of them: the list of interactions with its filter set."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode

from django.urls import reverse

from feedback import filters
from monitoring import figures, metrics
from monitoring.buckets import COARSE
from monitoring.metrics import METRICS, Window
from monitoring.models import Alert, AlertRule
from projects.models import Project
from projects.templatetags import ui

# The list's filters that show what a figure counts.
FILTERS: dict[str, dict[str, str]] = {
    "error_rate": {"status": "error"},
    "thumbs_down_rate": {"feedback": "negative"},
    "refusal_rate": {"flag": "refusal"},
}


def interactions(project: Project, window: Window, **wanted: str) -> str:
    """The address of the list of interactions of a window, with those of these filters that the list has."""
    form = "%Y-%m-%dT%H:%M:%SZ"
    known = {name: value for name, value in wanted.items() if name in filters.names()}
    query = {**known, "since": window.since.strftime(form), "until": window.until.strftime(form)}
    return f"{reverse('feedback:interaction-list', args=[project.slug])}?{urlencode(query)}"


def failures(project: Project, window: Window) -> str:
    """The address of the list of answers that people's labels of a window call failures."""
    form = "%Y-%m-%dT%H:%M:%SZ"
    query = {"since": window.since.strftime(form), "until": window.until.strftime(form)}
    return f"{reverse('monitoring:failure-list', args=[project.slug])}?{urlencode(query)}"


def condition(rule: AlertRule) -> str:
    """``over 5.0 % for 15 min``: the rule in words."""
    word = "over" if rule.op == AlertRule.Op.ABOVE else "under"
    bound = figures.text(METRICS[rule.metric].unit, rule.threshold)
    return f"{word} {bound} for {ui.duration(timedelta(minutes=rule.minutes))}"


def label(rule: AlertRule) -> str:
    """The name of the rule's metric."""
    return METRICS[rule.metric].label


def headline(alert: Alert) -> str:
    """``Error rate over 5.0 % for 15 min``."""
    return f"{label(alert.rule)} {condition(alert.rule)}"


def evidence(alert: Alert) -> str:
    """What it is now and was at worst, with the n."""
    unit = METRICS[alert.rule.metric].unit
    now, worst = figures.text(unit, alert.value), figures.text(unit, alert.worst)
    return f"{alert.rule.name}: {now}" + (f", at worst {worst}" if worst != now else "") + f", n {alert.n:,}."


def alert_link(project: Project, alert: Alert) -> str:
    """The interactions behind an alert: from its window before it opened until now, or until it closed."""
    since = alert.opened_at - timedelta(minutes=alert.rule.minutes)
    until = (alert.closed_at or metrics.database_now()) + timedelta(minutes=5)
    return interactions(project, Window(since, until, COARSE), **FILTERS.get(alert.rule.metric, {}))
