"""What a new project has from the start: three queues, the rules that fill them, failure modes and a rubric."""

from __future__ import annotations

from typing import Any

from annotations import failure_modes, queue_settings, rules
from annotations.models import FailureMode, Queue, Rubric, TriageRule
from annotations.taxonomy import PALETTE
from projects.models import Project

NEGATIVE, FLAGGED, SAMPLE = "negative-feedback", "flagged", "random-sample"
SAMPLE_RATE = 0.02

QUEUES: dict[str, dict[str, Any]] = {
    NEGATIVE: {
        "name": "Negative feedback", "description": "Thumbs-down, complaints, corrections, repeated questions",
        "kind": Queue.Kind.TARGETED, "position": 1, "sla_min_hours": 1, "sla_max_hours": 24,
    },
    FLAGGED: {
        "name": "Flagged by machine", "description": "Low judge score, detector hit, error",
        "kind": Queue.Kind.TARGETED, "position": 2, "sla_min_hours": 1, "sla_max_hours": 72,
    },
    SAMPLE: {
        "name": "Random sample", "description": "Unbiased sample for the quality rate",
        "kind": Queue.Kind.RANDOM, "position": 3, "sla_min_hours": 1, "sla_max_hours": 168,
    },
}  # fmt: skip

RULES: dict[str, dict[str, Any]] = {
    "negative-feedback": {
        "queue": NEGATIVE, "name": "Negative feedback", "condition": {"signal": "negative_feedback"},
    },
    "machine-flag": {
        "queue": FLAGGED, "name": "Low judge score or detector hit", "condition": {"signal": "flagged_score"},
    },
    "error": {
        "queue": FLAGGED, "name": "Error, or an answer of the wrong form",
        "condition": {"any": [{"signal": "error"}, {"signal": "soft_error"}]},
    },
    "disagreement": {"queue": FLAGGED, "name": "User and judge differ", "condition": {"signal": "disagreement"}},
    "random-sample": {
        "queue": SAMPLE, "name": "Random sample", "condition": {"all": []}, "sampling": "random", "rate": SAMPLE_RATE,
    },
}  # fmt: skip


def create_defaults(project: Project) -> None:
    """Gives a project what it lacks of the default queues, rules, failure modes and its first rubric."""
    queues = {
        slug: Queue.objects.get_or_create(project=project, slug=slug, defaults=fields)[0]
        for slug, fields in QUEUES.items()
    }
    TriageRule.objects.bulk_create(
        [
            TriageRule(project=project, slug=slug, position=place, **{**fields, "queue": queues[fields["queue"]]})
            for place, (slug, fields) in enumerate(RULES.items(), start=1)
        ],
        ignore_conflicts=True,
    )
    for queue in queues.values():
        queue_settings.keep_revision(queue)
    for rule in TriageRule.objects.select_related("queue").filter(project=project, slug__in=RULES):
        rules.keep_revision(rule)
    FailureMode.objects.bulk_create(
        [
            FailureMode(
                project=project, slug=mode.slug, label=mode.label, description=mode.description, digit=mode.digit,
                default_severity=mode.severity, position=place,
            )
            for place, mode in enumerate(PALETTE, start=1)
        ],
        ignore_conflicts=True,
    )  # fmt: skip
    Rubric.objects.get_or_create(project=project, version=1, defaults={"snapshot": failure_modes.snapshot(project)})
