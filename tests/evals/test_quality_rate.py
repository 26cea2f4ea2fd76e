"""The quality rate end to end: sampled tasks, settled labels, judge scores, segments, the API."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from annotations.models import Queue, Task
from evals import judging, quality_rate
from evals.models import Judge
from projects.models import Project
from tests.conftest import Api
from tests.evals import golden
from tests.evals.judge_work import job, judge

NOW = timezone.now()
SPAN = (NOW - timedelta(days=1), NOW + timedelta(days=1))


def traffic(project: Project, of: Judge | None, count: int, *, seed: int = 1, feature: str = "", day: int = 0) -> float:
    """So many answers, a judge's score of each, half of them drawn and labelled; returns the true rate."""
    chance, good = random.Random(seed), 0
    queue = Queue.objects.get(project=project, slug="random-sample")
    for place in range(count):
        passes = chance.random() < 0.8
        good += passes
        item = golden.interaction(project, feature=feature, created_at=NOW - timedelta(days=day))
        if of is not None:
            claimed = job(of, item)
            judging.settle(claimed, judging.Outcome(judging.Verdict("Seen.", 0.9 if passes else 0.1)))
        if place % 2 == 0:
            Task.objects.create(
                project=project, queue=queue, interaction=item, lane="random", due_at=NOW, sampled=True, inclusion_p=0.5
            )
            golden.label(project, item, verdict="pass" if passes else "fail")
    return good / count


def test_scores_sharpen_what_labels_say(project: Project) -> None:
    truth = traffic(project, judge(project), 100)
    found = quality_rate.quality_rate(project, *SPAN)
    rate, alone = found.found.rate, found.found.alone
    assert (rate.n, found.drawn, found.found.judged) == (50, 50, 100)
    assert found.judge is not None
    assert found.found.weight > 0
    assert rate.value == pytest.approx(truth, abs=1e-9)  # it scores each answer as people do
    assert alone.value != pytest.approx(truth, abs=1e-9)
    assert found.found.saved > 0.3


def test_without_a_judge_labels_speak_alone(project: Project) -> None:
    traffic(project, None, 80)
    found = quality_rate.quality_rate(project, *SPAN)
    assert found.judge is None
    assert found.found.rate == found.found.alone
    assert found.found.rate.enough


def test_an_answer_judged_live_and_in_a_backfill_counts_once(project: Project) -> None:
    of = judge(project)
    traffic(project, of, 80)
    for item in [one.interaction for one in of.jobs.all()[:10]]:
        claimed = job(of, item, purpose="backfill")
        judging.settle(claimed, judging.Outcome(judging.Verdict("Again.", 0.5)))
    found = quality_rate.quality_rate(project, *SPAN)
    assert (found.found.judged, found.found.pairs) == (80, 40)


def test_segments_and_days_have_rates_of_their_own(project: Project) -> None:
    of = judge(project)
    traffic(project, of, 70, feature="search")
    traffic(project, of, 20, seed=2, feature="chat", day=1)
    features = quality_rate.quality_by(project, NOW - timedelta(days=3), SPAN[1], "feature")
    assert [(one.segment, one.drawn, one.found.rate.enough) for one in features] == [
        ("search", 35, True), ("chat", 10, False),
    ]  # fmt: skip
    days = quality_rate.quality_by(project, NOW - timedelta(days=3), SPAN[1], "day")
    assert [one.drawn for one in days] == [10, 35]
    assert days[0].segment < days[1].segment


def test_queries_do_not_grow_with_traffic(project: Project) -> None:
    of = judge(project)
    counts = []
    for seed in (1, 2):
        traffic(project, of, 30, seed=seed, feature=f"f{seed}")
        with CaptureQueriesContext(connection) as queries:
            quality_rate.quality_by(project, *SPAN, "feature")
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 4


def test_programs_read_the_rate_and_too_few_labels_have_none(sk: Api, project: Project) -> None:
    traffic(project, judge(project), 70, feature="search")
    traffic(project, None, 10, feature="chat")
    status, body = sk.get("/api/v1/quality?by=feature")
    assert status == 200
    assert body["total"]["labels"] == 40
    search, chat = body["results"]
    assert search["judge"] == "correct@1"
    assert 0 < search["low"] < search["rate"] < search["high"] <= 1
    assert (chat["segment"], chat["rate"], chat["low"], chat["labels"]) == ("chat", None, None, 5)


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("since=yesterday", "/since"), ("until=0001-01-01T00:00:00Z", "/until"),
        ("until=2026-13-01T00:00:00Z", "/until"), ("by=text", "/by"),
        ("since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", "/since"),
        ("since=2020-01-01T00:00:00Z&until=2026-01-01T00:00:00Z", "/since"),
    ],
)  # fmt: skip
def test_a_fault_in_the_query_is_told_with_its_place(sk: Api, query: str, place: str) -> None:
    status, body = sk.get(f"/api/v1/quality?{query}")
    assert (status, body["error"]["details"][0]["path"]) == (422, place)
