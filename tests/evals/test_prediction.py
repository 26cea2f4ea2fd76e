"""Prediction-powered rates: equal to the published formula, fair over many samples, never worse than labels alone."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import pytest

from annotations.estimation import Unit
from evals.prediction import Scored, Sharpened, sharpen
from tests import realdata


def plain(values: list[tuple[float, float]], population: list[float], p: float) -> Sharpened:
    """Labelled (outcome, score) pairs drawn with p, and the scores of everything, labelled ones first."""
    return sharpen(
        [Scored(Unit(y, p), f) for y, f in values], mean_score=sum(population) / len(population), judged=len(population)
    )  # fmt: skip


def test_value_and_weight_are_those_of_the_paper() -> None:
    """λ = Cov(Y, f) / ((1 + n/N) Var f) and θ = mean(Y) + λ (mean of N unlabelled f − mean of n labelled f)."""
    chance = random.Random(3)
    outcomes = [float(chance.random() < 0.8) for _ in range(60)]
    labelled = [(y, 0.6 * y + 0.4 * chance.random()) for y in outcomes]
    unlabelled = [chance.random() for _ in range(540)]
    n, big = len(labelled), len(unlabelled)
    y, f = sum(a for a, _ in labelled) / n, sum(b for _, b in labelled) / n
    covariance = sum((a - y) * (b - f) for a, b in labelled) / n
    weight = covariance / (sum((b - f) ** 2 for _, b in labelled) / n) / (1 + n / big)
    expected = y + weight * (sum(unlabelled) / big - f)
    found = plain(labelled, [b for _, b in labelled] + unlabelled, n / (n + big))
    assert found.weight != 0
    assert found.rate.value == pytest.approx(expected)


def test_a_perfect_judge_tells_everything_and_a_blind_one_nothing() -> None:
    chance = random.Random(1)
    truth = [float(chance.random() < 0.7) for _ in range(2000)]
    labelled = [(y, y) for y in truth[:100]]
    perfect = plain(labelled, truth, 0.05)
    assert perfect.rate.value == pytest.approx(sum(truth) / 2000)
    assert perfect.saved > 0.6
    assert perfect.rate.low is not None
    assert perfect.rate.low < sum(truth) / 2000  # a hundred labels cannot show that it is never wrong
    constant = plain([(y, 0.5) for y in truth[:100]], [0.5] * 2000, 0.05)
    assert constant.rate == constant.alone
    assert constant.weight == 0


def test_under_thirty_pairs_labels_speak_alone() -> None:
    few = plain([(float(n % 2), float(n % 2)) for n in range(29)], [0.5] * 100, 0.2)
    assert few.rate == few.alone
    assert not few.rate.enough
    rows = [Scored(Unit(float(n % 2), 0.2), float(n % 2) if n < 20 else None) for n in range(60)]
    assert sharpen(rows, mean_score=0.6, judged=100).weight == 0
    assert sharpen(rows, mean_score=None, judged=0).rate.enough


def test_what_was_all_looked_at_is_certain() -> None:
    rows = [Scored(Unit(float(n % 3 > 0), 1.0), n / 90) for n in range(90)]
    found = sharpen(rows, mean_score=0.5, judged=90)
    assert found.rate == found.alone
    assert found.rate.low == found.rate.high


@dataclass(frozen=True)
class World:
    """A population of answers: outcome, score (None where not judged), probability of being drawn, stratum."""

    passes: float
    skill: float
    judged: float
    uneven: bool

    def make(self, chance: random.Random) -> list[tuple[float, float | None, float, str]]:
        rows = []
        for _ in range(3000):
            hard = chance.random() < 0.3
            y = float(chance.random() < self.passes - (0.15 if hard else -0.06))
            noise = chance.random()
            f = self.skill * (0.85 * y + 0.15 * noise) + (1 - self.skill) * noise
            p = (0.12 if hard else 0.04) if self.uneven else 0.06
            rows.append((y, f if chance.random() < self.judged else None, p, "hard" if hard and self.uneven else "all"))
        return rows


def rarely_wrong(chance: random.Random) -> list[tuple[float, float | None, float, str]]:
    """A judge that misses one answer in a hundred, and says the rest without doubt."""
    rows = []
    for _ in range(3000):
        y = float(chance.random() < 0.8)
        rows.append((y, y if chance.random() > 0.01 else 1 - y, 0.04, "all"))
    return rows


WORLDS = {
    "good judge": World(0.85, 0.9, 1.0, False),
    "fair judge, uneven design": World(0.8, 0.5, 1.0, True),
    "half judged": World(0.75, 0.8, 0.5, True),
    "blind judge": World(0.8, 0.0, 1.0, False),
}


def simulate(
    make: Callable[[random.Random], list[tuple[float, float | None, float, str]]], rounds: int, seed: int
) -> tuple[float, float, float, float]:  # fmt: skip
    """Coverage, coverage of labels alone, mean ratio of widths, largest ratio."""
    chance = random.Random(seed)
    rows = make(chance)
    truth = sum(y for y, *_ in rows) / len(rows)
    scores = [f for _, f, _, _ in rows if f is not None]
    mean = sum(scores) / len(scores)
    hits, alone, ratios = 0, 0, []
    for _ in range(rounds):
        drawn = [Scored(Unit(y if chance.random() < 0.9 else None, p, stratum), f)
                 for y, f, p, stratum in rows if chance.random() < p]  # fmt: skip
        found = sharpen(drawn, mean_score=mean, judged=len(scores))
        low, high, old_low, old_high = found.rate.low, found.rate.high, found.alone.low, found.alone.high
        assert low is not None
        assert high is not None
        assert old_low is not None
        assert old_high is not None
        hits += low <= truth <= high
        alone += old_low <= truth <= old_high
        ratios.append((high - low) / (old_high - old_low))
    return hits / rounds, alone / rounds, sum(ratios) / rounds, max(ratios)


@pytest.mark.parametrize("name", WORLDS)
def test_intervals_cover_the_truth_and_are_never_wider_than_labels_alone(name: str) -> None:
    covered, _, ratio, widest = simulate(WORLDS[name].make, 1000, 20261121)
    assert 0.93 <= covered <= 0.97, covered
    assert widest <= 1.02
    assert ratio <= {"good judge": 0.75, "fair judge, uneven design": 0.95, "half judged": 0.95}.get(name, 1.0)


def test_a_judge_whose_faults_are_too_rare_to_be_seen_is_not_believed_blindly() -> None:
    covered, _, ratio, widest = simulate(rarely_wrong, 1000, 5)
    assert covered >= 0.93
    assert ratio < 0.7
    assert widest <= 1.02


@pytest.mark.data
def test_a_recorded_judge_sharpens_the_refusal_rate_of_real_answers() -> None:
    """XSTest dev: GPT-4's verdicts against the adjudicated labels, a third of them labelled, 200 draws."""
    pairs = []
    for record in realdata.records("xstest"):
        people = next(one["label"] for one in record["human_labels"] if one["annotator"] == "xstest-final")
        judge = next((one["label"] for one in record["judge_labels"] if "gpt-4" in one["judge"]), None)
        if judge is not None:
            pairs.append((float(people == "full_compliance"), float("refusal" not in str(judge))))
    truth, mean = (sum(column) / len(pairs) for column in zip(*pairs, strict=True))
    chance, hits, saved = random.Random(9), 0, []
    for _ in range(200):
        drawn = [Scored(Unit(y, 1 / 3), f) for y, f in pairs if chance.random() < 1 / 3]
        found = sharpen(drawn, mean_score=mean, judged=len(pairs))
        assert found.rate.low is not None
        assert found.rate.high is not None
        hits += found.rate.low <= truth <= found.rate.high
        saved.append(found.saved)
    assert hits >= 180
    assert sum(saved) / 200 > 0.15


def test_the_order_of_the_sample_does_not_matter() -> None:
    chance = random.Random(4)
    rows = [Scored(Unit(float(chance.random() < 0.7), 0.1), chance.random()) for _ in range(50)]
    values = [sharpen(chance.sample(rows, 50), mean_score=0.5, judged=500).rate.value or 0.0 for _ in range(4)]
    assert all(one == pytest.approx(other) for one, other in pairwise(values))
