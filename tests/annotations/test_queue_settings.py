"""Queues as leads set them: what is refused and why, which changes are versions, and when one can go."""

from __future__ import annotations

from typing import Any

import pytest

from annotations import queue_settings
from annotations.models import Queue, QueueMember, TriageRevision
from annotations.priority import WEIGHTS
from projects.errors import ApiError
from projects.models import AuditEntry, Membership, Project, User
from tests.annotations.flow import complaint

FULL = {**dict.fromkeys(WEIGHTS, 0), "negative": 60, "severity": 40}


def made(project: Project, actor: User | None = None, **fields: Any) -> Queue:
    return queue_settings.save(project=project, actor=actor, queue=None, fields={"name": "Billing", **fields})


def change(queue: Queue, **fields: Any) -> Queue:
    return queue_settings.save(project=queue.project, actor=None, queue=queue, fields=fields)


def faults(project: Project, queue: Queue | None = None, **fields: Any) -> dict[str, str]:
    with pytest.raises(ApiError) as refusal:
        queue_settings.save(project=project, actor=None, queue=queue, fields=fields)
    assert refusal.value.status_code == 422
    return {fault["path"]: fault["message"] for fault in refusal.value.details}


def test_a_queue_has_its_settings_its_members_and_a_first_version(project: Project, people: dict[str, User]) -> None:
    queue = made(
        project, people["lead"], open_to_all=False, topics=["invoices", "refunds"], fallback="flagged",
        members=[{"user": "Reviewer@example.com", "topics": ["refunds"]}, {"user": people["lead"].pk}],
        weights=FULL, lanes={"risk": 60, "random": 40}, capacity_per_day=120,
    )  # fmt: skip
    assert (queue.slug, queue.version, queue.position) == ("billing", 1, 4)
    rows = QueueMember.objects.filter(queue=queue).order_by("user__email")
    assert [(row.user.email, row.topics) for row in rows] == [
        ("lead@example.com", []), ("reviewer@example.com", ["refunds"]),
    ]  # fmt: skip
    revision = TriageRevision.objects.get(queue=queue)
    assert revision.snapshot == queue_settings.snapshot(queue)
    assert revision.snapshot["members"][1] == {"user": "reviewer@example.com", "topics": ["refunds"]}
    assert AuditEntry.objects.filter(project=project).latest("id").action == "queue.created"


def test_only_what_decides_on_tasks_is_a_new_version(project: Project, people: dict[str, User]) -> None:
    queue = made(project)
    for words in ({"name": "Bills"}, {"description": "d"}, {"paused": True}, {"lease_seconds": 900}, {"paused": True}):
        assert change(queue, **words).version == 1
    paused = Queue.objects.get(pk=queue.pk)
    assert paused.paused_at is not None
    assert change(queue, paused=False).paused_at is None
    decisive = [
        {"overlap": 2}, {"sla_max_hours": 24}, {"weights": FULL}, {"lanes": {"risk": 100}}, {"admission": True},
        {"members": [{"user": "reviewer@example.com"}]}, {"open_to_all": False}, {"topics": ["a"]},
        {"fallback": "flagged"}, {"blind": True},
    ]  # fmt: skip
    versions = [change(queue, **fields).version for fields in decisive]
    assert versions == list(range(2, 2 + len(decisive)))
    assert change(queue, **decisive[0]).version == versions[-1]
    assert TriageRevision.objects.filter(queue=queue).count() == versions[-1]


@pytest.mark.parametrize(
    ("fields", "place", "words"),
    [
        ({"name": ""}, "/name", "empty"),
        ({"kind": "odd"}, "/kind", "One of"),
        ({"overlap": 0}, "/overlap", "1 to 9"),
        ({"overlap": True}, "/overlap", "1 to 9"),
        ({"lease_seconds": 5}, "/lease_seconds", "60 to 86400"),
        ({"sla_min_hours": 0}, "/sla_min_hours", "above 0"),
        ({"sla_min_hours": 48, "sla_max_hours": 24}, "/sla_max_hours", "shorter"),
        ({"sla_min_hours": 500}, "/sla_min_hours", "shorter"),
        ({"weights": {"negative": 99}}, "/weights", "must make 100"),
        ({"weights": {"luck": 10}}, "/weights/luck", "Known here"),
        ({"weights": {**FULL, "negative": -1}}, "/weights/negative", "from 0 to 100"),
        ({"lanes": {"risk": 60, "random": 30}}, "/lanes", "make 90 %"),
        ({"lanes": {"fast": 100}}, "/lanes/fast", "Known here"),
        ({"open_to_all": False}, "/open_to_all", "Nobody could work"),
        ({"open_to_all": False, "members": []}, "/members", "Nobody could work"),
        ({"members": [{"user": "outsider@example.com"}]}, "/members/0/user", "Nobody of this project"),
        ({"members": [{"user": "viewer@example.com"}]}, "/members/0/user", "may review"),
        ({"members": [{"user": "lead@example.com"}] * 2}, "/members/1/user", "already"),
        ({"members": [{"topics": []}]}, "/members/0", "A member is"),
        ({"members": [{"user": "lead@example.com", "topics": [""]}]}, "/members/0/topics/0", "empty"),
        ({"fallback": "nowhere"}, "/fallback", "no queue"),
        ({"capacity_per_day": 0}, "/capacity_per_day", "above 0"),
        ({"admission_below": 101}, "/admission_below", "0 to 100"),
        ({"colour": "red"}, "/colour", "no such setting"),
    ],
)
def test_a_queue_that_makes_no_sense_is_refused(
    project: Project, people: dict[str, User], fields: Any, place: str, words: str
) -> None:
    assert words in faults(project, **{"name": "Q", **fields})[place]
    assert not Queue.objects.filter(project=project, name="Q").exists()


def test_percentages_add_up_exactly_but_thirds_may_be_written_as_floats(project: Project) -> None:
    assert faults(project, name="Q", lanes={"risk": 33.3, "random": 33.3, "calibration": 33.3})
    third = 100 / 3
    assert made(project, lanes={"risk": third, "random": third, "calibration": third}).version == 1


def test_fallbacks_never_lead_in_circles(project: Project) -> None:
    first, second = made(project, name="First"), made(project, name="Second", fallback="first")
    third = made(project, name="Third", fallback="second")
    assert "First → Third → Second → First" in faults(project, first, fallback="third")["/fallback"]
    assert "First → First" in faults(project, first, fallback="first")["/fallback"]
    assert change(third, fallback=None).fallback is None
    assert change(first, fallback="third").fallback == third
    assert second.fallback == first


def test_the_last_member_of_a_closed_queue_stays(project: Project, people: dict[str, User]) -> None:
    queue = made(project, open_to_all=False, members=[{"user": "lead@example.com"}])
    assert set(faults(project, queue, members=[])) == {"/members"}
    Membership.objects.filter(project=project, user=people["lead"]).delete()
    assert change(queue, name="Bills").name == "Bills"  # who has left is no fault of whoever renames it


def test_a_queue_that_nothing_hangs_on_can_go(project: Project) -> None:
    queue = made(project)
    queue_settings.remove(actor=None, queue=queue)
    assert not Queue.objects.filter(pk=queue.pk).exists()
    entry = AuditEntry.objects.get(project=project, action="queue.removed")
    assert (entry.target, entry.detail["was"]["name"]) == ("billing", "Billing")


def test_a_queue_in_use_says_what_to_do_instead(project: Project) -> None:
    made(project, fallback="negative-feedback")
    complaint(project, "i-1")
    queue = Queue.objects.get(project=project, slug="negative-feedback")
    with pytest.raises(ApiError) as refusal:
        queue_settings.remove(actor=None, queue=queue)
    assert (refusal.value.status_code, refusal.value.error_code) == (409, "in_use")
    said = [detail["message"] for detail in refusal.value.details]
    assert ["Rules put items here: Negative feedback" in said[0], "fallback of Billing" in said[1]] == [True, True]
    assert "1 tasks belong to it, 1 of them wait" in said[2]
    assert "Pause" in said[2]
    assert Queue.objects.filter(pk=queue.pk).exists()
