"""Why a task is urgent, in points that add up, and until when it should be seen.

The score is a sum of terms from 0 to 100, each with its words; nothing else moves a task. Urgency is a
virtual deadline: arrival plus a time limit that shrinks with the score. Sorting by that fixed time is the
same order as letting every task's priority grow linearly while it waits (an accumulating priority queue,
Kleinrock 1964), so nothing has to be recomputed as time passes, and nothing starves: a task can only be
overtaken by tasks that arrive within ``sla_max − sla_min`` after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

# The most that each term adds; a term counts once, with its strongest reason.
WEIGHTS = {"negative": 40.0, "behaviour": 15.0, "machine": 25.0, "error": 20.0, "disagreement": 15.0}


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason why a task is there. ``strength`` in [0, 1] scales its term; 0 only tells."""

    kind: str
    term: str
    strength: float
    icon: str
    text: str
    quote: str = ""
    title: str = ""
    rule: str = ""
    rule_version: int = 0

    @property
    def points(self) -> float:
        return WEIGHTS.get(self.term, 0.0) * self.strength


def ordered(reasons: Iterable[Reason]) -> list[Reason]:
    """Heaviest first; equal ones in a fixed order; each once."""
    return sorted(set(reasons), key=lambda reason: (-reason.points, reason.kind, reason.text, reason.quote))


def terms(reasons: Sequence[Reason]) -> list[dict[str, Any]]:
    """The score by terms: what each adds and because of what. Their sum is the score."""
    strongest: dict[str, Reason] = {}
    for reason in ordered(reasons):
        if reason.points > 0:
            strongest.setdefault(reason.term, reason)
    return [
        {"term": term, "points": round(reason.points, 1), "text": reason.text} for term, reason in strongest.items()
    ]


def score(reasons: Sequence[Reason]) -> float:
    """0 to 100."""
    return min(100.0, sum(float(term["points"]) for term in terms(reasons)))


def time_limit(points: float, *, sla_min_hours: float, sla_max_hours: float) -> timedelta:
    """How long a task of this score may wait: ``max − (max − min) · score / 100``."""
    return timedelta(hours=sla_max_hours - (sla_max_hours - sla_min_hours) * points / 100)


def as_stored(reason: Reason) -> dict[str, Any]:
    """A reason as it is kept with its task, points included."""
    return {**asdict(reason), "points": round(reason.points, 1)}
