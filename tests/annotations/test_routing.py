"""Who works which queue, where items go when nobody there can, and what belongs to one person."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from annotations import claims, routing
from annotations.models import Queue, QueueMember, Task
from projects.errors import ApiError
from projects.models import AuditEntry, Membership, Project, User
from tests.annotations.flow import complaint, interaction, routed, thumbs_down


def queue(project: Project, slug: str = "negative-feedback", **fields: object) -> Queue:
    found = Queue.objects.get(project=project, slug=slug)
    for name, value in fields.items():
        setattr(found, name, value)
    found.save()
    return found


def join(place: Queue, user: User, *topics: str) -> None:
    QueueMember.objects.create(queue=place, user=user, topics=list(topics))


def test_reviewers_of_the_project_work_a_queue_that_is_open_to_all(
    project: Project, people: dict[str, User]
) -> None:  # fmt: skip
    open_to_all = queue(project)
    may = {who for who, user in people.items() if routing.may_work(user, open_to_all)}
    assert may == {"reviewer", "lead", "engineer", "admin"}
    assert {user.email.partition("@")[0] for user in routing.workers(open_to_all)} == may


def test_only_members_work_a_queue_that_has_members(project: Project, people: dict[str, User]) -> None:
    ours = queue(project, open_to_all=False)
    join(ours, people["reviewer"])
    join(ours, people["viewer"])  # a member who may not review
    assert {who for who, user in people.items() if routing.may_work(user, ours)} == {"reviewer"}
    assert list(routing.workers(ours)) == [people["reviewer"]]
    slugs = [one.slug for one in routing.workable(people["lead"], project)]
    assert slugs == ["flagged", "random-sample"]
    assert list(routing.workable(people["outsider"], project)) == []


@pytest.mark.parametrize(
    ("fields", "topic"),
    [
        ({"feature": "billing"}, "billing"),
        ({"feature": "search", "tags": ["vip", "law"]}, "law"),
        ({"feature": "search"}, ""),
    ],
)
def test_the_topic_of_a_task_is_the_first_of_feature_and_tags_that_the_queue_knows(
    fields: dict[str, object], topic: str, project: Project
) -> None:
    queue(project, topics=["billing", "law"])
    interaction(project, "i", **fields)
    thumbs_down(project, "i")
    [task] = routed(project)
    assert task.topic == topic


def test_what_nobody_there_can_judge_goes_to_the_fallback(project: Project, people: dict[str, User]) -> None:
    experts = queue(project, "flagged", topics=["law"])
    ours = queue(project, topics=["billing", "law"], open_to_all=False, fallback=experts)
    join(ours, people["reviewer"], "billing")
    for name, feature in (("a", "billing"), ("b", "law"), ("c", "chat")):
        interaction(project, name, feature=feature)
        thumbs_down(project, name)
    tasks = {task.interaction.external_id: task for task in routed(project)}
    found = {name: (task.queue.slug, task.topic) for name, task in tasks.items()}
    assert found == {"a": ("negative-feedback", "billing"), "b": ("flagged", "law"), "c": ("negative-feedback", "")}
    join(ours, people["lead"])  # who knows everything
    assert routing.stand(ours, topic="law") == ours


def test_what_would_come_to_a_paused_queue_goes_to_its_fallback_and_what_waits_stays(project: Project) -> None:
    before = complaint(project, "before")
    queue(project, paused_at=timezone.now(), fallback=queue(project, "flagged"))
    interaction(project, "after")
    thumbs_down(project, "after")
    assert {task.interaction.external_id: task.queue.slug for task in routed(project)} == {
        "before": "negative-feedback", "after": "flagged",
    }  # fmt: skip
    before.refresh_from_db()
    assert before.state == "open"


def test_a_circle_of_paused_queues_keeps_the_item_where_it_belongs(project: Project) -> None:
    flagged = queue(project, "flagged", paused_at=timezone.now())
    ours = queue(project, paused_at=timezone.now(), fallback=flagged)
    queue(project, "flagged", fallback=ours)
    assert routing.stand(ours, topic="") == ours
    assert complaint(project, "i").queue == ours


def test_an_assigned_task_is_offered_to_its_person_first_and_to_nobody_else(
    project: Project, people: dict[str, User]
) -> None:
    complaint(project, "urgent")
    theirs = complaint(project, "theirs")
    Task.objects.filter(pk=theirs.pk).update(due_at=theirs.due_at + timedelta(days=1))
    routing.assign(actor=people["lead"], task=theirs, user=people["reviewer"])
    mine = claims.claim_next(user=people["reviewer"], queue=theirs.queue)
    assert mine
    assert mine.task == theirs
    claims.release(user=people["reviewer"], token=mine.token)
    for other in (people["engineer"], people["admin"]):
        got = claims.claim_next(user=other, queue=theirs.queue)
        assert got is None or got.task != theirs
    routing.assign(actor=people["lead"], task=theirs, user=None)
    freed = claims.claim_next(user=people["admin"], queue=theirs.queue)
    assert freed
    assert freed.task == theirs
    told = AuditEntry.objects.filter(action__startswith="task.").order_by("pk")
    assert [(entry.action, entry.actor) for entry in told] == [
        ("task.assigned", people["lead"]), ("task.unassigned", people["lead"]),
    ]  # fmt: skip


def test_an_assignment_holds_until_the_task_is_due(project: Project, people: dict[str, User]) -> None:
    task = complaint(project, "i")
    Task.objects.filter(pk=task.pk).update(due_at=timezone.now() - timedelta(hours=5))
    task = routing.assign(actor=None, task=task, user=people["reviewer"])
    left = task.due_at - timezone.now()
    assert timedelta(minutes=59) < left <= timedelta(hours=1)  # the shortest time limit of the queue
    assert routing.release_assignments() == 0
    Task.objects.filter(pk=task.pk).update(due_at=timezone.now())
    assert routing.release_assignments() == 1
    task.refresh_from_db()
    assert task.assigned_to is None


def test_an_assignment_ends_when_its_person_may_no_longer_review(project: Project, people: dict[str, User]) -> None:
    task = routing.assign(actor=None, task=complaint(project, "i"), user=people["reviewer"])
    Membership.objects.filter(user=people["reviewer"]).delete()
    assert routing.release_assignments() == 1
    task.refresh_from_db()
    assert task.assigned_to is None


def test_an_assigned_task_stays_where_it_is_when_more_becomes_known(project: Project, people: dict[str, User]) -> None:
    from tests.annotations.test_triage import flag

    interaction(project, "i")
    flag(project, "i")
    [task] = routed(project)
    task = routing.assign(actor=None, task=task, user=people["reviewer"])
    thumbs_down(project, "i")
    [after] = routed(project)
    assert (after.queue, after.due_at, after.assigned_to) == (task.queue, task.due_at, people["reviewer"])
    assert after.score > task.score


def test_an_escalated_task_stays_escalated_when_more_becomes_known(project: Project) -> None:
    task = complaint(project, "i")
    Task.objects.filter(pk=task.pk).update(lane="escalated", escalated_at=timezone.now())
    thumbs_down(project, "i", user_id="another")
    [after] = routed(project)
    assert (after.lane, after.reasons[0]["text"]) == ("escalated", "Thumbs-down, 2 users")


@pytest.mark.parametrize("who", ["viewer", "outsider"])
def test_a_task_is_not_given_to_somebody_who_may_not_work_its_queue(
    who: str, project: Project, people: dict[str, User]
) -> None:
    with pytest.raises(ApiError) as refused:
        routing.assign(actor=None, task=complaint(project, "i"), user=people[who])
    assert (refused.value.status_code, refused.value.details[0]["path"]) == (422, "/assigned_to")


def test_neither_what_is_in_work_nor_what_is_done_can_be_assigned(project: Project, people: dict[str, User]) -> None:
    task = complaint(project, "i")
    claim = claims.claim_next(user=people["reviewer"], queue=task.queue)
    assert claim
    with pytest.raises(ApiError) as refused:
        routing.assign(actor=None, task=task, user=people["lead"])
    assert (refused.value.status_code, refused.value.error_code) == (409, "in_work")
    Task.objects.filter(pk=task.pk).update(state="done", done_at=timezone.now())
    with pytest.raises(ApiError) as refused:
        routing.assign(actor=None, task=task, user=people["lead"])
    assert (refused.value.status_code, refused.value.error_code) == (409, "not_open")
