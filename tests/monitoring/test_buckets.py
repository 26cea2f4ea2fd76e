"""Facts become buckets exactly once, whatever the split and order in which they are read."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from annotations.models import Label
from feedback import inbox
from feedback.models import Feedback, Inbox, Interaction, Score
from feedback.services import record_feedback, record_interaction, record_score
from monitoring import buckets
from monitoring.models import MetricBucket
from monitoring.sketch import Sketch
from projects.models import Project

T0 = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
Buckets = dict[tuple[Any, ...], tuple[int, float, Any]]


def interaction(project: Project, number: int = 0, at: datetime = T0, **fields: Any) -> Interaction:
    item = {
        "id": f"i{number}", "created_at": at.isoformat(), "model": "m1", "feature": "faq", "release": "r1",
        "environment": "production", "input": "How much?", "output": "Five.", "latency_ms": 1000,
        "usage": {"input_tokens": 10, "output_tokens": 5}, "cost_usd": "0.25", **fields,
    }  # fmt: skip
    outcome = record_interaction(project, item, received_at=at + timedelta(seconds=2))
    return Interaction.objects.get(pk=outcome.pk)


def vote(project: Project, number: int, value: Any, at: datetime = T0, user: str = "u") -> None:
    item = {"interaction_id": f"i{number}", "kind": "thumbs", "value": value, "user_id": user}
    record_feedback(project, {**item, "created_at": at.isoformat()}, received_at=at + timedelta(seconds=1))


def measure(batch: int = 500) -> None:
    inbox.drain(Inbox.Stage.MEASURE, buckets.measure, batch=batch)


def stored() -> Buckets:
    """Every bucket that says something; totals to the millionth, since sums of floats know their order."""
    return {
        (row.metric, row.width, row.dimension, row.value, row.start): (row.n, round(row.total, 6), row.sketch)
        for row in MetricBucket.objects.all()
        if row.n or round(row.total, 6)
    }


def coarse(metric: str, dimension: str = "", value: str = "") -> tuple[int, float]:
    rows = MetricBucket.objects.filter(metric=metric, width=3600, dimension=dimension, value=value)
    return sum(row.n for row in rows), sum(row.total for row in rows)


def test_an_interaction_is_counted_in_both_widths_and_in_every_dimension(project: Project) -> None:
    interaction(project, prompt={"name": "support", "version": "14"})
    measure()
    rows = MetricBucket.objects.filter(metric="requests")
    assert {(row.width, row.dimension, row.value) for row in rows} == {
        (width, *slice_)
        for width in (300, 3600)
        for slice_ in [
            ("", ""), ("model", "m1"), ("feature", "faq"), ("release", "r1"), ("prompt_version", "14"),
            ("environment", "production"),
        ]
    }  # fmt: skip
    assert {(row.n, row.total) for row in rows} == {(1, 0.0)}
    assert coarse("cost", "model", "m1") == (1, 0.25)
    assert coarse("input_tokens") == (1, 10)


def test_errors_are_the_total_of_the_requests(project: Project) -> None:
    interaction(project, 1)
    interaction(project, 2, output=None, status="error", error={"type": "timeout", "message": "late"})
    measure()
    assert coarse("requests") == (2, 1)


def test_what_is_unknown_is_not_zero(project: Project) -> None:
    interaction(project, latency_ms=None, cost_usd=None, usage=None, model=None)
    measure()
    assert coarse("latency") == coarse("cost") == coarse("output_tokens") == (0, 0)
    assert coarse("requests") == (1, 0)
    assert not MetricBucket.objects.filter(dimension="model").exists()


def test_sketches_of_two_batches_are_merged(project: Project) -> None:
    interaction(project, 1, latency_ms=800)
    measure()
    interaction(project, 2, latency_ms=12_400)
    measure()
    row = MetricBucket.objects.get(metric="latency", width=300, dimension="")
    assert Sketch.from_json(row.sketch) == Sketch.of([800, 12_400])
    assert (row.n, row.total) == (2, 13_200)


def test_the_newest_vote_of_a_user_counts_and_the_earlier_is_taken_out(project: Project) -> None:
    interaction(project)
    vote(project, 0, "down", T0 + timedelta(minutes=1))
    measure()
    assert coarse("thumbs") == (1, 1)
    vote(project, 0, "up", T0 + timedelta(hours=2))
    measure()
    assert coarse("thumbs") == (1, 0)
    assert MetricBucket.objects.get(metric="thumbs", width=3600, dimension="", start=T0).n == 0
    vote(project, 0, None, T0 + timedelta(hours=3))
    measure()
    assert coarse("thumbs") == (0, 0)
    assert coarse("thumbs", "model", "m1") == (0, 0)


def test_a_vote_whose_interaction_changed_its_model_meanwhile_can_still_be_taken_back(project: Project) -> None:
    """Late spans of a trace may bring the model; the vote was counted without it."""
    interaction(project, 0, model=None)
    interaction(project, 1, model="m1")
    vote(project, 0, "down")
    vote(project, 1, "down")
    measure()
    vote(project, 1, None, T0 + timedelta(seconds=30))
    measure()
    Interaction.objects.filter(external_id="i0").update(model="m1")
    vote(project, 0, None, T0 + timedelta(minutes=1))
    measure()
    assert not Inbox.objects.filter(stage="measure").exists()
    assert coarse("thumbs") == coarse("thumbs", "model", "m1") == (0, 0)


def test_votes_of_two_users_both_count(project: Project) -> None:
    interaction(project)
    vote(project, 0, "down", user="a")
    vote(project, 0, "up", user="b")
    measure()
    assert coarse("thumbs", "feature", "faq") == (2, 1)


def test_a_vote_before_its_interaction_counts_once_it_is_linked(project: Project) -> None:
    vote(project, 0, "down")
    measure()
    assert coarse("thumbs") == (0, 0)
    interaction(project)
    measure()
    assert coarse("thumbs", "model", "m1") == coarse("thumbs") == (1, 1)


def test_other_feedback_is_no_vote(project: Project) -> None:
    interaction(project)
    record_feedback(project, {"interaction_id": "i0", "kind": "comment", "value": "hm"})
    record_feedback(project, {"interaction_id": "i0", "kind": "rating", "value": 1, "scale": 5})
    measure()
    assert coarse("thumbs") == (0, 0)


def test_the_newest_verdict_of_a_detector_counts(project: Project) -> None:
    interaction(project)
    record_score(project, {"interaction_id": "i0", "name": "refusal", "flagged": True, "version": "1"})
    measure()
    assert coarse("refusal") == coarse("refusal", "model", "m1") == coarse("flags", "score", "refusal") == (1, 1)
    record_score(project, {"interaction_id": "i0", "name": "refusal", "flagged": False, "version": "2"})
    record_score(project, {"interaction_id": "i0", "name": "toxicity", "flagged": True})
    record_score(project, {"interaction_id": "i0", "name": "length", "value": 3})
    measure()
    assert coarse("refusal") == coarse("refusal", "model", "m1") == (1, 0)
    assert coarse("flags", "score", "toxicity") == (1, 1)
    assert coarse("flags", "score", "length") == (0, 0)


def test_a_label_counts_when_it_is_settled(project: Project) -> None:
    label = Label.objects.create(
        project=project, interaction=interaction(project), verdict="fail", settled_by="single", rubric_version=1
    )
    inbox.announce(Inbox.Kind.LABEL, project.pk, [label.pk])
    measure()
    assert coarse("labels") == coarse("labels", "feature", "faq") == (1, 1)


@pytest.mark.parametrize(
    ("before_arrival", "counts_at_arrival"),
    [(timedelta(minutes=-3), True), (timedelta(days=400), True), (timedelta(days=89), False), (timedelta(0), False)],
)
def test_an_impossible_time_counts_as_the_time_of_arrival(before_arrival: timedelta, counts_at_arrival: bool) -> None:
    assert (buckets.counted_at(T0 - before_arrival, T0) == T0) is (counts_at_arrival or not before_arrival)


def test_history_goes_into_hours_only(project: Project) -> None:
    item = {"id": "old", "input": "x", "output": "y", "created_at": (T0 - timedelta(days=30)).isoformat()}
    record_interaction(project, item, received_at=T0)
    measure()
    assert set(MetricBucket.objects.values_list("width", flat=True)) == {3600}
    assert set(MetricBucket.objects.values_list("start", flat=True)) == {T0 - timedelta(days=30)}


def test_a_batch_that_fails_leaves_neither_buckets_nor_gaps(project: Project) -> None:
    interaction(project)

    def fail_after(rows: list[Inbox]) -> None:
        buckets.measure(rows)
        raise RuntimeError("the worker dies")

    inbox.consume(Inbox.Stage.MEASURE, fail_after)
    assert stored() == {}
    measure()
    assert coarse("requests") == (1, 0)


def test_the_number_of_statements_does_not_grow_with_the_batch(project: Project) -> None:
    counts = []
    for start, size in ((0, 5), (100, 40)):
        for number in range(start, start + size):
            interaction(project, number, T0 + timedelta(minutes=7 * number))
            vote(project, number, "down" if number % 2 else "up")
            record_score(project, {"interaction_id": f"i{number}", "name": "refusal", "flagged": number % 3 == 0})
        with CaptureQueriesContext(
            connection,
        ) as queries:
            inbox.consume(Inbox.Stage.MEASURE, buckets.measure)
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 15


def scenario(project: Project, dice: random.Random) -> None:
    """Forty interactions of three hours with votes that change, verdicts that change, and one client in the future."""
    for number in range(40):
        at = T0 + timedelta(seconds=dice.randrange(3 * 3600))
        model, release = dice.choice(["m1", "m2"]), dice.choice(["r1", "r2", None])
        error = {"status": "error", "error": {"type": "x"}, "output": None} if dice.random() < 0.2 else {}
        latency = dice.choice([None, 0, dice.lognormvariate(7, 1)])
        if dice.random() < 0.3:
            vote(project, number, "down", at)
        interaction(project, number, at, model=model, release=release, latency_ms=latency, **error)
        for _ in range(dice.randrange(4)):
            value = dice.choice(["up", "down", None, 0])
            vote(project, number, value, at + timedelta(minutes=dice.randrange(90)), user=dice.choice("ab"))
            flagged = dice.random() < 0.5
            record_score(project, {"interaction_id": f"i{number}", "name": "refusal", "flagged": flagged})


@pytest.mark.parametrize("seed", range(6))
def test_any_split_and_order_of_batches_gives_the_same_buckets(project: Project, seed: int) -> None:
    dice = random.Random(seed)
    scenario(project, dice)
    waiting = list(Inbox.objects.filter(stage=Inbox.Stage.MEASURE).values_list("pk", flat=True))
    with transaction.atomic():
        measure()
        expected = stored()
        assert expected
        transaction.set_rollback(True)
    dice.shuffle(waiting)
    while waiting:
        size = dice.choice([1, 2, 7, 30])
        batch, waiting = waiting[:size], waiting[size:]
        with transaction.atomic():
            rows = list(Inbox.objects.filter(pk__in=batch))
            Inbox.objects.filter(pk__in=batch).delete()
            buckets.measure(rows)
    assert stored() == expected


def test_the_buckets_agree_with_the_facts(project: Project) -> None:
    scenario(project, random.Random(99))
    measure(batch=13)
    counting = Feedback.objects.filter(kind="thumbs", superseded_at=None, number__in=[-1, 1])
    assert coarse("thumbs") == (counting.count(), counting.filter(number=-1).count())
    assert coarse("requests") == (40, Interaction.objects.filter(status="error").count())
    newest = {score.interaction_id: score.flagged for score in Score.objects.filter(name="refusal").order_by("pk")}
    assert coarse("refusal") == (len(newest), sum(bool(flagged) for flagged in newest.values()))
