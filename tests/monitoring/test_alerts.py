"""Alert rules on simulated streams, and the whole way from an error to a signed message."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import pytest

from monitoring import alerts, buckets
from monitoring.buckets import Place, Tally
from monitoring.models import Alert, AlertRule
from projects import deliveries, webhooks
from projects.models import Delivery, Project
from tests.fakes.receiver import FakeReceiver
from tests.monitoring.test_buckets import T0, interaction, measure

MINUTE = timedelta(minutes=1)


@pytest.fixture
def project(project: Project) -> Project:
    """A project with only the rules that a test makes."""
    AlertRule.objects.all().delete()
    webhooks.forget()
    return project


def rule(project: Project, **fields: Any) -> AlertRule:
    wanted = {
        "name": "r", "metric": "error_rate", "op": ">", "threshold": 0.1, "minutes": 60, "min_count": 20, **fields,
    }  # fmt: skip
    return AlertRule.objects.create(project=project, **wanted)


def stream(project: Project, metric: str, observations: Iterable[tuple[datetime, float]]) -> None:
    tally = Tally()
    for at, total in observations:
        tally.add(Place(project.pk, ("", "", "", "", "")), metric, at, at, total=total)
    buckets.write(tally.deltas)


def steady(start: datetime, minutes: int, share: float, *, a_minute: int = 10) -> Iterable[tuple[datetime, float]]:
    """So many a minute, of which ``share`` are hits, spread evenly."""
    owed = 0.0
    for number in range(minutes * a_minute):
        owed += share
        hit = owed >= 1
        owed -= hit
        yield start + number * MINUTE / a_minute, float(hit)


def at(minutes: float) -> datetime:
    return T0 + minutes * MINUTE


def run(minutes: Iterable[float]) -> list[tuple[float, bool]]:
    """Evaluates at these minutes; whether an alert is open after each."""
    states = []
    for minute in minutes:
        alerts.evaluate(now=at(minute))
        states.append((minute, Alert.objects.filter(closed_at=None).exists()))
    return states


def changes(states: list[tuple[float, bool]]) -> list[tuple[float, bool]]:
    before = False
    found = []
    for minute, state in states:
        if state != before:
            found.append((minute, state))
        before = state
    return found


def test_a_lasting_trouble_fires_once_and_ends_after_it_is_over(project: Project) -> None:
    rule(project, minutes=30)
    stream(project, "requests", steady(at(0), 60, 0.02))
    stream(project, "requests", steady(at(60), 60, 0.5))
    stream(project, "requests", steady(at(120), 120, 0.02))
    (opened, up), (closed, down) = changes(run(range(240)))
    assert (up, down) == (True, False)
    assert 62 <= opened <= 70
    assert 130 <= closed <= 140
    alert = Alert.objects.get()
    assert alert.closed_at == at(closed)
    assert alert.worst == pytest.approx(0.5, abs=0.02)
    assert alert.n >= 20


def test_too_few_observations_never_fire(project: Project) -> None:
    rule(project, min_count=20)
    stream(project, "requests", [(at(number), 1.0) for number in range(19)])
    assert changes(run([19])) == []
    stream(project, "requests", [(at(20), 1.0)])
    assert changes(run([20])) == [(20, True)]


def test_a_spike_that_is_over_does_not_fire_late(project: Project) -> None:
    """The hour as a whole is over the bound all along, its later half is not."""
    rule(project, threshold=0.1)
    stream(project, "requests", [(at(1) + number * MINUTE / 100, 1.0) for number in range(100)])
    stream(project, "requests", steady(at(2), 58, 0.0))
    assert 100 / 680 > 0.1
    assert changes(run(range(35, 60))) == []


def test_one_slow_answer_is_no_slow_service(project: Project) -> None:
    """together_13b answered once in 102 s (a public latency data set): that alone must not fire a p95 alert."""
    rule(project, metric="latency_p95", threshold=5000, minutes=30, min_count=20)
    stream(project, "latency", [(at(number), 900.0) for number in range(12)])
    stream(project, "latency", [(at(12), 102_000.0)])
    stream(project, "latency", [(at(number), 900.0) for number in range(13, 30)])
    assert changes(run(range(30))) == []


def test_a_switch_to_a_slow_provider_fires_within_its_window(project: Project) -> None:
    """p50 0.81 s before, 12.4 s after: p95 crosses 5 s as soon as one answer in twenty is a slow one."""
    rule(project, metric="latency_p95", threshold=5000, minutes=30, min_count=20)
    dice = random.Random(5)
    stream(project, "latency", [(at(n / 2), dice.lognormvariate(6.7, 0.2)) for n in range(120)])
    stream(project, "latency", [(at(60 + n / 2), dice.lognormvariate(9.4, 0.2)) for n in range(60)])
    (opened, state), *_ = changes(run(range(90)))
    assert state
    assert 60 <= opened <= 65


@pytest.mark.parametrize("seed", range(5))
def test_a_switch_to_a_worse_model_is_found_and_an_unchanged_one_is_left_alone(project: Project, seed: int) -> None:
    """10.4 % hallucinations before, 55.7 % after (gpt-4-0613 and mistral-7B on RAGTruth), one label a minute."""
    rule(project, metric="refusal_rate", threshold=0.25, minutes=60, min_count=50)
    dice = random.Random(seed)
    stream(project, "refusal", [(at(n), float(dice.random() < 0.104)) for n in range(300)])
    stream(project, "refusal", [(at(300 + n), float(dice.random() < 0.557)) for n in range(120)])
    states = run(range(60, 420, 2))
    assert not any(state for minute, state in states if minute <= 300)
    assert any(state for minute, state in states if 300 < minute <= 345)


def test_a_trouble_that_wavers_does_not_flap(project: Project) -> None:
    rule(project, minutes=30, threshold=0.1)
    for start in range(0, 240, 10):
        stream(project, "requests", steady(at(start), 10, 0.16 if start % 20 else 0.08))
    assert changes(run(range(30, 240, 1)))[1:] == []


def test_silence_closes_an_alert(project: Project) -> None:
    rule(project, minutes=30)
    stream(project, "requests", steady(at(0), 30, 0.5))
    (_, up), (closed, down) = changes(run(range(80)))
    assert (up, down) == (True, False)
    assert 55 <= closed <= 65


def test_a_closed_rule_starts_afresh(project: Project) -> None:
    rule(project, minutes=30)
    stream(project, "requests", steady(at(0), 180, 0.5))
    run([20])
    Alert.objects.update(closed_at=at(21))
    reopened = next(minute for minute, state in run(range(21, 90)) if state)
    assert 50 <= reopened <= 56


def test_volume_that_falls_away_is_noticed_although_there_is_nothing_to_count(project: Project) -> None:
    rule(project, metric="volume", op="<", threshold=10, minutes=30, min_count=20)
    stream(project, "requests", steady(at(0), 60, 0.0))
    (opened, state), *rest = changes(run(range(30, 120)))
    assert state
    assert 85 <= opened <= 92
    assert rest == []


def test_a_disabled_rule_sleeps(project: Project) -> None:
    rule(project, enabled=False)
    stream(project, "requests", steady(at(0), 30, 1.0))
    assert changes(run([29])) == []


def test_two_evaluators_open_one_alert(project: Project) -> None:
    one = rule(project)
    stream(project, "requests", steady(at(0), 30, 1.0))
    value = alerts.read(one, alerts.window_of(one, at(29))).whole
    assert alerts.open_alert(one, value, at(29)) is not None
    assert alerts.open_alert(one, value, at(29)) is None
    assert Alert.objects.count() == 1


def test_a_new_project_has_rules(other_project: Project) -> None:
    names = set(other_project.alert_rules.values_list("name", flat=True))
    assert names == {"Error burst", "Thumbs-down", "Slow answers", "Refusals"}


def test_from_errors_to_a_message_with_a_signature_that_verifies(project: Project, receiver: FakeReceiver) -> None:
    _, secret = webhooks.create(project, url=receiver.url, events=["alert.opened", "alert.closed"], actor=None)
    rule(project, name="Errors", minutes=15)
    for number in range(25):
        interaction(project, number, at(number / 5), status="error", error={"type": "timeout"}, output=None)
    measure()
    alerts.evaluate(now=at(6))
    alerts.evaluate(now=at(30))
    alerts.evaluate(now=at(31))
    deliveries.deliver_all()
    key = base64.b64decode(secret.removeprefix("whsec_"))
    told = {}
    for request in receiver.requests:
        head = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode()
        signature = base64.b64encode(hmac.new(key, head + request.body, hashlib.sha256).digest()).decode()
        assert request.headers["webhook-signature"] == f"v1,{signature}"
        body = json.loads(request.body)
        told[body["type"]] = body["data"]
    assert set(told) == {"alert.opened", "alert.closed"}
    assert told["alert.opened"]["value"] == 1.0
    assert told["alert.opened"]["n"] == 25
    assert told["alert.opened"]["name"] == "Errors"
    assert Delivery.objects.filter(delivered_at=None).count() == 0
