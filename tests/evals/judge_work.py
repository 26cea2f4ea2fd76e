"""A judge and something to judge, for tests."""

from __future__ import annotations

from typing import Any

from evals.models import Judge, JudgeJob
from feedback.models import Interaction
from projects.models import Project
from tests.evals import golden


def judge(project: Project, **fields: Any) -> Judge:
    values = {
        "slug": "correct", "name": "Correctness", "criterion": "Is it right?", "provider": "openai",
        "model": "gpt-4o-mini", "sample_rate": 1.0,
    }  # fmt: skip
    return Judge.objects.create(project=project, **{**values, **fields})


def job(of: Judge, interaction: Interaction | None = None, **fields: Any) -> JudgeJob:
    item = interaction or golden.interaction(of.project)
    return JudgeJob.objects.create(project=of.project, judge=of, interaction=item, **fields)


def due(of: Judge) -> None:
    """Makes what waits for a later attempt due now."""
    JudgeJob.objects.filter(judge=of).update(not_before="2020-01-01T00:00:00Z")
