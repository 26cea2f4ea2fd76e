"""Quantiles from a sketch against the exact ones."""

from __future__ import annotations

import json
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.sketch import ACCURACY, MAX, Sketch

LATENCIES = st.lists(st.floats(min_value=0.001, max_value=1e9), min_size=1, max_size=200)


def exact(values: list[float], q: float) -> float:
    return sorted(values)[math.floor(q * (len(values) - 1))]


@pytest.mark.parametrize("q", [0.0, 0.01, 0.5, 0.9, 0.95, 0.99, 1.0])
@pytest.mark.parametrize("shape", ["lognormal", "uniform", "two peaks", "pareto"])
def test_quantiles_are_within_one_percent_of_the_exact_ones(shape: str, q: float) -> None:
    dice = random.Random(7)
    draw = {
        "lognormal": lambda: dice.lognormvariate(7, 1),
        "uniform": lambda: dice.uniform(1, 60_000),
        "two peaks": lambda: dice.gauss(800, 30) if dice.random() < 0.7 else dice.gauss(12_400, 500),
        "pareto": lambda: 100 * dice.paretovariate(1.1),
    }[shape]
    values = [draw() for _ in range(5_000)]
    assert Sketch.of(values).quantile(q) == pytest.approx(exact(values, q), rel=ACCURACY * 1.0001)


@given(LATENCIES, st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_the_error_bound_holds_for_any_values(values: list[float], q: float) -> None:
    assert Sketch.of(values).quantile(q) == pytest.approx(exact(values, q), rel=ACCURACY * 1.0001)


@given(LATENCIES, st.integers(1, 9), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_merging_in_any_split_and_order_gives_the_same_sketch(
    values: list[float], pieces: int, dice: random.Random
) -> None:
    whole = Sketch.of(values)
    dice.shuffle(values)
    parts = [Sketch.of(values[start::pieces]) for start in range(pieces)]
    dice.shuffle(parts)
    merged = Sketch()
    for part in parts:
        merged = merged.merge(part)
    assert merged == whole


def test_a_sketch_survives_json() -> None:
    sketch = Sketch.of([0, 0, 0.5, 1, 800, 812, 9e8])
    assert Sketch.from_json(json.loads(json.dumps(sketch.to_json()))) == sketch
    assert Sketch.from_json(None) == Sketch()


def test_zero_is_zero_and_huge_values_stay_bounded() -> None:
    sketch = Sketch.of([0, 0, 0, 1e300])
    assert sketch.quantile(0.5) == 0
    assert sketch.quantile(1) == pytest.approx(MAX, rel=ACCURACY)


def test_of_nothing_no_quantile_is_known() -> None:
    assert Sketch().quantile(0.5) is None
    assert Sketch().interval(0.5) == (None, None)


@pytest.mark.parametrize("wrong", [-1.0, float("nan")])
def test_what_is_no_length_of_time_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError):
        Sketch().add(wrong)


def test_the_interval_encloses_the_true_quantile_about_nineteen_times_in_twenty() -> None:
    dice = random.Random(11)
    truth = math.exp(7)  # the median of this lognormal
    inside = 0
    for _ in range(400):
        low, high = Sketch.of(dice.lognormvariate(7, 1) for _ in range(100)).interval(0.5)
        inside += low is not None and high is not None and low * 0.99 <= truth <= high * 1.01
    assert inside / 400 >= 0.93


def test_twenty_values_do_not_bound_the_95th_percentile_from_above() -> None:
    low, high = Sketch.of(range(1, 21)).interval(0.95)
    assert low == pytest.approx(18, rel=ACCURACY)
    assert high is None
