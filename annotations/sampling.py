"""Drawing: who is looked at, decided by a number that anybody can compute again, with a probability that is known.

Every rule draws an item independently of all other items (Poisson sampling; Särndal, Swensson and Wretman 1992,
"Model Assisted Survey Sampling", section 3.5): the item is taken if the hash of the rule's seed and the item's id,
read as a number in [0, 1), is below the item's probability. That is a permanent random number (Ohlsson 1995,
"Coordination of samples using permanent random numbers"): the same item, the same rule and the same probability
always give the same answer, nothing has to be stored for what was not drawn, and a larger probability draws all
that a smaller one would have drawn.

The methods differ only in the probability that they give to an item:

============ ================================================== ===================================
random       the rule's rate                                    ``rate``
stratified   the rate of the item's group                       ``stratum_rates``
targeted     1, or the rule's rate, if the condition is met     ``rate``
uncertainty  grows as the score nears one half                  ``probability(uncertainty(score))``
disagreement grows with the distance between verdicts           ``probability(disagreement(scores))``
novelty      shrinks with what was seen of the item's cluster   ``probability(novelty(reviewed))``
============ ================================================== ===================================

A probability may depend on anything known before the draw, and on nothing that comes after it. It must be stored
with what was drawn: its inverse is the weight of the item in every published rate (``annotations.estimation``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from math import prod

LEAST = 0.1  # of the highest probability: no drawn item weighs more than ten times as much as another


def number(seed: str, item: str) -> float:
    """The item's permanent random number under a seed, uniform in [0, 1)."""
    digest = hashlib.sha256(f"{seed}\0{item}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def drawn(seed: str, item: str, probability: float) -> bool:
    """Whether a rule with this seed draws the item, to which it gives this probability. Never at 0, always at 1."""
    return number(seed, item) < probability


def inclusion_probability(shares: Iterable[float]) -> float:
    """The probability that at least one of several independent draws takes an item: 1 − Π(1 − p).

    Draws are independent if their seeds differ. Of all rules that could have drawn the item, those that did not are
    among them. Särndal, Swensson and Wretman 1992, section 2.4. The design weight of a sampled item is its inverse.
    """
    return 1.0 - prod(1.0 - share for share in shares)


def probability(need: float, *, most: float, least: float | None = None) -> float:
    """From how much an item is worth looking at, 0 to 1, to its probability: least + (most − least) · need.

    ``least`` is a tenth of ``most`` unless given. It is never 0: what could not have been drawn cannot be spoken for,
    and the weight 1/p of a rare draw must stay bounded (A. Beygelzimer, S. Dasgupta and J. Langford, "Importance
    weighted active learning", ICML 2009, who bound it in the same way). ValueError unless 0 < least ≤ most ≤ 1 and
    0 ≤ need ≤ 1.
    """
    least = most * LEAST if least is None else least
    if not 0 < least <= most <= 1:
        raise ValueError("the probabilities must be 0 < least ≤ most ≤ 1")
    if not 0 <= need <= 1:
        raise ValueError("the need must be between 0 and 1")
    return least + (most - least) * need


def uncertainty(score: float) -> float:
    """How little a calibrated probability of failure, 0 to 1, tells: 1 − |2p − 1|; 1 at one half, 0 at either end.

    D. Lewis and W. Gale, "A sequential algorithm for training text classifiers", SIGIR 1994. A score that is not
    calibrated gives another order, but no bias: the probability is known either way.
    """
    return 1.0 - abs(2.0 * score - 1.0)


def disagreement(scores: Sequence[float]) -> float:
    """How far several verdicts on one item are apart, each 0 (good) to 1 (bad): highest minus lowest.

    1 if a user and a judge contradict each other, 0 if all agree or there is only one. It is the query by committee
    of H. Seung, M. Opper and H. Sompolinsky (COLT 1992) for a committee of people and machines.
    """
    return max(scores) - min(scores) if scores else 0.0


def novelty(reviewed: int) -> float:
    """How new an item is whose cluster has had so many reviews: 1 / (1 + reviewed).

    The first of a kind is certain to be wanted, the tenth hardly. Sums over a cluster grow like its logarithm, so
    that a flood of one complaint takes few reviews.
    """
    return 1.0 / (1.0 + max(reviewed, 0))


def stratum_rates(volumes: Mapping[str, int], *, labels: float, floor: float) -> dict[str, float]:
    """The rate of each group for the coming period, from how many items each had in the last one.

    ``labels`` is how many items of all groups together are to be drawn, ``floor`` how many of each group at least:
    a small group never starves. First every group gets its floor, or all it has if that is less; what is left is
    shared in proportion to what is left of the groups. If the floors alone come to more than ``labels``, all are cut
    by the same factor. Expected draws add up to ``labels`` (or to everything, if that is less).

    The rate in force when an item arrives is its inclusion probability. Groups without any item are not in the
    answer: one that turns up during the period takes the rate of the rule itself until the rates are next set.
    W. G. Cochran, "Sampling Techniques" (1977), chapter 5 (proportional allocation); the floor is the usual
    compromise between the precision for groups and for all (M. Bankier, "Power allocations", Am. Stat. 42, 1988).
    ValueError if ``labels`` is not positive or ``floor`` is negative.
    """
    if labels <= 0 or floor < 0:
        raise ValueError("labels must be above 0 and the floor not below it")
    seen = {name: volume for name, volume in volumes.items() if volume > 0}
    total = sum(seen.values())
    if labels >= total:
        return dict.fromkeys(seen, 1.0)
    first = {name: min(floor, volume) for name, volume in seen.items()}
    promised = sum(first.values())
    if promised >= labels:
        return {name: first[name] * labels / promised / volume for name, volume in seen.items()}
    share = (labels - promised) / (total - promised)
    wanted = {name: first[name] + share * (volume - first[name]) for name, volume in seen.items()}
    return {name: min(wanted[name] / volume, 1.0) for name, volume in seen.items()}
