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
