"""Agreement between the reviewers of a project: by question, failure mode and pair, with what it means in words.

The figures are those of ``agreement`` over ``shared_items``; formulas and sources are in docs/statistics.md. Nothing is
said of fewer than thirty shared items.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median
from typing import Any

from annotations.agreement import Agreement, cohen, gwet, krippendorff, one_sided, percent
from annotations.estimation import LEAST_LABELS
from annotations.models import Verdict
from annotations.shared_items import Item, Shared
from projects.models import User

CELL_RESAMPLES = 400  # of a cell among many; the figures at the top take 1,000
MOST_PEOPLE = 8  # in the matrix: those with the most shared items
SEVERITIES = (1, 2, 3, 4)
NAMED = 5  # items on which a failure mode must have been named by somebody
FEW = LEAST_LABELS


@dataclass(frozen=True, slots=True)
class Question:
    """How far the answers to one question agree: the share of equal ones, α (nominal or ordinal), AC1 or AC2."""

    key: str
    name: str
    of: str
    share: Agreement
    alpha: Agreement
    gwet: Agreement
    metric: str = "nominal"

    @property
    def one_sided(self) -> bool:
        """Whether α is low although they seldom differ, since nearly all answers are the same."""
        return one_sided(self.share, self.alpha, self.gwet)


@dataclass(frozen=True, slots=True)
class Mode:
    """A failure mode as a question of its own, named or not; ``named`` counts the items on which anybody names it."""

    slug: str
    label: str
    named: int
    differ: int
    alpha: Agreement

    @property
    def enough(self) -> bool:
        """Whether there is anything to say."""
        return self.named >= NAMED and self.alpha.enough


@dataclass(frozen=True, slots=True)
class Pair:
    """Two reviewers: κ of their verdicts, with the share that is equal."""

    one: User
    other: User
    kappa: Agreement
    same: int

    @property
    def shared(self) -> int:
        """The items that both have labelled."""
        return self.kappa.n


@dataclass(frozen=True)
class Report:
    """Everything that the page and the API tell.

    ``table`` counts items by first and second verdict, ``mostly`` is the verdict that most votes have, with its share.
    """

    shared: Shared
    verdict: Question
    questions: list[Question]
    modes: list[Mode]
    pairs: list[Pair]
    people: list[User]
    table: dict[tuple[str, str], int]
    mostly: tuple[str, float]

    @property
    def n(self) -> int:
        """Shared items."""
        return len(self.shared.items)

    @property
    def told(self) -> list[Pair]:
        """The pairs with enough shared items, the least agreeing first."""
        return sorted((pair for pair in self.pairs if pair.kappa.enough), key=_kappa)

    @property
    def median_kappa(self) -> float | None:
        """The κ in the middle of all pairs of which it can be told."""
        values = [pair.kappa.value for pair in self.told if pair.kappa.value is not None]
        return median(values) if values else None

    @property
    def opposed(self) -> int:
        """Items that are a pass for one and a fail for another of the first two."""
        return self.table["pass", "fail"] + self.table["fail", "pass"]

    @property
    def heading(self) -> str:
        """What the case is, in a sentence."""
        word = self.verdict.alpha.word
        if word == "few":
            return "Too few labels to tell"
        if word == "undefined":
            return "All reviewers always gave the same verdict"
        if self.verdict.one_sided:
            return "Reviewers seldom differ, but nearly all their verdicts are the same"
        return {
            "reliable": "Reviewers agree well: good enough for a gold set",
            "tentative": "Reviewers agree fairly well: good enough for trends, not yet for a gold set",
        }.get(word, "Reviewers agree too little: the guide comes before more labels")


def _kappa(pair: Pair) -> float:
    return pair.kappa.value or 0.0


def report(shared: Shared) -> Report:
    """The report on these items."""
    verdicts = [[vote.verdict for vote in item.votes] for item in shared.items]
    counted = Counter(one for item in verdicts for one in item).most_common(1)
    total = sum(map(len, verdicts))
    verdict = _question("verdict", "Verdict", "all shared items", verdicts, Verdict.values)
    every = pairs(shared)
    met = Counter[int]()
    for pair in every:
        met.update({pair.one.pk: pair.shared, pair.other.pk: pair.shared})
    people = [shared.people[pk] for pk, _ in met.most_common(MOST_PEOPLE)]
    return Report(
        shared=shared, verdict=verdict, questions=[verdict, *_of_fails(shared)], modes=_modes(shared), pairs=every,
        people=sorted(people, key=str), table=_table(shared.items),
        mostly=(counted[0][0], counted[0][1] / total) if counted else ("", 0.0),
    )  # fmt: skip


def _question(
    key: str, name: str, of: str, said: Sequence[Sequence[Any]], scale: Sequence[Any] | None = None,
    metric: str = "nominal",
) -> Question:  # fmt: skip
    ordinal = metric == "ordinal"
    return Question(
        key, name, of, percent(said), krippendorff(said, "ordinal" if ordinal else "nominal"),
        gwet(said, scale, "quadratic" if ordinal else "nominal"), metric,
    )  # fmt: skip


def _of_fails(shared: Shared) -> list[Question]:
    """Category and severity, of what two or more say that it fails."""
    fails = [[vote for vote in item.votes if vote.verdict == Verdict.FAIL] for item in shared.items]
    fails = [votes for votes in fails if len(votes) > 1]
    mains = [[vote.main for vote in votes if vote.main] for votes in fails]
    severities = [[vote.severity for vote in votes if vote.severity] for votes in fails]
    of = "what two or more say fails"
    return [
        _question("category", "Primary category", of, [one for one in mains if len(one) > 1]),
        _question("severity", "Severity", of, [one for one in severities if len(one) > 1], SEVERITIES, "ordinal"),
    ]


def _modes(shared: Shared) -> list[Mode]:
    """Every failure mode that anybody has named, those on which reviewers agree most first, the rarely named last."""
    named = Counter(slug for item in shared.items for slug in {mode for vote in item.votes for mode in vote.modes})
    found = []
    for slug, count in named.items():
        said = [[slug in vote.modes for vote in item.votes] for item in shared.items]
        differ = sum(len(set(one)) > 1 for one in said)
        alpha = krippendorff(said, resamples=CELL_RESAMPLES if count >= NAMED else 0)
        found.append(Mode(slug, shared.modes.get(slug, slug), count, differ, alpha))
    return sorted(found, key=lambda mode: (not mode.enough, -(mode.alpha.value or 0.0), -mode.named, mode.slug))


def pairs(shared: Shared) -> list[Pair]:
    """Every two reviewers who share an item, those who share most first."""
    met: dict[tuple[int, int], list[tuple[str, str]]] = {}
    for item in shared.items:
        for one, other in item.pairs():
            met.setdefault((one.reviewer, other.reviewer), []).append((one.verdict, other.verdict))
    by_size = sorted(met.items(), key=lambda entry: (-len(entry[1]), entry[0]))
    # Intervals of those that can be in the matrix; the API tells of the others without one.
    most = len(list(combinations(range(MOST_PEOPLE), 2)))
    return [
        Pair(
            shared.people[one], shared.people[other],
            cohen(said, Verdict.values, resamples=CELL_RESAMPLES if place < most else 0), sum(a == b for a, b in said),
        )
        for place, ((one, other), said) in enumerate(by_size)
    ]  # fmt: skip


def _table(items: Sequence[Item]) -> dict[tuple[str, str], int]:
    """How often each verdict came first and each one second."""
    found = Counter((item.votes[0].verdict, item.votes[1].verdict) for item in items)
    return {(one, other): found[one, other] for one in Verdict.values for other in Verdict.values}
