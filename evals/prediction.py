"""Labels of a probability sample, sharpened by a judge's scores: prediction-powered inference with a tuned weight.

Pure. A. N. Angelopoulos, J. C. Duchi, T. Zrnic, "PPI++: Efficient prediction-powered inference", 2023
(arXiv 2311.01453), with the weights of the sample's design; survey statisticians know it as the difference estimator
with an estimated slope (Särndal, Swensson and Wretman 1992, ch. 6). docs/statistics.md derives it.

The estimate from labels alone, ȳ, is moved by λ (f̄ − f̄_L): f̄ is the mean score of all answers that were judged, f̄_L
that of the labelled ones among them, weighted. What labels say of the judged part of the population is unbiased
whatever was judged, so that the move is 0 on average for any judge, however bad. λ is the slope that makes the variance
least; a judge that knows nothing gets about 0, and the estimate stays what labels alone say.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

from annotations.estimation import LEAST_LABELS, Estimate, Unit, rate, wilson

# The part of that share that is counted: enough for 95 % where one answer in a hundred is misjudged.
UNSEEN = 0.3


@dataclass(frozen=True, slots=True)
class Scored:
    """A unit of the sample and the judge's score of it, None where it was not judged."""

    unit: Unit
    score: float | None


@dataclass(frozen=True, slots=True)
class Sharpened:
    """``rate`` is the estimate; ``alone`` what labels alone say. ``weight`` is λ, 0 where the judge did not help.

    ``pairs`` counts labelled units with a score; ``judged`` all scores behind the mean.
    """

    rate: Estimate
    alone: Estimate
    weight: float
    pairs: int
    judged: int

    @property
    def saved(self) -> float:
        """By which share the interval is narrower than that of labels alone."""
        if self.rate.low is None or self.rate.high is None or self.alone.low is None or self.alone.high is None:
            return 0.0
        width = self.alone.high - self.alone.low
        return 1 - (self.rate.high - self.rate.low) / width if width else 0.0


def sharpen(sample: Iterable[Scored], *, mean_score: float | None, judged: int) -> Sharpened:
    """The share of the population whose outcome is 1, from labels and scores.

    ``mean_score`` is the mean over all ``judged`` answers of the population, the sampled ones included. Falls back to
    labels alone under 30 pairs, or where the scores do not vary. The interval is that of labels alone, moved with the
    value and shrunk by the ratio of the standard errors (with n − 2 degrees of freedom for the slope, and a floor
    for faults of the judge that no label has met yet); it is never wider. Units with a count stand for that many.
    """
    rows = [one for one in sample if one.unit.count]
    alone = rate(one.unit for one in rows)
    pairs = sum(one.unit.count for one in rows if one.unit.value is not None and one.score is not None)
    fallback = Sharpened(alone, alone, 0.0, pairs, judged)
    if alone.value is None or alone.low is None or alone.high is None or mean_score is None or pairs < LEAST_LABELS:
        return fallback
    labelled = _weighted(rows)
    whole = sum(v for v, _, _ in labelled)
    scored = [(v, y, f) for v, y, f in labelled if f is not None]
    part = sum(v for v, _, _ in scored)
    label_mean = sum(v * y for v, y, _ in labelled) / whole
    score_mean = sum(v * f for v, _, f in scored) / part
    # Linearised contributions of each unit to ȳ and to f̄_L, with their variance factors v (v − 1).
    own = covariance = spread = 0.0
    for v, y, f in labelled:
        residual, deviation = (y - label_mean) / whole, (f - score_mean) / part if f is not None else 0.0
        factor = v * max(v - 1, 0.0)
        own += factor * residual * residual
        covariance += factor * residual * deviation
        spread += factor * deviation * deviation
    if own <= 0 or spread <= 1e-15:
        return fallback
    weight = covariance / spread
    left = (1 - covariance * covariance / (spread * own)) * (pairs - 1) / (pairs - 2)
    # A judge that was never wrong in n labels may still be wrong in the share that Wilson's limit leaves for 0 of n.
    unseen = wilson(0, pairs)[1] * UNSEEN / max(label_mean * (1 - label_mean), 1e-9)
    shrink = min(sqrt(max(left, unseen, 0.0)), 1.0)
    if shrink == 1.0:
        return fallback
    value = min(max(alone.value + weight * (mean_score - score_mean), 0.0), 1.0)
    low = max(value - shrink * (alone.value - alone.low), 0.0)
    high = min(value + shrink * (alone.high - alone.value), 1.0)
    moved = Estimate(value, low, high, alone.variance * shrink**2, alone.n, alone.effective / shrink**2)
    return Sharpened(moved, alone, weight, pairs, judged)


def _weighted(rows: list[Scored]) -> list[tuple[float, float, float | None]]:
    """Each labelled unit with its weight, what nobody has labelled in its stratum counted in: (v, outcome, score)."""
    drawn: dict[str, float] = defaultdict(float)
    answered: dict[str, float] = defaultdict(float)
    for one in rows:
        drawn[one.unit.stratum] += one.unit.count / one.unit.p
        if one.unit.value is not None:
            answered[one.unit.stratum] += one.unit.count / one.unit.p
    return [
        (drawn[unit.stratum] / answered[unit.stratum] / unit.p, unit.value, one.score)
        for one in rows if (unit := one.unit).value is not None
        for _ in range(unit.count)
    ]  # fmt: skip
