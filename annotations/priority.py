"""Why a task is urgent, in points that add up, and until when it should be seen.

The score is a sum of terms from 0 to 100, each with its words; nothing else moves a task. Urgency is a
virtual deadline: arrival plus a time limit that shrinks with the score. Sorting by that fixed time is the
same order as letting every task's priority grow linearly while it waits (an accumulating priority queue,
Kleinrock 1964), so nothing has to be recomputed as time passes, and nothing starves: a task can only be
overtaken by tasks that arrive within ``sla_max − sla_min`` after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

# The most that each term adds; a term counts once, with its strongest reason. Complaints and severity (harm,
# errors) are worth a person's time in this order; that a machine alone finds an answer bad is worth less than a
# user's word. The last three tell what a single interaction cannot: how many users a pattern meets, whether it is
# new, whether it grows. A queue may weigh them otherwise; together they always make 100.
WEIGHTS = {
    "negative": 25.0, "severity": 20.0, "disagreement": 15.0, "machine": 15.0, "impact": 12.0, "novelty": 8.0,
    "spike": 5.0,
}  # fmt: skip
FORCED, CAPPED = "forced", "capped"  # terms of rules that set a score rather than add to it


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
        """What it adds where the weights are the default ones."""
        return self.worth({})

    def worth(self, weights: Mapping[str, float]) -> float:
        """What it adds under a queue's weights."""
        return float(weights.get(self.term, WEIGHTS.get(self.term, 0.0))) * self.strength


def ordered(reasons: Iterable[Reason], weights: Mapping[str, float] = WEIGHTS) -> list[Reason]:
    """Heaviest first; equal ones in a fixed order; each once."""
    found = set(reasons)
    if len(found) < 2:
        return list(found)

    def place(reason: Reason) -> tuple[float | str, ...]:
        return (
            -reason.worth(weights),
            reason.kind,
            reason.text,
            reason.quote,
            reason.term,
            reason.strength,
            reason.rule,
        )

    return sorted(found, key=place)


def terms(
    reasons: Sequence[Reason], weights: Mapping[str, float] = WEIGHTS, *, forced_by: str = "",
    cap: float = 100.0, capped_by: str = "",
) -> list[dict[str, Any]]:  # fmt: skip
    """The score by terms: what each adds and because of what. Their sum is the score.

    ``forced_by`` is the name of a rule that puts the item first whatever the terms say, ``capped_by`` of one that
    limits its score to ``cap``; each is a term of its own that adds or takes away the difference.
    """
    strongest: dict[str, Reason] = {}
    for reason in ordered(reasons, weights):
        if reason.worth(weights) > 0:
            strongest.setdefault(reason.term, reason)
    found: list[dict[str, Any]] = [
        {"term": term, "points": round(reason.worth(weights), 1), "text": reason.text}
        for term, reason in strongest.items()
    ]
    points = sum(float(term["points"]) for term in found)
    if forced_by and points < 100:
        found.append({"term": FORCED, "points": round(100 - points, 1), "text": forced_by})
    elif not forced_by and capped_by and points > cap:
        found.append({"term": CAPPED, "points": round(cap - points, 1), "text": capped_by})
    return found


def total(found: Iterable[dict[str, Any]]) -> float:
    """The score that terms make: 0 to 100."""
    return min(100.0, max(0.0, round(sum(float(term["points"]) for term in found), 1)))


def score(reasons: Sequence[Reason], weights: Mapping[str, float] = WEIGHTS) -> float:
    """0 to 100, under a queue's weights; terms that they do not name have the default ones."""
    return total(terms(reasons, weights))


def explained(stored_terms: Iterable[dict[str, Any]]) -> str:
    """The score in words: ``45 points: Thumbs-down 25, Judge faithfulness 0.31 15, …``."""
    parts = list(stored_terms)
    words = ", ".join(f"{part['text']} {format(part['points'], 'g').replace('-', '−')}" for part in parts)
    return f"{total(parts):g} points" + (f": {words}" if words else "")


def time_limit(points: float, *, sla_min_hours: float, sla_max_hours: float) -> timedelta:
    """How long a task of this score may wait: ``max − (max − min) · score / 100``."""
    return timedelta(hours=sla_max_hours - (sla_max_hours - sla_min_hours) * points / 100)


def turn(number: float, *, sla_min_hours: float, sla_max_hours: float) -> timedelta:
    """How long a task of a random sample may wait: a share of the same range that is nothing but chance.

    ``number`` is the item's permanent random number in [0, 1). Nothing that is known of an item may decide how soon it
    is looked at, or what is labelled first would not be like the rest.
    """
    return timedelta(hours=sla_min_hours + (sla_max_hours - sla_min_hours) * number)


def as_stored(reason: Reason, weights: Mapping[str, float] = WEIGHTS) -> dict[str, Any]:
    """A reason as it is kept with its task, points included."""
    return {
        "kind": reason.kind, "term": reason.term, "strength": reason.strength, "icon": reason.icon,
        "text": reason.text, "quote": reason.quote, "title": reason.title, "rule": reason.rule,
        "rule_version": reason.rule_version, "points": round(reason.worth(weights), 1),
    }  # fmt: skip
