"""How fast the next item stands there, and that nothing is lost when all goes wrong at once."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db.models.functions import Now
from playwright.sync_api import Route, expect

from annotations.models import Annotation, Claim, Task
from tests.browser.conftest import Visitor

REVIEW = "/p/acme/queues/negative-feedback/review/"
pytestmark = pytest.mark.browser

# Counts from the key to the first frame that shows the next item.
WATCH = """() => {
  window.gaps = [];
  let pressed = 0;
  addEventListener('keydown', (event) => { if (event.key === 'p') pressed = performance.now(); }, true);
  new MutationObserver(() => {
    const from = pressed;
    pressed = 0;
    if (from) requestAnimationFrame(() => gaps.push(performance.now() - from));
  }).observe(document.body, { childList: true });
}"""


def test_a_hundred_items_in_a_row_swap_from_memory(
    visit: Callable[..., Visitor], wait_in: Callable[..., Task], record_testsuite_property: Any
) -> None:
    """No answer of the server stands between the key and the next item; how many ms it takes depends on the machine,
    and is said in the report (``pytest --junitxml``) and by ``bench/swap.py``."""
    for place in range(101):
        wait_in(f"item-{place}", output="The **fee** is due. " * 40)
    visitor, posted = visit("reviewer"), []
    page = visitor.page
    page.route("**/label/", lambda route: posted.append(route))  # held until the next item stands there
    visitor.open(REVIEW)
    page.evaluate(WATCH)
    for place in range(100):
        page.wait_for_function("() => hub.ready() && performance.now() > hub.guard")  # a person reads for longer
        page.keyboard.press("p")
        expect(page.locator(".turn.user")).to_contain_text(f"Question of item-{place + 1}?")
        while not posted:
            page.wait_for_timeout(5)
        posted.pop().continue_()
    page.wait_for_function("() => !Object.keys(localStorage).some((key) => key.startsWith('reviewhub:out:'))")
    gaps = sorted(page.evaluate("gaps"))
    record_testsuite_property("swap_ms", {"median": statistics.median(gaps), "p95": gaps[int(len(gaps) * 0.95)]})
    assert Annotation.objects.filter(verdict="pass").count() == 100
    assert len(gaps) == 100
    assert visitor.problems == []


def test_the_server_the_sign_in_and_the_lease_die_in_mid_typing_and_no_word_is_lost(
    visit: Callable[..., Visitor], wait_in: Callable[..., Task]
) -> None:
    wait_in("first")
    wait_in("second")
    visitor = visit("reviewer")
    page = visitor.open(REVIEW)
    page.keyboard.press("f")
    page.keyboard.press("2")
    page.keyboard.press("n")
    page.keyboard.type("one ")
    expect(page.locator("#saved")).to_contain_text("Draft")

    down = {"on": True}

    def dead(route: Route) -> None:
        route.abort() if down["on"] else route.continue_()

    page.route("**/p/acme/**", dead)  # the server is gone
    page.keyboard.type("two ")
    expect(page.locator("#notice")).to_contain_text("No connection")
    Session.objects.all().delete()  # so is the sign-in
    Claim.objects.update(state="expired", ended_at=Now())  # and the lease
    Task.objects.update(taken=0)
    page.keyboard.type("three ")
    down["on"] = False
    page.keyboard.type("four")
    expect(page.locator("#notice")).to_contain_text("Your sign-in has expired")
    expect(page.locator("#note")).to_have_value("one two three four")

    again = visit("reviewer")  # signed in again: the browser keeps what is on this device
    cookies = again.context.cookies()
    visitor.context.add_cookies(cookies)
    page.keyboard.press("Control+Enter")
    expect(page.locator(".turn.user")).to_contain_text("second")
    expect(page.locator("#toast")).to_contain_text("Saved: Fail")
    vote = Annotation.objects.get()
    assert (vote.note, vote.primary_category.digit if vote.primary_category else "") == ("one two three four", "2")
