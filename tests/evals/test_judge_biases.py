"""Biases of judges: told where they are, and not where there are none."""

from __future__ import annotations

import random

import pytest

from evals import judge_biases
from tests.evals.test_calibration import pair


def test_ranks_share_their_mean_and_the_correlation_is_spearmans() -> None:
    """By hand: ranks 1, 2.5, 2.5, 4 with 1, 2, 3, 4; ρ = 4.5 / √(4.5 · 5)."""
    assert judge_biases._ranks([1, 5, 5, 9]) == [1.0, 2.5, 2.5, 4.0]
    ranks = judge_biases._ranks([1, 5, 5, 9]), judge_biases._ranks([10, 20, 30, 40])
    assert judge_biases._correlation(*ranks) == pytest.approx(4.5 / (4.5 * 5) ** 0.5)


def test_zous_example() -> None:
    """Overlapping correlations of the paper's example: r12 0.396, r13 0.179, r23 0.088, n 66: −0.093 to 0.517."""
    # The paper works on Pearson's, whose variance lacks the 1.06 of ranks: as if there were a few more.
    found = judge_biases._difference(0.396, 0.179, 0.088, round(3 + 63 * 1.06))
    assert (found.value, found.low, found.high) == pytest.approx((0.217, -0.093, 0.517), abs=3e-3)


def test_a_judge_that_rewards_length_is_told_from_one_that_people_share_the_taste_of() -> None:
    chance = random.Random(11)
    fond, shared = [], []
    for number in range(300):
        length = chance.randrange(100, 3000)
        fails = chance.random() < 0.4
        fond.append(pair(length / 3000 * 0.8 + chance.random() * 0.2, fails, length=length, job=number))
        long_is_good = chance.random() > length / 3000
        shared.append(pair(0.2 if long_is_good else 0.9, long_is_good, length=length, job=number))
    found = judge_biases.length_bias(fond)
    assert found
    assert found.more.certain
    assert found.judge > 0.8
    alike = judge_biases.length_bias(shared)
    assert alike
    assert alike.judge == pytest.approx(alike.people)
    assert not alike.more.certain


def test_a_fair_judge_is_rarely_accused() -> None:
    chance = random.Random(3)
    accused = 0
    for _ in range(400):
        found = []
        for _ in range(80):
            fails = chance.random() < 0.4
            wrong = chance.random() < 0.15
            score = chance.uniform(0, 0.5) if fails != wrong else chance.uniform(0.5, 1)
            found.append(pair(score, fails, length=chance.randrange(100, 3000)))
        bias = judge_biases.length_bias(found)
        assert bias
        accused += bias.more.certain
    assert 0.01 <= accused / 400 <= 0.09  # 5 % are meant to be


def test_too_few_or_nothing_to_compare_says_nothing() -> None:
    assert judge_biases.length_bias([pair(0.1, True)] * 29) is None
    assert judge_biases.length_bias([pair(0.1, True, length=n) for n in range(40)]) is None
