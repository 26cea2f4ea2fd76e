"""How far a judge can be trusted, measured on parts of the labels that it was not made with.

Pure but for ``pairs``. Labels are split by a hash of their session: *train* for examples in prompts, *dev* for looking
and for choosing a threshold, *test* to be read once for each version. The formulas' sources stand at each function.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from math import sqrt

from django.db.models import Value
from django.db.models.functions import MD5, Length

from annotations.estimation import LEAST_LABELS, Z, wilson
from evals.judge_agreement import Agreement
from evals.models import Judge, JudgeJob

TRAIN, DEV, TEST = "train", "dev", "test"
# Per cent of sessions: up to 15 train, up to 60 dev, the rest test.
_TRAIN_TO, _DEV_TO = 15, 60
MOST_PAIRS = 20_000
RECENT = timedelta(days=28)
STALE = timedelta(days=90)


def part_of(session: str, external_id: str) -> str:
    """The part that an interaction's label belongs to: its session's, so that no conversation is on both sides."""
    digest = hashlib.sha256(f"calibration\0{session or external_id}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") % 100
    return TRAIN if place < _TRAIN_TO else DEV if place < _DEV_TO else TEST


@dataclass(frozen=True, slots=True)
class Pair:
    """A judge's score beside people's verdict on the same answer; ``length`` is the answer's in characters."""

    job: int
    score: float
    flagged: bool
    fails: bool
    part: str
    length: int
    settled_at: datetime


def pairs(judge: Judge) -> list[Pair]:
    """The newest pairs of this version with settled labels of pass or fail, one for each interaction; one query.

    What the version was shown as an example counts as train, wherever the split would put it now: sessions by name,
    and answers that are the same word for word.
    """
    groups = {one["group"] for one in judge.examples}
    digests = {one["digest"] for one in judge.examples}
    rows = (
        JudgeJob.objects.filter(
            judge=judge, score__flagged__isnull=False, score__value__isnull=False,
            interaction__labels__superseded_at=None, interaction__labels__verdict__in=["pass", "fail"],
        )
        .annotate(length=Length("interaction__output"), digest=MD5("interaction__output") if digests else Value(""))
        .order_by("-interaction_id", "-pk")
        .values_list("interaction_id", "pk", "score__value", "score__flagged", "interaction__labels__verdict",
                     "interaction__session_id", "interaction__external_id", "length",
                     "interaction__labels__settled_at", "digest")[:MOST_PAIRS]
    )  # fmt: skip
    found: dict[int, Pair] = {}
    for item, job, score, flagged, verdict, session, external, length, settled, digest in rows:
        told = (session or external) in groups or digest in digests
        part = TRAIN if told else part_of(session, external)
        found.setdefault(item, Pair(job, float(score or 0), bool(flagged), verdict == "fail", part, length, settled))
    return list(found.values())


def agreement(found: Iterable[Pair]) -> Agreement:
    """The four cells of these pairs."""
    cells = {(True, True): 0, (True, False): 0, (False, True): 0, (False, False): 0}
    for pair in found:
        cells[pair.fails, pair.flagged] += 1
    return Agreement(cells[True, True], cells[True, False], cells[False, True], cells[False, False])


@dataclass(frozen=True, slots=True)
class Threshold:
    """What another threshold would do on the dev part: shares of fails found and passes cleared."""

    value: float
    finds: float
    clears: float


def best_threshold(dev: Sequence[Pair]) -> Threshold | None:
    """The threshold at which the weaker of both rates is best (ties: the larger sum, then the lower); None under 30
    labels or without both verdicts. Candidates lie midway between neighbouring scores."""
    if not agreement(dev).enough:
        return None
    fails = sum(pair.fails for pair in dev)
    passes = len(dev) - fails
    scores = sorted({pair.score for pair in dev})
    middles = [(low + high) / 2 for low, high in pairwise(scores)]
    best: tuple[tuple[float, float, float], Threshold] | None = None
    for value in middles:
        finds = sum(pair.fails and pair.score < value for pair in dev) / fails
        clears = sum(not pair.fails and pair.score >= value for pair in dev) / passes
        rank = (min(finds, clears), finds + clears, -value)
        if best is None or rank > best[0]:
            best = rank, Threshold(round(value, 4), finds, clears)
    return best[1] if best else None


@dataclass(frozen=True, slots=True)
class Corrected:
    """A pass rate as the judge says it and as it is likely to be, with a 95 % interval; all between 0 and 1."""

    judge_says: float
    value: float
    low: float
    high: float


def corrected_pass_rate(flagged: int, judged: int, measured: Agreement) -> Corrected | None:
    """The pass rate behind a judge's flags, from its measured TPR and TNR; None where those say nothing.

    Point: (flagged share + TNR − 1) / (TPR + TNR − 1) is the share of fails (W. J. Rogan, B. Gladen, "Estimating
    prevalence from the results of a screening test", Am. J. Epidemiol. 107 (1978) 71-76). Interval: Z. Lang,
    J. Reiczigel, "Confidence limits for prevalence of disease adjusted for estimated sensitivity and specificity",
    Prev. Vet. Med. 113 (2014) 13-22, which counts what is not known of TPR and TNR. Both assume that they hold for the
    answers that were judged as they do for those that were labelled.
    """
    n1, n0 = measured.found + measured.missed, measured.cleared + measured.false_alarms
    if not judged or not measured.enough:
        return None
    tpr, tnr = measured.found / n1, measured.cleared / n0
    if tpr + tnr <= 1.05:  # no better than chance: the correction would divide by nothing
        return None
    share = flagged / judged
    fails = min(max((share + tnr - 1) / (tpr + tnr - 1), 0.0), 1.0)
    z2 = Z * Z
    p = (flagged + z2 / 2) / (judged + z2)
    se, sp = (measured.found + 1) / (n1 + 2), (measured.cleared + 1) / (n0 + 2)
    lift = se + sp - 1
    if lift <= 0:
        return None
    centre = (p + sp - 1) / lift
    shift = 2 * z2 * (centre * se * (1 - se) / (n1 + 2) - (1 - centre) * sp * (1 - sp) / (n0 + 2))
    reach = (Z / lift) * sqrt(
        p * (1 - p) / (judged + z2)
        + centre**2 * se * (1 - se) / (n1 + 2)
        + (1 - centre) ** 2 * sp * (1 - sp) / (n0 + 2)
    )
    low, high = (min(max(centre + shift + side * reach, 0.0), 1.0) for side in (-1, 1))
    return Corrected(1 - share, 1 - fails, 1 - max(high, fails), 1 - min(low, fails))


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference of two shares with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def certain(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0


def difference(hits: int, n: int, other_hits: int, other_n: int) -> Difference | None:
    """The first share less the other, by square-and-add of Wilson intervals (R. G. Newcombe, Statistics in Medicine 17
    (1998) 873-890, method 10); None where one of them has nothing."""
    if not n or not other_n:
        return None
    one, other = hits / n, other_hits / other_n
    (low, high), (other_low, other_high) = wilson(hits, n), wilson(other_hits, other_n)
    down = sqrt((one - low) ** 2 + (other_high - other) ** 2)
    up = sqrt((high - one) ** 2 + (other - other_low) ** 2)
    return Difference(one - other, one - other - down, one - other + up)


def verbosity(found: Sequence[Pair]) -> Difference | None:
    """How much more often the judge passes long answers than short ones that people judge alike; None under 30 pairs.

    Halves by the median length within each verdict of people; the verdicts' differences are weighted by their size,
    and the variances with the squares of the weights.
    """
    if len(found) < LEAST_LABELS:
        return None
    value = down = up = weight = 0.0
    for fails in (True, False):
        group = sorted((pair for pair in found if pair.fails == fails), key=lambda pair: (pair.length, pair.job))
        half = len(group) // 2
        short, long = group[:half], group[len(group) - half :]
        one = difference(
            sum(not pair.flagged for pair in long), len(long), sum(not pair.flagged for pair in short), len(short)
        )
        if one is not None:
            share = len(group) / len(found)
            value, weight = value + share * one.value, weight + share
            down += (share * (one.value - one.low)) ** 2
            up += (share * (one.high - one.value)) ** 2
    return Difference(value / weight, (value - sqrt(down)) / weight, (value + sqrt(up)) / weight) if weight else None


def drift(found: Sequence[Pair], now: datetime) -> Difference | None:
    """Agreement with people in the last 28 days less that before; None unless both have 30 pairs."""
    recent = [pair.flagged == pair.fails for pair in found if now - pair.settled_at <= RECENT]
    before = [pair.flagged == pair.fails for pair in found if now - pair.settled_at > RECENT]
    if min(len(recent), len(before)) < LEAST_LABELS:
        return None
    return difference(sum(recent), len(recent), sum(before), len(before))


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Answers with scores from ``start`` to ``start`` + 0.2: their mean score, and the share that people pass."""

    start: float
    n: int
    score: float
    passes: float
    low: float
    high: float


def reliability(found: Sequence[Pair]) -> tuple[list[ReliabilityBin], float | None]:
    """Five bins of scores against people's passes, and the expected calibration error over them.

    ECE = Σ n_b/n |mean score − share of passes|: M. P. Naeini, G. F. Cooper, M. Hauskrecht, "Obtaining well calibrated
    probabilities using Bayesian binning", AAAI 2015. None under 30 pairs.
    """
    groups: dict[int, list[Pair]] = {}
    for pair in found:
        groups.setdefault(min(int(pair.score * 5), 4), []).append(pair)
    bins = []
    for place, group in sorted(groups.items()):
        n, passes = len(group), sum(not pair.fails for pair in group)
        mean = sum(pair.score for pair in group) / n
        bins.append(ReliabilityBin(place / 5, n, mean, passes / n, *wilson(passes, n)))
    if len(found) < LEAST_LABELS:
        return bins, None
    return bins, sum(one.n * abs(one.score - one.passes) for one in bins) / len(found)


def due(read_at: datetime | None, moved: Difference | None, now: datetime) -> str:
    """Why a version should be calibrated again, in words; "" where it need not."""
    if read_at is None:
        return ""
    if moved is not None and moved.high < 0:
        return f"it agrees with people {-moved.value:.0%} less often than before"
    if now - read_at > STALE:
        return f"its test part was read {(now - read_at).days} days ago"
    return ""
