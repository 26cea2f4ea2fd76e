"""Votes as rows, for figures over many of them: what each person said of each item."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.utils import timezone

from annotations.models import Annotation, FailureMode, Queue, Rubric, Task
from feedback.models import Interaction
from projects.models import Membership, Project, User
from tests.factories import UserFactory


def crowd(project: Project, *names: str) -> list[User]:
    """Reviewers of the project with these names."""
    people = [UserFactory(name=name, email=f"{name.lower()}@example.com") for name in names]
    Membership.objects.bulk_create(Membership(project=project, user=one, role="reviewer") for one in people)
    return people


def voted(
    project: Project, people: Sequence[User], items: Sequence[Sequence[str]], *, queue: str = "random-sample",
    days_ago: float = 1, name: str = "v", **more: Any,
) -> list[Task]:  # fmt: skip
    """For each item what each of ``people`` said, in this order: ``pass``, ``fail``, ``fail:slug:severity`` or ``""``.

    Each vote is a minute after the one before.
    """
    place, now = Queue.objects.get(project=project, slug=queue), timezone.now() - timedelta(days=days_ago)
    modes = {mode.slug: mode for mode in FailureMode.objects.filter(project=project)}
    rubric = Rubric.objects.filter(project=project).latest("version")
    interactions = Interaction.objects.bulk_create(
        Interaction(
            project=project, external_id=f"{name}-{number}", created_at=now, happened_at=now,
            messages=[{"role": "user", "content": f"Question {name} {number}?"}], output="It is 5.",
            fingerprint=b"x" * 32,
        )
        for number in range(len(items))
    )  # fmt: skip
    tasks = Task.objects.bulk_create(
        Task(
            project=project, queue=place, interaction=one, lane="random", needed=len(people), taken=len(people),
            due_at=now, state="done", done_at=now, reasons=[],
        )
        for one in interactions
    )  # fmt: skip
    votes = []
    for task, said in zip(tasks, items, strict=True):
        for person, answer in zip(people, said, strict=True):
            if not answer:
                continue
            verdict, slug, severity = (*answer.split(":"), "", "")[:3]
            at = now + timedelta(minutes=len(votes)) / max(len(items), 1)
            votes.append(Annotation(
                project=project, task=task, reviewer=person, rubric=rubric, submission_id=uuid.uuid4(),
                verdict=verdict, primary_category=modes[slug] if slug else None,
                severity=int(severity) if severity else None, fingerprint=b"x" * 32,
                **{"created_at": at, "blind": True, "seconds": 30.0, **more},
            ))  # fmt: skip
    Annotation.objects.bulk_create(votes)
    return tasks
