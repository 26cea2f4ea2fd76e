"""What was drawn and is complained about is reviewed first. Whether the published rate is right all the same.

Simulated fortnights: answers arrive evenly, a twelfth of them fail, users complain about failures twenty times as often
as about the rest, after a while, and a machine flags them four times as often. Reviewers get a part of the sample done:
three of five times what is most urgent, complaints before flags, else the random sample in its turn.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from statistics import fmean

import pytest

from annotations import priority
from annotations.estimation import Unit, rate

HOURS = 14 * 24.0
DRAWN = 300
FAILING, P = 1 / 12, 0.02
QUEUES = {"complaints": (25.0, 24.0), "flags": (15.0, 72.0)}  # points, and the longest time limit
FORTNIGHTS = 1000


@dataclass
class Answer:
    """One drawn interaction: when it came, whether it failed or was flagged, when somebody complained, when its turn
    in the random sample is; and in which queue it was labelled."""

    came: float
    failed: bool
    flagged: bool
    complaint: float | None
    turn: float
    labelled_in: str = ""

    @property
    def stands_in(self) -> str:
        """Where it was labelled, or waits now."""
        if self.labelled_in:
            return self.labelled_in
        if self.complaint is not None and self.complaint <= HOURS:
            return "complaints"
        return "flags" if self.flagged else "sample"


def fortnight(dice: Random, *, delay: float, done: int) -> list[Answer]:
    answers = []
    for _ in range(DRAWN):
        came, failed = dice.uniform(0, HOURS), dice.random() < FAILING
        flagged = dice.random() < (0.4 if failed else 0.1)
        speaks = dice.random() < (0.4 if failed else 0.02)
        turn = priority.turn(dice.random(), sla_min_hours=1, sla_max_hours=168).total_seconds() / 3600
        complaint = came + dice.expovariate(1 / delay) if speaks else None
        answers.append(Answer(came, failed, flagged, complaint, came + turn))
    review(answers, done)
    return answers


def review(answers: list[Answer], done: int) -> None:
    """Labels so many of them over the fortnight, as the queues hand them out."""
    limits = {
        name: priority.time_limit(points, sla_min_hours=1, sla_max_hours=longest).total_seconds() / 3600
        for name, (points, longest) in QUEUES.items()
    }
    coming: list[tuple[float, str, float, int]] = []
    for place, one in enumerate(answers):
        queue = "flags" if one.flagged else "sample"
        coming.append((one.came, queue, one.came + limits["flags"] if one.flagged else one.turn, place))
        if one.complaint is not None:
            coming.append((one.complaint, "complaints", one.came + limits["complaints"], place))
    coming.sort(reverse=True)
    lines: dict[str, list[tuple[float, int]]] = {name: [] for name in (*QUEUES, "sample")}
    for slot in range(done):
        while coming and coming[-1][0] <= (slot + 1) * HOURS / done:
            _, queue, due, place = coming.pop()
            heapq.heappush(lines[queue], (due, place))
        order = ("complaints", "flags", "sample") if slot % 5 < 3 else ("sample", "complaints", "flags")
        _take(answers, lines, order)


def _take(answers: list[Answer], lines: dict[str, list[tuple[float, int]]], order: tuple[str, ...]) -> None:
    for queue in order:
        while lines[queue]:
            one = answers[heapq.heappop(lines[queue])[1]]
            moved = queue != "complaints" and any(answers[place] is one for _, place in lines["complaints"])
            if not one.labelled_in and not moved:
                one.labelled_in = queue
                return


Grouping = Callable[[Answer], str]


def by_queue(one: Answer) -> str:
    """As the product does it: the queue in which it was labelled or waits."""
    return one.stands_in


def by_lane(one: Answer) -> str:
    return "random" if one.stands_in == "sample" else "risk"


def by_what_is_known_now(one: Answer) -> str:
    if one.complaint is not None and one.complaint <= HOURS:
        return "complaints"
    return "flags" if one.flagged else "sample"


def together(one: Answer) -> str:
    return ""


@dataclass
class Found:
    estimate: float
    coverage: float


def published(grouping: Grouping, *, delay: float, done: int) -> Found:
    dice, estimates, covered = Random(3), [], 0
    for _ in range(FORTNIGHTS):
        counts = Counter(
            (grouping(one), float(one.failed) if one.labelled_in else None)
            for one in fortnight(dice, delay=delay, done=done)
        )  # fmt: skip
        found = rate(Unit(value, P, group, count) for (group, value), count in counts.items())
        assert found.value is not None
        assert found.low is not None
        assert found.high is not None
        estimates.append(found.value)
        covered += found.low <= FAILING <= found.high
    return Found(fmean(estimates), covered / FORTNIGHTS)


@pytest.mark.parametrize("delay", [1.0, 24.0, 72.0])
@pytest.mark.parametrize("done", [60, 150])
def test_the_rate_is_right_although_complaints_and_flags_are_reviewed_first(delay: float, done: int) -> None:
    """Whether complaints come within the hour or after days, and a fifth of the sample has a label or half of it."""
    found = published(by_queue, delay=delay, done=done)
    assert found.estimate == pytest.approx(FAILING, abs=0.003)
    assert 0.93 <= found.coverage <= 0.97


def test_without_queues_the_rate_would_tell_the_order_of_review() -> None:
    found = published(together, delay=1.0, done=60)
    assert found.estimate > 2.5 * FAILING
    assert found.coverage < 0.2


def test_lanes_alone_would_hide_that_complaints_come_before_flags() -> None:
    assert published(by_lane, delay=1.0, done=60).estimate > FAILING + 0.006


def test_sorting_by_what_is_known_now_would_count_on_complaints_that_have_not_come_yet() -> None:
    """What has just arrived and was not complained about is not like what has stood that test for a week."""
    assert published(by_what_is_known_now, delay=72.0, done=60).estimate < FAILING - 0.003
