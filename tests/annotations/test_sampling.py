"""Drawing: how likely each method takes an item, and that the draws are as likely as they say."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotations import sampling
from annotations.estimation import Unit, rate

NEEDS = st.floats(min_value=0, max_value=1)


def test_the_permanent_random_number_is_the_one_that_is_documented() -> None:
    digest = hashlib.sha256(b"weekly-audit\x00req-8f2").hexdigest()
    assert sampling.number("weekly-audit", "req-8f2") == int(digest[:16], 16) / 2**64


@given(st.text(), st.text())
def test_nothing_is_drawn_with_probability_nought_and_everything_with_one(seed: str, item: str) -> None:
    assert not sampling.drawn(seed, item, 0)
    assert sampling.drawn(seed, item, 1)


@given(st.text(), st.text(), NEEDS, NEEDS)
def test_a_larger_probability_draws_all_that_a_smaller_one_draws(
    seed: str, item: str, one: float, other: float
) -> None:
    if sampling.drawn(seed, item, min(one, other)):
        assert sampling.drawn(seed, item, max(one, other))


def test_rules_with_seeds_of_their_own_draw_independently_with_the_combined_probability() -> None:
    items = [f"item-{number}" for number in range(20_000)]
    first = {item for item in items if sampling.drawn("a", item, 0.1)}
    second = {item for item in items if sampling.drawn("b", item, 0.2)}
    assert len(first & second) / 20_000 == pytest.approx(0.1 * 0.2, abs=4 * (0.02 * 0.98 / 20_000) ** 0.5)
    either = sampling.inclusion_probability([0.1, 0.2])
    assert either == pytest.approx(0.28)
    assert len(first | second) / 20_000 == pytest.approx(either, abs=4 * (0.28 * 0.72 / 20_000) ** 0.5)


def test_an_item_that_some_rule_always_takes_is_certain() -> None:
    assert sampling.inclusion_probability([0.1, 1.0, 0.3]) == 1.0


# From need to probability


def test_a_probability_lies_between_a_tenth_of_the_rate_and_the_rate() -> None:
    assert sampling.probability(0, most=0.5) == pytest.approx(0.05)
    assert sampling.probability(1, most=0.5) == pytest.approx(0.5)
    assert sampling.probability(0.5, most=0.3, least=0.1) == pytest.approx(0.2)


@given(NEEDS, st.floats(min_value=0.001, max_value=1))
def test_every_probability_is_one_that_the_estimator_takes(need: float, most: float) -> None:
    p = sampling.probability(need, most=most)
    assert Unit(1, p).p == p
    assert most / p <= 10 + 1e-9


@pytest.mark.parametrize(
    ("need", "most", "least"),
    [(0.5, 1.1, None), (0.5, 0.0, None), (0.5, 0.2, 0.3), (0.5, 0.2, 0.0), (-0.1, 0.2, None), (1.1, 0.2, None)],
)
def test_probabilities_outside_their_range_are_refused(need: float, most: float, least: float | None) -> None:
    with pytest.raises(ValueError, match="must be"):
        sampling.probability(need, most=most, least=least)


@pytest.mark.parametrize(("score", "need"), [(0, 0), (0.25, 0.5), (0.5, 1), (0.9, 0.2), (1, 0)])
def test_a_score_is_the_more_uncertain_the_nearer_to_one_half(score: float, need: float) -> None:
    assert sampling.uncertainty(score) == pytest.approx(need)


@pytest.mark.parametrize(
    ("scores", "need"), [([], 0), ([0.7], 0), ([0.2, 0.2], 0), ([0, 1], 1), ([0.4, 0.9, 0.6], 0.5)]
)
def test_verdicts_disagree_by_their_distance(scores: list[float], need: float) -> None:
    assert sampling.disagreement(scores) == pytest.approx(need)


def test_the_first_of_a_kind_is_new_and_a_flood_of_one_complaint_takes_few_reviews() -> None:
    assert [sampling.novelty(reviewed) for reviewed in (0, 1, 9)] == [1, 0.5, 0.1]
    reviewed = 0
    for number in range(10_000):
        reviewed += sampling.drawn("novelty", f"item-{number}", sampling.novelty(reviewed))
    assert 100 < reviewed < 200, "about √(2 · 10,000)"


# Quotas


def test_a_small_group_gets_its_floor_and_the_rest_is_shared_by_size() -> None:
    rates = sampling.stratum_rates({"en": 9_000, "de": 900, "sw": 40}, labels=300, floor=30)
    draws = {"en": rates["en"] * 9_000, "de": rates["de"] * 900, "sw": rates["sw"] * 40}
    assert sum(draws.values()) == pytest.approx(300)
    assert draws["sw"] == pytest.approx(30 + 210 * 10 / 9_850)  # 40 − 30 of the 9,850 left, 300 − 90 labels left
    assert draws["de"] == pytest.approx(30 + 210 * 870 / 9_850)


def test_a_group_smaller_than_its_floor_is_taken_whole() -> None:
    assert sampling.stratum_rates({"large": 1_000, "tiny": 5}, labels=100, floor=20)["tiny"] == 1


def test_floors_that_cannot_all_be_paid_are_cut_alike() -> None:
    rates = sampling.stratum_rates(dict.fromkeys("abcd", 1000), labels=40, floor=30)
    assert rates == {name: pytest.approx(0.01) for name in "abcd"}


def test_groups_without_items_get_no_rate_and_little_traffic_is_taken_whole() -> None:
    assert sampling.stratum_rates({"a": 10, "b": 0}, labels=50, floor=5) == {"a": 1}
    assert sampling.stratum_rates({}, labels=50, floor=5) == {}


@pytest.mark.parametrize(("labels", "floor"), [(0, 5), (-1, 5), (10, -1)])
def test_quotas_that_mean_nothing_are_refused(labels: float, floor: float) -> None:
    with pytest.raises(ValueError, match="floor"):
        sampling.stratum_rates({"a": 10}, labels=labels, floor=floor)


@given(
    st.dictionaries(st.text(max_size=3), st.integers(0, 10**7), max_size=20),
    st.floats(min_value=0.5, max_value=10**5),
    st.floats(min_value=0, max_value=500),
)
def test_rates_keep_the_budget_and_no_group_starves(volumes: dict[str, int], labels: float, floor: float) -> None:
    rates = sampling.stratum_rates(volumes, labels=labels, floor=floor)
    assert rates.keys() == {name for name, volume in volumes.items() if volume}
    if not rates:
        return
    assert all(0 < one <= 1 for one in rates.values())
    draws = {name: one * volumes[name] for name, one in rates.items()}
    assert sum(draws.values()) == pytest.approx(min(labels, sum(volumes.values())))
    owed = {name: min(floor, volumes[name]) for name in rates}
    paid = min(1.0, labels / sum(owed.values())) if floor else 1.0
    assert all(draws[name] >= owed[name] * paid * (1 - 1e-9) for name in rates)


def test_what_quotas_draw_gives_back_the_rate_of_all() -> None:
    """The small group is drawn forty times as likely as the large one; its weight takes that back."""
    volumes, failing = {"large": 20_000, "small": 400}, {"large": 50, "small": 2}  # one in so many fails
    rates = sampling.stratum_rates(volumes, labels=600, floor=200)
    units = [
        Unit(float(number % failing[group] == 0), rates[group], group)
        for group, volume in volumes.items()
        for number in range(volume)
        if sampling.drawn("quota", f"{group}-{number}", rates[group])
    ]
    found = rate(units)
    plain = sum(unit.value or 0 for unit in units) / len(units)
    truth = (20_000 / 50 + 400 / 2) / 20_400
    assert found.low is not None
    assert found.high is not None
    assert found.low < truth < found.high < plain
