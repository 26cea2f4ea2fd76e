"""The race tests must be able to fail: without the lock the same harness finds doubles, and the table refuses them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from django.db import connection
from pytest_django.live_server_helper import LiveServer

from annotations import claims
from annotations.models import Claim, Queue, Task
from projects.models import Project
from tests.annotations import crowd, sabotage
from tests.annotations.lines import filled, line_of
from tests.annotations.test_claims import at_once, make_tasks
from tests.factories import UserFactory

RACERS = 4
CROWD, CLAIMS, SLOTS = 50, 2000, 2
PAUSE = 0.3  # seconds between reading and writing, in which all the others read


def handed_out(project: Project, queue: Queue) -> Counter[int]:
    """How often each task was handed out when RACERS people claim once, all at the same moment."""
    people = [UserFactory() for _ in range(RACERS)]
    held = at_once(lambda number: claims.claim_next(user=people[number], queue=queue), RACERS)
    return Counter(claim.task_id for claim in held if claim)


@pytest.mark.django_db(transaction=True)
def test_the_harness_finds_doubles_where_the_lock_is_taken_out(project: Project) -> None:
    queue = make_tasks(project, RACERS)
    with sabotage.without_the_lock(PAUSE):
        assert max(handed_out(project, queue).values()) > 1


@pytest.mark.django_db(transaction=True)
def test_the_table_itself_refuses_a_double(project: Project) -> None:
    queue = make_tasks(project, RACERS)
    with sabotage.without_the_lock_but_counting(PAUSE):
        handed = handed_out(project, queue)  # those that the table refused look again
    assert set(handed.values()) == {1}
    assert {task.taken for task in Task.objects.filter(pk__in=handed)} == {1}


@pytest.mark.django_db(transaction=True)
def test_with_the_lock_the_same_race_hands_each_task_out_once(project: Project) -> None:
    queue = make_tasks(project, RACERS)
    handed: Any = handed_out(project, queue)
    connection.close()
    assert sorted(handed.values()) == [1] * RACERS


# -- over HTTP -----------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_fifty_reviewers_who_claim_2000_times_over_http_never_share_a_slot(
    live_server: LiveServer, project: Project
) -> None:
    queue = line_of(project, overlap=SLOTS)
    tasks = filled(project, CLAIMS // SLOTS, needed=SLOTS)
    seen = crowd.work_off(live_server.url, queue.slug, crowd.reviewers(project, CROWD), CLAIMS // CROWD)
    assert seen.troubles == []
    assert seen.doubles(SLOTS) == []
    assert len(seen.held) > CLAIMS * 0.9  # at the end some find that they have done all that is left
    assert set(Task.objects.filter(pk__in=[task.pk for task in tasks]).values_list("taken", flat=True)) <= {0, 1, SLOTS}
    submitted = Counter(Claim.objects.filter(state="submitted").values_list("task_id", flat=True))
    assert sum(submitted.values()) == len(seen.held)
    assert max(submitted.values()) == SLOTS


@pytest.mark.django_db(transaction=True)
def test_the_same_crowd_shares_slots_where_the_lock_is_taken_out(live_server: LiveServer, project: Project) -> None:
    queue = line_of(project)
    filled(project, 200)
    with sabotage.without_the_lock(0.02):
        seen = crowd.work_off(live_server.url, queue.slug, crowd.reviewers(project, CROWD), 2)
    assert len(seen.doubles(1)) > 0
