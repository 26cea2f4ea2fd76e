"""What a probability sample says of everything it was drawn from: rates, means and totals with their uncertainty.

Pure. The only estimator behind published rates; formulas, sources and simulated coverage are in docs/statistics.md.
Units were drawn independently, each with its own known probability p (Poisson sampling, ``annotations.sampling``),
and weigh 1/p. In short:

* ``total``: Horvitz and Thompson 1952; unbiased, and so is its variance.
* ``rate`` and ``mean``: Hájek 1971; variance by Taylor linearisation (Särndal, Swensson and Wretman 1992, 5.7), with
  the finite population correction 1 − p, so that what was drawn for certain adds no uncertainty.
* intervals of rates: Wilson 1927 with Kish's effective number of labels in each cell of units that were drawn with
  about the same probability; the cells are put together by square-and-add (Newcombe 1998; Zou and Donner 2008).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from math import floor, isfinite, log2, sqrt

Z = 1.959963984540054  # 97.5 % point of the normal distribution: all intervals are two-sided, at 95 %
LEAST_LABELS = 30  # below it no rate is published: too few labels to tell


@dataclass(frozen=True, slots=True)
class Unit:
    """``count`` units of a sample that are alike.

    ``value`` is the outcome, 0 or 1 for a rate; None if the unit was drawn and nobody has said what it is yet.
    ``p`` is the probability with which it was drawn, 1 for what is always taken. ``stratum`` is any group that is known
    of every unit drawn, labelled or not: those without a value are taken to be like those of their stratum that have
    one. ValueError unless 0 < p ≤ 1 and the count is not negative.
    """

    value: float | None
    p: float
    stratum: str = ""
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.p <= 1:
            raise ValueError("an inclusion probability must be above 0 and at most 1")
        if self.count < 0 or not (self.value is None or isfinite(self.value)):
            raise ValueError("a unit needs a finite value and a count that is not negative")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure of a whole population, with the 95 % interval of what it may be.

    ``value`` is None where nothing can be said; ``low`` and ``high`` are None where it is, and only there. ``variance``
    is the estimator's own, without the widening that the interval of a rate has near 0 and 1. ``n`` counts the units
    with a value, ``effective`` how many equally weighted ones would tell as much (L. Kish, Survey Sampling, 1965).
    """

    value: float | None
    low: float | None
    high: float | None
    variance: float
    n: int
    effective: float

    @property
    def enough(self) -> bool:
        """Whether there are enough labels to publish it at all."""
        return self.value is not None and self.n >= LEAST_LABELS


NOTHING = Estimate(None, None, None, 0.0, 0, 0.0)


def wilson(hits: float, n: float) -> tuple[float, float]:
    """The 95 % score interval of a share; 0 to 1 where nothing was observed.

    (p + z²/2n ± z √(p (1 − p)/n + z²/4n²)) / (1 + z²/n): E. B. Wilson, "Probable inference, the law of
    succession, and statistical inference", JASA 22 (1927), 209-212. Unlike p ± z √(p (1 − p)/n) it stays inside
    0 to 1 and is honest for small n and for no hits at all. ``n`` need not be whole.
    """
    if n <= 0:
        return 0.0, 1.0
    p, z2 = hits / n, Z * Z
    centre = p + z2 / (2 * n)
    reach = Z * sqrt(max(p * (1 - p), 0.0) / n + z2 / (4 * n * n))
    return max((centre - reach) / (1 + z2 / n), 0.0), min((centre + reach) / (1 + z2 / n), 1.0)


def total(units: Iterable[Unit]) -> Estimate:
    """The sum of the outcome over the population, by Horvitz and Thompson: Σ y/p, variance Σ y² (1 − p)/p².

    Both are unbiased under Poisson sampling. The interval is value ± z √variance and so only fair for many units: a
    count of failures among a known number of interactions is better told as their ``rate`` times that number.
    ValueError if a unit has no value.
    """
    sample = [unit for unit in units if unit.count]
    if any(unit.value is None for unit in sample):
        raise ValueError("a total needs the value of every unit drawn")
    sums = [(unit.count, 1 / unit.p, unit.value or 0.0) for unit in sample]
    n = sum(count for count, _, _ in sums)
    value = sum(count * w * y for count, w, y in sums)
    variance = sum(count * w * (w - 1) * y * y for count, w, y in sums)
    weight, squares = sum(count * w for count, w, _ in sums), sum(count * w * w for count, w, _ in sums)
    reach = Z * sqrt(variance)
    return Estimate(value, value - reach, value + reach, variance, n, weight * weight / squares if squares else 0.0)


@dataclass(frozen=True, slots=True)
class _Cell:
    """Units of one stratum that were drawn with about the same probability. Weights are w = 1/p for all that were
    drawn, and v = 1/(p q) for those with a value, q being the (weighted) share of units that have one."""

    stratum: str
    size: float  # estimated number in the population: Σ w over all drawn
    size_variance: float = 0.0  # Σ w (w − 1)
    n: int = 0  # with a value
    mean: float = 0.0  # Σ v y / Σ v
    variance: float = 0.0  # Σ v (v − 1) (y − mean)² / (Σ v)²
    covariance: float = 0.0  # of size and mean: Σ v (w − 1) (y − mean)
    squares: float = 0.0  # Σ v² / (Σ v)²: its inverse is the effective number of labels
    corrected: float = 0.0  # Σ v (v − 1) / (Σ v)²: the same with the finite population correction

    @classmethod
    def of(cls, stratum: str, units: list[Unit]) -> _Cell:
        size = sum(unit.count / unit.p for unit in units)
        size_variance = sum(unit.count / unit.p * (1 / unit.p - 1) for unit in units)
        known = [(unit.count, 1 / unit.p, unit.value) for unit in units if unit.value is not None]
        if not known:
            return cls(stratum, size, size_variance)
        answered = sum(count * w for count, w, _ in known)
        inflate = max(size / answered, 1.0) if len(known) < len(units) else 1.0  # 1/q
        mean = sum(count * w * y for count, w, y in known) / answered
        v2 = (inflate * answered) ** 2
        variance = covariance = squares = corrected = 0.0
        for count, w, y in known:
            v, residual = w * inflate, y - mean
            variance += count * v * (v - 1) * residual * residual / v2
            covariance += count * v * (w - 1) * residual
            squares += count * v * v / v2
            corrected += count * v * (v - 1) / v2
        n = sum(count for count, _, _ in known)
        return cls(stratum, size, size_variance, n, mean, variance, covariance, squares, corrected)


def rate(units: Iterable[Unit], *, sizes: Mapping[str, int] | None = None) -> Estimate:
    """The share of the population whose outcome is 1, from a sample.

    ``sizes`` are the numbers of units in the population by stratum, if they are known (post-stratification); a stratum
    of the sample that is not among them is left out. A part of the population without any label could be anything: its
    share is taken from the others, and its interval is 0 to 1. ValueError if a value is not between 0 and 1.
    """
    sample = [unit for unit in units if unit.count]
    if any(unit.value is not None and not 0 <= unit.value <= 1 for unit in sample):
        raise ValueError("the outcome of a rate must be between 0 and 1")
    parts = _parts(sample, sizes, _alike)
    if not parts.n:
        return NOTHING
    below = above = parts.variance_of_sizes
    for cell, share in parts.cells:
        low, high = _interval(cell)
        below += (share * (cell.mean - low) / Z) ** 2
        above += (share * (high - cell.mean) / Z) ** 2
    value = parts.value
    low = max(value - Z * sqrt(max(below, 0.0)), 0.0)
    high = min(value + Z * sqrt(max(above, 0.0)), 1.0)
    return Estimate(value, low, high, parts.variance, parts.n, parts.effective)


def mean(units: Iterable[Unit], *, sizes: Mapping[str, int] | None = None) -> Estimate:
    """The mean of any outcome over the population, from a sample; otherwise like ``rate``.

    The interval is value ± z √(variance · n/(n − 1)), for outcomes without a long tail. Nothing is said while a
    stratum that was not taken whole has fewer than two values.
    """
    parts = _parts([unit for unit in units if unit.count], sizes, _certain)
    if not parts.n or any(cell.n < 2 and (cell.corrected or not cell.n) for cell, _ in parts.cells):
        return NOTHING
    reach = Z * sqrt(max(parts.variance, 0.0) * (parts.n / (parts.n - 1) if parts.n > 1 else 1.0))
    return Estimate(parts.value, parts.value - reach, parts.value + reach, parts.variance, parts.n, parts.effective)


def _certain(p: float) -> int:
    return 0 if p == 1 else 1


def _alike(p: float) -> int:
    """The cell of a probability: certain ones for themselves, the others by powers of two."""
    return 0 if p == 1 else 1 + floor(log2(1 / p))


def _interval(cell: _Cell) -> tuple[float, float]:
    if cell.n and not cell.corrected:
        return cell.mean, cell.mean  # all of them were looked at
    effective = 1 / cell.corrected if cell.n else 0.0
    return wilson(cell.mean * effective, effective)


@dataclass(frozen=True, slots=True)
class _Parts:
    """The cells of a sample, each with its share of the population; the shares add up to 1."""

    cells: list[tuple[_Cell, float]]
    variance_of_sizes: float  # what not knowing the sizes of the cells adds

    @property
    def n(self) -> int:
        return sum(cell.n for cell, _ in self.cells)

    @property
    def value(self) -> float:
        return sum(share * cell.mean for cell, share in self.cells)

    @property
    def variance(self) -> float:
        """By Taylor linearisation; with unknown sizes and every value known it is Σ w (w − 1) (y − value)² / (Σ w)²."""
        return max(sum(share**2 * cell.variance for cell, share in self.cells) + self.variance_of_sizes, 0.0)

    @property
    def effective(self) -> float:
        labelled = [(cell, share) for cell, share in self.cells if cell.n]
        squares = sum(share**2 * cell.squares for cell, share in labelled)
        return sum(share for _, share in labelled) ** 2 / squares if squares else 0.0


def _parts(sample: list[Unit], sizes: Mapping[str, int] | None, group: Callable[[float], int]) -> _Parts:
    cells = _cells(sample, sizes, group)
    found: dict[str, float] = defaultdict(float)
    for cell in cells:
        found[cell.stratum] += cell.size
    # Known sizes stretch the cells of a stratum to what it really has.
    stretch = {name: sizes[name] / size if sizes else 1.0 for name, size in found.items()}
    everything = sum(cell.size * stretch[cell.stratum] for cell in cells)
    shares = [cell.size * stretch[cell.stratum] / everything for cell in cells]
    labelled = sum(share for cell, share in zip(cells, shares, strict=True) if cell.n)
    if not labelled:
        return _Parts([], 0.0)
    otherwise = sum(share * cell.mean for cell, share in zip(cells, shares, strict=True) if cell.n) / labelled
    cells = [cell if cell.n else replace(cell, mean=otherwise) for cell in cells]

    # A cell that is larger than it should be by chance pulls the value towards its own mean: away from that of its
    # stratum if the size of the stratum is known, away from that of all if it is not.
    centres: dict[str, float] = defaultdict(float)
    for cell, share in zip(cells, shares, strict=True):
        centres[cell.stratum if sizes else ""] += share * cell.mean
    if sizes:
        centres = {name: one * everything / sizes[name] for name, one in centres.items()}
    of_sizes = 0.0
    for cell in cells:
        apart, scale = cell.mean - centres[cell.stratum if sizes else ""], stretch[cell.stratum] / everything
        of_sizes += scale * scale * (apart * apart * cell.size_variance + 2 * apart * cell.covariance)
    return _Parts(list(zip(cells, shares, strict=True)), of_sizes)


def _cells(sample: list[Unit], sizes: Mapping[str, int] | None, group: Callable[[float], int]) -> list[_Cell]:
    """The units by stratum and group of probability; one empty cell for every stratum that nothing was drawn from."""
    by_cell: dict[tuple[str, int], list[Unit]] = defaultdict(list)
    for unit in sample:
        if sizes is None or sizes.get(unit.stratum):
            by_cell[unit.stratum, group(unit.p)].append(unit)
    drawn = {stratum for stratum, _ in by_cell}
    missed = [name for name, size in (sizes or {}).items() if size and name not in drawn]
    return [
        *(_Cell.of(stratum, units) for (stratum, _), units in by_cell.items()),
        *(_Cell(stratum=name, size=1.0) for name in missed),
    ]
