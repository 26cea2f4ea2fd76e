"""A queue in simulated time: items come at random, reviewers take one every minute and a half, by some policy."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from random import Random

from annotations import admission, priority, sampling

HOURS = 60 * 24
PER_HOUR = 40
LEAST, MOST, BELOW = 1.0, 168.0, 40.0
DAY, WEEK = 24.0, 168.0
LOOK = 1.0  # hours between two looks at the traffic

Key = Callable[[float, float], float]  # of arrival and score: whoever has the smallest is served first


def fifo(at: float, score: float) -> float:
    return at


def strict(at: float, score: float) -> float:
    return -score


def deadline(at: float, score: float) -> float:
    """The product's own order."""
    return at + priority.time_limit(score, sla_min_hours=LEAST, sla_max_hours=MOST).total_seconds() / 3600


@dataclass
class Outcome:
    """Hours that items waited, by what they score; those that still wait at the end have waited until then."""

    severe: list[float] = field(default_factory=list)
    light: list[float] = field(default_factory=list)
    came: int = 0
    shed: int = 0

    def take(self, score: float, wait: float) -> None:
        if score >= 70:
            self.severe.append(wait)
        elif score < 20:
            self.light.append(wait)

    @property
    def severe_p95(self) -> float:
        return sorted(self.severe)[int(0.95 * len(self.severe))]

    @property
    def light_longest(self) -> float:
        return max(self.light)

    @property
    def shed_share(self) -> float:
        return self.shed / self.came


class Window:
    """How many came in the last so many hours, and how many of them are of one kind."""

    def __init__(self, hours: float) -> None:
        self.hours, self.marked = hours, 0
        self.all: deque[tuple[float, bool]] = deque()

    def add(self, at: float, mark: bool = False) -> None:
        self.all.append((at, mark))
        self.marked += mark

    def counts(self, now: float) -> tuple[int, int]:
        while self.all and self.all[0][0] < now - self.hours:
            self.marked -= self.all.popleft()[1]
        return len(self.all), self.marked


class Gate:
    """Admission as the product does it: looks at the traffic now and then, and lets in by number and share.

    ``known`` is the capacity that a lead has set; without it it is measured.
    """

    def __init__(self, known: float | None = None) -> None:
        self.known, self.p, self.looked_at = known, 1.0, 0.0
        self.measured: float | None = None
        self.week, self.day, self.done = Window(WEEK), Window(DAY), Window(WEEK)
        self.stands_for = self.below = 0.0

    def look(self, now: float, waiting: int) -> None:
        days = min(max(now / DAY, 1.0), 7.0)
        above, below = admission.inflow(week=self.week.counts(now), today=self.day.counts(now), days=days)
        done = self.done.counts(now)[0] / days
        thinning = self.p < 1 and self.known is None
        since = (now - self.looked_at) / DAY
        can = admission.capacity(before=self.measured, done=done, waiting=waiting, thinning=thinning, days=since)
        self.measured, self.looked_at = can, now
        if self.known is None and self.p >= 1 and not admission.behind(done=done, waiting=waiting):
            return
        self.p = admission.share(above=above, below=below, capacity=self.known or can)

    def lets_in(self, number: int, at: float, score: float) -> bool:
        low = score < BELOW
        self.week.add(at, low)
        self.day.add(at, low)
        self.below += low
        let_in = not low or sampling.drawn("queue:1", str(number), self.p)
        self.stands_for += low and let_in and 1 / self.p
        return let_in


@cache
def traffic(load: float, seed: int = 7) -> tuple[tuple[float, float], ...]:
    """Arrivals and scores: a Poisson process, 100 · Beta(1.2, 3)."""
    dice, at, found = Random(seed), 0.0, []
    while (at := at + dice.expovariate(load * PER_HOUR)) < HOURS:
        found.append((at, 100 * dice.betavariate(1.2, 3)))
    return tuple(found)


def simulate(load: float, key: Key, gate: Gate | None = None) -> Outcome:
    outcome, line = Outcome(), list[tuple[float, int]]()
    arrivals = traffic(load)
    coming, next_look = 0, LOOK
    for slot in range(HOURS * PER_HOUR):
        now = slot / PER_HOUR
        while coming < len(arrivals) and arrivals[coming][0] <= now:
            at, score = arrivals[coming]
            if gate is None or gate.lets_in(coming, at, score):
                heapq.heappush(line, (key(at, score), coming))
            else:
                outcome.shed += 1
            coming += 1
        if gate is not None and now >= next_look:
            next_look = now + LOOK
            gate.look(now, len(line))
        if line:
            _, number = heapq.heappop(line)
            outcome.take(arrivals[number][1], now - arrivals[number][0])
            if gate is not None:
                gate.done.add(now)
    outcome.came = coming
    for _, number in line:
        outcome.take(arrivals[number][1], HOURS - arrivals[number][0])
    return outcome
