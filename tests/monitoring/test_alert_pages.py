"""The alerts page and the form of a rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from monitoring.models import Alert, AlertRule
from projects.models import AuditEntry, Project

RULE: dict[str, Any] = {
    "name": "Too slow", "metric": "latency_p95", "op": ">", "bound": "5", "minutes": "30", "min_count": "50",
    "severity": "critical", "enabled": "on",
}  # fmt: skip


def test_a_rule_is_written_in_seconds_and_percent(browser_of: Callable[[str], Client], project: Project) -> None:
    client = browser_of("engineer")
    assert client.post("/p/acme/alerts/rules/new/", RULE).status_code == 302
    rule = AlertRule.objects.get(project=project, name="Too slow")
    assert (rule.threshold, rule.minutes, rule.min_count, rule.severity) == (5000, 30, 50, "critical")
    assert b'value="5"' in client.get(f"/p/acme/alerts/rules/{rule.pk}/").content
    client.post(f"/p/acme/alerts/rules/{rule.pk}/", {**RULE, "metric": "error_rate", "bound": "12.5"})
    rule.refresh_from_db()
    assert rule.threshold == pytest.approx(0.125)
    assert "over 12.5\xa0% for 30\xa0min" in client.get("/p/acme/alerts/").content.decode()
    assert AuditEntry.objects.filter(project=project, action__startswith="alert_rule.").count() == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "Error burst"},
        {"metric": "flag_rate"},
        {"metric": "happiness"},
        {"op": "="},
        {"bound": "-1"},
        {"bound": "nan"},
        {"metric": "error_rate", "bound": "101"},
        {"minutes": "4"},
        {"minutes": "10081"},
        {"min_count": "0"},
        {"severity": "doom"},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(browser_of: Callable[[str], Client], wrong: dict[str, str]) -> None:
    before = AlertRule.objects.count()
    assert browser_of("engineer").post("/p/acme/alerts/rules/new/", {**RULE, **wrong}).status_code == 422
    assert AlertRule.objects.count() == before


def test_switching_a_rule_off_closes_its_alert(browser_of: Callable[[str], Client], project: Project) -> None:
    rule = AlertRule.objects.get(project=project, name="Error burst")
    alert = Alert.objects.create(rule=rule, value=0.5, worst=0.5, n=100)
    fields = {**RULE, "name": rule.name}
    fields.pop("enabled")
    browser_of("engineer").post(f"/p/acme/alerts/rules/{rule.pk}/", fields)
    alert.refresh_from_db()
    assert alert.closed_at is not None


def test_the_page_shows_open_and_closed_alerts(browser_of: Callable[[str], Client], project: Project) -> None:
    rule = AlertRule.objects.get(project=project, name="Slow answers")
    Alert.objects.create(rule=rule, value=12_400, worst=13_000, n=77)
    client = browser_of("viewer")
    page = client.get("/p/acme/alerts/").content.decode()
    assert "Latency p95 over 10.0\xa0s for 30\xa0min" in page
    assert "Firing" in page
    assert "New rule" not in page
    assert "No alert has closed yet" in client.get("/p/acme/alerts/", {"show": "closed"}).content.decode()


def test_a_foreign_alert_does_not_exist(browser_of: Callable[[str], Client], other_project: Project) -> None:
    rule = AlertRule.objects.filter(project=other_project)[0]
    alert = Alert.objects.create(rule=rule, value=1, worst=1)
    client = browser_of("engineer")
    assert client.post(f"/p/acme/alerts/{alert.pk}/take/").status_code == 404
    assert client.get(f"/p/acme/alerts/rules/{rule.pk}/").status_code == 404
