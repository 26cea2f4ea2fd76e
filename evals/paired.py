"""Statistics of pairs: two systems answered the same examples, so only what differs within a pair tells them apart.

Pure. Formulas and sources are in docs/evaluation.md; in short:

* ``mcnemar``: exact test on the flips (McNemar 1947; exact form in Fagerland, Lydersen, Laake 2013).
* ``difference``: interval for the difference of the pass rates (Agresti and Min 2005).
* ``bootstrap``: interval and p-value for the mean difference of scores (Efron and Tibshirani 1993).
* ``holm``: adjusted p-values of several tests (Holm 1979).
* ``fisher``: exact test on the answers to one example that was asked several times (Fisher 1935).
* ``disagreement``: how often two answers of one system to the same example are judged differently.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, comb, sqrt
from random import Random
from statistics import NormalDist, fmean, stdev

from annotations.estimation import Z, wilson

Z_POWER = 0.8416212335729143  # 80 % point
RESAMPLES = 2_000
MOST_RESAMPLED = 2_000  # pairs; beyond them the normal interval is the bootstrap's to within its own noise
SEED = 20_240_501  # fixed, so that the same results give the same verdict
MOST_REPEATS = 50


@lru_cache(maxsize=1024)
def mcnemar(broken: int, fixed: int) -> float:
    """Two-sided exact p-value of McNemar's test.

    Under "no change" each flip is a fair coin: p = min(1, 2 · P(X ≤ min(b, c))), X ~ Binomial(b + c, ½).
    Whole numbers throughout, so that 3e-34 is not lost to rounding.
    """
    flips, fewer = broken + fixed, min(broken, fixed)
    if broken == fixed:
        return 1.0
    term = total = 1
    for count in range(fewer):
        term = term * (flips - count) // (count + 1)
        total += term
    p: float = 2 * total / 2**flips
    return min(1.0, p)


def loss(broken: int, fixed: int) -> float:
    """One-sided exact p-value that the candidate is worse; 1 where it is not behind."""
    return mcnemar(broken, fixed) / 2 if broken > fixed else 1.0


def difference(broken: int, fixed: int, pairs: int) -> tuple[float, float, float]:
    """Candidate's pass rate minus the baseline's, with its 95 % interval.

    Agresti and Min: half an observation is added to each of the four cells before the usual interval, which
    keeps its coverage with few flips; the plain one has width nought when nothing flipped.
    """
    if pairs == 0:
        return 0.0, -1.0, 1.0
    b, c, n = broken + 0.5, fixed + 0.5, pairs + 2
    centre = (c - b) / n
    half = Z * sqrt(max(b + c - (c - b) ** 2 / n, 0.0)) / n
    return (fixed - broken) / pairs, max(-1.0, centre - half), min(1.0, centre + half)


def needed_examples(broken: int, fixed: int, pairs: int, margin: float) -> int | None:
    """About how many examples would settle it, if the flips go on as they have; None where that cannot be said.

    n = (z₀.₉₇₅ + z₀.₈₀)² (ψ − δ²) / Δ² for paired shares (Connor 1987), with ψ the share of flips, δ the observed
    difference and Δ its distance to the nearest border: nought, or the margin.
    """
    if pairs == 0:
        return None
    share, delta = (broken + fixed + 1) / (pairs + 2), (fixed - broken) / pairs
    distance = max(delta + margin, -delta)
    if distance <= 0:
        return None
    return max(pairs + 1, ceil((Z + Z_POWER) ** 2 * (share - delta * delta) / distance**2))


@dataclass(frozen=True, slots=True)
class Shift:
    """The mean difference of scores, candidate minus baseline, with its 95 % interval; ``worse`` is the one-sided
    p-value of "no loss"."""

    mean: float
    low: float
    high: float
    worse: float
    pairs: int
    needed: int | None = None


def bootstrap(differences: Sequence[float], *, margin: float = 0.0) -> Shift | None:
    """The mean of paired differences with its percentile bootstrap interval; None with fewer than two pairs.

    Whole examples are drawn with replacement, RESAMPLES times (Efron and Tibshirani, An Introduction to the
    Bootstrap, 1993, chapters 13 and 16); the p-value is (1 + #{mean* ≥ 0}) / (1 + RESAMPLES). The seed is fixed: the
    same results give the same verdict. ``needed`` are about the examples with which the interval would exclude a loss
    of ``margin``, or show one.
    """
    n = len(differences)
    if n < 2:
        return None
    mean, spread = fmean(differences), stdev(differences)
    if spread == 0:
        return Shift(mean, mean, mean, 0.0 if mean < 0 else 1.0, n)
    if n > MOST_RESAMPLED:
        error = spread / sqrt(n)
        low, high, worse = mean - Z * error, mean + Z * error, NormalDist().cdf(mean / error)
    else:
        draw = Random(SEED)  # noqa: S311  # resampling, not security
        means = sorted(fmean(draw.choices(differences, k=n)) for _ in range(RESAMPLES))
        low, high = means[ceil(0.025 * RESAMPLES) - 1], means[ceil(0.975 * RESAMPLES) - 1]
        worse = (1 + sum(value >= 0 for value in means)) / (1 + RESAMPLES)
    distance = max(mean + margin, -mean)
    needed = ceil((Z + Z_POWER) ** 2 * spread**2 / distance**2) if distance > 0 else None
    return Shift(mean, low, high, worse, n, needed)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the given order: p̃(i) = max over j ≤ i of min(1, (m − j + 1) · p(j)).

    Rejecting where p̃ ≤ α keeps the chance of any false alarm among the m tests at α, however they depend on each
    other. S. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6 (1979), 65-70.
    """
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def fisher(passes: int, answers: int, before: int, of: int) -> float:
    """One-sided exact p-value that ``passes`` of ``answers`` is a lower share than ``before`` of ``of``.

    Fisher's exact test: the hypergeometric chance of so few passes or fewer, given all margins.
    """
    total, hits = answers + of, passes + before
    ways = comb(total, answers)
    least = max(0, answers - (total - hits))
    return sum(comb(hits, k) * comb(total - hits, answers - k) for k in range(least, passes + 1)) / ways


def repeats_needed(passes: int, answers: int, before: int, of: int, alpha: float) -> int | None:
    """How often both sides must be asked until shares like these differ beyond chance; None if not soon."""
    for count in range(max(answers, of) + 1, MOST_REPEATS + 1):
        if fisher(round(passes / answers * count), count, round(before / of * count), count) < alpha:
            return count
    return None


@dataclass(frozen=True, slots=True)
class Flakiness:
    """How often two answers of one system to one example are judged differently, with a 95 % interval."""

    rate: float
    low: float
    high: float
    examples: int

    def expected_flips(self, pairs: int) -> float:
        """The flips that flakiness alone makes among pairs of single answers."""
        return self.rate * pairs


def disagreement(repeats: Iterable[tuple[int, int]]) -> Flakiness | None:
    """The flake rate from (passes, answers) of examples that were asked more than once; None if none was.

    2 k (n − k) / (n (n − 1)) is the unbiased estimate of 2 p (1 − p), the chance that two answers differ: the share
    of differing pairs. The interval is Wilson's with the sum of these shares as hits; it is wide enough, because a
    share between 0 and 1 varies no more than a coin of the same mean.
    """
    shares = [2 * k * (n - k) / (n * (n - 1)) for k, n in repeats if n > 1]
    if not shares:
        return None
    low, high = wilson(sum(shares), len(shares))
    return Flakiness(fmean(shares), low, high, len(shares))
