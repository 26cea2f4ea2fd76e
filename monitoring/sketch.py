"""Quantiles that can be added up: a DDSketch with 1 % relative error.

Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees", PVLDB
12(12), 2019. A value x goes into bin ceil(log x / log g) with g = (1 + a) / (1 - a); the bin's answer
2 g^k / (g + 1) is within a of every value in it. Merging adds counts, so the order and grouping of merges cannot
matter. Values are held between MIN and MAX (for milliseconds: a microsecond and eleven days), which bounds a
sketch to about 1,400 bins without the paper's collapsing; smaller ones share the bin of zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

ACCURACY = 0.01
MIN, MAX = 1e-3, 1e9
_GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
_LOG_GAMMA = math.log(_GAMMA)
_ZERO = "0"  # no other bin has this name: they carry a leading b


class Sketch:
    """How often each bin was hit. ``Sketch.of(values)``, ``a.merge(b)``, ``quantile(0.95)``."""

    __slots__ = ("bins", "zero")

    def __init__(self, bins: Mapping[int, int] | None = None, zero: int = 0) -> None:
        self.bins: dict[int, int] = dict(bins or {})
        self.zero = zero

    @classmethod
    def of(cls, values: Iterable[float]) -> Sketch:
        sketch = cls()
        for value in values:
            sketch.add(value)
        return sketch

    @classmethod
    def from_json(cls, data: Mapping[str, int] | None) -> Sketch:
        """The inverse of ``to_json``; None is an empty sketch."""
        data = data or {}
        return cls({int(name[1:]): count for name, count in data.items() if name != _ZERO}, data.get(_ZERO, 0))

    def to_json(self) -> dict[str, int]:
        """Bins by name, lowest first: ``{"0": 2, "b346": 11}``."""
        zero = {_ZERO: self.zero} if self.zero else {}
        return zero | {f"b{key}": self.bins[key] for key in sorted(self.bins)}

    def add(self, value: float, times: int = 1) -> None:
        """Counts a value of zero or more; ValueError for a negative one or NaN."""
        if not value >= 0:
            raise ValueError("a sketch holds values of zero or more")
        if value < MIN:
            self.zero += times
        else:
            key = math.ceil(math.log(min(value, MAX)) / _LOG_GAMMA)
            self.bins[key] = self.bins.get(key, 0) + times

    def merge(self, other: Sketch) -> Sketch:
        """A new sketch of the values of both."""
        merged = Sketch(self.bins, self.zero + other.zero)
        for key, count in other.bins.items():
            merged.bins[key] = merged.bins.get(key, 0) + count
        return merged

    @property
    def count(self) -> int:
        return self.zero + sum(self.bins.values())

    def quantile(self, q: float) -> float | None:
        """The value of rank floor(q (n - 1)) within 1 %; None of nothing."""
        return self.at_rank(math.floor(q * (self.count - 1)))

    def at_rank(self, rank: int) -> float | None:
        """The value that has ``rank`` others below it, within 1 %; None where there is no such rank."""
        if not 0 <= rank < self.count:
            return None
        seen = self.zero
        if rank < seen:
            return 0.0
        for key in sorted(self.bins):
            seen += self.bins[key]
            if rank < seen:
                return float(2 * _GAMMA**key / (_GAMMA + 1))
        raise AssertionError("unreachable: the rank is below the count")

    def interval(self, q: float, z: float = 1.96) -> tuple[float | None, float | None]:
        """A distribution-free interval of a quantile from order statistics.

        The number of values below the true quantile is binomial(n, q), so the values of ranks
        n q ± z sqrt(n q (1 - q)) enclose it (Conover, Practical Nonparametric Statistics, 3rd ed., 3.2). An end that
        falls off the sample is None: the data do not bound it.
        """
        n = self.count
        reach = z * math.sqrt(n * q * (1 - q))
        return self.at_rank(math.floor(n * q - reach)), self.at_rank(math.ceil(n * q + reach))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sketch) and (self.bins, self.zero) == (other.bins, other.zero)

    __hash__ = None  # type: ignore[assignment]
