"""What can be known of conditions without any facts: that nothing can meet one, that one includes another.

A condition is brought into disjunctive normal form, a choice of conjunctions of leaves, as far as that stays
small. A conjunction is impossible where its leaves ask for two values of one field, or for an empty range.
One condition includes another if each conjunction of the other holds all leaves of one of its own. Both
tests are sound, not complete: what they say is true, what they do not see (two patterns that exclude each
other, say) is let through.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

CONJUNCTIONS = 200  # beyond this nothing is claimed

Leaf = tuple[str, bool]  # the leaf as canonical JSON, and whether it is asked for or ruled out
Conjunction = frozenset[Leaf]


def conjunctions(condition: dict[str, Any]) -> list[Conjunction] | None:
    """The choices of a checked condition, each a set of leaves; None where there are too many to tell."""
    found = _choices(condition, True)
    return None if found is None else [part for part in dict.fromkeys(found) if not _clashes(part)]


def impossible(condition: dict[str, Any]) -> bool:
    """Whether it is certain that nothing can meet this condition."""
    return conjunctions(condition) == []


def includes(wide: dict[str, Any], narrow: dict[str, Any]) -> bool:
    """Whether it is certain that whatever meets ``narrow`` meets ``wide``."""
    outer, inner = conjunctions(wide), conjunctions(narrow)
    if outer is None or inner is None:
        return False
    return all(any(part <= one for part in outer) for one in inner)


def _choices(node: dict[str, Any], wanted: bool) -> list[Conjunction] | None:
    if "not" in node:
        return _choices(node["not"], not wanted)
    if "all" in node or "any" in node:
        parts = node.get("all", node.get("any", []))
        every = ("all" in node) == wanted  # a negated "any" rules out each of its parts
        return _cross(parts, wanted) if every else _union(parts, wanted)
    return [frozenset([(json.dumps(node, sort_keys=True), wanted)])]


def _union(parts: Iterable[dict[str, Any]], wanted: bool) -> list[Conjunction] | None:
    together: list[Conjunction] = []
    for part in parts:
        found = _choices(part, wanted)
        if found is None or len(together) + len(found) > CONJUNCTIONS:
            return None
        together += found
    return together


def _cross(parts: Iterable[dict[str, Any]], wanted: bool) -> list[Conjunction] | None:
    together: list[Conjunction] = [frozenset()]
    for part in parts:
        found = _choices(part, wanted)
        if found is None or len(together) * len(found) > CONJUNCTIONS:
            return None
        together = [one | other for one in together for other in found]
    return together


@dataclass
class _Range:
    """What is left of one field: the texts it may be (None: any but ``out``), and the numbers between two ends."""

    texts: set[str] | None = None
    out: set[str] = field(default_factory=set)
    low: tuple[float, bool] = (float("-inf"), False)  # the end, and whether it is excluded
    high: tuple[float, bool] = (float("inf"), False)
    known: bool | None = None
    has: set[str] = field(default_factory=set)

    def add(self, leaf: dict[str, Any], wanted: bool) -> None:
        op, value = leaf["op"], leaf.get("value", "")
        if op in {"known", "unknown"}:
            self._know((op == "known") == wanted)
        elif op in {"is", "in", "is_not", "not_in"}:
            words = set(value if isinstance(value, list) else [value])
            self._words(words, (op in {"is", "in"}) == wanted)
        elif op in {"has", "has_not"}:
            (self.has if (op == "has") == wanted else self.out).add(value)
        elif op in {"at_least", "at_most", "above", "below"} and wanted:
            self._know(True)
            self._limit(op, value)

    def _know(self, known: bool) -> None:
        self.texts = set() if self.known not in {None, known} else self.texts
        self.known = known

    def _words(self, words: set[str], inside: bool) -> None:
        if inside:
            self._know(True)
            self.texts = words if self.texts is None else self.texts & words
        else:
            self.out |= words

    def _limit(self, op: str, value: float) -> None:
        if op in {"at_least", "above"}:
            self.low = max(self.low, (value, op == "above"))
        else:
            end, open_ = self.high
            if value < end or (value == end and op == "below"):
                self.high = (value, op == "below" or (value == end and open_))

    @property
    def empty(self) -> bool:
        if self.texts is not None and not self.texts - self.out:
            return True
        if self.has & self.out:
            return True
        (low, over), (high, under) = self.low, self.high
        return low > high or (low == high and (over or under))


def _clashes(part: Conjunction) -> bool:
    leaves = dict[str, bool]()
    for leaf, wanted in part:
        if leaves.setdefault(leaf, wanted) != wanted:
            return True
    fields: dict[str, _Range] = defaultdict(_Range)
    for text, wanted in part:
        leaf = json.loads(text)
        if "field" in leaf:
            fields[leaf["field"]].add(leaf, wanted)
        elif "op" in leaf.get("score", {}) and {"name", "source"} <= leaf["score"].keys():
            score = leaf["score"]
            fields[f"score {score['name']} {score['source']}"].add(score, wanted)
    return any(one.empty for one in fields.values())
