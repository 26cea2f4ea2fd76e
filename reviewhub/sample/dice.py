"""Dice that keep their promise: a share of 0.2 comes true in every fifth throw of a kind, from a random start.

With honest dice a month of 1,200 visits differs so much from one start of the sample to the next that some
newcomers would see a story that the data do not tell. The order in which visitors come is random anyway.
"""

from __future__ import annotations

from collections.abc import Hashable
from random import Random


class Dice:
    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._owed: dict[Hashable, float] = {}

    def happens(self, kind: Hashable, share: float) -> bool:
        """Whether it happens this time; over many throws of one kind it happens with the given share."""
        owed = self._owed.get(kind, self._rng.random()) + share
        self._owed[kind] = owed - 1 if owed >= 1 else owed
        return owed >= 1
