"""Steps that tests of triage and review share."""

from __future__ import annotations

import uuid
from typing import Any

from annotations import triage
from annotations.models import Task
from feedback import services
from projects.models import Project


def interaction(project: Project, external_id: str, **more: Any) -> str:
    """Stores an interaction; routing waits for ``routed``."""
    services.record_interaction(project, {"id": external_id, "input": "Fee?", "output": "It is 5.", **more})
    return external_id


def thumbs_down(project: Project, external_id: str, comment: str = "wrong fee", **more: Any) -> None:
    item = {"interaction_id": external_id, "kind": "thumbs", "value": "down", "comment": comment, **more}
    services.record_feedback(project, item)


def routed(project: Project) -> list[Task]:
    """Routes what waits and returns the open tasks, most urgent first."""
    triage.run()
    return list(Task.objects.filter(project=project, state="open").order_by("due_at", "id"))


def complaint(project: Project, external_id: str) -> Task:
    """An interaction that was complained about, with its task."""
    interaction(project, external_id)
    thumbs_down(project, external_id)
    triage.run()
    return Task.objects.get(project=project, interaction__external_id=external_id, state="open")


def vote(verdict: str = "fail", **more: Any) -> dict[str, Any]:
    """A body for submit."""
    body: dict[str, Any] = {"submission_id": str(uuid.uuid4()), "verdict": verdict}
    if verdict == "fail":
        body["primary_category"] = "contradicts-source"
    return {**body, **more}
