"""A newcomer says something in the sample chat, presses the thumb down, and finds it in the queue."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from annotations import triage
from projects.models import Project
from tests.browser.conftest import Visitor
from tests.browser.test_review import violations
from tests.browser.test_widget import arrived

pytestmark = pytest.mark.browser


def test_a_thumb_in_the_sample_chat_becomes_a_task(visit: Callable[..., Visitor], project: Project) -> None:
    Project.objects.filter(pk=project.pk).update(is_sample=True)
    visitor = visit("lead")
    page = visitor.open("/sample-chat/")
    field = page.get_by_label("Your message")
    for message in ("What does it cost?", "And in Germany?"):
        field.fill(message)
        page.get_by_role("button", name="Send", exact=True).click()
        expect(page.get_by_role("log")).to_contain_text(message)
        expect(field).to_have_value("")
    assert violations(page) == []
    page.get_by_role("button", name="Bad answer").first.click()
    assert arrived(1)[0].verified is True
    received = page.get_by_role("region", name="What the hub received")
    expect(received).to_contain_text("Verified by its token")
    triage.run()
    received.get_by_role("button", name="Open it").click()
    expect(page.locator(".turn.user")).to_contain_text("What does it cost?")
    assert (visitor.problems, visitor.foreign) == ([], [])


def test_what_the_visitor_does_is_told_without_a_click_on_a_thumb(
    visit: Callable[..., Visitor], project: Project
) -> None:
    Project.objects.filter(pk=project.pk).update(is_sample=True)
    visitor = visit("reviewer", viewport={"width": 390, "height": 844})
    page = visitor.open("/sample-chat/")
    page.get_by_role("button", name="Why is my bill so high?").click()
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("button", name="Try again")).to_have_count(2)
    page.get_by_role("button", name="Ask for a person").last.click()
    received = page.get_by_role("region", name="What the hub received")
    expect(received.get_by_role("article")).to_have_count(2)
    for told in ("Regenerated", "Asked for a person"):
        expect(received).to_contain_text(told)
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert (visitor.problems, visitor.foreign) == ([], [])
