"""Putting an item off and passing it on from the review screen, by plain forms."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.test import Client

from annotations.models import Claim, Task
from projects.models import Project, User
from tests.annotations.lines import filled

REVIEW = "/p/acme/queues/negative-feedback/review/"


@pytest.fixture
def at_work(browser_of: Callable[[str], Client], project: Project) -> Client:
    """A reviewer with the first of two items on the screen."""
    filled(project, 2)
    client = browser_of("reviewer")
    client.get(REVIEW)
    return client


def address(verb: str) -> str:
    return f"/p/acme/claims/{Claim.objects.get(state='leased').token}/{verb}/"


def test_the_screen_offers_to_put_off_and_to_pass_on(at_work: Client) -> None:
    html = at_work.get(REVIEW).content.decode()
    assert f'action="{address("snooze")}"' in html
    assert f'formaction="{address("escalate")}"' in html
    assert 'popovertarget="more"' in html


def test_what_is_put_off_makes_room_for_the_next(at_work: Client) -> None:
    answer = at_work.post(address("snooze"), {"seconds": "3600"}, follow=True)
    put_off = Claim.objects.get(state="snoozed")
    assert put_off.snoozed_until is not None
    assert put_off.ended_at is not None
    assert put_off.snoozed_until - put_off.ended_at == timedelta(hours=1)
    assert Claim.objects.get(state="leased").task_id != put_off.task_id
    assert "Put off." in answer.content.decode()


@pytest.mark.parametrize("seconds", ["", "x", "-5", "1", "9999999999", "²"])
def test_a_time_that_no_button_says_is_refused(seconds: str, at_work: Client) -> None:
    assert at_work.post(address("snooze"), {"seconds": seconds}).status_code == 400
    assert Claim.objects.get().state == "leased"


def test_what_is_passed_on_waits_with_its_note(at_work: Client, people: dict[str, User]) -> None:
    answer = at_work.post(address("escalate"), {"escalation": "Is this\r\nlegal advice?"}, follow=True)
    task = Task.objects.get(lane="escalated")
    assert task.escalated_by == people["reviewer"]
    assert task.escalation_note == "Is this\nlegal advice?"
    assert "Passed on with your note" in answer.content.decode()


def test_without_a_word_the_item_stays_on_the_screen(at_work: Client) -> None:
    claim = Claim.objects.get()
    answer = at_work.post(address("escalate"), {"escalation": " "}, follow=True)
    assert "Say what somebody else should decide." in answer.content.decode()
    assert answer.request["QUERY_STRING"] == f"claim={claim.token}"
    claim.refresh_from_db()
    assert claim.state == "leased"


@pytest.mark.parametrize(("verb", "form"), [("snooze", {"seconds": "3600"}), ("escalate", {"escalation": "?"})])
def test_a_reservation_that_has_ended_is_told(
    verb: str, form: dict[str, str], at_work: Client, browser_of: Callable[[str], Client]
) -> None:
    page = address(verb)
    Claim.objects.update(expires_at=Now() - timedelta(seconds=1))
    browser_of("lead").get(REVIEW)
    assert "Your reservation had ended" in at_work.post(page, form, follow=True).content.decode()
    assert not Claim.objects.filter(state__in=["snoozed", "skipped"]).exists()


@pytest.mark.parametrize("verb", ["snooze", "escalate"])
def test_nobody_elses_item_can_be_put_aside(verb: str, at_work: Client, browser_of: Callable[[str], Client]) -> None:
    answer = browser_of("lead").post(address(verb), {"seconds": "3600", "escalation": "?"})
    assert answer.status_code == 404
