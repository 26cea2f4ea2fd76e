"""How far reviewers agree on the same items: shares and chance-corrected coefficients, with intervals.

Pure. Formulas, sources and what the words mean are in docs/statistics.md. An item is a sequence of what its reviewers
said, in any order; who did not say anything is left out, and an item with fewer than two values says nothing of
agreement. Every coefficient has the form 1 − Do/De: the disagreement that was seen over that expected by chance.

All of them depend only on how often each pattern of answers occurred, so samples are kept as counts of patterns.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from random import Random
from typing import Any, Literal

from annotations.estimation import LEAST_LABELS, wilson

RELIABLE, TENTATIVE = 0.8, 0.667  # Krippendorff, Content Analysis, 2004, 241
RESAMPLES = 1000
SEED = 20_080_501  # fixed: the same labels give the same interval
ONE_SIDED = 0.32  # of two drawn answers so many differ by chance: one answer is 80 % of all
APART = 0.15  # AC1 above alpha by so much: they tell different stories
OVERLAP = 0.5  # intersection over union from which two marks are the same one

Pattern = tuple[Any, ...]
Counts = Mapping[Pattern, int]
Metric = Literal["nominal", "ordinal", "interval"]
Weights = Literal["nominal", "linear", "quadratic"]
Span = tuple[Hashable, int, int]  # what text it is in, start, end


@dataclass(frozen=True, slots=True)
class Parts:
    """The disagreement seen, that expected by chance, and the largest that an item can have."""

    observed: float
    expected: float
    largest: float = 1.0

    @property
    def value(self) -> float | None:
        """1 − observed/expected; None where chance leaves nothing to disagree on, as when all is one answer."""
        return 1 - self.observed / self.expected if self.expected else None


Measure = Callable[[Counts], Parts]


@dataclass(frozen=True, slots=True)
class Agreement:
    """A coefficient with its 95 % interval, and ``n``, the items that two or more reviewers share.

    ``value`` is None where the coefficient is not defined: without items, or where all answers are the same one.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int

    @property
    def enough(self) -> bool:
        """Whether there are enough shared items to say anything."""
        return self.value is not None and self.n >= LEAST_LABELS

    @property
    def word(self) -> str:
        """``reliable``, ``tentative`` or ``weak``; ``few`` under 30 items, ``undefined`` if there is nothing to say."""
        if self.n < LEAST_LABELS:
            return "few"
        if self.value is None:
            return "undefined"
        return "reliable" if self.value >= RELIABLE else "tentative" if self.value >= TENTATIVE else "weak"


def percent(items: Iterable[Sequence[Any]], *, resamples: int = RESAMPLES) -> Agreement:
    """The share of pairs of reviewers who said the same, item by item and then over items."""
    return _with_interval(_patterns(items), _percent, resamples)


def krippendorff(
    items: Iterable[Sequence[Any]], metric: Metric = "nominal", *, resamples: int = RESAMPLES
) -> Agreement:
    """Krippendorff's α for any number of reviewers, some of whom may not have said anything.

    Values of the ordinal and the interval metric are numbers.
    """
    counts = _patterns(items)
    scale = _scale(counts)
    return _with_interval(counts, lambda some: _alpha(some, metric, scale), resamples)


def gwet(
    items: Iterable[Sequence[Any]],
    scale: Sequence[Any] | None = None,
    weights: Weights = "nominal",
    *,
    resamples: int = RESAMPLES,
) -> Agreement:
    """Gwet's AC1, or AC2 with weights. ``scale`` holds all answers there could be, in order; else those that occur.

    Items with one value count where chance is reckoned, as in the source: leave them out to speak of shared ones only.
    """
    counts = _patterns(items, least=1)
    scale = list(scale) if scale is not None else _scale(counts)
    return _with_interval(counts, lambda some: _gwet(some, scale, weights), resamples)


def cohen(
    pairs: Iterable[tuple[Any, Any]],
    scale: Sequence[Any] | None = None,
    weights: Weights = "nominal",
    *,
    resamples: int = RESAMPLES,
) -> Agreement:
    """Cohen's κ of two reviewers, always in the same order. ``scale`` as in ``gwet``; only weights depend on it."""
    counts = Counter(pairs)
    scale = list(scale) if scale is not None else _scale(counts)
    return _with_interval(counts, lambda some: _cohen(some, scale, weights), resamples)


def spans(pairs: Iterable[tuple[Sequence[Span], Sequence[Span]]], *, resamples: int = RESAMPLES) -> Agreement:
    """F1 of the marks of two reviewers: twice those that match over all. Items that neither has marked do not count."""
    found = Counter((2 * matched(one, other), len(one) + len(other)) for one, other in pairs if one or other)
    return _with_interval(found, _f1, resamples)


def matched(one: Sequence[Span], other: Sequence[Span]) -> int:
    """How many marks are the same: those that overlap most first, each once, from half of their union on."""
    overlaps = sorted(
        ((_iou(a, b), i, j) for i, a in enumerate(one) for j, b in enumerate(other)), key=lambda at: (-at[0], at[1:])
    )
    left: set[int] = set()
    right: set[int] = set()
    for overlap, i, j in overlaps:
        if overlap >= OVERLAP and i not in left and j not in right:
            left.add(i)
            right.add(j)
    return len(left)


def one_sided(share: Agreement, alpha: Agreement, ac1: Agreement) -> bool:
    """Whether most answers are the same one, so that α is low although reviewers rarely differ."""
    if not (share.enough and ac1.enough) or share.value is None or ac1.value is None:
        return False
    low = alpha.value or 0.0
    by_chance = (1 - share.value) / (1 - low) if low < 1 else 0.0  # α is one minus what differs by this
    return share.value >= RELIABLE and by_chance <= ONE_SIDED and ac1.value - low >= APART


def _patterns(items: Iterable[Sequence[Any]], least: int = 2) -> Counter[Pattern]:
    return Counter(tuple(sorted(item)) for item in items if len(item) >= least)


def _shared(counts: Counts) -> int:
    return sum(count for pattern, count in counts.items() if len(pattern) > 1)


def _scale(counts: Counts) -> list[Any]:
    return sorted({value for pattern in counts for value in pattern})


def _percent(counts: Counts) -> Parts:
    agreed = total = 0.0
    for pattern, count in counts.items():
        m = len(pattern)
        agreed += count * sum(r * (r - 1) for r in Counter(pattern).values()) / (m * (m - 1))
        total += count
    return Parts(1 - agreed / total if total else 0.0, 1.0 if total else 0.0)


def _alpha(counts: Counts, metric: Metric, scale: Sequence[Any]) -> Parts:
    coincidences: defaultdict[tuple[Any, Any], float] = defaultdict(float)
    for pattern, count in counts.items():
        share = count / (len(pattern) - 1)
        for pair in permutations(pattern, 2):
            coincidences[pair] += share
    sizes: defaultdict[Any, float] = defaultdict(float)
    for (value, _), share in coincidences.items():
        sizes[value] += share
    n = sum(sizes.values())
    if n <= 1:
        return Parts(0.0, 0.0)
    distances = _distances(metric, scale, sizes)
    observed = sum(share * distances[pair] for pair, share in coincidences.items()) / n
    expected = sum(sizes[a] * sizes[b] * far for (a, b), far in distances.items()) / (n * (n - 1))
    return Parts(observed, expected, max(distances.values()))


def _distances(metric: Metric, scale: Sequence[Any], sizes: Mapping[Any, float]) -> dict[tuple[Any, Any], float]:
    """Squared differences δ² of all pairs of values."""
    if metric == "nominal":
        return {(a, b): float(a != b) for a in scale for b in scale}
    if metric == "interval":
        return {(a, b): float(a - b) ** 2 for a in scale for b in scale}
    middle, below = {}, 0.0  # the rank of a value: what lies below it and half of its own
    for value in scale:
        middle[value] = below + sizes[value] / 2
        below += sizes[value]
    return {(a, b): (middle[a] - middle[b]) ** 2 for a in scale for b in scale}


def _weight(scale: Sequence[Any], weights: Weights) -> dict[tuple[Any, Any], float]:
    """How far two answers are apart, 0 to 1."""
    if weights == "nominal":
        return {(a, b): float(a != b) for a in scale for b in scale}
    steps, power = max(len(scale) - 1, 1), 1 if weights == "linear" else 2
    return {(a, b): (abs(i - j) / steps) ** power for i, a in enumerate(scale) for j, b in enumerate(scale)}


def _gwet(counts: Counts, scale: Sequence[Any], weights: Weights) -> Parts:
    apart, q = _weight(scale, weights), len(scale)
    shares: dict[Any, float] = dict.fromkeys(scale, 0.0)
    total = observed = 0.0
    for pattern, count in counts.items():
        m = len(pattern)
        total += count
        for value in pattern:
            shares[value] += count / m
        if m > 1:
            observed += count * sum(apart[pair] for pair in permutations(pattern, 2)) / (m * (m - 1))
    shared = _shared(counts)
    if not shared:
        return Parts(0.0, 0.0)
    if q == 1:
        return Parts(0.0, 1.0)
    alike = q * q - sum(apart.values())
    by_chance = alike / (q * (q - 1)) * sum(share / total * (1 - share / total) for share in shares.values())
    return Parts(observed / shared, 1 - by_chance)


def _cohen(counts: Counts, scale: Sequence[Any], weights: Weights) -> Parts:
    apart, total = _weight(scale, weights), sum(counts.values())
    if not total:
        return Parts(0.0, 0.0)
    first, second = dict.fromkeys(scale, 0), dict.fromkeys(scale, 0)
    for (a, b), count in counts.items():
        first[a] += count
        second[b] += count
    observed = sum(count * apart[pair] for pair, count in counts.items()) / total
    expected = sum(first[a] * second[b] * far for (a, b), far in apart.items()) / total**2
    return Parts(observed, expected)


def _f1(counts: Counts) -> Parts:
    marks = sum(count * total for (_, total), count in counts.items())
    same = sum(count * twice for (twice, _), count in counts.items())
    return Parts(1 - same / marks if marks else 0.0, 1.0 if marks else 0.0)


def _iou(one: Span, other: Span) -> float:
    if one[0] != other[0]:
        return 0.0
    common = min(one[2], other[2]) - max(one[1], other[1])
    union = max(one[2], other[2]) - min(one[1], other[1])
    return max(common, 0) / union if union > 0 else 0.0


def _with_interval(counts: Counter[Pattern], measure: Measure, resamples: int) -> Agreement:
    """The coefficient with its percentile bootstrap interval over items (Efron 1979).

    If nobody ever differed, no resample does either: the lower end is then that of the coefficient at the Wilson
    limit of the share of items without a difference.
    """
    n, drawn_of = _shared(counts), counts.total()
    parts = measure(counts)
    if not n or parts.value is None:
        return Agreement(None, None, None, n)
    if not parts.observed:
        least = 1 - (1 - wilson(n, n)[0]) * parts.largest / parts.expected
        return Agreement(parts.value, max(least, -1.0), 1.0, n)
    counts = Counter(dict(sorted(counts.items())))  # the order of the items decides nothing
    draw, found = Random(SEED), []  # noqa: S311
    for _ in range(resamples):
        value = measure(_resample(draw, counts, drawn_of)).value
        if value is not None:
            found.append(value)
    found.sort()
    if not found:
        return Agreement(parts.value, None, None, n)
    return Agreement(parts.value, _percentile(found, 0.025), _percentile(found, 0.975), n)


def _resample(draw: Random, counts: Counts, n: int) -> dict[Pattern, int]:
    """How often each pattern occurs among ``n`` items that are drawn with replacement: a multinomial draw.

    Pattern by pattern, each a binomial draw from what is left: the cost does not grow with the items.
    """
    left = sum(counts.values())
    drawn: dict[Pattern, int] = {}
    for pattern, count in counts.items():
        hits = _binomial(draw, n, count / left)
        if hits:
            drawn[pattern] = hits
        n, left = n - hits, left - count
    return drawn


def _binomial(draw: Random, n: int, p: float) -> int:
    """How many of ``n`` uniform numbers lie below ``p``: exact, bit by bit.

    A number whose first bits are those of p is not decided yet; each bit decides half of them (L. Devroye,
    "Non-Uniform Random Variate Generation", 1986, XV.2).
    """
    hits = 0
    while n and p:
        if p >= 1:
            return hits + n
        ones = draw.getrandbits(n).bit_count()
        p *= 2
        if p >= 1:
            hits, n, p = hits + n - ones, ones, p - 1
        else:
            n -= ones
    return hits


def _percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which a share lies, between two values in proportion."""
    at = share * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])
