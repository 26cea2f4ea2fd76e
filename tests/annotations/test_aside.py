"""Putting an item aside: skipped, put off, passed on to those who adjudicate; and taking it back. Over HTTP."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from annotations.models import Claim, Label, Task
from projects.models import Project, User
from tests.annotations.flow import complaint, thumbs_down, vote
from tests.annotations.lines import filled, line_of
from tests.conftest import Api

LINE = "/api/v1/queues/negative-feedback/claim"


@pytest.fixture
def reviewer(token_of: Callable[[str], Api]) -> Api:
    return token_of("reviewer")


@pytest.fixture
def lead(token_of: Callable[[str], Api]) -> Api:
    return token_of("lead")


@pytest.fixture
def engineer(token_of: Callable[[str], Api]) -> Api:
    return token_of("engineer")


def claimed(api: Api) -> tuple[str, str]:
    """Token of the claim and id of the task."""
    body = api.post(LINE)[1]
    return body["claim"]["token"], body["task"]["id"]


def empty(api: Api) -> dict[str, Any]:
    body = api.post(LINE)[1]
    assert body["claim"] is None
    reasons: dict[str, Any] = body["empty"]
    return reasons


def at(token: str, verb: str) -> str:
    return f"/api/v1/claims/{token}/{verb}"


def test_what_i_put_off_goes_to_others_and_comes_back_to_me_first(reviewer: Api, lead: Api, project: Project) -> None:
    first, second = filled(project, 2)
    line_of(project, lanes={"risk": 100})
    token, task = claimed(reviewer)
    assert task == str(first.pk)
    reviewer.put(at(token, "draft"), {"note": "wait for the bank"})
    status, body = reviewer.post(at(token, "snooze"), {"seconds": 3600})
    assert status == 200
    assert Task.objects.get(pk=first.pk).taken == 0
    other, task = claimed(reviewer)
    assert task == str(second.pk)
    reviewer.post(at(other, "snooze"), {"seconds": 7200})
    why = empty(reviewer)
    assert (why["open"], why["snoozed"], why["snoozed_until"]) == (2, 2, body["snoozed_until"])
    Claim.objects.filter(token=token).update(snoozed_until=Now() - timedelta(seconds=1))
    back = reviewer.post(LINE)[1]
    assert (back["task"]["id"], back["draft"]) == (str(first.pk), {"note": "wait for the bank"})
    assert claimed(lead)[1] == str(second.pk)


def test_what_was_put_off_and_taken_by_somebody_else_stays_theirs(reviewer: Api, lead: Api, project: Project) -> None:
    filled(project, 1)
    token, task = claimed(reviewer)
    reviewer.post(at(token, "snooze"), {"seconds": 60})
    assert claimed(lead)[1] == task
    Claim.objects.filter(token=token).update(snoozed_until=Now() - timedelta(seconds=1))
    assert empty(reviewer)["leased"] == 1


@pytest.mark.parametrize("seconds", [59, 2_592_001, "3600", True, None, 3600.5])
def test_a_time_that_cannot_be_is_refused_with_its_path(seconds: object, reviewer: Api, project: Project) -> None:
    filled(project, 1)
    token, _ = claimed(reviewer)
    status, body = reviewer.post(at(token, "snooze"), {"seconds": seconds})
    assert (status, body["error"]["details"][0]["path"]) == (422, "/seconds")
    assert Claim.objects.get(token=token).state == "leased"


def test_an_escalated_item_waits_for_those_who_adjudicate(
    reviewer: Api, engineer: Api, lead: Api, project: Project, people: dict[str, User]
) -> None:
    (task,) = filled(project, 1)
    token, _ = claimed(reviewer)
    assert reviewer.post(at(token, "escalate"), {"note": " Is this legal advice? "}) == (200, {"escalated": True})
    task.refresh_from_db()
    assert (task.lane, task.escalated_by, task.escalation_note, task.taken) == (
        "escalated", people["reviewer"], "Is this legal advice?", 0,
    )  # fmt: skip
    assert task.escalated_at
    assert empty(engineer)["escalated"] == 1
    token, got = claimed(lead)
    assert got == str(task.pk)
    assert lead.post(at(token, "submit"), vote("pass"))[1]["label"]["verdict"] == "pass"


def test_one_who_adjudicates_is_enough_for_an_escalated_item(reviewer: Api, lead: Api, project: Project) -> None:
    line_of(project, overlap=2)
    (task,) = filled(project, 1)
    token, _ = claimed(reviewer)
    reviewer.post(at(token, "escalate"), {"note": "?"})
    token, _ = claimed(lead)
    assert lead.post(at(token, "submit"), vote("pass"))[0] == 201
    assert Label.objects.get(task=task).verdict == "pass"


@pytest.mark.parametrize("note", ["", "  \n", 7, "x" * 2001])
def test_an_escalation_says_what_is_to_be_decided(note: object, reviewer: Api, project: Project) -> None:
    filled(project, 1)
    token, _ = claimed(reviewer)
    status, body = reviewer.post(at(token, "escalate"), {"note": note})
    assert (status, body["error"]["details"][0]["path"]) == (422, "/note")


def test_a_complaint_that_comes_later_leaves_an_escalated_item_where_it_is(
    reviewer: Api, lead: Api, project: Project
) -> None:
    task = complaint(project, "a")
    token, _ = claimed(reviewer)
    reviewer.post(at(token, "escalate"), {"note": "Is this legal advice?"})
    thumbs_down(project, "a", "still wrong", user_id="somebody else")
    again = complaint(project, "b")
    task.refresh_from_db()
    assert (task.lane, task.state, again.lane) == ("escalated", "open", "risk")
    assert task.needed == 1


def test_what_two_reviewers_skip_goes_to_those_who_adjudicate(
    reviewer: Api, engineer: Api, lead: Api, project: Project
) -> None:
    (task,) = filled(project, 1)
    for api, reason in ((reviewer, "unclear"), (engineer, "too_long")):
        token, _ = claimed(api)
        assert api.post(at(token, "skip"), {"reason": reason})[0] == 200
    task.refresh_from_db()
    assert (task.lane, task.escalated_by, task.skips) == ("escalated", None, 2)
    assert task.escalation_note == "Skipped by 2 reviewers: Unclear; Too long."
    assert empty(reviewer)["skipped"] == 1
    assert claimed(lead)[1] == str(task.pk)


def test_one_person_who_skips_twice_is_one(reviewer: Api, project: Project) -> None:
    (task,) = filled(project, 1)
    token, _ = claimed(reviewer)
    reviewer.post(at(token, "skip"), {"reason": "unclear"})
    status, back = reviewer.post(at(token, "return"))
    assert status == 200
    reviewer.post(at(back["claim"]["token"], "skip"), {"reason": "unclear"})
    task.refresh_from_db()
    assert (task.lane, task.skips) == ("risk", 2)


def test_i_see_what_i_put_aside_and_what_waits_for_me_and_can_take_it_back(
    reviewer: Api, project: Project, people: dict[str, User]
) -> None:
    tasks = filled(project, 4)
    line_of(project, lanes={"risk": 100})
    skipped, _ = claimed(reviewer)
    reviewer.put(at(skipped, "draft"), {"note": "hm"})
    reviewer.post(at(skipped, "skip"), {"reason": "too_long"})
    put_off, _ = claimed(reviewer)
    reviewer.post(at(put_off, "snooze"), {"seconds": 86400})
    passed_on, _ = claimed(reviewer)
    reviewer.post(at(passed_on, "escalate"), {"note": "?"})
    Task.objects.filter(pk=tasks[3].pk).update(assigned_to=people["reviewer"])
    mine = reviewer.get("/api/v1/tasks/mine")[1]
    assert [(row["id"], row["reason"]) for row in mine["skipped"]] == [
        (str(tasks[2].pk), "escalated"), (str(tasks[0].pk), "too_long"),
    ]  # fmt: skip
    assert [(row["id"], row["interaction_id"], row["token"]) for row in mine["snoozed"]] == [
        (str(tasks[1].pk), "i-1", put_off)
    ]
    assert [row["id"] for row in mine["assigned"]] == [str(tasks[3].pk)]

    status, back = reviewer.post(at(skipped, "return"))
    assert (status, back["task"]["id"], back["draft"]) == (200, str(tasks[0].pk), {"note": "hm"})
    assert reviewer.post(at(put_off, "return"))[1]["task"]["id"] == str(tasks[1].pk)
    assert reviewer.post(at(passed_on, "return"))[1]["error"]["code"] == "taken"  # not theirs to decide any more
    assert [row["reason"] for row in reviewer.get("/api/v1/tasks/mine")[1]["skipped"]] == ["escalated"]


def test_what_somebody_else_has_now_cannot_be_taken_back(reviewer: Api, lead: Api, project: Project) -> None:
    filled(project, 1)
    token, _ = claimed(reviewer)
    reviewer.post(at(token, "skip"), {"reason": "unclear"})
    theirs, _ = claimed(lead)
    status, body = reviewer.post(at(token, "return"))
    assert (status, body["error"]["code"]) == (409, "taken")
    assert lead.get("/api/v1/tasks/mine")[1]["skipped"] == []
    lead.post(at(theirs, "submit"), vote("pass"))
    assert reviewer.get("/api/v1/tasks/mine")[1]["skipped"] == []


def test_what_was_not_put_aside_cannot_be_taken_back(reviewer: Api, project: Project) -> None:
    filled(project, 1)
    token, _ = claimed(reviewer)
    status, body = reviewer.post(at(token, "return"))
    assert (status, body["error"]["code"]) == (409, "not_put_aside")


@pytest.mark.parametrize(
    ("verb", "body"), [("snooze", {"seconds": 3600}), ("escalate", {"note": "?"}), ("skip", {"reason": "unclear"})]
)
def test_a_lease_that_has_ended_puts_nothing_aside(
    verb: str, body: dict[str, Any], reviewer: Api, lead: Api, project: Project
) -> None:
    (task,) = filled(project, 1)
    token, _ = claimed(reviewer)
    Claim.objects.filter(token=token).update(expires_at=Now() - timedelta(seconds=1))
    theirs, _ = claimed(lead)
    status, answer = reviewer.post(at(token, verb), body)
    assert (status, answer["error"]["code"]) == (409, "lease_lost")
    task.refresh_from_db()
    assert (task.taken, task.lane) == (1, "risk")
    assert Claim.objects.get(token=theirs).state == "leased"


@pytest.mark.parametrize("verb", ["snooze", "escalate", "return", "skip", "release", "heartbeat"])
def test_nobody_elses_claim_can_be_put_aside(verb: str, reviewer: Api, lead: Api, project: Project) -> None:
    filled(project, 1)
    token, _ = claimed(reviewer)
    assert lead.post(at(token, verb), {"seconds": 3600, "note": "?", "reason": "unclear"})[0] == 404
    assert lead.post(at(str(uuid.uuid4()), verb), {"seconds": 3600, "note": "?", "reason": "unclear"})[0] == 404
    assert Claim.objects.get(token=token).state == "leased"
