"""Why a task is urgent, in points that add up, and until when it should be seen.

The score is a sum of terms from 0 to 100, each with its words; nothing else moves a task. Urgency is a
virtual deadline: arrival plus a time limit that shrinks with the score. Sorting by that fixed time is the
same order as letting every task's priority grow linearly while it waits (an accumulating priority queue,
Kleinrock 1964), so nothing has to be recomputed as time passes, and nothing starves: a task can only be
overtaken by tasks that arrive within ``sla_max − sla_min`` after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

# The most that each term adds; a term counts once, with its strongest reason. Complaints, severity (harm,
# errors) and disagreement are worth a person's time in this order; that a machine alone finds an answer bad is
# worth less than a user's word. What is left to 100 belongs to what a single interaction cannot tell: how many
# users a pattern meets, whether it is new, whether it grows.
WEIGHTS = {"negative": 25.0, "severity": 20.0, "disagreement": 20.0, "machine": 15.0}


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


FIELDS = tuple(field.name for field in fields(Reason))


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


def explained(stored_terms: Iterable[dict[str, Any]]) -> str:
    """The score in words: ``45 points: Thumbs-down 25, Judge faithfulness 0.31 15, …``."""
    parts = list(stored_terms)
    total = min(100.0, sum(part["points"] for part in parts))
    words = ", ".join(f"{part['text']} {part['points']:g}" for part in parts)
    return f"{total:g} points" + (f": {words}" if words else "")


def time_limit(points: float, *, sla_min_hours: float, sla_max_hours: float) -> timedelta:
    """How long a task of this score may wait: ``max − (max − min) · score / 100``."""
    return timedelta(hours=sla_max_hours - (sla_max_hours - sla_min_hours) * points / 100)


def as_stored(reason: Reason) -> dict[str, Any]:
    """A reason as it is kept with its task, points included."""
    return {**{name: getattr(reason, name) for name in FIELDS}, "points": round(reason.points, 1)}
