"""Named metrics against numbers worked out by hand or by the books."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from annotations.estimation import wilson
from feedback.services import record_feedback, record_score
from monitoring import metrics
from monitoring.metrics import FOR_ALERTS, METRICS, Value, Window
from projects.models import Project
from tests.conftest import Api
from tests.monitoring.test_buckets import T0, interaction, measure, vote

HOUR = timedelta(hours=1)
DAY = Window(T0 - 12 * HOUR, T0 + 12 * HOUR, 3600)


def over(project: Project, name: str, window: Window = DAY) -> Value:
    return metrics.value_over(project, METRICS[name], window)


def test_rates_have_an_interval_and_an_n(project: Project) -> None:
    for number in range(20):
        failed: dict[str, Any] = {"status": "error", "error": {"type": "x"}, "output": None} if number == 0 else {}
        interaction(project, number, **failed)
    vote(project, 3, "down")
    measure()
    rate = over(project, "error_rate")
    assert (rate.value, rate.n) == (0.05, 20)
    assert (rate.low, rate.high) == pytest.approx(wilson(1, 20))
    down, up = over(project, "thumbs_down_rate"), over(project, "thumbs_up_rate")
    assert (down.value, down.n, up.value) == (1.0, 1, 0.0)
    assert over(project, "feedback_rate").value == 0.05


def test_counts_and_sums_are_no_estimates(project: Project) -> None:
    interaction(project, 1, cost_usd="0.25")
    interaction(project, 2, cost_usd="0.75")
    interaction(project, 3, cost_usd=None)
    measure()
    assert over(project, "volume") == Value(3.0, None, None, 3)
    assert over(project, "cost") == Value(1.0, None, None, 2)
    assert over(project, "cost_per_request") == Value(0.5, None, None, 2)
    assert over(project, "throughput").value == pytest.approx(3 / (24 * 60))
    assert over(project, "output_tokens").value == 15


def test_percentiles_come_from_all_buckets_together(project: Project) -> None:
    for number in range(100):
        interaction(project, number, T0 + timedelta(minutes=number), latency_ms=100 * (number + 1))
    measure()
    for name, exact in (("latency_p50", 5000), ("latency_p95", 9500), ("latency_p99", 9900)):
        assert over(project, name).value == pytest.approx(exact, rel=0.011)
    p50 = over(project, "latency_p50")
    assert p50.low == pytest.approx(4100, rel=0.03)
    assert p50.high == pytest.approx(6100, rel=0.03)


def test_where_nothing_was_seen_nothing_is_claimed(project: Project) -> None:
    for name, metric in METRICS.items():
        if not metric.only_by:
            value = over(project, name)
            assert value.n == 0
            assert value.value == (0.0 if metric.unit == "count" or name in {"cost", "throughput"} else None)


def test_points_cover_the_window_and_only_it(project: Project) -> None:
    for number, offset in enumerate([-13, -12, 0, 11, 12]):
        interaction(project, number, T0 + offset * HOUR)
    measure()
    window = Window(T0 - 12 * HOUR, T0 + 12 * HOUR, 3600, points=4)
    points = metrics.load(project, [METRICS["volume"]], window)[""]
    assert [point["requests"].n for point in points] == [1, 0, 1, 1]
    assert metrics.total(points)["requests"].n == 3


def test_two_projects_do_not_mix(project: Project, other_project: Project) -> None:
    interaction(project, 1)
    interaction(other_project, 1)
    measure()
    assert over(project, "volume").n == over(other_project, "volume").n == 1


def test_a_trailing_window_holds_the_bucket_that_is_filling() -> None:
    window = metrics.trailing(T0 + timedelta(minutes=7), timedelta(minutes=60), width=300)
    assert (window.since, window.until) == (T0 - timedelta(minutes=50), T0 + timedelta(minutes=10))
    assert window.before.until == window.since


# The API


def query(**changes: str) -> str:
    asked = {"name": "volume", "since": "2026-11-20T00:00:00Z", "until": "2026-11-21T00:00:00Z", "bucket": "6h"}
    return "/api/v1/metrics?" + "&".join(f"{key}={value}" for key, value in {**asked, **changes}.items() if value)


def test_the_api_gives_points_with_value_interval_and_n(project: Project, sk: Api) -> None:
    interaction(project, 1)
    interaction(project, 2, status="error", error={"type": "x"}, output=None)
    measure()
    status, body = sk.get(query(name="error_rate"))
    assert status == 200
    assert {key: body[key] for key in ("name", "unit", "bucket", "since", "until", "group_by")} == {
        "name": "error_rate", "unit": "share", "bucket": "6h", "since": "2026-11-20T00:00:00Z",
        "until": "2026-11-21T00:00:00Z", "group_by": None,
    }  # fmt: skip
    assert [point["start"] for point in body["points"]] == [
        f"2026-11-20T{hour}:00:00Z" for hour in ("00", "06", "12", "18")
    ]
    low, high = wilson(1, 2)
    assert body["points"][2] == {"start": "2026-11-20T12:00:00Z", "value": 0.5, "low": low, "high": high, "n": 2}
    assert body["points"][0] == {"start": "2026-11-20T00:00:00Z", "value": None, "low": None, "high": None, "n": 0}


def test_the_api_groups_by_a_dimension(project: Project, sk: Api) -> None:
    interaction(project, 1, model="m1")
    interaction(project, 2, model="m2")
    interaction(project, 3, model="m2")
    measure()
    _, body = sk.get(query(group_by="model", bucket="1d"))
    assert [(point["group"], point["value"]) for point in body["points"]] == [("m2", 2.0), ("m1", 1.0)]


def test_a_reader_may_ask_and_defaults_are_the_last_day(project: Project, token_of: Callable[[str], Api]) -> None:
    status, body = token_of("viewer").get("/api/v1/metrics?name=latency_p95")
    assert status == 200
    assert body["bucket"] == "15m"
    assert len(body["points"]) in {96, 97}


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"name": "happiness"}, "/name"),
        ({"name": ""}, "/name"),
        ({"since": "yesterday"}, "/since"),
        ({"since": "2026-11-20T00:00:00"}, "/since"),
        ({"until": "2026-13-01T00:00:00Z"}, "/until"),
        ({"since": "2026-11-22T00:00:00Z"}, "/since"),
        ({"since": "0001-01-01T00:00:00Z"}, "/since"),
        ({"bucket": "7m"}, "/bucket"),
        ({"bucket": "5m", "since": "2025-01-01T00:00:00Z"}, "/bucket"),
        ({"group_by": "colour"}, "/group_by"),
        ({"name": "flag_rate"}, "/group_by"),
        ({"group_by": "score"}, "/group_by"),
        ({"nane": "volume"}, "/nane"),
        ({"name": "volume&name=cost"}, "/name"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_with_its_path(sk: Api, wrong: dict[str, str], path: str) -> None:
    status, body = sk.get(query(**wrong))
    assert status == 422
    assert body["error"]["details"][0]["path"] == path


def test_prometheus_reads_the_projects_numbers(project: Project, other_project: Project, sk: Api, nobody: Api) -> None:
    interaction(project, 1, status="error", error={"type": "x"}, output=None)
    interaction(other_project, 1)
    measure()
    interaction(project, 2)
    assert nobody.get("/metrics")[0] == 401
    status, text = sk.get("/metrics")
    lines = text.decode().splitlines()
    assert status == 200
    for line in [
        'reviewhub_interactions_total{project="acme"} 1',
        'reviewhub_interaction_errors_total{project="acme"} 1',
        'reviewhub_inbox_rows{project="acme",stage="measure"} 1',
        'reviewhub_tasks_open{project="acme",queue="negative-feedback"} 0',
        'reviewhub_judge_jobs_waiting{project="acme"} 0',
        'reviewhub_delivery_oldest_seconds{project="acme"} 0',
    ]:
        assert line in lines
    assert "# TYPE reviewhub_interactions_total counter" in lines
    assert "other" not in text.decode()


def test_alert_rules_read_no_vote_that_nobody_vouches_for(project: Project) -> None:
    for number in range(2):
        interaction(project, number)
    vote(project, 0, "up")
    item = {"interaction_id": "i1", "kind": "thumbs", "value": "down", "created_at": T0.isoformat()}
    record_feedback(project, item, source="browser", verified=False, received_at=T0 + timedelta(seconds=1))
    measure()
    assert over(project, "thumbs_down_rate").value == 0.5
    watched = metrics.value_over(project, FOR_ALERTS["thumbs_down_rate"], DAY)
    assert (watched.value, watched.n) == (0.0, 1)


def test_the_refusal_rate_is_of_all_answers_not_of_those_that_the_detector_scored(project: Project) -> None:
    for number in range(10):
        interaction(project, number)
    item = {"interaction_id": "i3", "name": "refusal", "value": 0.9, "flagged": True}
    record_score(project, item, source="detector", received_at=T0 + timedelta(seconds=3))
    measure()
    rate = over(project, "refusal_rate")
    assert (rate.value, rate.n) == (0.1, 10)
