"""What is known against (or for) the interactions of a batch, as reasons in words; a fixed number of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from annotations.priority import Reason
from feedback.models import Feedback, Interaction, Score

QUOTE = 140
BEHAVIOUR = {
    "regenerated": ("retry", "Asked for another answer"),
    "rephrased": ("retry", "Asked again in other words"),
    "abandoned": ("stop", "Left the conversation"),
    "escalated": ("flag", "Asked for a person"),
}


def negative_feedback(interaction_ids: Iterable[int]) -> dict[int, list[Reason]]:
    """Reasons from feedback that counts. What nobody vouches for is told but adds nothing (strength 0)."""
    found: dict[int, list[Reason]] = defaultdict(list)
    rows = Feedback.objects.filter(interaction__in=list(interaction_ids), superseded_at=None).order_by("id")
    for row in rows:
        if row.negative:
            found[row.interaction_id or 0].append(_reason(row))
    return found


def _reason(row: Feedback) -> Reason:
    quote = (row.comment or row.correction).strip()[:QUOTE]
    unvouched = "" if row.verified else ", not verified"
    if row.kind == Feedback.Kind.IMPLICIT:
        icon, text = BEHAVIOUR[row.label]
        strength = 1.0 if row.label == "escalated" else 0.6
        return Reason("negative_feedback", "behaviour", strength if row.verified else 0.0, icon, text + unvouched)
    icon, text, strength = {
        Feedback.Kind.THUMBS: ("thumb-down", "Thumbs-down", 0.8),
        Feedback.Kind.RATING: ("star", f"Rated {row.number or 0:g} of {row.scale or 5:g}", 0.8),
        Feedback.Kind.REPORT: ("flag", "Reported", 1.0),
        Feedback.Kind.CORRECTION: ("pencil", "Corrected by the user", 0.9),
    }[Feedback.Kind(row.kind)]
    if quote:
        strength = min(1.0, strength + 0.2)  # who takes the time to say what was wrong
    if not row.verified:
        strength = 0.0
    return Reason("negative_feedback", "negative", strength, icon, text + unvouched, quote)


def flagged_scores(interaction_ids: Iterable[int]) -> dict[int, list[Reason]]:
    """Reasons from the newest score of each name, where its producer says that it is a problem."""
    newest: dict[tuple[int, str], Score] = {}
    for score in Score.objects.filter(interaction__in=list(interaction_ids)).order_by("id"):
        newest[score.interaction_id or 0, score.name] = score
    found: dict[int, list[Reason]] = defaultdict(list)
    for (interaction, _), score in newest.items():
        if score.flagged:
            value = "" if score.value is None else f" {score.value:.2f}"
            who = "Judge" if score.source == Score.Source.JUDGE else "Detector"
            if score.source not in {Score.Source.JUDGE, Score.Source.DETECTOR}:
                who = "Score"
            strength = 1.0 if score.source == Score.Source.JUDGE else 0.7
            text = f"{who} {score.name.replace('_', ' ')}{value}"
            found[interaction].append(
                Reason("flagged_score", "machine", strength, "gauge", text, score.label, score.explanation[:300])
            )
    return found


def liked(interaction_ids: Iterable[int]) -> set[int]:
    """Those that a user has praised."""
    rows = Feedback.objects.filter(interaction__in=list(interaction_ids), superseded_at=None, kind="thumbs", number=1)
    return {pk for pk in rows.values_list("interaction_id", flat=True) if pk is not None}


def error(interaction: Interaction) -> list[Reason]:
    """A failed request."""
    if interaction.status != Interaction.Status.ERROR:
        return []
    what = interaction.error_type or "no type given"
    return [Reason("error", "error", 1.0, "stop", f"Error: {what}", interaction.error_message[:QUOTE])]


def disagreement(reasons: list[Reason], praised: bool) -> list[Reason]:
    """Machine and user say opposite things: one of them is wrong, which is worth a look."""
    machine = [reason for reason in reasons if reason.kind == "flagged_score" and reason.strength >= 1]
    if machine and praised:
        return [Reason("flagged_score", "disagreement", 1.0, "scales", "The user liked what a judge did not")]
    return []
