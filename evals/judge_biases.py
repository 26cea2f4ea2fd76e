"""What moves a judge although it should not: the length of an answer, and the place it stands in. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import atanh, sqrt, tanh

from annotations.estimation import LEAST_LABELS, Z
from evals.calibration import Difference, Pair
from evals.judge_agreement import Share


@dataclass(frozen=True, slots=True)
class LengthBias:
    """Spearman's correlation with the length of the answer, of the judge's scores and of people's passes.

    ``more`` is the judge's less people's: what people see in long answers too is no bias of the judge.
    """

    judge: float
    people: float
    more: Difference


def length_bias(found: Sequence[Pair]) -> LengthBias | None:
    """None under 30 pairs, or where scores, verdicts or lengths are all the same.

    The interval is that of two correlations that share a variable: G. Y. Zou, "Toward using confidence intervals to
    compare correlations", Psychological Methods 12 (2007) 399-413, over Fisher's z with the variance 1.06 / (n - 3) of
    E. C. Fieller, H. O. Hartley, E. S. Pearson, Biometrika 44 (1957) 470-481 for ranks.
    """
    if len(found) < LEAST_LABELS:
        return None
    scores, lengths = _ranks([one.score for one in found]), _ranks([one.length for one in found])
    passes = _ranks([float(not one.fails) for one in found])
    judge, people, both = (_correlation(*two) for two in ((scores, lengths), (passes, lengths), (scores, passes)))
    if judge is None or people is None or both is None:
        return None
    return LengthBias(judge, people, _difference(judge, people, both, len(found)))


@dataclass(frozen=True, slots=True)
class PositionBias:
    """Comparisons asked in both orders: how many preferred another answer when the order changed.

    ``first`` and ``second`` count the replies that preferred that place; a judge that looks at the answers alone has as
    many of each, because every comparison is asked in both orders.
    """

    flips: Share
    first: int
    second: int


def position_bias(places: Sequence[tuple[str, str]]) -> PositionBias | None:
    """Of the places that won in each order (first, second or tie); None where nothing was compared."""
    if not places:
        return None
    mirrored = {"first": "second", "second": "first", "tie": "tie"}
    flips = sum(mirrored[one] != other for one, other in places)
    won = [place for both in places for place in both]
    return PositionBias(Share(flips, len(places)), won.count("first"), won.count("second"))


def _difference(one: float, other: float, between: float, n: int) -> Difference:
    (low, high), (other_low, other_high) = _interval(one, n), _interval(other, n)
    bottom = (1 - one**2) * (1 - other**2)
    shared = 0.0
    if bottom > 1e-9:
        rest = 1 - one**2 - other**2 - between**2
        shared = ((between - one * other / 2) * rest + between**3) / bottom
    shared = min(max(shared, -1.0), 1.0)
    down, up, other_down, other_up = one - low, high - one, other - other_low, other_high - other
    reach_down = sqrt(max(down**2 + other_up**2 - 2 * shared * down * other_up, 0.0))
    reach_up = sqrt(max(up**2 + other_down**2 - 2 * shared * up * other_down, 0.0))
    return Difference(one - other, max(one - other - reach_down, -2.0), min(one - other + reach_up, 2.0))


def _interval(value: float, n: int) -> tuple[float, float]:
    middle, half = atanh(min(max(value, -0.999999), 0.999999)), Z * sqrt(1.06 / (n - 3))
    return tanh(middle - half), tanh(middle + half)


def _ranks(values: Sequence[float]) -> list[float]:
    """Ranks from 1; those of equal values are their mean."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        for place in order[start:end]:
            ranks[place] = (start + 1 + end) / 2
        start = end
    return ranks


def _correlation(one: Sequence[float], other: Sequence[float]) -> float | None:
    mean, other_mean = sum(one) / len(one), sum(other) / len(other)
    spread = sqrt(sum((a - mean) ** 2 for a in one) * sum((b - other_mean) ** 2 for b in other))
    if not spread:
        return None
    return sum((a - mean) * (b - other_mean) for a, b in zip(one, other, strict=True)) / spread
