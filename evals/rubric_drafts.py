"""A first rubric out of what reviewers wrote: a draft that a person reads, changes and saves. No model takes part.

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
class _Reason:
    """What reviewers wrote alike, in the words that come first by alphabet, and how often."""

    words: str
    count: int


def draft(project: Project) -> Draft | None:
    """A rubric from the failure modes of the project's train labels, the commonest first, with their commonest reasons.

    The same labels give the same text. None under 3 fails with a failure mode or a note.
    """
    labels = _labels(project)
    fails = [one for one in labels if one.verdict == "fail" and (one.note.strip() or one.primary_category_id)]
    if len(fails) < LEAST_FAILS:
        return None
    passes = [one for one in labels if one.verdict == "pass"]
    by_mode: dict[FailureMode | None, list[str]] = defaultdict(list)
    for one in fails:
        by_mode[failure_modes.now(one.primary_category)].append(one.note)
    modes = sorted(by_mode.items(), key=lambda entry: (-len(entry[1]), entry[0].slug if entry[0] else "~"))
    documents = any(one.interaction.documents for one in labels)
    lines = [
        f"Is {{{{output}}}} a good answer to {{{{input}}}}{', going by {{context}}' if documents else ''}?", "",
        "Check each of these in turn; quote the words of the answer that decide.", "",
    ]  # fmt: skip
    for place, (mode, notes) in enumerate(modes[:MODES], 1):
        lines += _criterion(place, mode, notes, len(fails))
    lines += [
        "Pass (1): none of these faults is there.",
        "In between (0.5): one is there, and the user can still do what they came for.",
        "Fail (0): one is there that would mislead, harm or stop the user.",
    ]
    if good := _reasons(one.note for one in passes):
        lines += ["", "At the border: people pass these, and say why:", *_quoted(good[:PASSES], "- ")]
    return Draft("\n".join(lines), len(fails), len(passes))


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


def _criterion(place: int, mode: FailureMode | None, notes: Sequence[str], fails: int) -> list[str]:
    name = _plain(mode.label if mode else "Other faults")
    said = f": {_plain(mode.description)}" if mode and mode.description else ""
    lines = [f"{place}. {name}{said} ({len(notes)} of {fails} fails)"]
    reasons = _reasons(notes)[:QUOTES]
    return [*lines, *_quoted(reasons, "   - "), ""]


def _reasons(notes: Iterable[str]) -> list[_Reason]:
    """Notes that are the same but for figures, case and punctuation are one reason; the commonest first."""
    alike: dict[str, list[str]] = defaultdict(list)
    for note in notes:
        if words := _plain(note):
            alike[re.sub(r"\d+", "0", re.sub(r"[^\w\s]+", "", words.casefold()))].append(words)
    found = [_Reason(min(group), len(group)) for group in alike.values()]
    return sorted(found, key=lambda one: (-one.count, one.words))


def _quoted(reasons: Sequence[_Reason], lead: str) -> list[str]:
    return [
        f"{lead}“{one.words if len(one.words) <= LONGEST else one.words[: LONGEST - 1] + '…'}”"
        f"{f' ({one.count} times)' if one.count > 1 else ''}"
        for one in reasons
    ]


def _plain(text: str) -> str:
    """One line, in which braces can be no variable."""
    return " ".join(re.sub(r"[{}]{2,}", " ", text).split())
