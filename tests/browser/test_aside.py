"""Putting an item off and passing it on without the mouse."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from annotations.models import Annotation, Claim, Task
from tests.browser.conftest import Visitor
from tests.browser.test_review import REVIEW, shows, violations

pytestmark = pytest.mark.browser


@pytest.fixture
def at_work(visit: Callable[..., Visitor], wait_in: Callable[..., Task]) -> Visitor:
    """A reviewer with the first of two items on the screen."""
    wait_in("first")
    wait_in("second")
    visitor = visit("reviewer")
    visitor.open(REVIEW)
    return visitor


def test_putting_off_takes_two_keys(at_work: Visitor) -> None:
    page = at_work.page
    page.keyboard.press("m")
    expect(page.locator("#more")).to_be_visible()
    page.keyboard.press("1")
    shows(page, "second")
    assert Claim.objects.get(state="snoozed").task.interaction.external_id == "first"
    assert not Annotation.objects.exists()


def test_passing_on_with_a_note_works_by_keyboard_alone(at_work: Visitor) -> None:
    page = at_work.page
    for key in ("m", "n"):
        page.keyboard.press(key)
    expect(page.locator("#escalation")).to_be_focused()
    page.keyboard.type("Is this legal advice?")
    page.keyboard.press("Control+Enter")
    shows(page, "second")
    assert Task.objects.get(lane="escalated").escalation_note == "Is this legal advice?"


def test_the_open_menu_has_no_fault_that_axe_finds(at_work: Visitor) -> None:
    at_work.page.keyboard.press("m")
    assert violations(at_work.page) == []
