"""Marking passages in a real browser: by keyboard and by mouse, in every text, with exact offsets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from annotations.models import Annotation, Claim, FailureMode, Task
from tests.browser.conftest import Visitor

REVIEW = "/p/acme/queues/negative-feedback/review/"
pytestmark = pytest.mark.browser
ANSWER = (
    "Hello 👩‍👩‍👧 cafe\u0301.\r\nThe **fee** is *ten* euros. Pay &amp; go.\r\n\r\n"
    "| a | b |\r\n|---|---|\r\n| x \\| y | z |\r\n\r\n```\r\ncode one\r\ncode two\r\n```\r\n"
)


@pytest.fixture
def at_work(visit: Callable[..., Visitor], wait_in: Callable[..., Task]) -> Visitor:
    wait_in(
        "first", output=ANSWER,
        documents=[{"id": "kb-1", "content": "The fee is four euros. It is charged monthly."}, {"content": "Other."}],
        messages=[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes. What is it?"},
                  {"role": "user", "content": "Question of first?"}],
    )  # fmt: skip
    wait_in("second")
    visitor = visit("reviewer")
    visitor.open(REVIEW)
    return visitor


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def saved(page: Page) -> list[dict[str, Any]]:
    page.keyboard.press("Control+Enter")
    expect(page.locator(".turn.user").last).to_contain_text("second")
    expect(page.locator("#toast")).to_contain_text("Saved")
    spans: list[dict[str, Any]] = Annotation.objects.latest("pk").spans
    return spans


def at(text: str, quote: str) -> tuple[int, int, str]:
    start = text.index(quote)
    return start, start + len(quote), quote


def place(span: dict[str, Any]) -> tuple[int, int, str]:
    return span["start"], span["end"], span["quote"]


def test_sentences_are_marked_from_the_keyboard(at_work: Visitor, modes: dict[str, FailureMode]) -> None:
    page = at_work.page
    press(page, "f", "2", "h")
    assert page.evaluate("getSelection().toString()").strip() == "Hello 👩‍👩‍👧 cafe\u0301."
    press(page, "ArrowDown", "Enter")
    expect(page.locator("#marks li")).to_have_count(1)
    expect(page.locator("#answer mark")).to_have_text(["The ", "fee", " is ", "ten", " euros."])
    press(page, "3")  # the category of the mark just made, and one of the item
    expect(page.locator("#marks .tag")).to_have_text(modes["3"].label)
    press(page, "h", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowDown", "Shift+Enter")
    spans = saved(page)
    assert place(spans[0]) == at(ANSWER, "The **fee** is *ten* euros.")
    assert spans[0]["category"] == modes["3"].slug
    assert place(spans[1]) == at(ANSWER, r"x \| y")
    assert spans[1]["kind"] == "evidence"
    vote = Annotation.objects.get()
    assert (vote.primary_category, vote.categories) == (modes["2"], [modes["3"].slug])
    assert at_work.problems == []


def test_all_six_parts_take_seven_keys_and_the_words(at_work: Visitor, modes: dict[str, FailureMode]) -> None:
    page = at_work.page
    press(page, "f", "h", "2", "e")
    page.keyboard.type("No. ")
    press(page, "Escape", "n")
    page.keyboard.type("why")
    spans = saved(page)  # the seventh
    vote = Annotation.objects.get()
    assert (vote.verdict, vote.primary_category, vote.severity) == ("fail", modes["2"], modes["2"].default_severity)
    assert "No. " in vote.desired_output
    assert (vote.note, [span["category"] for span in spans]) == ("why", [modes["2"].slug])


def test_a_selection_grows_and_shrinks_by_sentence_and_by_word(at_work: Visitor) -> None:
    page = at_work.page
    said = "getSelection().toString().trim()"
    press(page, "h", "ArrowDown", "Shift+ArrowLeft")
    assert page.evaluate(said) == "The fee is ten"
    press(page, "Shift+ArrowRight", "Shift+ArrowRight")
    assert page.evaluate(said) == "The fee is ten euros. Pay"
    press(page, "Shift+ArrowDown")
    assert page.evaluate(said) == "The fee is ten euros. Pay & go."
    press(page, "Shift+ArrowUp", "ArrowDown")
    assert page.evaluate(said) == "Pay & go."
    press(page, "ArrowUp", "ArrowUp", "Escape")
    assert page.evaluate(said) == ""
    expect(page.locator("h1")).to_have_text("Negative feedback")  # the first Escape did not leave


def test_sources_and_earlier_turns_are_marked_by_mouse(at_work: Visitor, modes: dict[str, FailureMode]) -> None:
    page = at_work.page
    page.locator(".docs details").first.locator("[data-s]").first.dblclick(position={"x": 40, "y": 8})
    page.get_by_role("button", name="Evidence").click()
    page.locator(".turn.earlier [data-s]").last.click(click_count=3)
    press(page, "4")
    expect(page.locator("#marks li")).to_have_count(2)
    spans = saved(page)
    assert {span["target"]: span.get("ref") for span in spans} == {"document": "kb-1", "message": "1"}
    assert place(spans[0]) == at("The fee is four euros. It is charged monthly.", "fee")
    assert spans[1]["category"] == modes["4"].slug


def test_marks_never_overlap(at_work: Visitor) -> None:
    page = at_work.page
    press(page, "f", "1", "h", "ArrowDown", "Enter", "h", "ArrowDown", "Shift+ArrowLeft", "Enter")
    expect(page.locator("#marks li")).to_have_count(2)
    assert [place(span) for span in saved(page)] == [
        at(ANSWER, "* euros."), at(ANSWER, "The **fee** is *ten"),
    ]  # fmt: skip


def test_marks_are_walked_and_removed_by_key(at_work: Visitor) -> None:
    page = at_work.page
    press(page, "f", "1", "h", "Enter", "h", "ArrowDown", "Enter", "Escape", "j")
    expect(page.locator("#marks li.is-active .n")).to_have_text("1")
    press(page, "k")
    expect(page.locator("#marks li.is-active .n")).to_have_text("2")
    press(page, "Delete")
    expect(page.locator("#marks li")).to_have_count(1)
    page.get_by_role("button", name="Remove mark 1").click()
    expect(page.locator("#item mark")).to_have_count(0)
    assert saved(page) == []


def test_marks_are_kept_as_a_draft_and_come_back_with_undo(at_work: Visitor) -> None:
    page = at_work.page
    press(page, "f", "1", "h", "ArrowDown", "Enter", "r")
    page.keyboard.type("Name the monthly fee")
    press(page, "Escape", "Shift+R")
    page.keyboard.type("Promise a refund")
    expect(page.locator("#saved")).to_contain_text("Draft")
    page.wait_for_timeout(900)
    assert Claim.objects.earliest("pk").draft["spans"][0]["quote"] == "The **fee** is *ten* euros."
    page.reload()
    expect(page.locator("#answer mark").first).to_have_text("The ")
    press(page, "Control+Enter")
    expect(page.locator(".turn.user").last).to_contain_text("second")
    expect(page.locator("#toast")).to_contain_text("Saved")
    assert Annotation.objects.get().assertions == [
        {"type": "must", "text": "Name the monthly fee"}, {"type": "must_not", "text": "Promise a refund"},
    ]  # fmt: skip
    page.wait_for_timeout(200)
    press(page, "z")
    expect(page.locator("#answer mark").first).to_have_text("The ")
    expect(page.locator("[name=assert_text]").last).to_have_value("Promise a refund")


def test_without_scripts_a_passage_is_marked_by_quoting_it(visit: Callable[..., Visitor], wait_in: Any) -> None:
    wait_in("first", output=ANSWER, documents=[{"id": "kb-1", "content": "The fee is four euros."}])
    wait_in("second")
    page = visit("reviewer", java_script_enabled=False).open(REVIEW)
    page.get_by_role("radio", name="Fail").check()
    page.get_by_label("Note").fill("x")
    page.get_by_label("Mark this passage").fill("stands nowhere")
    page.get_by_role("button", name="Save and next").click()
    expect(page.locator("#spans-error")).to_contain_text("stands neither in the answer")
    page.get_by_label("Mark this passage").fill("The fee is ten euros.")
    page.locator(".claims summary").click()
    page.get_by_label("What an answer must").nth(1).fill("Promise a refund")
    page.get_by_role("button", name="Save and next").click()
    expect(page.locator(".turn.user").last).to_contain_text("second")
    vote = Annotation.objects.get()
    assert [place(span) for span in vote.spans] == [at(ANSWER, "The **fee** is *ten* euros.")]
    assert vote.assertions == [{"type": "must_not", "text": "Promise a refund"}]
    page.get_by_role("button", name="Undo").click()
    page.get_by_label("Keep mark 1").uncheck()
    page.get_by_role("button", name="Save and next").click()
    assert Annotation.objects.latest("pk").spans == []
