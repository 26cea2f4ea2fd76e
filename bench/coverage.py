"""How often the 95 % intervals of rates hold the truth, by design: the table of docs/statistics.md.

``python bench/coverage.py`` draws 2,000 samples of each known population and prints, as a Markdown table, how far the
plain share of all labels is off, how far the estimate is, and the coverage of the interval in use beside others.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from math import exp, log, sqrt
from pathlib import Path
from random import Random

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from annotations.estimation import Unit, Z, mean, rate, wilson  # noqa: E402
from tests.annotations.populations import POPULATIONS, Population  # noqa: E402

DRAWS = 2000
Interval = tuple[float, float]


def pooled(sample: list[Unit]) -> tuple[float, float, float]:
    """Hájek's share of the labels at hand, its linearised variance, and Kish's effective number with 1 − p."""
    known = [(unit.count, 1 / unit.p, unit.value) for unit in sample if unit.value is not None]
    weight = sum(count * w for count, w, _ in known)
    share = sum(count * w * y for count, w, y in known) / weight
    variance = sum(count * w * (w - 1) * (y - share) ** 2 for count, w, y in known) / weight**2
    corrected = sum(count * w * (w - 1) for count, w, _ in known)
    return share, variance, weight**2 / corrected


def wald(sample: list[Unit]) -> Interval:
    share, variance, _ = pooled(sample)
    return share - Z * sqrt(variance), share + Z * sqrt(variance)


def logit(sample: list[Unit]) -> Interval:
    share, variance, effective = pooled(sample)
    if not 0 < share < 1:
        return wilson(share * effective, effective)
    centre, reach = log(share / (1 - share)), Z * sqrt(variance) / (share * (1 - share))
    return 1 / (1 + exp(reach - centre)), 1 / (1 + exp(-reach - centre))


def by_design_effect(sample: list[Unit]) -> Interval:
    """Wilson's with Korn and Graubard's effective number p (1 − p) / variance."""
    share, variance, effective = pooled(sample)
    if variance > 0:
        effective = share * (1 - share) / variance
    return wilson(share * effective, effective)


def by_kish(sample: list[Unit]) -> Interval:
    share, _, effective = pooled(sample)
    return wilson(share * effective, effective)


def in_use(sample: list[Unit]) -> Interval:
    found = rate(sample)
    return found.low or 0.0, 1.0 if found.high is None else found.high


OTHERS: dict[str, Callable[[list[Unit]], Interval]] = {
    "p ± z·se": wald, "logit": logit, "Wilson, design effect": by_design_effect, "Wilson, Kish": by_kish,
}  # fmt: skip


def row(name: str, population: Population) -> str:
    dice, truth = Random(7), population.truth
    labels, plain, estimate, width = 0, 0.0, 0.0, 0.0
    methods = {"in use": in_use, **OTHERS}
    covered = dict.fromkeys(methods, 0)
    for _ in range(DRAWS):
        sample = population.draw(dice)
        known = [unit for unit in sample if unit.value is not None]
        n = sum(unit.count for unit in known)
        labels += n
        plain += sum(unit.count * (unit.value or 0) for unit in known) / n
        found = rate(sample)
        estimate += found.value or 0.0
        for method, interval in methods.items():
            low, high = interval(sample)
            covered[method] += low - 1e-12 <= truth <= high + 1e-12
            width += high - low if method == "in use" else 0.0
    shares = " | ".join(f"{covered[method] / DRAWS * 100:.1f}" for method in methods)
    cells = [f"{labels / DRAWS:.0f}", *(f"{one * 100:.2f}" for one in (truth, plain / DRAWS, estimate / DRAWS))]
    return f"| {name} | {' | '.join(cells)} | {shares} | ± {width / DRAWS * 50:.1f} |"


def means() -> None:
    """Coverage of the mean of a numeric outcome, drawn with two probabilities."""
    shapes: dict[str, Callable[[Random], float]] = {
        "normal": lambda dice: dice.gauss(10, 3), "exponential": lambda dice: dice.expovariate(0.1),
        "lognormal, σ = 1": lambda dice: dice.lognormvariate(2, 1),
    }  # fmt: skip
    print("\n| outcome | 30 labels | 100 labels | 300 labels |\n| --- | --- | --- | --- |")
    for name, shape in shapes.items():
        dice, shares = Random(11), []
        values = [(shape(dice), 4.0 if number % 4 else 1.0) for number in range(3000)]
        truth = sum(value for value, _ in values) / len(values)
        for labels in (30, 100, 300):
            base = labels / sum(high for _, high in values)
            covered = 0
            for _ in range(DRAWS):
                found = mean([Unit(value, base * high) for value, high in values if dice.random() < base * high])
                covered += (found.low or 0.0) <= truth <= (found.high or 0.0)
            shares.append(f"{covered / DRAWS * 100:.1f}")
        print(f"| {name} | {' | '.join(shares)} |")


def main() -> None:
    names = ["population and design", "labels", "truth, %", "plain share", "estimate", "**in use**", *OTHERS, "width"]
    print(f"| {' | '.join(names)} |\n|{' --- |' * len(names)}")
    for name, population in POPULATIONS.items():
        print(row(name, population))
    means()


if __name__ == "__main__":
    main()
