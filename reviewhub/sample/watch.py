"""Two alert rules of the sample, replayed over its month with the code that evaluates rules every minute."""

from __future__ import annotations

from datetime import datetime, timedelta

from monitoring import alerts
from monitoring.models import Alert, AlertRule
from projects.models import Project
from reviewhub.sample.people import Team

STEP, WATCHED_FOR = timedelta(hours=4), timedelta(days=14)
# Windows of days: history that arrives at once is kept by the hour, and a sample has few votes an hour.
RULES = [
    AlertRule(
        name="Errors over two days", metric="error_rate", op=">", threshold=0.02, minutes=2 * 1440, min_count=50,
        severity=AlertRule.Severity.CRITICAL,
    ),
    AlertRule(
        name="Thumbs-down over five days", metric="thumbs_down_rate", op=">", threshold=0.36, minutes=5 * 1440,
        min_count=20,
    ),
]  # fmt: skip


def replay(project: Project, team: Team, now: datetime) -> None:
    """Makes the rules and opens and closes their alerts as they would have done; who had it is filled in."""
    for blueprint in RULES:
        rule = alerts.save_rule(
            AlertRule(
                project=project, name=blueprint.name, metric=blueprint.metric, op=blueprint.op,
                threshold=blueprint.threshold, minutes=blueprint.minutes, min_count=blueprint.min_count,
                severity=blueprint.severity,
            ),
            user=team.engineer,
        )  # fmt: skip
        AlertRule.objects.filter(pk=rule.pk).update(created_at=now - WATCHED_FOR)
        _replay(rule, now - WATCHED_FOR, now)
    for alert in Alert.objects.filter(rule__project=project, closed_at__isnull=False):
        taken_at = min(alert.opened_at + timedelta(minutes=12), alert.closed_at or now)
        Alert.objects.filter(pk=alert.pk).update(taken_by=team.engineer, taken_at=taken_at)


def _replay(rule: AlertRule, start: datetime, now: datetime) -> None:
    moment, current = start, None
    while moment <= now:
        reading = alerts.read(rule, alerts.window_of(rule, moment))
        if current is None and alerts.opens(rule, reading):
            current = alerts.open_alert(rule, reading.whole, moment)
        elif current is not None and reading.whole.value is not None:
            current.value, current.n = reading.whole.value, reading.whole.n
            current.worst = max(current.worst, current.value)
            current.closed_at = moment if alerts.closes(rule, reading) else None
            current.save(update_fields=["value", "n", "worst", "closed_at"])
            current = None if current.closed_at else current
        moment += STEP
