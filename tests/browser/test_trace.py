"""The page of an interaction in a browser: the trace by arrow keys, folding, what axe finds, and a narrow window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from feedback import services
from projects.models import Project, User
from tests.browser.conftest import Visitor
from tests.feedback.bodies import full_interaction

pytestmark = pytest.mark.browser
SPANS: list[dict[str, Any]] = [
    {"id": f"s{n}", "parent_id": None if not n else "s0" if n % 10 == 1 else f"s{n - 1}", "name": f"step {n}",
     "kind": ["tool", "llm", "retriever"][n % 3], "input": f"secret {n}",
     "started_at": f"2026-11-20T12:00:{n * 0.4:06.3f}Z", "ended_at": f"2026-11-20T12:00:{n * 0.4 + 4:06.3f}Z"}
    for n in range(120)
]  # fmt: skip
MESSAGES = [{"role": ["user", "assistant"][n % 2], "content": f"Turn-{n}. What **is** it?"} for n in range(61)]


@pytest.fixture
def address(project: Project, people: dict[str, User]) -> str:
    body = full_interaction(spans=SPANS, messages=MESSAGES, time_to_first_token_ms=1800)
    return f"/p/acme/interactions/{services.record_interaction(project, body).pk}/"


def test_arrows_go_through_the_steps_and_fold_them(visit: Callable[..., Visitor], address: str) -> None:
    visitor = visit("lead")
    page = visitor.open(address)
    page.get_by_role("link", name="step 1", exact=True).focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#span-detail")).to_contain_text("secret 2")
    expect(page.locator("#steps [aria-current=true]")).to_contain_text("step 2")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("link", name="step 3", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="step 2", exact=True)).to_be_focused()
    expect(page.locator("#steps [aria-current=true]")).to_contain_text("step 2")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#span-detail")).to_contain_text("secret 3")
    page.keyboard.press("ArrowUp")
    expect(page.locator("#span-detail")).to_contain_text("secret 2")
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("link", name="step 3", exact=True)).to_have_count(0)
    expect(page.locator("#span-detail")).to_contain_text("secret 2")
    page.get_by_role("link", name="Show 50 earlier messages").click()
    expect(page.get_by_text("Turn-3.")).to_be_visible()
    assert visitor.problems == []


def test_it_is_sent_to_a_queue_by_key(visit: Callable[..., Visitor], address: str) -> None:
    visitor = visit("lead")
    page = visitor.open(address)
    page.keyboard.press("q")
    expect(page.locator("#act-queue")).to_be_visible()
    page.keyboard.press("1")
    expect(page.get_by_text("Sent 1 interaction to")).to_be_visible()
    assert page.url.endswith(address)


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_axe_finds_nothing(look: str, visit: Callable[..., Visitor], address: str) -> None:
    size = {"viewport": {"width": 390, "height": 844}} if look == "phone" else {}
    visitor = visit("lead", color_scheme="dark" if look == "dark" else "light", **size)
    for path in (address, f"{address}json/"):
        page = visitor.open(path)
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    assert visitor.problems == []
    assert visitor.foreign == []
