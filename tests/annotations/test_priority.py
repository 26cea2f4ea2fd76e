"""The score adds up in words; the virtual deadline orders and starves nobody."""

from __future__ import annotations

import heapq
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotations import priority
from annotations.priority import WEIGHTS, Reason

START = datetime(2026, 11, 1, tzinfo=UTC)


def reason(term: str, strength: float = 1.0, text: str = "x", kind: str = "k") -> Reason:
    return Reason(kind, term, strength, "dot", text)


REASONS = st.lists(
    st.builds(
        reason,
        st.sampled_from([*WEIGHTS, ""]),
        st.floats(0, 1),
        st.text(max_size=3),
        st.sampled_from(["a", "b"]),
    ),
    max_size=8,
)


@pytest.mark.parametrize(
    ("reasons", "points"),
    [
        ([], 0),
        ([reason("")], 0),
        ([reason("negative")], 25),
        ([reason("negative", 0.5)], 12.5),
        ([reason("negative", 0.0)], 0),
        ([reason("severity")], 20),
        ([reason("disagreement", 0.8)], 12),
        ([reason("machine")], 15),
        ([reason("negative"), reason("negative", 0.5, "another")], 25),  # a term counts once, with its strongest
        ([reason("impact"), reason("novelty"), reason("spike")], 25),
        ([reason(term) for term in WEIGHTS], 100),
    ],
)
def test_the_score_is_the_sum_of_its_terms(reasons: list[Reason], points: float) -> None:
    assert priority.score(reasons) == points


def test_the_weights_make_a_hundred() -> None:
    assert WEIGHTS == {
        "negative": 25, "severity": 20, "disagreement": 15, "machine": 15, "impact": 12, "novelty": 8, "spike": 5,
    }  # fmt: skip
    assert sum(WEIGHTS.values()) == 100


def test_a_queue_weighs_terms_as_it_likes_and_keeps_the_other_weights() -> None:
    told = [reason("negative"), reason("machine")]
    assert priority.score(told, {"negative": 5, "severity": 40}) == 20


@pytest.mark.parametrize(
    ("rules", "points", "words"),
    [
        ({"forced_by": "Legal first"}, 100, "100 points: x 25, Legal first 75"),
        ({"cap": 10.0, "capped_by": "Known"}, 10, "10 points: x 25, Known −15"),
        ({"cap": 30.0, "capped_by": "Known"}, 25, "25 points: x 25"),
        ({"forced_by": "Legal first", "cap": 10.0, "capped_by": "Known"}, 100, "100 points: x 25, Legal first 75"),
    ],
)
def test_what_a_rule_forces_or_limits_is_explained_like_any_other_term(
    rules: dict[str, Any], points: float, words: str
) -> None:
    terms = priority.terms([reason("negative")], **rules)
    assert (priority.total(terms), priority.explained(terms)) == (points, words)


@given(REASONS)
def test_every_score_can_be_explained_by_its_terms(reasons: list[Reason]) -> None:
    terms = priority.terms(reasons)
    assert 0 <= priority.score(reasons) <= 100
    assert priority.score(reasons) == pytest.approx(min(100, sum(term["points"] for term in terms)))
    assert {term["term"] for term in terms} <= {one.term for one in reasons if one.strength > 0}


@given(REASONS, REASONS)
def test_more_reasons_never_make_a_task_less_urgent(some: list[Reason], more: list[Reason]) -> None:
    assert priority.score([*some, *more]) >= priority.score(some)


@given(REASONS, st.randoms())
def test_the_order_of_signals_changes_nothing(reasons: list[Reason], dice: random.Random) -> None:
    shuffled = [*reasons]
    dice.shuffle(shuffled)
    assert priority.ordered(shuffled) == priority.ordered(reasons)
    assert priority.terms(shuffled) == priority.terms(reasons)


def test_the_explanation_reads_as_a_sentence() -> None:
    terms = priority.terms([reason("negative", text="Thumbs-down"), reason("machine", text="Judge faithfulness 0.31")])
    assert priority.explained(terms) == "40 points: Thumbs-down 25, Judge faithfulness 0.31 15"
    assert priority.explained([]) == "0 points"


@pytest.mark.parametrize(("points", "hours"), [(0, 168), (100, 1), (50, 84.5), (25, 126.25)])
def test_the_time_limit_shrinks_in_a_straight_line(points: float, hours: float) -> None:
    limit = priority.time_limit(points, sla_min_hours=1, sla_max_hours=168)
    assert limit == timedelta(hours=hours)


def serve(arrivals: list[tuple[float, float]], *, least: float, most: float, every: float) -> list[tuple[float, int]]:
    """Serves one task each ``every`` hours, the smallest deadline first; returns (hour served, number)."""
    waiting: list[tuple[datetime, int]] = []
    served, hour, coming = [], 0.0, 0
    while coming < len(arrivals) or waiting:
        while coming < len(arrivals) and arrivals[coming][0] <= hour:
            at, points = arrivals[coming]
            limit = priority.time_limit(points, sla_min_hours=least, sla_max_hours=most)
            heapq.heappush(waiting, (START + timedelta(hours=at) + limit, coming))
            coming += 1
        if waiting:
            served.append((hour, heapq.heappop(waiting)[1]))
        hour += every
    return served


@given(st.lists(st.tuples(st.floats(0, 40), st.floats(0, 100)), min_size=1, max_size=60), st.floats(0.1, 3))
def test_nothing_starves(arrivals: list[tuple[float, float]], every: float) -> None:
    """A task is overtaken only by tasks that arrive within ``most − least`` hours after it, under any load."""
    least, most = 1.0, 24.0
    arrivals.sort()
    order = [number for _, number in serve(arrivals, least=least, most=most, every=every)]
    place = {number: index for index, number in enumerate(order)}
    assert len(order) == len(arrivals)
    for early in range(len(arrivals)):
        for late in range(early + 1, len(arrivals)):
            if arrivals[late][0] - arrivals[early][0] > most - least + 1e-6:
                assert place[early] < place[late]


@given(
    st.lists(st.tuples(st.floats(0, 400), st.floats(0, 100)), min_size=2, max_size=30),
    st.floats(400, 800),
    st.floats(0.1, 24),
    st.floats(1, 168),
)
def test_the_order_is_that_of_priorities_that_grow_while_they_wait(
    arrivals: list[tuple[float, float]], now: float, least: float, more: float
) -> None:
    """Of an accumulating priority queue: score + 100 · hours waited / (most − least), at any moment."""
    most = least + more

    def due(one: tuple[float, float]) -> float:
        limit = priority.time_limit(one[1], sla_min_hours=least, sla_max_hours=most)
        return one[0] + limit.total_seconds() / 3600

    def grown(one: tuple[float, float]) -> float:
        return one[1] + 100 * (now - one[0]) / (most - least)

    for some in arrivals:
        for other in arrivals:
            if due(some) < due(other) - 1e-6:
                assert grown(some) > grown(other) - 1e-6


@given(st.floats(0, 1, exclude_max=True))
def test_the_turn_of_a_sampled_task_lies_within_the_time_limits(number: float) -> None:
    turn = priority.turn(number, sla_min_hours=1, sla_max_hours=168)
    assert timedelta(hours=1) <= turn <= timedelta(hours=168)
