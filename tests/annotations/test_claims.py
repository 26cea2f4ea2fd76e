"""Claims: the most urgent first, never twice, and nobody's words lost."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now

from annotations import claims
from annotations.models import Claim, Queue, Task
from projects.errors import ApiError
from projects.models import Membership, Project, User
from tests.annotations.flow import complaint, interaction, routed, thumbs_down
from tests.factories import UserFactory


def queue_of(project: Project) -> Queue:
    return Queue.objects.get(project=project, slug="negative-feedback")


def expire_now(claim: Claim) -> None:
    Claim.objects.filter(pk=claim.pk).update(expires_at=Now() - timedelta(seconds=1))


def test_the_most_urgent_task_comes_first(project: Project, people: dict[str, User]) -> None:
    complaint(project, "plain")
    urgent = complaint(project, "urgent")
    Task.objects.filter(pk=urgent.pk).update(due_at=Now() - timedelta(days=1))
    claim = claims.claim_next(user=people["reviewer"], queue=queue_of(project))
    assert claim is not None
    assert claim.task.interaction.external_id == "urgent"


def test_a_reviewer_resumes_what_they_hold(project: Project, people: dict[str, User]) -> None:
    complaint(project, "a")
    complaint(project, "b")
    first = claims.claim_next(user=people["reviewer"], queue=queue_of(project))
    assert claims.claim_next(user=people["reviewer"], queue=queue_of(project)) == first


def test_two_reviewers_get_two_tasks_and_the_third_learns_why_there_is_none(
    project: Project, people: dict[str, User]
) -> None:
    complaint(project, "a")
    complaint(project, "b")
    queue = queue_of(project)
    one = claims.claim_next(user=people["reviewer"], queue=queue)
    two = claims.claim_next(user=people["lead"], queue=queue)
    assert one is not None
    assert two is not None
    assert one.task_id != two.task_id
    assert claims.claim_next(user=people["engineer"], queue=queue) is None
    why = claims.why_empty(user=people["engineer"], queue=queue)
    assert {name: count for name, count in why.items() if count} == {
        "open": 2, "leased": 2, "leased_until": one.expires_at, "member": True,
    }  # fmt: skip


def test_a_lease_that_ran_out_is_free_again_without_a_sweeper(project: Project, people: dict[str, User]) -> None:
    task = complaint(project, "a")
    gone = claims.claim_next(user=people["reviewer"], queue=queue_of(project))
    assert gone is not None
    expire_now(gone)
    taken = claims.claim_next(user=people["lead"], queue=queue_of(project))
    assert taken is not None
    assert taken.task_id == task.pk
    task.refresh_from_db()
    assert task.taken == 1
    gone.refresh_from_db()
    assert gone.state == "expired"


def test_a_draft_survives_the_lease_and_comes_back(project: Project, people: dict[str, User]) -> None:
    complaint(project, "a")
    reviewer, queue = people["reviewer"], queue_of(project)
    claim = claims.claim_next(user=reviewer, queue=queue)
    assert claim is not None
    claims.save_draft(user=reviewer, token=claim.token, draft={"note": "half a thought"})
    expire_now(claim)
    assert claims.save_draft(user=reviewer, token=claim.token, draft={"note": "a whole thought"}) is not None
    again = claims.claim_next(user=reviewer, queue=queue)
    assert again is not None
    assert again.token != claim.token
    assert again.draft == {"note": "a whole thought"}


def test_a_skipped_task_goes_to_others_and_counts_the_skip(project: Project, people: dict[str, User]) -> None:
    task = complaint(project, "a")
    queue = queue_of(project)
    claim = claims.claim_next(user=people["reviewer"], queue=queue)
    assert claim is not None
    assert claims.skip(user=people["reviewer"], token=claim.token, reason="unclear")
    assert claims.claim_next(user=people["reviewer"], queue=queue) is None
    assert claims.why_empty(user=people["reviewer"], queue=queue)["skipped"] == 1
    assert claims.claim_next(user=people["lead"], queue=queue) is not None
    task.refresh_from_db()
    assert (task.skips, task.taken) == (1, 1)


def test_one_can_return_to_what_one_skipped(project: Project, people: dict[str, User]) -> None:
    task = complaint(project, "a")
    claim = claims.claim_next(user=people["reviewer"], queue=queue_of(project))
    assert claim is not None
    claims.skip(user=people["reviewer"], token=claim.token, reason="unclear")
    assert claims.claim_task(user=people["reviewer"], task=task) is not None


def test_an_unknown_reason_is_refused(project: Project, people: dict[str, User]) -> None:
    complaint(project, "a")
    claim = claims.claim_next(user=people["reviewer"], queue=queue_of(project))
    assert claim is not None
    with pytest.raises(ApiError) as caught:
        claims.skip(user=people["reviewer"], token=claim.token, reason="boring")
    assert caught.value.status_code == 422


def test_a_heartbeat_extends_a_live_lease_and_tells_that_another_is_gone(
    project: Project, people: dict[str, User]
) -> None:
    complaint(project, "a")
    reviewer = people["reviewer"]
    claim = claims.claim_next(user=reviewer, queue=queue_of(project))
    assert claim is not None
    Claim.objects.filter(pk=claim.pk).update(expires_at=Now() + timedelta(seconds=5))
    extended = claims.heartbeat(user=reviewer, token=claim.token)
    assert extended is not None
    assert extended.expires_at >= claim.expires_at
    expire_now(claim)
    assert claims.heartbeat(user=reviewer, token=claim.token) is None


def test_nobody_elses_claim_can_be_touched(project: Project, people: dict[str, User]) -> None:
    complaint(project, "a")
    claim = claims.claim_next(user=people["reviewer"], queue=queue_of(project))
    assert claim is not None
    with pytest.raises(ApiError) as caught:
        claims.release(user=people["lead"], token=claim.token)
    assert caught.value.status_code == 404


def test_overlap_hands_one_task_to_that_many_people_and_never_twice_to_one(
    project: Project, people: dict[str, User]
) -> None:
    Queue.objects.filter(project=project).update(overlap=2)
    task = complaint(project, "a")
    queue = queue_of(project)
    held = [claims.claim_next(user=people[who], queue=queue) for who in ("reviewer", "lead", "engineer")]
    assert [claim.task_id if claim else None for claim in held] == [task.pk, task.pk, None]


# -- races ---------------------------------------------------------------------------------------------------


def at_once(work: Callable[[int], Any], workers: int) -> list[Any]:
    """Runs ``work`` in that many threads, released together, each with a connection of its own."""
    gate, results = threading.Barrier(workers), [None] * workers

    def run(number: int) -> None:
        gate.wait()
        try:
            results[number] = work(number)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def make_tasks(project: Project, count: int, overlap: int = 1) -> Queue:
    Queue.objects.filter(project=project).update(overlap=overlap)
    for number in range(count):
        interaction(project, f"t-{number}")
        thumbs_down(project, f"t-{number}")
    assert len(routed(project)) == count
    return queue_of(project)


def take_all(user: User, queue: Queue) -> list[int]:
    """Claims until there is nothing left, never giving anything back."""
    taken = []
    while (claim := claims.claim_next(user=user, queue=queue)) is not None:
        taken.append(claim.task_id)
        Claim.objects.filter(pk=claim.pk).update(state="submitted", ended_at=Now())
    return taken


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("overlap", [1, 3])
def test_twelve_reviewers_at_once_never_exceed_the_slots(overlap: int, project: Project) -> None:
    queue = make_tasks(project, 30, overlap)
    reviewers = [UserFactory() for _ in range(12)]
    for reviewer in reviewers:
        Membership.objects.create(project=project, user=reviewer, role="reviewer")
    results = at_once(lambda number: take_all(reviewers[number], queue), 12)
    handed = Counter(task for taken in results for task in taken)
    assert set(handed.values()) == {overlap}
    assert len(handed) == 30
    assert all(len(taken) == len(set(taken)) for taken in results)
    assert all(task.taken == overlap for task in Task.objects.filter(project=project))


@pytest.mark.django_db(transaction=True)
def test_one_reviewer_in_many_tabs_holds_one_task(project: Project) -> None:
    queue = make_tasks(project, 10)
    reviewer = UserFactory()
    held = at_once(lambda _: claims.claim_next(user=reviewer, queue=queue), 8)
    live = Claim.objects.filter(reviewer=reviewer, state="leased")
    assert {claim.pk for claim in held if claim} <= set(live.values_list("pk", flat=True))
    assert sum(task.taken for task in Task.objects.filter(project=project)) == live.count()


@pytest.mark.django_db(transaction=True)
def test_expiry_by_many_at_once_gives_each_slot_back_once(project: Project) -> None:
    queue = make_tasks(project, 20)
    reviewers = [UserFactory() for _ in range(20)]
    for reviewer in reviewers:
        claims.claim_next(user=reviewer, queue=queue)
    Claim.objects.update(expires_at=Now() - timedelta(seconds=1))
    assert sum(at_once(lambda _: claims.expire(), 8)) == 20
    assert {task.taken for task in Task.objects.filter(project=project)} == {0}


@pytest.mark.django_db(transaction=True)
def test_claims_from_many_tabs_at_one_moment_are_one_claim(project: Project) -> None:
    queue = make_tasks(project, 10)
    reviewer = UserFactory()
    held = at_once(lambda _: claims.claim_next(user=reviewer, queue=queue), 8)
    assert len({claim.token for claim in held if claim}) == 1
    assert Claim.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_reviewers_who_leave_leases_behind_lose_no_slot_and_no_task(project: Project) -> None:
    """A third of all leases is abandoned and runs out while everybody goes on: in the end each task was done once."""
    queue = make_tasks(project, 24)
    Claim.objects.all().delete()

    def work(number: int) -> None:
        user = reviewers[number]
        for step in range(40):
            claim = claims.claim_next(user=user, queue=queue)
            if claim is None:
                return
            if (step + number) % 3 == 0:
                Claim.objects.filter(pk=claim.pk, state="leased").update(expires_at=Now() - timedelta(seconds=1))
            else:
                Claim.objects.filter(pk=claim.pk, state="leased").update(state="submitted", ended_at=Now())

    reviewers = [UserFactory() for _ in range(6)]
    at_once(work, 6)
    while (claim := claims.claim_next(user=UserFactory(), queue=queue)) is not None:  # what was abandoned last
        Claim.objects.filter(pk=claim.pk).update(state="submitted", ended_at=Now())
    done = Counter(Claim.objects.filter(state="submitted").values_list("task_id", flat=True))
    assert len(done) == 24
    assert set(done.values()) == {1}
    assert {task.taken for task in Task.objects.filter(project=project)} == {1}


def test_what_i_skipped_comes_back_once_somebody_else_has_had_it(project: Project, people: dict[str, User]) -> None:
    task = complaint(project, "a")
    queue, me, other = queue_of(project), people["reviewer"], people["lead"]
    mine = claims.claim_next(user=me, queue=queue)
    assert mine is not None
    claims.save_draft(user=me, token=mine.token, draft={"note": "hm"})
    claims.skip(user=me, token=mine.token, reason="unclear")
    assert claims.claim_next(user=me, queue=queue) is None
    theirs = claims.claim_next(user=other, queue=queue)
    assert theirs is not None
    assert claims.claim_next(user=me, queue=queue) is None
    claims.release(user=other, token=theirs.token)
    again = claims.claim_next(user=me, queue=queue)
    assert again is not None
    assert (again.task_id, again.draft) == (task.pk, {"note": "hm"})


def test_a_skipped_task_comes_after_everything_else(project: Project, people: dict[str, User]) -> None:
    skipped = complaint(project, "a")
    other = complaint(project, "b")
    queue, me = queue_of(project), people["reviewer"]
    mine = claims.claim_next(user=me, queue=queue)
    assert mine is not None
    assert mine.task_id == skipped.pk
    claims.skip(user=me, token=mine.token, reason="unclear")
    theirs = claims.claim_task(user=people["lead"], task=skipped)
    assert theirs is not None
    claims.release(user=people["lead"], token=theirs.token)
    following = claims.claim_next(user=me, queue=queue)
    assert following is not None
    assert following.task_id == other.pk


def test_of_two_leases_the_newer_is_resumed(project: Project, people: dict[str, User]) -> None:
    complaint(project, "a")
    wanted = complaint(project, "b")
    me, queue = people["reviewer"], queue_of(project)
    claims.claim_next(user=me, queue=queue)
    newer = claims.claim_task(user=me, task=wanted)
    assert claims.claim_next(user=me, queue=queue) == newer
