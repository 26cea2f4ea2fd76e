"""The race tests must be able to fail: without the lock the same harness finds doubles, and the table refuses them."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from annotations import claims
from annotations.models import Claim, Queue, Task
from projects.models import Project, User
from tests.annotations.test_claims import at_once, make_tasks
from tests.factories import UserFactory

RACERS = 4
LEASE = timedelta(minutes=10)


def handed_out(project: Project, queue: Queue) -> Counter[int]:
    """How often each task was handed out when RACERS people claim once, all at the same moment."""
    people = [UserFactory() for _ in range(RACERS)]
    held = at_once(lambda number: claims.claim_next(user=people[number], queue=queue), RACERS)
    return Counter(claim.task_id for claim in held if claim)


@pytest.fixture
def meeting() -> threading.Barrier:
    """All racers have read their task before any of them writes: the race at its worst, every time."""
    return threading.Barrier(RACERS, timeout=2)


def unlocked_read(user: User, queue: Queue, meeting: threading.Barrier) -> Task:
    task = claims._most_urgent(user, queue).first()
    assert task is not None
    meeting.wait()
    return task


@pytest.mark.django_db(transaction=True)
def test_the_harness_finds_doubles_where_the_lock_is_taken_out(
    project: Project, monkeypatch: pytest.MonkeyPatch, meeting: threading.Barrier
) -> None:
    queue = make_tasks(project, RACERS)

    def careless(user: User, queue: Queue, tasks: QuerySet[Task]) -> Claim:
        task = unlocked_read(user, queue, meeting)
        Task.objects.filter(pk=task.pk).update(taken=task.taken + 1)  # what was read a moment ago
        return Claim.objects.create(task=task, reviewer=user, expires_at=Now() + LEASE)

    monkeypatch.setattr(claims, "_take", careless)
    assert max(handed_out(project, queue).values()) == RACERS


@pytest.mark.django_db(transaction=True)
def test_the_table_itself_refuses_a_double(
    project: Project, monkeypatch: pytest.MonkeyPatch, meeting: threading.Barrier
) -> None:
    queue = make_tasks(project, RACERS)

    def unlocked(user: User, queue: Queue, tasks: QuerySet[Task]) -> Claim | None:
        try:
            task = unlocked_read(user, queue, meeting)
        except threading.BrokenBarrierError:  # those that the table refused try again, one by one
            return None
        Task.objects.filter(pk=task.pk).update(taken=F("taken") + 1)
        return Claim.objects.create(task=task, reviewer=user, expires_at=Now() + LEASE)

    monkeypatch.setattr(claims, "_take", unlocked)
    assert sorted(handed_out(project, queue).values()) == [1]
    assert max(task.taken for task in Task.objects.filter(project=project)) == 1


@pytest.mark.django_db(transaction=True)
def test_with_the_lock_the_same_race_hands_each_task_out_once(project: Project) -> None:
    queue = make_tasks(project, RACERS)
    handed: Any = handed_out(project, queue)
    connection.close()
    assert sorted(handed.values()) == [1] * RACERS
