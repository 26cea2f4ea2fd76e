"""Labels that people gave elsewhere, as they come with imported files: one settled label for each interaction.

The words of public data sets become verdicts and failure modes by the tables below; words that are in neither
table are left alone. People who agree give their verdict. People who differ give ``unsure`` with the count of
votes in the note: nobody has adjudicated, and no majority is passed off as the truth. A label of ours is never
replaced by an imported one, and an interaction is labelled by import once, however often its file is read.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from django.db import transaction

from annotations.models import FailureMode, Label, Rubric, Verdict
from annotations.taxonomy import MAJOR, MINOR
from feedback import inbox
from feedback.importers import HumanLabel
from feedback.models import Inbox
from projects.models import Project

VERDICTS = {
    "pass": Verdict.PASS, "faithful": Verdict.PASS, "fully_attributable": Verdict.PASS, "excellent": Verdict.PASS,
    "acceptable": Verdict.PASS, "full_compliance": Verdict.PASS, "full_refusal": Verdict.PASS,
    "partial_refusal": Verdict.PASS,
    "fail": Verdict.FAIL, "hallucinated": Verdict.FAIL, "not_fully_attributable": Verdict.FAIL,
    "could_be_improved": Verdict.FAIL, "bad": Verdict.FAIL,
    "unsure": Verdict.UNSURE, "generic": Verdict.UNSURE,
}  # fmt: skip
MODES = {
    "baseless": "unsupported-claim", "unverifiable_or_false": "unsupported-claim", "references": "unsupported-claim",
    "conflict": "contradicts-source", "factuality": "wrong-fact-or-reasoning", "completeness": "incomplete",
    "relevance": "misread-intent", "question_misconception": "misread-intent",
    "over_refusal": "wrong-refusal", "unsafe_compliance": "safety-or-privacy",
}  # fmt: skip
SEVERITIES = {"evident": MAJOR, "subtle": MINOR, "1": 1, "2": 2, "3": 3, "4": 4}
FAULTS = {"hallucination", "error"}  # what a marked passage says where it is a fault


@transaction.atomic
def take(project: Project, labels: list[HumanLabel]) -> int:
    """Makes labels of what people said in a file; returns how many of ``labels`` went into new ones."""
    modes = {mode.slug: mode for mode in FailureMode.objects.filter(project=project, retired_at=None)}
    said: dict[int, list[HumanLabel]] = defaultdict(list)
    for label in labels:
        said[label.interaction_pk].append(label)
    settled = set(Label.objects.filter(interaction__in=said).values_list("interaction_id", flat=True))
    rubric = Rubric.objects.filter(project=project).latest("version").version
    new, counted = [], 0
    for pk, words in said.items():
        fields = None if pk in settled else _settled(words, modes)
        if fields is not None:
            new.append(Label(project=project, interaction_id=pk, rubric_version=rubric, **fields))
            counted += len(words)
    # Two imports of one file at the same moment: the second finds the first's labels current and adds none.
    Label.objects.bulk_create(new, ignore_conflicts=True)
    stored = Label.objects.filter(interaction__in=[label.interaction_id for label in new], superseded_at=None)
    inbox.announce(Inbox.Kind.LABEL, project.pk, stored.values_list("pk", flat=True))
    return counted


def _settled(words: list[HumanLabel], modes: dict[str, FailureMode]) -> dict[str, Any] | None:
    """The fields of the label, or None where nobody gave a verdict that we understand."""
    votes = _votes(words)
    if not votes:
        return None
    verdicts = Counter(votes.values())
    agreed = len(verdicts) == 1
    verdict = next(iter(verdicts)) if agreed else Verdict.UNSURE
    faults = [word for word in words if word.level == "span" and word.label in FAULTS and not _elsewhere(word)]
    found = Counter(mode for word in [*faults, *words] if (mode := _mode(word)) in modes)
    primary = next((modes[mode] for mode, _ in found.most_common(1) if verdict == Verdict.FAIL), None)
    severity = min((SEVERITIES[word.severity] for word in words if word.severity in SEVERITIES), default=None)
    comments = dict.fromkeys(word.comment for word in words if word.comment)
    return {
        "verdict": verdict,
        "primary_category": primary,
        "categories": [mode for mode, _ in found.most_common()[1:]] if primary else [],
        "severity": (severity or (primary.default_severity if primary else None)) if verdict == Verdict.FAIL else None,
        "spans": [_mark(word, modes) for word in faults],
        "desired_output": next((word.preferred_output for word in words if word.preferred_output), ""),
        "note": "\n".join([*([] if agreed else [_split(verdicts)]), *comments]),
        "settled_by": Label.SettledBy.IMPORTED,
        "reviewers": len(votes),
    }


def _votes(words: Iterable[HumanLabel]) -> dict[str, Verdict]:
    """Each person's verdict on the answer; where one of them has the last word (``…-final``), only that."""
    votes: dict[str, Verdict] = {}
    for word in words:
        verdict = VERDICTS.get(word.label)
        if word.level != "response" or verdict is None:
            continue
        verdict = Verdict.FAIL if _mode(word) else verdict
        votes[word.annotator] = Verdict.FAIL if votes.get(word.annotator) == Verdict.FAIL else verdict
    last = {who: verdict for who, verdict in votes.items() if who.endswith("-final")}
    return last or votes


def _mode(word: HumanLabel) -> str:
    return MODES.get(word.category, word.category)


def _elsewhere(word: HumanLabel) -> bool:
    """Whether the passage stands in another text than the answer, such as the human one beside it."""
    return word.target not in {"", "output"}


def _mark(word: HumanLabel, modes: dict[str, FailureMode]) -> dict[str, Any]:
    """A mark; one whose quote has no position has none here either, and never stands at 0."""
    mark: dict[str, Any] = {"target": "output", "quote": word.quote}
    if _mode(word) in modes:
        mark["category"] = _mode(word)
    if word.start is not None and word.end is not None and word.start < word.end:
        mark |= {"start": word.start, "end": word.end}
    return mark


def _split(verdicts: Counter[Verdict]) -> str:
    return "Reviewers differ: " + ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
