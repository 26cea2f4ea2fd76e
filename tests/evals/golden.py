"""Settled labels and frozen versions, for tests that need something golden."""

from __future__ import annotations

import itertools
from typing import Any

from django.utils import timezone

from annotations.models import FailureMode, Label
from evals import datasets
from evals.models import Dataset, DatasetVersion
from evals.snapshot import Content
from feedback.models import Interaction
from projects.models import Project, User

_numbers = itertools.count(1)


def interaction(project: Project, **fields: Any) -> Interaction:
    number = next(_numbers)
    values = {
        "external_id": f"req-{number}",
        "created_at": timezone.now(),
        "messages": [{"role": "user", "content": f"What does transfer {number} cost?"}],
        "output": f"Transfer {number} is free of charge.",
        "fingerprint": b"f",
    }
    return Interaction.objects.create(project=project, **{**values, **fields})


def label(project: Project, of: Interaction | None = None, **fields: Any) -> Label:
    values: dict[str, Any] = {
        "verdict": "fail",
        "severity": 2,
        "desired_output": "An instant transfer costs 50 cents.",
        "golden": True,
        "settled_by": "single",
        "rubric_version": 1,
        "annotation_ids": [11],
    }
    return Label.objects.create(project=project, interaction=of or interaction(project), **{**values, **fields})


def mode(project: Project, slug: str = "made-up-fee") -> FailureMode:
    return FailureMode.objects.get_or_create(project=project, slug=slug, defaults={"label": slug})[0]


def dataset(project: Project) -> Dataset:
    return Dataset.objects.get(project=project, slug="golden")


def content(key: str, **fields: Any) -> Content:
    values: dict[str, Any] = {
        "split": "test",
        "input": {"messages": [{"role": "user", "content": f"Question {key}"}], "documents": [], "tools": [],
                  "parameters": {}},
        "expected": {"output": f"Answer {key}", "assertions": [{"type": "must", "text": f"right {key}"}],
                     "label": {"verdict": "pass", "category": None, "severity": None}},
    }  # fmt: skip
    return Content(key=key, **{**values, **fields})


def frozen(project: Project, *contents: Content, actor: User | None = None, note: str = "") -> DatasetVersion:
    """The next frozen version of the default dataset with these examples added."""
    datasets.add_examples(dataset(project), list(contents), actor=actor, approve=True)
    return datasets.freeze(dataset(project), actor=actor, note=note)
