"""What is known for and against the interactions of a batch, as reasons in words; three queries however many."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol

from annotations.bulk import any_of
from annotations.conditions import Verdict, Voice
from annotations.priority import Reason
from feedback.models import Feedback, Interaction, Score

QUOTE = 140
BEHAVIOUR = {
    "regenerated": ("retry", "Asked for another answer"),
    "rephrased": ("retry", "Asked again in other words"),
    "abandoned": ("stop", "Left the conversation"),
    "escalated": ("flag", "Asked for a person"),
}
# A flag of a detector or judge whose name holds one of these is about harm, not about quality.
HARM_WORDS = ("safety", "pii", "privacy", "toxic", "injection", "moderation", "guardrail", "leak", "harm")
ERROR_STRENGTH = 0.7
MALFORMED = "malformed"  # the detector that holds answers against their schema: a soft error
_SAID = ("interaction_id", "kind", "number", "scale", "label", "comment", "correction", "end_user_id", "verified",
         "superseded_at")  # fmt: skip
_SCORED = ("interaction_id", "name", "source", "value", "label", "flagged", "explanation")
_COMPLAINTS = {Feedback.Kind.THUMBS, Feedback.Kind.RATING, Feedback.Kind.REPORT, Feedback.Kind.CORRECTION}


@dataclass
class Voices:
    """What users said of one interaction. ``complained`` tells that a vouched-for complaint is new in this batch."""

    reasons: list[Reason] = field(default_factory=list)
    said: list[Voice] = field(default_factory=list)
    praised: bool = False
    complained: bool = False

    @property
    def disliked(self) -> bool:
        return any(reason.strength > 0 and reason.kind == "negative_feedback" for reason in self.reasons)


@dataclass
class Machines:
    """What machines say of one interaction by their newest scores. ``satisfied``: a judge found nothing wrong."""

    reasons: list[Reason] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    malformed: list[Reason] = field(default_factory=list)
    satisfied: bool = False
    judges: set[bool] = field(default_factory=set)


def voices(interaction_ids: Collection[int], fresh: Collection[int]) -> dict[int, Voices]:
    """The feedback that counts, by interaction; ``fresh`` are the ids of the feedback that has just come in.

    Equal complaints of several users are one reason that names their number. What nobody vouches for is
    told but adds nothing to the score.
    """
    found: dict[int, Voices] = defaultdict(Voices)
    complaints: dict[tuple[int, str, str, bool], list[Feedback]] = defaultdict(list)
    comments: dict[tuple[int, str], str] = {}
    rows = Feedback.objects.filter(any_of("interaction", interaction_ids), superseded_at=None).order_by("id")
    for row in rows.only(*_SAID):
        pk = row.interaction_id or 0
        found[pk].said.append(_voice(row))
        if row.kind == Feedback.Kind.COMMENT:
            comments[pk, row.end_user_id] = row.comment
        elif row.negative:
            complaints[pk, row.kind, row.label, row.verified].append(row)
            found[pk].complained |= row.verified and row.pk in fresh
        elif row.kind == Feedback.Kind.THUMBS and row.number == 1 and row.verified:
            found[pk].praised = True
    for (pk, *_), same in complaints.items():
        found[pk].reasons.append(_complaint(same, comments))
    return found


def _voice(row: Feedback) -> Voice:
    thumbs = {1.0: "up", -1.0: "down"}.get(row.number or 0.0, "") if row.kind == Feedback.Kind.THUMBS else ""
    return Voice(row.kind, thumbs or row.label, row.number, row.negative, row.verified, row.comment)


def _complaint(same: list[Feedback], comments: dict[tuple[int, str], str]) -> Reason:
    """One reason for complaints of one kind: the newest words, the worst rating."""
    worst = min(same, key=lambda row: (row.number or 0) / (row.scale or 5)) if same[0].kind == "rating" else same[-1]
    icon, text, strength = _in_words(worst)
    said = [
        row.comment or row.correction or comments.get((row.interaction_id or 0, row.end_user_id), "") for row in same
    ]
    users = len({row.end_user_id or row.pk for row in same})
    if users > 1:
        text += f", {users} users"
    if not worst.verified:
        text, strength = f"{text}, not verified", 0.0
    quote = next((words for words in reversed(said) if words.strip()), "")
    return Reason("negative_feedback", "negative", strength, icon, text, _short(quote))


def _in_words(row: Feedback) -> tuple[str, str, float]:
    if row.kind == Feedback.Kind.IMPLICIT:
        icon, text = BEHAVIOUR[row.label]
        return icon, text, 0.5
    if row.kind == Feedback.Kind.RATING:
        number, scale = row.number or 0, row.scale or 5
        lowest = 0.0 if scale <= 1 else 1.0
        share = max(0.0, number - lowest) / ((scale - lowest) or 1)
        return "star", f"Rated {number:g} of {scale:g}", max(0.5, 1 - share)
    if row.kind == Feedback.Kind.REPORT:
        return "flag", "Reported", 1.0
    if row.kind == Feedback.Kind.CORRECTION:
        return "pencil", "Corrected by the user", 1.0
    return "thumb-down", "Thumbs-down", 1.0


def machines(interaction_ids: Collection[int]) -> dict[int, Machines]:
    """The newest score of each name and source, by interaction: what is flagged, and what the judges think."""
    newest: dict[tuple[int, str, str], Score] = {}
    rows = Score.objects.filter(any_of("interaction", interaction_ids)).order_by("id")
    for score in rows.only(*_SCORED):
        newest[score.interaction_id or 0, score.source, score.name] = score
    found: dict[int, Machines] = defaultdict(Machines)
    for (pk, source, _), score in newest.items():
        found[pk].verdicts.append(Verdict(score.name, score.source, score.value, score.label, score.flagged))
        if score.flagged:
            found[pk].reasons.append(_flag(score))
            if score.name == MALFORMED:
                found[pk].malformed.append(found[pk].reasons[-1])
        if source != Score.Source.DETECTOR and score.flagged is not None:  # a silent detector has no opinion
            found[pk].judges.add(score.flagged)
            found[pk].satisfied |= not score.flagged
    return found


def _flag(score: Score) -> Reason:
    name = score.name.replace("_", " ").replace("-", " ")
    who = {"detector": f"{name.capitalize()} detector", "judge": f"Judge {name}"}.get(score.source, f"Score {name}")
    value = f" {score.value:.2f}" if score.value is not None else f" {score.label}" if score.label else ""
    term = "severity" if any(word in score.name.lower() for word in HARM_WORDS) else "machine"
    return Reason("flagged_score", term, 1.0, "gauge", who + value, title=_short(score.explanation))


class Outcome(Protocol):
    """How a request ended."""

    status: str
    error_type: str
    error_message: str


def error(interaction: Outcome) -> list[Reason]:
    """A failed request."""
    if interaction.status != Interaction.Status.ERROR:
        return []
    what = f": {interaction.error_type}" if interaction.error_type else ""
    return [Reason("error", "severity", ERROR_STRENGTH, "stop", f"Error{what}", _short(interaction.error_message))]


def disagreement(users: Voices, machine: Machines) -> list[Reason]:
    """User and judge, or two judges, say opposite things: one of them is wrong, which is worth a look."""
    if True in machine.judges and users.praised:
        return [Reason("disagreement", "disagreement", 1.0, "scales", "The user liked what a judge did not")]
    if machine.satisfied and users.disliked:
        return [Reason("disagreement", "disagreement", 1.0, "scales", "A judge found nothing wrong, the user did")]
    if len(machine.judges) == 2:
        return [Reason("disagreement", "disagreement", 0.8, "scales", "The judges disagree")]
    return []


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= QUOTE else words[: QUOTE - 1] + "…"
