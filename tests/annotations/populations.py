"""Populations that are known completely, and Poisson samples of them, to see what an estimator makes of the samples."""

from __future__ import annotations

from bisect import bisect
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from math import exp, lgamma, log, log1p
from random import Random
from types import MappingProxyType

from annotations.estimation import Unit

Kind = tuple[str, float, float]  # stratum, outcome, inclusion probability


def chances(n: int, p: float) -> list[float]:
    """The distribution function of the binomial, so that a draw is one number and a search."""
    if p == 1:
        return [0.0] * n
    return list(
        accumulate(
            exp(lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) + k * log(p) + (n - k) * log1p(-p)) for k in range(n)
        )
    )


@dataclass
class Population:
    """How many there are of each kind. ``labelled`` is the share of what is drawn that has a label yet, by stratum."""

    kinds: Mapping[Kind, int]
    labelled: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        self.sizes: Counter[str] = Counter()
        for (stratum, _, _), count in self.kinds.items():
            self.sizes[stratum] += count
        self.truth = sum(kind[1] * count for kind, count in self.kinds.items()) / self.sizes.total()
        self._tables = {kind: chances(count, kind[2]) for kind, count in self.kinds.items()}

    def draw(self, dice: Random) -> list[Unit]:
        """One Poisson sample: every unit independently with its own probability."""
        sample = []
        for (stratum, outcome, p), table in self._tables.items():
            drawn = bisect(table, dice.random())
            with_label = drawn
            if stratum in self.labelled:
                with_label = sum(dice.random() < self.labelled[stratum] for _ in range(drawn))
            sample += [Unit(outcome, p, stratum, with_label), Unit(None, p, stratum, drawn - with_label)]
        return sample


def groups(**wanted: tuple[int, float, float]) -> Population:
    """By stratum: how many, the share that fails, the probability of being drawn."""
    kinds: Counter[Kind] = Counter()
    for name, (size, failing, p) in wanted.items():
        fails = round(size * failing)
        kinds += Counter({(name, 1.0, p): fails, (name, 0.0, p): size - fails})
    return Population(kinds)


def uncertain(size: int, *, least: float, most: float, seed: int = 1) -> Population:
    """Drawn with the more probability the nearer a calibrated score is to one half; one stratum."""
    dice, kinds = Random(seed), Counter[Kind]()
    for _ in range(size):
        score = dice.betavariate(0.4, 2)
        p = least + (most - least) * (1 - abs(2 * score - 1))
        kinds["all", float(dice.random() < score), round(p, 2)] += 1
    return Population(kinds)


def labelled_first(share: float) -> Population:
    """One random sample of all, in which everything complained about has a label and of the rest only a share."""
    population = groups(complaint=(500, 0.4, 0.05), rest=(9500, 0.04, 0.05))
    return Population(population.kinds, {"complaint": 1.0, "rest": share})


POPULATIONS = {
    "random 2 % of 5,000; 10 % fail": groups(all=(5000, 0.10, 0.02)),
    "random 2 % of 2,500; 4 % fail": groups(all=(2500, 0.04, 0.02)),
    "random 10 % of 400; 10 % fail": groups(all=(400, 0.10, 0.10)),
    "half of 200; 20 % fail": groups(all=(200, 0.20, 0.50)),
    "all 250 complaints (40 % fail), 2 % of 4,750 others (4 %)": groups(risk=(250, 0.4, 1), rest=(4750, 0.04, 0.02)),
    "all 200 complaints (40 % fail), 5 % of 3,800 others (4 %)": groups(risk=(200, 0.4, 1), rest=(3800, 0.04, 0.05)),
    "all 100 complaints (40 % fail), 10 % of 1,900 others (4 %)": groups(risk=(100, 0.4, 1), rest=(1900, 0.04, 0.1)),
    "all 500 complaints (10 % fail), 3 % of 9,500 others (1 %)": groups(risk=(500, 0.1, 1), rest=(9500, 0.01, 0.03)),
    "four groups, 2 to 30 %": groups(
        a=(2000, 0.05, 0.02), b=(400, 0.15, 0.08), c=(100, 0.30, 0.30), d=(3000, 0.08, 0.02)
    ),
    "eight groups, about 8 labels of each; 12 % fail": groups(
        **{str(size): (size, 0.12, 8 / size) for size in (4000, 2000, 1000, 500, 300, 100, 60, 40)}
    ),
    "one group, failures ten times likelier drawn": Population(
        {("", 1, 0.30): 150, ("", 0, 0.30): 350, ("", 1, 0.03): 150, ("", 0, 0.03): 2850}
    ),
    "one group, failures a tenth as likely drawn": Population(
        {("", 1, 0.02): 400, ("", 0, 0.02): 2000, ("", 1, 0.20): 20, ("", 0, 0.20): 600}
    ),
    "by uncertainty, 2 to 30 %": uncertain(4000, least=0.02, most=0.3),
    "weights of 1 and 200, 55 labels": Population(
        {("", 1, 0.9): 10, ("", 0, 0.9): 40, ("", 1, 0.005): 300, ("", 0, 0.005): 1700}
    ),
    "5 % of 10,000; complaints labelled, others by half": labelled_first(0.5),
    "5 % of 10,000; complaints labelled, others by a fifth": labelled_first(0.2),
    "random 2 % of 2,000; 0.5 % fail": groups(all=(2000, 0.005, 0.02)),
}
