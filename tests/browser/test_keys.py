"""The keys that every page has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from projects.models import User
from tests.browser.conftest import Visitor

pytestmark = pytest.mark.browser


def test_keys_lead_through_the_pages(visit: Callable[..., Visitor], wait_in: Any, people: dict[str, User]) -> None:
    wait_in("first")
    visitor = visit("reviewer")
    page = visitor.open("/p/acme/labels/mine/")

    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_contain_text("Queues")
    page.keyboard.press("Escape")

    page.keyboard.press("g")
    page.keyboard.press("q")
    expect(page.get_by_role("heading", name="Queues")).to_be_visible()

    page.keyboard.press("j")
    expect(page.locator("tr[aria-current=true]")).to_contain_text("Negative feedback")
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(page.locator("tr[aria-current=true]")).to_contain_text("Negative feedback")

    with page.expect_response("**/account/theme/"):
        page.keyboard.press("Shift+D")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    people["reviewer"].refresh_from_db()
    assert people["reviewer"].theme == "dark"
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"

    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator(".turn.user")).to_contain_text("Question of first?")
    assert (visitor.problems, visitor.foreign) == ([], [])


def test_a_link_from_a_text_asks_before_it_leaves(visit: Callable[..., Visitor], wait_in: Any) -> None:
    wait_in("first", output="See [our bank](https://bank.example.org/login).")
    visitor = visit("reviewer")
    page = visitor.open("/p/acme/queues/negative-feedback/review/")
    asked: list[str] = []

    def refuse(dialog: Any) -> None:
        asked.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", refuse)
    page.get_by_role("link", name="our bank").click()
    assert "bank.example.org" in asked[0]
    assert page.url.endswith("/review/")
    assert visitor.foreign == []


def test_everything_is_found_from_one_field(visit: Callable[..., Visitor], wait_in: Any) -> None:
    wait_in("first")
    visitor = visit("lead")
    page = visitor.open("/p/acme/queues/negative-feedback/review/")
    page.keyboard.press("n")
    page.keyboard.type("kept")
    page.keyboard.press("Control+k")  # works in fields
    found = page.get_by_role("dialog", name="Search or jump to")
    page.keyboard.type("unsure")
    expect(found.get_by_role("option", name="Here Unsure")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator("[name=verdict][value=unsure]")).to_be_checked()
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.keyboard.type("random")
    expect(found.get_by_role("option", name="Queue Random sample")).to_be_visible()
    page.keyboard.press("Control+a")
    page.keyboard.type("first")
    expect(found.get_by_role("option", name="Interaction first")).to_be_visible()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_url("**/interactions/?q=first")
    assert (visitor.problems, visitor.foreign) == ([], [])


def test_the_guide_opens_at_the_failure_chosen(visit: Callable[..., Visitor], wait_in: Any, modes: Any) -> None:
    wait_in("first")
    mode = modes["3"]
    mode.guide, mode.examples = "Only where no source says otherwise.\n\nElse it is 2.", ["2 + 2 = 5"]
    mode.save()
    page = visit("reviewer").open("/p/acme/queues/negative-feedback/review/")
    page.keyboard.press("3")
    page.keyboard.press("g")
    guide = page.get_by_role("dialog", name="Labelling guide")
    expect(guide).to_contain_text("Only where no source says otherwise.")
    expect(guide.get_by_text("2 + 2 = 5")).to_be_visible()
    expect(guide.locator("details[open]")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(guide).not_to_be_visible()
    expect(page.locator(".cat.is-first")).to_contain_text(mode.label)


def test_moved_keys_do_what_they_were_given_and_the_caps_follow(
    visit: Callable[..., Visitor], wait_in: Any, people: dict[str, User]
) -> None:
    wait_in("first")
    wait_in("second")
    User.objects.filter(pk=people["reviewer"].pk).update(keys={"p": "y", "s": "", "h": "p"})
    visitor = visit("reviewer")
    page = visitor.open("/p/acme/queues/negative-feedback/review/")
    expect(page.locator("label.pass kbd")).to_have_text("Y")
    expect(page.locator("fieldset.severity legend kbd")).to_have_count(0)
    page.keyboard.press("s")  # switched off
    expect(page.locator("[name=severity]:checked")).to_have_count(0)
    page.keyboard.press("p")  # starts marking now
    page.wait_for_function("() => String(getSelection()).length > 0")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.keyboard.type("pass")
    expect(page.get_by_role("option", name="Here Pass").locator("kbd")).to_have_text("y")
    page.keyboard.press("Escape")
    page.keyboard.press("y")
    expect(page.locator(".turn.user")).to_contain_text("second")
    page.wait_for_function("() => performance.now() > hub.guard")
    page.keyboard.press("?")
    expect(page.locator("#shortcuts dd kbd").first).to_have_text("Y")
    assert visitor.problems == []
