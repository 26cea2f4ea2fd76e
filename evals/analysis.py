"""The analyse stage: detectors over every new interaction, and the draw of those that judges will see."""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from evals import judging
from evals.detectors import Detector, Subject, detectors
from evals.detectors.interface import MAX_DOCUMENTS, MAX_OUTPUT
from evals.models import DetectorSetting, Judge, JudgeJob
from feedback import search, session_analysis
from feedback.models import Inbox, Interaction, Score, text_of
from feedback.services import record_scores
from projects.models import Project

log = logging.getLogger("reviewhub.analysis")
_FIELDS = (
    "id", "project_id", "external_id", "messages", "output", "output_messages", "documents", "output_schema",
    "parameters", "status",
)  # fmt: skip
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
    for interaction in Interaction.objects.filter(pk__in=ids).only(*_FIELDS).order_by("pk"):
        batches[interaction.project_id].append(interaction)
    settings = {
        (one.project_id, one.detector): one for one in DetectorSetting.objects.filter(project__in=batches.keys())
    }
    projects = Project.objects.in_bulk(batches.keys())
    for project_id, interactions in batches.items():
        scores = [score for interaction in interactions for score in scores_of(interaction, settings)]
        if scores:
            for outcome in record_scores(projects[project_id], scores, source=Score.Source.DETECTOR):
                if outcome.error is not None:
                    raise ValueError(f"a detector's score was refused: {outcome.error}")
    judges = Judge.objects.filter(project__in=batches.keys(), enabled=True, sample_rate__gt=0)
    pairs = [(judge, item) for judge in judges for item in batches[judge.project_id] if drawn(judge, item)]
    if pairs:
        judging.enqueue(pairs, JudgeJob.Purpose.LIVE)


def drawn(judge: Judge, interaction: Interaction) -> bool:
    """Whether the judge's sample holds this interaction: by hash, so that each version draws the same ones."""
    if interaction.status == Interaction.Status.ERROR or not interaction.output:
        return False
    digest = hashlib.sha256(f"{judge.slug}\0{interaction.external_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < judge.sample_rate


def scores_of(interaction: Interaction, settings: Settings) -> Iterable[dict[str, Any]]:
    """What the project's detectors say about an interaction, as items for ``record_scores``."""
    subject = subject_of(interaction)
    for detector in detectors():
        setting = settings.get((interaction.project_id, detector.name))
        if setting is not None and not setting.enabled:
            continue
        score = _score(detector, subject, None if setting is None else setting.threshold)
        if score is not None:
            yield {"interaction_id": interaction.external_id, **score}


def _score(detector: Detector, subject: Subject, threshold: float | None) -> dict[str, Any] | None:
    try:
        finding = detector.detect(subject)
    except Exception:  # one detector's fault must not cost the others their scores; it may be a stranger's package
        log.exception("the detector %s failed", detector.name)
        return None
    if finding is None:
        return None
    flagged = detector.flags(finding.value, threshold)
    detail = {**finding.detail, "spans": finding.spans} if finding.spans and flagged else finding.detail
    return {
        "name": detector.name, "version": detector.version, "value": finding.value, "label": finding.label,
        "flagged": flagged, "explanation": finding.explanation, "detail": detail,
    }  # fmt: skip


def subject_of(interaction: Interaction) -> Subject:
    """The plain values that detectors look at, cut to sizes that bound their time."""
    left = MAX_DOCUMENTS
    documents = []
    for document in interaction.documents:
        text = text_of(document.get("content"))[: max(0, left)]
        left -= len(text)
        if text:
            documents.append(text)
    form = (interaction.parameters or {}).get("response_format")
    kind = form.get("type") if isinstance(form, dict) else form
    return Subject(
        output=interaction.output[:MAX_OUTPUT],
        question=interaction.question,
        documents=tuple(documents),
        output_schema=interaction.output_schema,
        json_requested=kind in ("json_object", "json_schema", "json"),
        acted=any(isinstance(one, dict) and one.get("tool_calls") for one in interaction.output_messages or []),
        failed=interaction.status == Interaction.Status.ERROR,
    )
