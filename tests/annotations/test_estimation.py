"""The estimator of published rates: exactly on small populations, by simulation on large ones."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, product
from math import inf, prod
from random import Random
from statistics import fmean, stdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotations.estimation import Estimate, Unit, Z, mean, rate, total, wilson
from tests.annotations.populations import POPULATIONS, Population, groups

DRAWS = 2000
# Eight units with their outcome, probability and stratum; one is always taken.
TINY = [
    (1.0, 0.5, "a"), (0.0, 0.2, "a"), (1.0, 0.9, "a"), (0.0, 0.6, "a"),
    (1.0, 1.0, "b"), (0.0, 0.3, "b"), (1.0, 0.4, "b"), (0.0, 0.7, "b"),
]  # fmt: skip


def every_sample(population: list[tuple[float, float, str]]) -> list[tuple[float, list[Unit]]]:
    """All 2^N samples, each with its probability under Poisson sampling."""
    samples = []
    for taken in product([True, False], repeat=len(population)):
        chance = prod(p if one else 1 - p for (_, p, _), one in zip(population, taken, strict=True))
        if chance:
            samples.append((chance, [Unit(*unit) for unit, one in zip(population, taken, strict=True) if one]))
    return samples


def ends(estimate: Estimate) -> tuple[float, float]:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low, estimate.high


# Totals


@pytest.mark.parametrize("outcomes", [[y for y, _, _ in TINY], [3.5, -1.0, 0.25, 8.0, 2.0, 0.0, -4.0, 1.5]])
def test_over_all_samples_the_total_and_its_variance_are_right_on_average(outcomes: list[float]) -> None:
    population = [(y, p, stratum) for y, (_, p, stratum) in zip(outcomes, TINY, strict=True)]
    samples = [(chance, total(sample)) for chance, sample in every_sample(population)]
    truth = sum(outcomes)
    assert sum(chance for chance, _ in samples) == pytest.approx(1)
    assert sum(chance * (found.value or 0) for chance, found in samples) == pytest.approx(truth)
    variance = sum(chance * ((found.value or 0) - truth) ** 2 for chance, found in samples)
    assert sum(chance * found.variance for chance, found in samples) == pytest.approx(variance)


def test_a_total_by_hand() -> None:
    found = total([Unit(1, 0.5), Unit(3, 0.25), Unit(10, 1.0)])
    assert found.value == 1 / 0.5 + 3 / 0.25 + 10
    assert found.variance == 1 * 0.5 / 0.25 + 9 * 0.75 / 0.0625  # Σ y² (1 − p)/p²; what is certain adds nothing
    assert ends(found) == pytest.approx((24 - Z * 110**0.5, 24 + Z * 110**0.5))


def test_a_total_needs_every_value() -> None:
    with pytest.raises(ValueError, match="every unit"):
        total([Unit(1, 0.5), Unit(None, 0.5)])


# Rates and means by hand and against other programs


def test_the_linearised_variance_is_that_of_the_textbook_however_the_sample_falls_into_cells() -> None:
    """Σ (1 − p) (y − mean)² / p² / (Σ 1/p)²: Särndal, Swensson and Wretman 1992, section 5.7."""
    for chance, sample in every_sample(TINY):
        if not sample:
            continue
        size = sum(1 / unit.p for unit in sample)
        share = sum((unit.value or 0) / unit.p for unit in sample) / size
        variance = sum((1 - unit.p) / unit.p**2 * ((unit.value or 0) - share) ** 2 for unit in sample) / size**2
        found = rate(sample)
        assert (found.value, found.variance) == pytest.approx((share, variance)), (chance, sample)


def test_over_all_samples_the_errors_of_the_share_and_its_variance_shrink_with_the_sample() -> None:
    """A ratio is only nearly unbiased, and so is its linearised variance (Särndal, Swensson and Wretman 1992, 5.6)."""
    errors = []
    for times in (1, 2, 3):
        population = [(1.0, 0.9, ""), (0.0, 0.5, ""), (0.0, 0.8, ""), (1.0, 0.7, "")] * times
        known = [(chance, rate(sample)) for chance, sample in every_sample(population) if sample]
        average = sum(chance * (found.value or 0) for chance, found in known)
        variance = sum(chance * ((found.value or 0) - average) ** 2 for chance, found in known)
        claimed = sum(chance * found.variance for chance, found in known)
        errors.append((abs(average - 0.5), abs(claimed / variance - 1)))
    for one, next_one in pairwise(errors):
        assert all(after < 0.8 * before for before, after in zip(one, next_one, strict=True)), errors
    assert errors[-1] == (pytest.approx(0, abs=0.01), pytest.approx(0, abs=0.25))


@pytest.mark.parametrize(
    ("outcomes", "share", "variance"),
    [
        # samplics 0.6.1, TaylorEstimator(PopParam.mean) with these weights
        ([1, 0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 1], 0.4, 0.029939393939),
        ([3.2, 1.1, 4.5, 2.2, 7.9, 6.1, 0.4, 9.0, 3.3, 2.8, 5.5, 1.7], 3.593333333, 0.543107474747),
    ],
)
def test_means_agree_with_a_survey_package(outcomes: list[float], share: float, variance: float) -> None:
    weights = [10, 10, 10, 5, 5, 5, 5, 2, 2, 2, 2, 2]
    # The package samples with replacement: probabilities near 0, and n/(n − 1).
    units = [Unit(y, 1e-7 / w) for y, w in zip(outcomes, weights, strict=True)]
    found = mean(units)
    assert (found.value, found.variance * 12 / 11) == (pytest.approx(share), pytest.approx(variance, rel=1e-5))
    low, high = ends(found)
    assert high - low == pytest.approx(2 * Z * variance**0.5, rel=1e-5)


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        # R. G. Newcombe, "Two-sided confidence intervals for the single proportion", Stat. Med. 17 (1998), table I
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0),
    ],
)
def test_a_plain_random_sample_of_many_has_the_wilson_interval_of_the_literature(
    hits: int, n: int, low: float, high: float
) -> None:
    assert wilson(hits, n) == pytest.approx((low, high), abs=5e-5)
    found = rate([Unit(1, 1e-9, count=hits), Unit(0, 1e-9, count=n - hits)])
    assert ends(found) == pytest.approx((low, high), abs=5e-5)
    assert (found.value, found.n, found.effective) == (pytest.approx(hits / n), n, pytest.approx(n))


def test_of_nothing_a_share_could_be_anything() -> None:
    assert wilson(0, 0) == (0, 1)


def test_a_sample_of_half_is_as_good_as_twice_as_many_of_infinitely_many() -> None:
    found = rate([Unit(1, 0.5, count=10), Unit(0, 0.5, count=40)])
    assert ends(found) == pytest.approx(wilson(20, 100))


def test_a_label_drawn_with_a_tenth_of_the_probability_weighs_ten_times_as_much() -> None:
    found = rate([Unit(1, 0.5, count=10), Unit(0, 0.05)])
    assert (found.value, found.n) == (pytest.approx(0.5), 11)
    assert found.effective == pytest.approx(40**2 / (10 * 2**2 + 20**2))


# What is certain, what is known, what is not


def test_of_what_was_looked_at_wholly_the_rate_is_exact() -> None:
    found = rate([Unit(1, 1, count=3), Unit(0, 1, count=9)])
    assert (found.value, ends(found), found.variance) == (0.25, (0.25, 0.25), 0)


def test_a_part_that_is_certain_only_narrows_the_interval() -> None:
    """Half of the population is known; the other half is as uncertain as by itself."""
    found = rate([Unit(1, 1, "risk", 400), Unit(0, 1, "risk", 600), Unit(0, 0.05, "rest", 50)],
                 sizes={"risk": 1000, "rest": 1000})  # fmt: skip
    _, worst = wilson(0, 50 / 0.95)
    assert found.value == pytest.approx(0.2)
    assert ends(found) == pytest.approx((0.2, 0.2 + worst / 2))


def test_known_sizes_take_the_place_of_estimated_ones() -> None:
    units = [Unit(1, 0.1, "a", 5), Unit(0, 0.1, "a", 5), Unit(1, 0.1, "b", 1), Unit(0, 0.1, "b", 9)]
    assert rate(units).value == pytest.approx(0.3)
    found = rate(units, sizes={"a": 50, "b": 950})
    assert found.value == pytest.approx(0.05 * 0.5 + 0.95 * 0.1)
    expected = 0.05**2 * 0.9 * 0.25 / 10 + 0.95**2 * 0.9 * 0.09 / 10  # Σ W² (1 − f) p (1 − p)/n: Cochran 1977, ch. 5
    assert found.variance == pytest.approx(expected)


def test_strata_that_are_not_in_the_population_are_left_out() -> None:
    units = [Unit(1, 0.1, "old", 40), Unit(0, 0.1, "new", 40)]
    found = rate(units, sizes={"new": 400, "old": 0})
    assert (found.value, found.n) == (0, 40)


def test_a_stratum_without_a_label_could_be_anything() -> None:
    units = [Unit(1, 0.1, "a", 50), Unit(0, 0.1, "a", 50)]
    alone = rate(units, sizes={"a": 1000})
    found = rate(units, sizes={"a": 1000, "b": 1000})
    assert found.value == pytest.approx(0.5)
    below, above = (0.5 - ends(alone)[0]) / 2, 0.5 / 2
    assert ends(found)[0] == pytest.approx(0.5 - (below**2 + above**2) ** 0.5)


def test_what_has_no_label_yet_is_taken_to_be_like_the_labelled_of_its_stratum() -> None:
    units = [
        Unit(1, 0.1, "complaint", 16), Unit(0, 0.1, "complaint", 4), Unit(None, 0.1, "complaint", 0),
        Unit(1, 0.1, "rest", 1), Unit(0, 0.1, "rest", 19), Unit(None, 0.1, "rest", 60),
    ]  # fmt: skip
    found = rate(units)
    assert found.value == pytest.approx(0.2 * 0.8 + 0.8 * 0.05)
    assert found.n == 40
    together = [Unit(unit.value, unit.p, count=unit.count) for unit in units]
    assert rate(together).value == pytest.approx(17 / 40), "without strata those labelled first speak for all"


def test_labels_that_are_missing_make_it_less_certain_even_of_what_is_always_taken() -> None:
    known = rate([Unit(1, 1, count=20), Unit(0, 1, count=20)])
    half = rate([Unit(1, 1, count=20), Unit(0, 1, count=20), Unit(None, 1, count=40)])
    assert ends(known) == (0.5, 0.5)
    assert ends(half) == pytest.approx(wilson(40, 80))  # 40 labels, of which 1 − ½ remains uncertain


@pytest.mark.parametrize("units", [[], [Unit(None, 0.5, count=7)], [Unit(1, 0.5, count=0)]])
def test_without_a_label_nothing_is_said(units: list[Unit]) -> None:
    for found in (rate(units), mean(units)):
        assert (found.value, found.low, found.high, found.n, found.enough) == (None, None, None, 0, False)


@pytest.mark.parametrize(("labels", "enough"), [(29, False), (30, True)])
def test_under_thirty_labels_are_too_few_to_tell(labels: int, enough: bool) -> None:
    assert rate([Unit(1, 0.02, count=labels), Unit(None, 0.02, count=100)]).enough is enough


def test_a_mean_is_not_told_from_a_single_value_of_a_stratum() -> None:
    units = [Unit(3, 0.1, "a", 2), Unit(7, 0.1, "b")]
    assert mean(units).value is None
    assert mean([*units, Unit(5, 0.1, "b")]).value == pytest.approx(4.5)
    assert mean([Unit(3, 0.1, "a", 2), Unit(7, 1.0, "b")]).value is not None, "one that stands only for itself is known"


@pytest.mark.parametrize("p", [0.0, -0.1, 1.0000001, inf, float("nan")])
def test_a_probability_is_above_nought_and_at_most_one(p: float) -> None:
    with pytest.raises(ValueError, match="inclusion probability"):
        Unit(1, p)


@pytest.mark.parametrize(("value", "count"), [(float("nan"), 1), (inf, 1), (1.0, -1)])
def test_a_unit_has_a_finite_value_and_a_count(value: float, count: int) -> None:
    with pytest.raises(ValueError, match="finite value"):
        Unit(value, 0.5, count=count)


def test_a_rate_is_of_outcomes_between_nought_and_one() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        rate([Unit(2, 0.5)])


# Properties

UNITS = st.lists(
    st.builds(
        Unit,
        value=st.sampled_from([0.0, 1.0, None]),
        p=st.one_of(st.just(1.0), st.floats(min_value=1e-4, max_value=1)),
        stratum=st.sampled_from("abc"),
        count=st.integers(0, 40),
    ),
    max_size=12,
)
SIZES = st.one_of(st.none(), st.dictionaries(st.sampled_from("abcd"), st.integers(0, 10**6)))


@settings(max_examples=300, deadline=None)
@given(UNITS, SIZES)
def test_an_interval_holds_its_estimate_and_stays_a_share(units: list[Unit], sizes: dict[str, int] | None) -> None:
    found = rate(units, sizes=sizes)
    if found.value is None:
        assert found.n == 0
        return
    low, high = ends(found)
    assert 0 <= low <= found.value + 1e-12
    assert found.value - 1e-12 <= high <= 1
    assert found.variance >= 0
    assert 0 < found.effective <= found.n * (1 + 1e-9)


@settings(max_examples=200, deadline=None)
@given(UNITS, SIZES)
def test_failures_and_passes_mirror_each_other(units: list[Unit], sizes: dict[str, int] | None) -> None:
    found = rate(units, sizes=sizes)
    mirrored = [
        Unit(None if unit.value is None else 1 - unit.value, unit.p, unit.stratum, unit.count) for unit in units
    ]
    other = rate(mirrored, sizes=sizes)
    if found.value is None or other.value is None:
        assert found.value is other.value
        return
    assert (other.value, *ends(other)) == pytest.approx(
        (1 - found.value, 1 - ends(found)[1], 1 - ends(found)[0]), abs=1e-9
    )


@settings(max_examples=200, deadline=None)
@given(UNITS)
def test_units_one_by_one_or_counted_together_tell_the_same(units: list[Unit]) -> None:
    single = [Unit(unit.value, unit.p, unit.stratum) for unit in units for _ in range(unit.count)]
    one, other = rate(single), rate(units)
    assert one.n == other.n
    if one.value is not None and other.value is not None:
        assert (one.value, *ends(one)) == pytest.approx((other.value, *ends(other)), abs=1e-9)


# Simulation


@dataclass(frozen=True)
class Simulated:
    """2,000 samples: the share of intervals that hold the truth, the mean estimate, by how many of its standard errors
    that is off, and the mean of the plain share of all labels."""

    coverage: float
    estimate: float
    off: float
    plain: float


def simulate(population: Population) -> Simulated:
    dice, covered, plain, estimates = Random(7), 0, 0.0, []
    for _ in range(DRAWS):
        sample = population.draw(dice)
        labels = [unit for unit in sample if unit.value is not None]
        plain += sum(unit.count * (unit.value or 0) for unit in labels) / sum(unit.count for unit in labels)
        found = rate(sample)
        estimates.append(found.value or 0)
        low, high = ends(found)
        covered += low - 1e-12 <= population.truth <= high + 1e-12
    average = fmean(estimates)
    off = (average - population.truth) / (stdev(estimates) / DRAWS**0.5)
    return Simulated(covered / DRAWS, average, off, plain / DRAWS)


@pytest.mark.parametrize("name", [name for name in POPULATIONS if "uncertainty" not in name])
def test_ninety_five_of_a_hundred_intervals_hold_the_truth(name: str) -> None:
    found = simulate(POPULATIONS[name])
    assert 0.93 <= found.coverage <= 0.97
    assert abs(found.off) < 4


def test_intervals_of_samples_drawn_by_uncertainty_err_on_the_wide_side() -> None:
    found = simulate(POPULATIONS["by uncertainty, 2 to 30 %"])
    assert 0.94 <= found.coverage <= 0.985
    assert abs(found.off) < 4
    assert found.plain > 1.5 * found.estimate


@pytest.mark.parametrize("p", [0.02, 0.05, 0.1])
def test_a_queue_of_complaints_spoils_the_plain_share_and_not_the_estimate(p: float) -> None:
    """Complaints fail ten times as often and all of them are reviewed; of the others a small share at random."""
    population = groups(risk=(round(4000 * p), 0.4, 1), rest=(4000, 0.04, p))
    found = simulate(population)
    assert found.plain > 2 * population.truth
    assert abs(found.off) < 4
    assert 0.93 <= found.coverage <= 0.97


def test_labelling_complaints_first_does_not_spoil_the_estimate() -> None:
    """All were drawn with one probability, but reviewers see the complaints among them sooner."""
    population = POPULATIONS["5 % of 10,000; complaints labelled, others by a fifth"]
    found = simulate(population)
    assert found.plain > 1.8 * population.truth
    assert found.estimate == pytest.approx(population.truth, rel=0.02)
    assert 0.93 <= found.coverage <= 0.97
