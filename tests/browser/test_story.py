"""From a complaint to a label, by keyboard: what the product is for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from annotations import triage
from annotations.models import Label
from projects.models import User
from tests.browser.conftest import Visitor
from tests.conftest import Api

pytestmark = pytest.mark.browser
WRONG = "Yes, the €4.90 was right. Fees cannot be refunded."
RIGHT = "No. In the month of closure the fee is charged to the day: €0.49."


def complain(sk: Api, name: str, question: str) -> None:
    """An interaction and the thumbs-down of its user, as an application sends them."""
    body = {"id": name, "messages": [{"role": "user", "content": question}], "output": WRONG, "model": "m-1"}
    assert sk.post("/api/v1/interactions", body)[0] == 201
    vote = {"interaction_id": name, "kind": "thumbs", "value": "down", "comment": "wrong fee", "user_id": "u-1"}
    assert sk.post("/api/v1/feedback", vote)[0] == 201
    triage.run()


def test_a_thumbs_down_becomes_a_corrected_label(
    visit: Callable[..., Visitor], sk: Api, people: dict[str, User]
) -> None:
    complain(sk, "req-1", "You charged €4.90 after I closed my account. Is that right?")
    complain(sk, "req-2", "And in December?")
    people["reviewer"].set_password("correct horse battery")
    people["reviewer"].save(update_fields=["password"])
    visitor = visit(None)
    page = visitor.open("/p/acme/queues/")

    page.keyboard.type("reviewer@example.com")
    page.keyboard.press("Tab")
    page.keyboard.type("correct horse battery")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Queues")).to_be_visible()
    expect(page.locator(".next-up")).to_contain_text("2 waiting")

    page.keyboard.press("Enter")
    expect(page.locator(".why .lead")).to_contain_text("Thumbs-down")
    expect(page.locator(".why")).to_contain_text("wrong fee")
    expect(page.locator("#answer")).to_contain_text("Fees cannot be refunded")

    for key in ("f", "2", "e", "Control+a"):
        page.keyboard.press(key)
    page.keyboard.type(RIGHT)
    page.keyboard.press("Control+Enter")
    expect(page.locator(".turn.user")).to_contain_text("And in December?")
    expect(page.locator(".tally b")).to_have_text("1")

    label = Label.objects.get(superseded_at=None)
    assert label.interaction.external_id == "req-1"
    assert (label.verdict, label.primary_category.slug, label.severity) == ("fail", "contradicts-source", 2)
    assert (label.desired_output, label.settled_by) == (RIGHT, "single")

    page.wait_for_timeout(160)
    page.keyboard.press("p")
    expect(page.get_by_role("heading", name="All caught up")).to_be_visible()
    assert Label.objects.filter(superseded_at=None).count() == 2
    assert (visitor.problems, visitor.foreign) == ([], [])
