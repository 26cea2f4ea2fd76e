"""What the pages read costs the same for two as for two hundred, and says what is true."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from annotations import claims, labelling, queries
from annotations.models import Annotation, Queue, QueueMember, Task
from annotations.submission import parse_submission
from projects.models import Project, User
from tests.annotations.flow import complaint, vote
from tests.annotations.test_claims import make_tasks, queue_of


def row_of(project: Project, user: User, slug: str = "negative-feedback") -> queries.QueueRow:
    return next(row for row in queries.queue_overview(project, user) if row.queue.slug == slug)


def settle(project: Project, user: User, verdict: str = "pass") -> Annotation:
    claim = claims.claim_next(user=user, queue=queue_of(project))
    assert claim is not None
    submission = parse_submission(project, vote(verdict))
    return labelling.submit(user=user, token=claim.token, submission=submission).annotation


def cost(project: Project, user: User) -> int:
    with CaptureQueriesContext(
        connection,
    ) as spent:
        queries.queue_overview(project, user)
        queries.my_progress(project, user)
    return len(spent)


def test_the_overview_costs_the_same_for_twice_as_many(project: Project, people: dict[str, User]) -> None:
    make_tasks(project, 3)
    before = cost(project, people["reviewer"])
    for number in range(3):
        complaint(project, f"more-{number}")
        claims.claim_next(user=people[("lead", "engineer", "admin")[number]], queue=queue_of(project))
    assert cost(project, people["reviewer"]) == before == 5


def test_ages_add_up_to_what_waits(project: Project, people: dict[str, User]) -> None:
    make_tasks(project, 4)
    tasks = list(Task.objects.order_by("pk"))
    due = [timedelta(hours=20), timedelta(hours=20), timedelta(hours=1), timedelta(hours=-1)]
    age = [timedelta(hours=1), timedelta(hours=9), timedelta(hours=1), timedelta(hours=30)]
    for task, left, waited in zip(tasks, due, age, strict=True):
        Task.objects.filter(pk=task.pk).update(due_at=Now() + left, enqueued_at=Now() - waited)
    row = row_of(project, people["reviewer"])
    assert row.open == 4
    assert row.ages == {"under_4h": 1, "over_4h": 1, "near_due": 1, "past_due": 1}
    oldest = Task.objects.get(pk=tasks[3].pk)
    assert (row.oldest_enqueued_at, row.next_due_at) == (oldest.enqueued_at, oldest.due_at)


def test_who_is_on_it_and_what_got_done(project: Project, people: dict[str, User]) -> None:
    make_tasks(project, 4)
    vote_now, vote_before = settle(project, people["lead"]), settle(project, people["lead"])
    Annotation.objects.filter(pk=vote_before.pk).update(created_at=Now() - timedelta(days=3))
    claims.claim_next(user=people["engineer"], queue=queue_of(project))
    row = row_of(project, people["reviewer"])
    assert vote_now.state == "counted"
    assert row.leased_by == [people["engineer"]]
    assert row.done_by_day == [0, 0, 0, 1, 0, 0, 1]
    assert queries.my_progress(project, people["lead"]) == 1
    assert queries.my_progress(project, people["reviewer"]) == 0


def test_what_i_have_skipped_or_voted_on_does_not_wait_for_me(project: Project, people: dict[str, User]) -> None:
    make_tasks(project, 2, overlap=2)
    settle(project, people["reviewer"])
    assert row_of(project, people["reviewer"]).open == 1
    assert row_of(project, people["lead"]).open == 2


def test_what_others_hold_or_know_better_does_not_wait_for_me(project: Project, people: dict[str, User]) -> None:
    make_tasks(project, 3)
    claims.claim_next(user=people["lead"], queue=queue_of(project))
    assert (row_of(project, people["reviewer"]).open, row_of(project, people["lead"]).open) == (2, 3)
    elsewhere = Task.objects.filter(taken=0).earliest("pk")
    Task.objects.filter(pk=elsewhere.pk).update(topic="cards")
    member = QueueMember.objects.create(queue=queue_of(project), user=people["reviewer"], topics=["loans"])
    assert row_of(project, people["reviewer"]).open == 1
    member.topics = ["loans", "cards"]
    member.save()
    assert row_of(project, people["reviewer"]).open == 2


def test_a_paused_queue_is_shown_and_hands_out_nothing(project: Project, people: dict[str, User]) -> None:
    complaint(project, "a")
    Queue.objects.filter(project=project).update(paused_at=Now())
    assert row_of(project, people["reviewer"]).open == 1
    assert claims.claim_next(user=people["reviewer"], queue=queue_of(project)) is None


@pytest.mark.parametrize("waiting", [2, 40])
def test_a_claim_costs_the_same_however_much_waits(waiting: int, project: Project, people: dict[str, User]) -> None:
    make_tasks(project, waiting)
    queue = queue_of(project)
    with CaptureQueriesContext(connection) as spent:
        claims.claim_next(user=people["reviewer"], queue=queue)
    # savepoint, claim, release, read back
    assert len(spent) == 4


def test_submitting_costs_a_fixed_number_of_queries(project: Project, people: dict[str, User]) -> None:
    def spent() -> int:
        claim = claims.claim_next(user=people["reviewer"], queue=queue_of(project))
        assert claim is not None
        submission = parse_submission(project, vote("pass"))
        with CaptureQueriesContext(connection) as queries_used:
            labelling.submit(user=people["reviewer"], token=claim.token, submission=submission)
        return len(queries_used)

    make_tasks(project, 6)
    costs: list[Any] = [spent() for _ in range(5)]
    assert len(set(costs[1:])) == 1
