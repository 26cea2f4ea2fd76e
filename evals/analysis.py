"""The analyse stage: detectors over every new interaction, and the draw of those that judges will see."""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from evals import judging, subjects
from evals.detectors import Detector, Subject, detectors
from evals.models import DetectorSetting, Judge, JudgeJob
from feedback import inbox, search, session_analysis
from feedback.models import Inbox, Interaction, Score
from feedback.services import record_scores
from projects.models import Project

log = logging.getLogger("reviewhub.analysis")
_SAID = ("version", "value", "label", "flagged", "explanation", "detail")
CLEARED = "Nothing is found since more of the interaction has come in."
# A project's choice by detector: None where it is switched off, else its threshold.
Settings = dict[tuple[int, str], DetectorSetting]


def analyse(rows: list[Inbox]) -> None:
    """Scores a batch of new interactions and enqueues the judged share. Runs inside the inbox's transaction.

    The number of queries depends on how many projects the batch spans, not on how many interactions it holds.
    Interactions that have been deleted meanwhile are passed over.
    """
    ids = [row.object_id for row in rows if row.kind == Inbox.Kind.INTERACTION]
    session_analysis.derive(ids)
    search.index(ids)
    batches: dict[int, list[Interaction]] = defaultdict(list)
    for interaction in Interaction.objects.filter(pk__in=ids).only(*subjects.FIELDS).order_by("pk"):
        batches[interaction.project_id].append(interaction)
    settings = {
        (one.project_id, one.detector): one for one in DetectorSetting.objects.filter(project__in=batches.keys())
    }
    projects = Project.objects.in_bulk(batches.keys())
    lengths = subjects.usual_lengths(batches.keys())
    for project_id, interactions in batches.items():
        before = _newest(interactions)
        scores = [
            score
            for interaction in interactions
            for score in _changed(before.get(interaction.pk, {}), scores_of(interaction, settings, lengths))
        ]
        if scores:
            for outcome in record_scores(projects[project_id], scores, source=Score.Source.DETECTOR):
                if outcome.error is not None:
                    raise ValueError(f"a detector's score was refused: {outcome.error}")
    judges = Judge.objects.filter(project__in=batches.keys(), enabled=True, sample_rate__gt=0)
    pairs = [(judge, item) for judge in judges for item in batches[judge.project_id] if drawn(judge, item)]
    if pairs:
        judging.enqueue(pairs, JudgeJob.Purpose.LIVE)
    inbox.ring_others()


def _newest(interactions: list[Interaction]) -> dict[int, dict[str, Score]]:
    """What detectors said of these before, by interaction and name: nothing, unless one has been made again."""
    found: dict[int, dict[str, Score]] = defaultdict(dict)
    rows = Score.objects.filter(interaction__in=[one.pk for one in interactions], source=Score.Source.DETECTOR)
    for score in rows.order_by("pk"):
        found[score.interaction_id or 0][score.name] = score
    return found


def _changed(before: dict[str, Score], scores: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    """The scores that say something else than those before; and for each flag that has gone, one that takes it back."""
    silent = dict(before)
    for score in scores:
        old = silent.pop(score["name"], None)
        if old is None or any(getattr(old, name) != score[name] for name in _SAID):
            yield score
    for old in silent.values():
        if old.flagged:
            yield {
                "interaction_id": old.interaction_external_id, "name": old.name, "version": old.version,
                "label": "cleared", "flagged": False, "explanation": CLEARED,
            }  # fmt: skip


def drawn(judge: Judge, interaction: Interaction) -> bool:
    """Whether the judge's sample holds this interaction: by hash, so that each version draws the same ones.

    Never where the rubric needs a label: what has just come in has none.
    """
    if judging.needs_label(judge):
        return False
    if interaction.status == Interaction.Status.ERROR or not interaction.output:
        return False
    digest = hashlib.sha256(f"{judge.slug}\0{interaction.external_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < judge.sample_rate


def scores_of(interaction: Interaction, settings: Settings, lengths: subjects.Lengths) -> Iterable[dict[str, Any]]:
    """What the project's detectors say about an interaction, as items for ``record_scores``."""
    subject = subjects.subject_of(interaction, lengths)
    for detector in detectors():
        setting = settings.get((interaction.project_id, detector.name))
        if not (detector.default_on if setting is None else setting.enabled):
            continue
        score = _score(detector, subject, interaction, None if setting is None else setting.threshold)
        if score is not None:
            yield {"interaction_id": interaction.external_id, **score}


def _score(
    detector: Detector, subject: Subject, interaction: Interaction, threshold: float | None
) -> dict[str, Any] | None:
    try:
        finding = detector.detect(subject)
        if finding is None:
            return None
        flagged = detector.flags(finding.value, threshold)
        # Where a fault stands is of use only where somebody will look for it.
        spans = subjects.marks(finding.spans, interaction) if flagged else []
    except Exception:  # one detector's fault must not cost the others their scores; it may be a stranger's package
        log.exception("the detector %s failed", detector.name)
        return None
    return {
        "name": detector.name, "version": detector.version, "value": finding.value, "label": finding.label,
        "flagged": flagged, "explanation": finding.explanation,
        "detail": {**finding.detail, "spans": spans} if spans else finding.detail,
    }  # fmt: skip
