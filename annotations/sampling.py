"""Deterministic drawing: the same item, the same rule, the same answer, with a probability that is known.

An item is drawn if the hash of the rule's seed and the item's id, read as a number in [0, 1), is below the
rule's share: Bernoulli sampling with a permanent random number (Ohlsson 1995, "Coordination of samples
using permanent random numbers"). Nothing is stored for items that were not drawn, and a rule evaluated
again gives the same sample.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from math import prod


def number(seed: str, item: str) -> float:
    """The item's permanent random number under a seed, uniform in [0, 1)."""
    digest = hashlib.sha256(f"{seed}\0{item}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def drawn(seed: str, item: str, share: float) -> bool:
    """Whether a rule with this seed and share draws the item."""
    return number(seed, item) < share


def inclusion_probability(shares: Iterable[float]) -> float:
    """The probability that at least one of several independent draws takes an item: 1 − Π(1 − p).

    Särndal, Swensson and Wretman 1992, "Model Assisted Survey Sampling", section 2.4. The design weight of a
    sampled item is its inverse.
    """
    return 1.0 - prod(1.0 - share for share in shares)
