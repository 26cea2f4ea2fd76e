"""A first rubric out of what reviewers wrote, by rule: a draft that a person reads, changes and saves. No model takes
part; ``rubric_writing`` asks one.

Only labels of the train part are read: what is quoted in a rubric must not be what the judge is measured on. The
quotes are reviewers' words, who may in turn have quoted users: whoever saves the draft should have read it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from annotations import failure_modes
from annotations.models import FailureMode, Label
from evals.calibration import TRAIN, part_of
from projects.models import Project

LEAST_FAILS = 3
READ = 20_000
MODES, QUOTES, PASSES, LONGEST = 6, 3, 4, 200


@dataclass(frozen=True, slots=True)
class Draft:
    """``rubric`` can be saved as it is; ``fails`` and ``passes`` count the labels that it was made from."""

    rubric: str
    fails: int
    passes: int


@dataclass(frozen=True, slots=True)
class Reason:
    """What reviewers wrote alike, in the words that come first by alphabet, and how often."""

    words: str
    count: int


@dataclass(frozen=True, slots=True)
class Mode:
    """A failure mode of the labels, None for fails without one: how many fails it has and why, commonest first."""

    mode: FailureMode | None
    fails: int
    reasons: list[Reason]

    @property
    def name(self) -> str:
        return plain(self.mode.label if self.mode else "Other faults")

    @property
    def description(self) -> str:
        return plain(self.mode.description) if self.mode else ""


@dataclass(frozen=True, slots=True)
class Critiques:
    """What reviewers wrote of the train part: modes with the commonest first, and why people passed what they passed.

    ``fails`` and ``passes`` count the labels; ``documents`` says that some of the answers had documents.
    """

    modes: list[Mode]
    good: list[Reason]
    fails: int
    passes: int
    documents: bool


def critiques(project: Project) -> Critiques | None:
    """What there is to draft from; None under 3 fails with a failure mode or a note."""
    labels = _labels(project)
    fails = [one for one in labels if one.verdict == "fail" and (one.note.strip() or one.primary_category_id)]
    if len(fails) < LEAST_FAILS:
        return None
    passes = [one for one in labels if one.verdict == "pass"]
    by_mode: dict[FailureMode | None, list[str]] = defaultdict(list)
    for one in fails:
        by_mode[failure_modes.now(one.primary_category)].append(one.note)
    modes = sorted(by_mode.items(), key=lambda entry: (-len(entry[1]), entry[0].slug if entry[0] else "~"))
    return Critiques(
        [Mode(mode, len(notes), _reasons(notes)) for mode, notes in modes], _reasons(one.note for one in passes),
        len(fails), len(passes), any(one.interaction.documents for one in labels),
    )  # fmt: skip


def draft(project: Project) -> Draft | None:
    """A rubric from the failure modes of the project's train labels, the commonest first, with their commonest reasons.

    The same labels give the same text. None under 3 fails with a failure mode or a note.
    """
    found = critiques(project)
    if found is None:
        return None
    criteria: list[str] = []
    for place, mode in enumerate(found.modes[:MODES], 1):
        criteria += _criterion(place, mode, found.fails)
    rubric = framed(found, criteria, _quoted(found.good[:PASSES], "- "))
    return Draft(rubric, found.fails, found.passes)


def framed(found: Critiques, criteria: Sequence[str], border: Sequence[str]) -> str:
    """The whole text around the lines of its criteria: the question, the scale, and what lies at the border."""
    lines = [
        f"Is {{{{output}}}} a good answer to {{{{input}}}}{', going by {{context}}' if found.documents else ''}?", "",
        "Check each of these in turn; quote the words of the answer that decide.", "", *criteria,
        "Pass (1): none of these faults is there.",
        "In between (0.5): one is there, and the user can still do what they came for.",
        "Fail (0): one is there that would mislead, harm or stop the user.",
    ]  # fmt: skip
    if border:
        lines += ["", "At the border: people pass these, and say why:", *border]
    return "\n".join(lines)


def _labels(project: Project) -> list[Label]:
    found = Label.objects.filter(project=project, superseded_at=None, verdict__in=["pass", "fail"])
    found = found.select_related("primary_category__counts_as", "interaction").order_by("-pk")
    found = found.only(
        "verdict", "note", "primary_category__slug", "primary_category__label", "primary_category__description",
        "primary_category__counts_as__slug", "primary_category__counts_as__label",
        "primary_category__counts_as__description", "interaction__session_id", "interaction__external_id",
        "interaction__documents",
    )  # fmt: skip
    return [one for one in found[:READ] if part_of(one.interaction.session_id, one.interaction.external_id) == TRAIN]


def _criterion(place: int, mode: Mode, fails: int) -> list[str]:
    said = f": {mode.description}" if mode.description else ""
    return [
        f"{place}. {mode.name}{said} ({mode.fails} of {fails} fails)", *_quoted(mode.reasons[:QUOTES], "   - "), "",
    ]  # fmt: skip


def _reasons(notes: Iterable[str]) -> list[Reason]:
    """Notes that are the same but for figures, case and punctuation are one reason; the commonest first."""
    alike: dict[str, list[str]] = defaultdict(list)
    for note in notes:
        if words := plain(note):
            alike[re.sub(r"\d+", "0", re.sub(r"[^\w\s]+", "", words.casefold()))].append(words)
    found = [Reason(min(group), len(group)) for group in alike.values()]
    return sorted(found, key=lambda one: (-one.count, one.words))


def _quoted(reasons: Sequence[Reason], lead: str) -> list[str]:
    return [
        f"{lead}“{one.words if len(one.words) <= LONGEST else one.words[: LONGEST - 1] + '…'}”"
        f"{f' ({one.count} times)' if one.count > 1 else ''}"
        for one in reasons
    ]


def plain(text: str) -> str:
    """One line, in which braces can be no variable."""
    return " ".join(re.sub(r"[{}]{2,}", " ", text).split())
