"""The health page: what it says, where its figures lead, and what it costs."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from annotations.estimation import wilson
from annotations.models import Label, Queue, Task
from feedback.models import Interaction
from monitoring import quality
from monitoring.models import Alert, AlertRule
from projects.models import Project
from tests.monitoring.test_buckets import interaction, measure, vote

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)


def seen(client: Client, **query: str) -> str:
    """The page as text, without tags and line breaks."""
    answer = client.get("/p/acme/health/", query)
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", unescape(re.sub(r"<(style|script).*?</\1>|<[^>]+>", " ", answer.content.decode())))


def links(client: Client, **query: str) -> list[str]:
    return [
        unescape(href) for href in re.findall(r'href="([^"]+)"', client.get("/p/acme/health/", query).content.decode())
    ]


def task(interaction: Interaction, p: float = 0.02, queue: str = "random-sample") -> Task:
    return Task.objects.create(
        project=interaction.project, queue=Queue.objects.get(slug=queue, project=interaction.project),
        interaction=interaction, lane="random", due_at=NOW + HOUR, sampled=True, inclusion_p=p,
    )  # fmt: skip


def label(interaction: Interaction, verdict: str, **fields: Any) -> Label:
    return Label.objects.create(
        project=interaction.project, interaction=interaction, verdict=verdict, settled_by="single", rubric_version=1,
        **fields,
    )  # fmt: skip


def test_a_new_project_is_told_that_nothing_has_come_in(browser_of: Callable[[str], Client]) -> None:
    text = seen(browser_of("viewer"))
    assert "Nothing has come in yet" in text
    assert "Too few labels" in text


def test_figures_come_with_their_interval_and_n(browser_of: Callable[[str], Client], project: Project) -> None:
    for number in range(50):
        failed: dict[str, Any] = {"status": "error", "error": {"type": "x"}, "output": None} if number < 4 else {}
        interaction(project, number, NOW - HOUR, **failed)
    vote(project, 7, "down", NOW - HOUR)
    measure()
    text = seen(browser_of("viewer"), period="24h")
    low, high = wilson(4, 50)
    assert f"8.0 % {low * 100:.1f} to {high * 100:.1f} %, n 50" in text
    assert "20.7 to 100.0 %, n 1" in text
    assert "$12.50" in text
    assert "All is well" in text


def test_every_figure_is_a_door_with_the_filter_set(browser_of: Callable[[str], Client], project: Project) -> None:
    interaction(project, 1, NOW - HOUR)
    measure()
    doors = [href for href in links(browser_of("viewer")) if "/interactions/?" in href]
    assert any("status=error" in href for href in doors)
    assert any("feedback=negative" in href for href in doors)
    assert all("since=" in href and "until=" in href for href in doors)
    client = browser_of("viewer")
    assert {client.get(href).status_code for href in doors} == {200}


def test_no_figure_leads_to_a_page_that_refuses_who_reads_it(browser_of: Callable[[str], Client]) -> None:
    for who in ("viewer", "admin"):
        client = browser_of(who)
        for href in links(client):
            if href.startswith("/p/acme/"):
                assert client.get(href).status_code == 200, (who, href)
    assert "/p/acme/queues/" in links(browser_of("admin"))


def test_what_got_worse_for_certain_is_said_first(browser_of: Callable[[str], Client], project: Project) -> None:
    AlertRule.objects.all().delete()
    for number in range(200):
        failed: dict[str, Any] = {"status": "error", "error": {"type": "x"}, "output": None}
        interaction(project, number, NOW - 30 * HOUR, **(failed if number < 2 else {}))
        interaction(project, 200 + number, NOW - 3 * HOUR, **(failed if number < 40 else {}))
    measure()
    text = seen(browser_of("viewer"), period="24h")
    assert "Error rate has got worse" in text
    assert "▲ 19.0 pts" in text


def test_a_change_that_chance_explains_has_no_colour(browser_of: Callable[[str], Client], project: Project) -> None:
    for number in range(20):
        failed: dict[str, Any] = {"status": "error", "error": {"type": "x"}, "output": None}
        interaction(project, number, NOW - 30 * HOUR, **(failed if number < 1 else {}))
        interaction(project, 20 + number, NOW - 3 * HOUR, **(failed if number < 2 else {}))
    measure()
    page = browser_of("viewer").get("/p/acme/health/", {"period": "24h"}).content.decode()
    assert "▲ 5.0 pts" in page
    assert "delta bad" not in page


def test_an_open_alert_is_the_callout_and_can_be_taken(browser_of: Callable[[str], Client], project: Project) -> None:
    rule = AlertRule.objects.get(project=project, name="Error burst")
    alert = Alert.objects.create(rule=rule, value=0.124, worst=0.2, n=812)
    viewer, engineer = seen(browser_of("viewer")), seen(browser_of("engineer"))
    assert "Error rate over 5.0 % for 15 min" in viewer
    assert "12.4 %, at worst 20.0 %, n 812" in viewer
    assert "Take it" not in viewer
    assert "Take it" in engineer
    client = browser_of("engineer")
    assert client.post(f"/p/acme/alerts/{alert.pk}/take/").status_code == 302
    alert.refresh_from_db()
    assert alert.taken_by is not None
    assert "Engineer is on it" in seen(client)
    client.post(f"/p/acme/alerts/{alert.pk}/take/")
    assert client.post(f"/p/acme/alerts/{alert.pk}/close/").status_code == 302
    alert.refresh_from_db()
    assert alert.closed_at is not None


def test_releases_are_marked_when_they_first_appear(browser_of: Callable[[str], Client], project: Project) -> None:
    interaction(project, 1, NOW - 20 * 24 * HOUR, release="old-release")
    interaction(project, 2, NOW - 3 * 24 * HOUR, release="new-release")
    interaction(project, 3, NOW - 2 * HOUR, release="old-release")
    measure()
    text = seen(browser_of("viewer"), period="7d", metric="volume")
    assert "new-release" in text
    assert "old-release" not in text


@pytest.mark.parametrize("metric", ["thumbs_down_rate", "latency_p95", "volume", "cost", "no-such-metric"])
@pytest.mark.parametrize("period", ["24h", "7d", "30d", "century"])
def test_every_chart_can_be_drawn(
    browser_of: Callable[[str], Client], project: Project, metric: str, period: str
) -> None:
    interaction(project, 1, NOW - HOUR)
    measure()
    assert "95 % interval" in seen(browser_of("viewer"), metric=metric, period=period)


@pytest.mark.parametrize("region", ["vitals", "chart", "alerts", "backlog"])
def test_a_region_is_sent_alone_to_htmx(browser_of: Callable[[str], Client], region: str) -> None:
    answer = browser_of("viewer").get("/p/acme/health/", headers={"HX-Request": "true", "HX-Target": region})
    body = answer.content.decode().strip()
    assert body.startswith(f'<section id="{region}"')
    assert body.endswith("</section>")


def test_hostile_names_are_text(browser_of: Callable[[str], Client], project: Project) -> None:
    interaction(project, 1, NOW - HOUR, release="<script>alert(1)</script>")
    measure()
    assert "<script>alert" not in browser_of("viewer").get("/p/acme/health/").content.decode()


def test_the_page_costs_the_same_for_twice_the_data(browser_of: Callable[[str], Client], project: Project) -> None:
    client, counts = browser_of("lead"), []
    for start in (0, 40):
        for number in range(start, start + 40):
            one = interaction(project, number, NOW - timedelta(hours=number), release=f"r{number}")
            vote(project, number, "down", NOW - HOUR)
            task(one)
            label(one, "fail" if number % 2 else "pass")
        measure()
        with CaptureQueriesContext(connection) as queries:
            seen(client, period="30d")
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 32


# Quality


def test_only_random_samples_with_a_current_label_count_towards_quality(project: Project) -> None:
    for number in range(40):
        one = interaction(project, number, NOW - HOUR)
        task(one)
        label(one, "pass" if number < 30 else "fail")
    complaint = interaction(project, 100, NOW - HOUR)
    label(complaint, "fail")
    unsure = interaction(project, 101, NOW - HOUR)
    task(unsure)
    label(unsure, "unsure")
    changed = interaction(project, 102, NOW - HOUR)
    task(changed)
    label(changed, "fail", superseded_at=NOW)
    found = quality.quality_rate(project, NOW - 24 * HOUR, NOW)
    assert (found.rate.value, found.rate.n, found.drawn) == (pytest.approx(0.75), 40, 42)


def test_labels_weigh_by_the_inverse_of_their_probability(project: Project) -> None:
    for number in range(60):
        one = interaction(project, number, NOW - HOUR)
        task(one, p=0.5 if number < 40 else 0.05)
        label(one, "pass" if number < 40 else "fail")
    rate = quality.quality_rate(project, NOW - 24 * HOUR, NOW).rate
    assert (rate.value, rate.n) == (pytest.approx(80 / (80 + 400)), 60)


def test_labelling_complaints_first_does_not_lower_the_quality_rate(project: Project) -> None:
    """40 of 200 sampled answers were complained about: all of them are labelled, of the others a quarter."""
    for number in range(200):
        one = interaction(project, number, NOW - HOUR)
        task(one, queue="negative-feedback" if number < 40 else "random-sample")
        if number < 40:
            label(one, "fail" if number < 30 else "pass")
        elif number < 80:
            label(one, "fail" if number < 42 else "pass")
    found = quality.quality_rate(project, NOW - 24 * HOUR, NOW)
    assert (found.rate.value, found.rate.n, found.drawn) == (pytest.approx(0.2 * 0.25 + 0.8 * 0.95), 80, 200)


def test_an_interaction_that_was_drawn_into_two_queues_counts_once(project: Project) -> None:
    for number in range(40):
        one = interaction(project, number, NOW - HOUR)
        first = task(one)
        if number < 10:
            Task.objects.filter(pk=first.pk).update(state="done", done_at=NOW)
            task(one, queue="flagged")
        label(one, "fail" if number < 10 else "pass")
    found = quality.quality_rate(project, NOW - 24 * HOUR, NOW)
    assert (found.rate.value, found.rate.n, found.drawn) == (pytest.approx(0.75), 40, 40)


def test_under_thirty_labels_no_rate_is_shown(browser_of: Callable[[str], Client], project: Project) -> None:
    for number in range(30):
        one = interaction(project, number, NOW - HOUR)
        task(one)
        if number < 29:
            label(one, "pass")
    assert "Too few labels to tell: 29 of 30 random samples labelled" in seen(browser_of("viewer"))
    label(one, "fail")
    assert "96.7 %" in seen(browser_of("viewer"))


def test_failures_are_counted_by_category_and_lead_to_the_answers(
    browser_of: Callable[[str], Client], project: Project
) -> None:
    mode = project.failure_modes.get(slug="unsupported-claim")
    for number in range(3):
        label(interaction(project, number, NOW - HOUR), "fail", primary_category=mode)
    label(interaction(project, 7, NOW - 30 * HOUR), "fail", primary_category=mode)
    client = browser_of("viewer")
    assert f"{mode.label} 3, ▲ 2" in seen(client, period="24h")
    door = next(href for href in links(client, period="24h") if "/failures/" in href)
    page = client.get(door).content.decode()
    assert page.count("data-row") == 3
    assert client.get("/p/acme/failures/", {"since": "nonsense"}).status_code == 422
