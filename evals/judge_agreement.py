"""How well a machine's pass and fail agree with people's: counts in, figures out."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from annotations.estimation import LEAST_LABELS, Z, wilson

# The bar for telling reviewers what a judge thinks: it misses at most 15 of 100 answers that people fail.
GOOD_ENOUGH = 0.85


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its 95 % Wilson interval; ``value`` is None where nothing was counted."""

    hits: int
    total: int

    @property
    def value(self) -> float | None:
        return self.hits / self.total if self.total else None

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.hits, self.total)

    @property
    def percents(self) -> str:
        """The interval as people read it: ``71 to 85``."""
        return " to ".join(f"{end * 100:.0f}" for end in self.interval)


@dataclass(frozen=True, slots=True)
class Agreement:
    """The four cells: ``found`` and ``missed`` are people's fails, ``false_alarms`` and ``cleared`` their passes."""

    found: int = 0
    missed: int = 0
    false_alarms: int = 0
    cleared: int = 0

    @property
    def pairs(self) -> int:
        return self.found + self.missed + self.false_alarms + self.cleared

    @property
    def enough(self) -> bool:
        """Whether there are enough pairs, of both kinds, to say anything at all."""
        fails = self.found + self.missed
        return self.pairs >= LEAST_LABELS and 0 < fails < self.pairs

    @property
    def finds_fails(self) -> Share:
        """The true positive rate: of people's fails, those that the judge fails too."""
        return Share(self.found, self.found + self.missed)

    @property
    def clears_passes(self) -> Share:
        """The true negative rate."""
        return Share(self.cleared, self.cleared + self.false_alarms)

    @property
    def precision(self) -> Share:
        """Of what the judge fails, the share that people fail too."""
        return Share(self.found, self.found + self.false_alarms)

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa: agreement beyond that of two raters with these rates who do not look. None where undefined.

        J. Cohen, "A coefficient of agreement for nominal scales", Educ. Psychol. Meas. 20 (1960), 37-46.
        """
        n = self.pairs
        if not n:
            return None
        seen = (self.found + self.cleared) / n
        judge_fails, people_fail = (self.found + self.false_alarms) / n, (self.found + self.missed) / n
        chance = judge_fails * people_fail + (1 - judge_fails) * (1 - people_fail)
        return None if chance == 1 else (seen - chance) / (1 - chance)

    @property
    def kappa_interval(self) -> tuple[float, float] | None:
        """95 % interval of kappa by its large-sample standard error, √(p(1 − p) / n) / (1 − chance), from the same
        paper; within −1 to 1. None where kappa is undefined."""
        kappa, n = self.kappa, self.pairs
        if kappa is None:
            return None
        seen = (self.found + self.cleared) / n
        chance = (seen - kappa) / (1 - kappa) if kappa != 1 else 0.0
        half = Z * sqrt(seen * (1 - seen) / n) / (1 - chance)
        return max(-1.0, kappa - half), min(1.0, kappa + half)

    @property
    def good_enough(self) -> bool:
        """Whether even the lower end of both intervals is over the bar."""
        ends = (self.finds_fails.interval[0], self.clears_passes.interval[0])
        return self.enough and min(ends) >= GOOD_ENOUGH
