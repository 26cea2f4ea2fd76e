"""What a judge suggests to reviewers, and only where judges and reviewers have been found to agree.

A judge suggests once it has met the bar on labels that were made without seeing it: at least thirty, of both kinds,
and the lower end of the 95 % interval of both its rates (fails found, passes cleared) at 85 %.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q

from annotations import failure_modes
from annotations.estimation import LEAST_LABELS, wilson
from annotations.models import FailureMode, Label, Verdict
from annotations.submission import OUTCOMES, SUGGESTED
from feedback.models import Interaction, Score

BAR = 0.85
ACCEPTED, CHANGED, IGNORED = OUTCOMES


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A judge's opinion in the shape of a vote. ``agrees`` is the share of reviewers' verdicts that it matches."""

    judge: str
    verdict: str
    mode: FailureMode | None
    agrees: float
    labels: int

    @property
    def value(self) -> str:
        """What the form posts back, to tell later what became of it."""
        said: dict[str, Any] = {"verdict": self.verdict}
        if self.mode:
            said |= {"primary_category": self.mode.slug, "severity": self.mode.default_severity}
        return json.dumps(said, separators=(",", ":"))

    @property
    def verdict_label(self) -> str:
        return str(Verdict(self.verdict).label)


def suggestion_for(interaction: Interaction) -> Suggestion | None:
    """The newest opinion of a judge that has met the bar; None where none has."""
    scores = interaction.scores.filter(source=Score.Source.JUDGE, flagged__isnull=False).order_by("-created_at", "-id")
    for score in scores[:10]:
        if (found := _agreement(score)) is not None:
            agrees, labels = found
            mode = _mode(score) if score.flagged else None
            verdict = Verdict.FAIL if score.flagged else Verdict.PASS
            return Suggestion(score.name.replace("_", " ").replace("-", " "), verdict, mode, agrees, labels)
    return None


def _agreement(score: Score) -> tuple[float, int] | None:
    """How often this version of the judge agrees with reviewers, and on how many labels; None below the bar."""
    said = Score.objects.filter(
        project=score.project_id, name=score.name, version=score.version, source=score.source, flagged__isnull=False
    ).exclude(interaction=score.interaction_id)
    flagged = Q(interaction__scores__in=said.filter(flagged=True))
    cleared = Q(interaction__scores__in=said.filter(flagged=False))
    fail, passed = Q(verdict=Verdict.FAIL), Q(verdict=Verdict.PASS)
    cells = Label.objects.filter(project=score.project_id, superseded_at=None, suggestion_seen=False).aggregate(
        found=Count("pk", filter=fail & flagged, distinct=True),
        missed=Count("pk", filter=fail & cleared, distinct=True),
        alarms=Count("pk", filter=passed & flagged, distinct=True),
        cleared=Count("pk", filter=passed & cleared, distinct=True),
    )
    fails, passes = cells["found"] + cells["missed"], cells["alarms"] + cells["cleared"]
    if fails + passes < LEAST_LABELS or not fails or not passes:
        return None
    if min(wilson(cells["found"], fails)[0], wilson(cells["cleared"], passes)[0]) < BAR:
        return None
    return (cells["found"] + cells["cleared"]) / (fails + passes), fails + passes


def _mode(score: Score) -> FailureMode | None:
    """The failure mode that the judge names, or after which it is named."""
    names = [str(score.detail.get("category") or ""), score.label, score.name.replace("_", "-")]
    modes = FailureMode.objects.filter(project=score.project_id, slug__in=names).select_related("counts_as")
    found = failure_modes.now(modes.filter(Q(retired_at=None) | Q(counts_as__isnull=False)).first())
    return found if found and found.retired_at is None else None


def outcome(suggested: str, accepted: bool, body: dict[str, Any]) -> dict[str, str]:
    """What became of each suggested field: ignored unless the suggestion was accepted, then accepted or changed."""
    try:
        said = json.loads(suggested)
    except ValueError:
        return {}
    if not isinstance(said, dict):
        return {}
    return {
        name: IGNORED if not accepted else ACCEPTED if body.get(name) == said[name] else CHANGED
        for name in SUGGESTED if name in said
    }  # fmt: skip
