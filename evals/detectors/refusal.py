"""Refusals and non-answers, as ``reviewhub_client.refusals`` weighs them: the check of a regression run is the same."""

from __future__ import annotations

from reviewhub_client import refusals

from evals.detectors.interface import Detector, Finding, Subject


def detect(subject: Subject) -> Finding | None:
    """How much the beginning of the answer reads like a refusal; None where no such phrase occurs."""
    value, hits = refusals.weigh(subject.output)
    if not hits:
        return None
    return Finding(
        value=value,
        label="refusal",
        explanation=f"Reads like a refusal: “{refusals.quoted(subject.output, hits)}”",
        spans=[{"target": "output", "start": start, "end": end} for start, end in hits[:5]],
        detail={"phrases": len(hits)},
    )


detector = Detector(
    name="refusal",
    version="1",
    title="Refusal",
    meaning="How much the answer reads like a refusal: 0 not at all, 1 certainly",
    threshold=refusals.THRESHOLD,
    detect=detect,
)
