"""From a thumbs-down to a golden example that fails a bad candidate, by keyboard: what the product is for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from reviewhub_client import cli

from annotations import triage
from annotations.models import Label
from evals import tasks
from evals.models import DatasetVersion, Run
from projects import keys
from projects.models import Project, User
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


def go(page: Page, key: str, heading: str) -> None:
    """``g`` and a letter, as the cheat sheet says."""
    page.keyboard.press("g")
    page.keyboard.press(key)
    expect(page.get_by_role("heading", name=heading, level=1)).to_be_visible()


def press(page: Page, name: str) -> None:
    """Reaches a button as the keyboard does and presses it."""
    page.get_by_role("button", name=name, exact=True).focus()
    page.keyboard.press("Enter")


def test_a_thumbs_down_becomes_a_golden_example_that_fails_a_bad_candidate(
    visit: Callable[..., Visitor], sk: Api, people: dict[str, User], project: Project, tmp_path: Path
) -> None:
    complain(sk, "req-1", "You charged €4.90 after I closed my account. Is that right?")
    complain(sk, "req-2", "And in December?")
    people["reviewer"].set_password("correct horse battery")
    people["reviewer"].save(update_fields=["password"])
    visitor = visit(None)
    page = visitor.open("/p/acme/queues/")

    expect(page.get_by_label("Email")).to_be_focused()
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

    for key in ("f", "2", "d", "e", "Control+a"):
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

    tasks.curate()  # the worker's part: a label marked golden is proposed
    engineer = visit("engineer")
    page = engineer.open("/p/acme/health/")
    go(page, "d", "Datasets")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Wait for approval")).to_be_visible()
    expect(page.locator("main")).to_contain_text("the fee is charged to the day")
    press(page, "Approve all 1")
    press(page, "Freeze v1")
    press(page, "Freeze")
    expect(page.get_by_role("button", name="Export v1")).to_be_visible()
    version = DatasetVersion.objects.get(number=1)
    assert (version.count, len(version.checksum)) == (1, 64)

    secret = keys.create_key(project=project, kind="sk", name="ci", scopes=["read", "runs"])[1]

    def evaluate(answer: str, name: str) -> int:
        """What CI runs: exit code 0 pass, 1 fail."""
        (tmp_path / name).write_text(json.dumps({version.examples.get().key: answer}))
        words = ["eval", "golden@1", "--target", str(tmp_path / name), "--hub", engineer.base, "--key", secret]
        return cli.main(words)

    assert evaluate(WRONG, "bad.json") == 1
    assert evaluate(RIGHT, "fixed.json") == 0
    assert list(Run.objects.order_by("created_at").values_list("verdict", flat=True)) == ["fail", "pass"]
    go(page, "r", "Regression runs")
    for key in ("j", "j", "Enter"):
        page.keyboard.press(key)
    expect(page.get_by_role("heading", name="Gate closed")).to_be_visible()
    assert (engineer.problems, engineer.foreign) == ([], [])
