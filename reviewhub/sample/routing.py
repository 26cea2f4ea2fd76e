"""What the sample's lead has set up besides the defaults: a few rules that tell what rules can do."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from annotations import rules
from annotations.models import TriageRevision, TriageRule
from projects.models import Project
from reviewhub.sample.people import Team

PROBE_HOURS = 12
FROM_THE_START: list[dict[str, Any]] = [
    {
        "name": "Health checks stay out", "action": "drop",
        "condition": {"field": "user_id", "op": "starts_with", "value": "probe-"},
    },
    {
        "name": "Complaints of important customers", "action": "force", "queue": "negative-feedback", "position": 2,
        "condition": {"all": [{"field": "tags", "op": "has", "value": "vip"}, {"signal": "negative_feedback"}]},
    },
    {
        "name": "Known complaints", "action": "cap", "cap": 40,
        "condition": {"field": "cluster_size", "op": "at_least", "value": 10},
    },
]  # fmt: skip
FROM_NOW_ON: dict[str, Any] = {
    "name": "Some of every feature", "queue": "random-sample", "condition": {"all": []}, "sampling": "stratified",
    "strata": "feature", "rate": 0.02, "quota_per_week": 5,
}  # fmt: skip


def set_up(project: Project, team: Team, at: datetime) -> None:
    """The rules under which the month was routed, as if they had been made when it began."""
    for fields in FROM_THE_START:
        rules.save(project=project, actor=team.lead, rule=None, fields=fields)
    TriageRevision.objects.filter(project=project).update(changed_at=at)
    TriageRule.objects.filter(project=project).update(changed_at=at)


def draw_by_feature(project: Project, team: Team) -> None:
    """The rule that has just been added: what the month was drawn by stays as it was."""
    rules.save(project=project, actor=team.lead, rule=None, fields=FROM_NOW_ON)


def set_rate(project: Project, team: Team, rate: float, at: datetime) -> None:
    """The share of the random sample from that time on."""
    rule = TriageRule.objects.get(project=project, slug="random-sample")
    rule = rules.save(project=project, actor=team.lead, rule=rule, fields={"rate": rate})
    rule.revisions.filter(version=rule.version).update(changed_at=at)
    TriageRule.objects.filter(pk=rule.pk).update(changed_at=at)


def health_checks(since: datetime, until: datetime) -> list[dict[str, Any]]:
    """What the monitoring asks twice a day, in order of time."""
    many = int((until - since) / timedelta(hours=PROBE_HOURS))
    times = [since + timedelta(hours=PROBE_HOURS) * number for number in range(many)]
    return [
        {
            "id": f"nl-probe-{at:%Y%m%d-%H}", "user_id": "probe-uptime", "feature": "health-check",
            "environment": "monitoring", "created_at": at.isoformat(), "input": "Are you there?",
            "output": "Yes, I am here.", "latency_ms": 240.0,
        }
        for at in times
    ]  # fmt: skip
