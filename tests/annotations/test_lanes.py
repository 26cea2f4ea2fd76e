"""What is handed out next: mine first, then by lanes, to those who may, and not the same thing over and over."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from annotations import claims, labelling
from annotations.models import Claim, Cluster, ClusterMember, Queue, QueueMember, Task
from projects.models import Project, User
from tests.annotations.flow import interaction, routed, thumbs_down
from tests.annotations.lines import filled, line_of


def done(user: User, queue: Queue) -> Task | None:
    """Claims the next task and finishes the claim; None if there is nothing."""
    claim = claims.claim_next(user=user, queue=queue)
    if claim is None:
        return None
    Claim.objects.filter(pk=claim.pk).update(state="submitted", ended_at=Now())
    return claim.task


def lanes(user: User, queue: Queue, count: int) -> list[str]:
    tasks = [done(user, queue) for _ in range(count)]
    return [task.lane if task else "-" for task in tasks]


def test_of_twenty_claims_in_a_row_each_lane_has_its_share(project: Project, people: dict[str, User]) -> None:
    for lane in ("risk", "random", "calibration"):
        filled(project, 60, prefix=lane, lane=lane, enqueued_at=timezone.now())
    filled(project, 20, prefix="old", lane="random", enqueued_at=timezone.now() - timedelta(days=9),
           due_at=timezone.now() + timedelta(days=9))  # fmt: skip
    old = set(Task.objects.filter(interaction__external_id__startswith="old").values_list("pk", flat=True))
    queue = line_of(project)
    for start in range(3):
        tasks = [done(people["reviewer"], queue) for _ in range(20)]
        seen = Counter("oldest" if task and task.pk in old else task.lane if task else "-" for task in tasks)
        assert seen == {"risk": 12, "random": 4, "calibration": 2, "oldest": 2}, f"after {20 * start}"


def test_a_queue_may_have_shares_of_its_own(project: Project, people: dict[str, User]) -> None:
    for lane in ("risk", "random"):
        filled(project, 100, prefix=lane, lane=lane)
    queue = line_of(project, lanes={"risk": 33, "random": 67})
    assert Counter(lanes(people["reviewer"], queue, 100)) == {"risk": 33, "random": 67}


def test_the_schedule_is_each_reviewers_own(project: Project, people: dict[str, User]) -> None:
    for lane in ("risk", "random", "calibration"):
        filled(project, 40, prefix=lane, lane=lane)
    queue = line_of(project)
    first = lanes(people["reviewer"], queue, 5)
    assert lanes(people["lead"], queue, 5) == first
    assert lanes(people["reviewer"], queue, 15) != first * 3


def test_an_empty_lane_falls_through_to_the_others(project: Project, people: dict[str, User]) -> None:
    filled(project, 20, lane="calibration")
    assert lanes(people["reviewer"], line_of(project), 21) == ["calibration"] * 20 + ["-"]


def test_within_a_lane_the_most_urgent_comes_first(project: Project, people: dict[str, User]) -> None:
    tasks = filled(project, 5)
    queue = line_of(project, lanes={"risk": 100})
    assert [done(people["reviewer"], queue) for _ in range(5)] == tasks


def test_what_is_assigned_to_me_comes_first_and_to_nobody_else(project: Project, people: dict[str, User]) -> None:
    tasks, queue = filled(project, 3), line_of(project, lanes={"risk": 100})
    Task.objects.filter(pk=tasks[2].pk).update(assigned_to=people["reviewer"])
    assert [done(people["lead"], queue) for _ in range(3)] == [tasks[0], tasks[1], None]
    why = claims.why_empty(user=people["lead"], queue=queue)
    assert (why["open"], why["assigned"]) == (3, 1)
    assert done(people["reviewer"], queue) == tasks[2]


def test_a_queue_that_is_not_open_to_all_is_for_its_members(project: Project, people: dict[str, User]) -> None:
    queue = line_of(project, open_to_all=False)
    tasks = filled(project, 1)
    QueueMember.objects.create(queue=queue, user=people["reviewer"])
    assert claims.claim_next(user=people["lead"], queue=queue) is None
    assert claims.claim_task(user=people["lead"], task=tasks[0]) is None
    assert claims.why_empty(user=people["lead"], queue=queue)["member"] is False
    assert done(people["reviewer"], queue) == tasks[0]


def test_members_get_the_topics_that_they_know_and_what_has_none(project: Project, people: dict[str, User]) -> None:
    queue = line_of(project, lanes={"risk": 100})
    QueueMember.objects.create(queue=queue, user=people["reviewer"], topics=["billing"])
    foreign = filled(project, 2, prefix="t", topic="tax")
    known = filled(project, 1, prefix="b", topic="billing", due_at=timezone.now() + timedelta(hours=1))
    plain = filled(project, 1, prefix="p", due_at=timezone.now() + timedelta(hours=2))
    assert [done(people["reviewer"], queue) for _ in range(3)] == [*known, *plain, None]
    assert claims.claim_task(user=people["reviewer"], task=foreign[0]) is None
    assert claims.why_empty(user=people["reviewer"], queue=queue)["not_your_topics"] == 2
    assert done(people["lead"], queue) == foreign[0]


def clustered(project: Project, tasks: list[Task]) -> None:
    cluster = Cluster.objects.create(project=project, head=tasks[0].interaction, title="Fee")
    for task in tasks:
        ClusterMember.objects.create(cluster=cluster, interaction=task.interaction)


def test_after_three_of_one_cluster_something_else_comes(project: Project, people: dict[str, User]) -> None:
    same = filled(project, 6, prefix="same")
    other = filled(project, 1, prefix="other", due_at=timezone.now() + timedelta(seconds=5, milliseconds=500))
    clustered(project, same)
    queue = line_of(project, lanes={"risk": 100})
    order = [done(people["reviewer"], queue) for _ in range(7)]
    assert order == [*same[:3], *other, *same[3:]]


def test_nobody_looks_further_than_five_items_for_something_else(project: Project, people: dict[str, User]) -> None:
    same = filled(project, 9, prefix="same")
    filled(project, 1, prefix="other", due_at=timezone.now() + timedelta(hours=1))
    clustered(project, same)
    queue = line_of(project, lanes={"risk": 100})
    assert [done(people["reviewer"], queue) for _ in range(4)] == same[:4]


def test_a_paused_queue_says_that_it_is(project: Project, people: dict[str, User]) -> None:
    filled(project, 2)
    queue = line_of(project, paused_at=timezone.now())
    assert claims.claim_next(user=people["reviewer"], queue=queue) is None
    why = claims.why_empty(user=people["reviewer"], queue=queue)
    assert (why["paused"], why["open"]) == (True, 2)


def test_shed_items_are_counted_and_not_handed_out(project: Project, people: dict[str, User]) -> None:
    filled(project, 2, state="shed", done_at=timezone.now(), admission_p=0.5)
    assert done(people["reviewer"], line_of(project)) is None
    assert claims.why_empty(user=people["reviewer"], queue=line_of(project))["shed"] == 2


# Tables that grow. A queue's dozen of failure modes is read through, and the statistics decide when.
READ = """
    SELECT sum(seq_tup_read) FROM pg_stat_user_tables
    WHERE relname IN ('annotations_task', 'annotations_claim', 'annotations_annotation', 'annotations_label')
"""


@pytest.mark.django_db(transaction=True)
def test_the_claim_walks_indexes_however_large_the_table_is(project: Project, people: dict[str, User]) -> None:
    """By rows that scans of whole tables read: of the claims and votes, a dozen, PostgreSQL may; of the line never."""
    queue, touched = line_of(project), []
    for number, count in enumerate((200, 1800)):
        filled(project, count, prefix=f"n{number}")
        done(people["reviewer"], queue)  # plans are made
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_force_next_flush()")
            cursor.execute(READ)
            before = cursor.fetchone()[0]
            done(people["reviewer"], queue)
            cursor.execute("SELECT pg_stat_force_next_flush()")
            cursor.execute(READ)
            touched.append(cursor.fetchone()[0] - before)
    assert max(touched) < 100


def test_a_share_of_what_comes_in_is_for_two_reviewers_blind(project: Project, people: dict[str, User]) -> None:
    Queue.objects.filter(project=project).update(calibration_share=0.25)
    for number in range(80):
        interaction(project, f"c{number}", input=f"Question number {number} about something else")
        thumbs_down(project, f"c{number}")
    tasks = routed(project)
    drawn = [task for task in tasks if task.lane == "calibration"]
    assert 10 <= len(drawn) <= 30  # 20 expected, 3.9 standard deviation
    assert {(task.needed, labelling.is_blind(task)) for task in drawn} == {(2, True)}
    assert {task.needed for task in tasks if task not in drawn} == {1}
    assert {task.pk for task in drawn} == {task.pk for task in routed(project) if task.lane == "calibration"}


def test_a_queue_without_calibration_fills_no_such_lane(project: Project) -> None:
    for number in range(20):
        interaction(project, f"c{number}", input=f"Question number {number} about something else")
        thumbs_down(project, f"c{number}")
    assert {task.lane for task in routed(project)} <= {"risk", "random"}
