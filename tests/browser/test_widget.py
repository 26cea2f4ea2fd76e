"""The widget in a page of another origin, under that page's own strict policy, against a live server."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from reviewhub_client import interaction_token

from feedback import services
from feedback.models import Feedback
from projects import keys
from projects.models import Project
from tests.browser.conftest import Site, Visitor
from tests.browser.test_review import violations
from tests.feedback.bodies import interaction

pytestmark = pytest.mark.browser


@pytest.fixture
def shop(site: Site, project: Project) -> Callable[..., str]:
    """``shop(token="…")``: the address of the page with one answer and its widget."""

    def build(**attributes: str) -> str:
        text = keys.create_key(project=project, kind="pk", name="shop", origins=[site.origin])[1]
        given = {"hub": site.hub, "key": text, "interaction": "req-1", "for": "answer", **attributes}
        said = " ".join(f'{name}="{value}"' for name, value in given.items())
        site.body = f'<p id="answer">It is the monthly fee.</p><review-feedback {said}></review-feedback>'
        return site.origin

    services.record_interaction(project, interaction())
    return build


def arrived(count: int, **fields: Any) -> list[Feedback]:
    """The stored feedback, as soon as there are so many."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        found = list(Feedback.objects.filter(**fields).order_by("pk"))
        if len(found) >= count:
            break
        time.sleep(0.05)
    assert len(found) == count, [(row.kind, row.number, row.comment) for row in found]
    return found


def queued(page: Page, fits: Callable[[str], bool]) -> bool:
    """Whether the queue comes to fit; asked from here, because the page's policy forbids what waits inside it."""
    until = time.monotonic() + 5
    while not (found := fits(page.evaluate("localStorage.getItem('review-feedback.queue')") or "")):
        if time.monotonic() > until:
            break
        time.sleep(0.05)
    return found


def errors_of(page: Page) -> list[str]:
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    return found


def test_a_thumb_down_arrives_from_another_origin(visit: Callable[..., Visitor], shop: Callable[..., str]) -> None:
    visitor = visit(None)
    page = visitor.page
    preflights: list[str] = []
    visitor.context.on("request", lambda sent: preflights.append(sent.method))
    page.goto(shop())
    page.get_by_role("button", name="Bad answer").click()
    vote = arrived(1)[0]
    assert (vote.kind, vote.number, vote.source, vote.verified) == ("thumbs", -1, "browser", False)
    assert vote.interaction is not None
    page.get_by_label("What was wrong?").fill("The fee is 3.90")
    page.get_by_label("What should it have said?").fill("It is 3.90 a month.")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("Thank you.")).to_be_visible()
    _, comment, correction = arrived(3)
    assert (comment.kind, comment.comment) == ("comment", "The fee is 3.90")
    assert (correction.kind, correction.correction) == ("correction", "It is 3.90 a month.")
    assert visitor.problems == []
    assert queued(page, lambda text: text == "[]")


def test_a_token_makes_the_vote_verified(
    visit: Callable[..., Visitor], shop: Callable[..., str], project: Project
) -> None:
    backend = keys.create_key(project=project, kind="sk", name="backend", scopes=["ingest"])[1]
    visitor = visit(None)
    visitor.page.goto(shop(token=interaction_token(backend, "req-1", "u-7"), user="pretended"))
    visitor.page.get_by_role("button", name="Good answer").click()
    vote = arrived(1)[0]
    assert (vote.number, vote.verified, vote.end_user_id) == (1, True, "u-7")
    assert visitor.problems == []


def test_a_vote_whose_token_has_expired_is_kept_as_not_verified(
    visit: Callable[..., Visitor], shop: Callable[..., str], project: Project
) -> None:
    backend = keys.create_key(project=project, kind="sk", name="backend", scopes=["ingest"])[1]
    page = visit(None).page
    errors = errors_of(page)
    page.goto(shop(token=interaction_token(backend, "req-1", now=time.time() - 7200)))
    page.get_by_role("button", name="Bad answer").click()
    assert arrived(1)[0].verified is False
    assert errors == []


def test_pressing_again_takes_the_vote_back(visit: Callable[..., Visitor], shop: Callable[..., str]) -> None:
    page = visit(None).page
    page.goto(shop())
    down = page.get_by_role("button", name="Bad answer")
    down.click()
    expect(down).to_have_attribute("aria-pressed", "true")
    arrived(1)
    down.click()
    expect(down).to_have_attribute("aria-pressed", "false")
    arrived(2)
    assert Feedback.objects.get(superseded_at=None).number is None


def test_the_keyboard_is_enough(visit: Callable[..., Visitor], shop: Callable[..., str]) -> None:
    visitor = visit(None)
    page = visitor.page
    page.goto(shop())
    expect(page.get_by_role("button", name="Bad answer")).to_be_visible()
    for key in ("Tab", "Tab", "Enter"):
        page.keyboard.press(key)
    expect(page.get_by_label("What was wrong?")).to_be_focused()
    page.keyboard.type("Wrong fee")
    for key in ("Tab", "Tab", "Enter"):
        page.keyboard.press(key)
    expect(page.get_by_role("button", name="Bad answer")).to_be_focused()
    assert [row.kind for row in arrived(2)] == ["thumbs", "comment"]
    for key in ("Tab", "Space"):
        page.keyboard.press(key)
    expect(page.get_by_label("What was wrong?")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Report an issue")).to_be_focused()
    assert visitor.problems == []


def test_what_is_said_offline_arrives_exactly_once(visit: Callable[..., Visitor], shop: Callable[..., str]) -> None:
    visitor = visit(None)
    page = visitor.page
    errors = errors_of(page)
    page.goto(shop())
    expect(page.get_by_role("button", name="Bad answer")).to_be_visible()
    visitor.context.set_offline(True)
    page.get_by_role("button", name="Bad answer").click()
    page.get_by_label("What was wrong?").fill("Said in a tunnel")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("It will be sent when you are online.")).to_be_visible()
    assert Feedback.objects.count() == 0
    visitor.context.set_offline(False)
    arrived(2)
    page.reload()  # whatever is still queued would be sent again now
    assert queued(page, lambda text: text == "[]")
    assert {row.kind for row in arrived(2)} == {"thumbs", "comment"}
    assert errors == []


def test_what_is_queued_goes_by_beacon_when_the_page_is_left(
    visit: Callable[..., Visitor], shop: Callable[..., str]
) -> None:
    page = visit(None).page
    page.goto(shop())
    page.route("**/api/v1/feedback", lambda route: route.abort())
    page.get_by_role("button", name="Bad answer").click()
    assert queued(page, lambda text: "down" in text)
    assert Feedback.objects.count() == 0
    page.goto("about:blank")
    assert arrived(1)[0].number == -1


def test_a_hub_that_is_down_never_throws_into_the_page(
    visit: Callable[..., Visitor], shop: Callable[..., str], site: Site
) -> None:
    page = visit(None).page
    errors = errors_of(page)
    address = shop(hub="http://127.0.0.1:9")
    page.goto(address)
    for name in ("Bad answer", "Good answer", "Report an issue"):
        page.get_by_role("button", name=name).click()
    page.evaluate("document.querySelector('review-feedback').signal('regenerated')")
    page.evaluate("document.querySelector('review-feedback').remove()")
    for hub in ("", "not an address", "javascript:alert(1)"):
        page.goto(shop(hub=hub))
        page.get_by_role("button", name="Bad answer").click()
    page.evaluate("localStorage.setItem('review-feedback.queue', 'no json')")
    page.reload()
    page.get_by_role("button", name="Bad answer").click()
    assert errors == []
    assert Feedback.objects.count() == 0


def test_one_hub_that_is_gone_does_not_hold_up_another(visit: Callable[..., Visitor], shop: Callable[..., str]) -> None:
    page = visit(None).page
    page.goto(shop(hub="http://127.0.0.1:9"))
    page.get_by_role("button", name="Good answer").click()
    page.goto(shop())
    page.get_by_role("button", name="Bad answer").click()
    assert arrived(1)[0].number == -1


def test_a_page_that_may_store_nothing_still_sends(visit: Callable[..., Visitor], shop: Callable[..., str]) -> None:
    page = visit(None).page
    page.add_init_script("Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError') }")
    errors = errors_of(page)
    page.goto(shop())
    page.get_by_role("button", name="Bad answer").click()
    arrived(1)
    assert errors == []


HOSTILE = {
    "fetch throws": "window.fetch = () => { throw new Error('blocked') }",
    "fetch answers nothing": "window.fetch = () => undefined",
    "fetch answers nonsense": "window.fetch = async () => ({})",
    "fetch is gone": "delete window.fetch",
    "no storage, no fetch": """
        Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('denied', 'SecurityError') } });
        window.fetch = () => Promise.reject(new TypeError('blocked'))""",
    "no beacon": "navigator.sendBeacon = undefined; window.fetch = () => { throw new Error('blocked') }",
}


@pytest.mark.parametrize("broken", HOSTILE)
def test_a_page_that_breaks_what_the_widget_needs_never_hears_of_it(
    broken: str, visit: Callable[..., Visitor], shop: Callable[..., str]
) -> None:
    page = visit(None).page
    errors = errors_of(page)
    page.add_init_script(HOSTILE[broken])
    page.goto(shop())
    page.get_by_role("button", name="Bad answer").click()
    page.get_by_label("What was wrong?").fill("Wrong fee")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("status")).to_have_text("Thank you.")
    page.evaluate("dispatchEvent(new Event('pagehide'))")
    page.evaluate("document.querySelector('review-feedback').remove()")
    assert errors == []


@pytest.mark.parametrize("kept", ['{"a": 1}', "[null]", "5", '[{"hub": "x"}]', "null", '"text"'])
def test_a_queue_that_somebody_else_has_written_is_survived(
    kept: str, visit: Callable[..., Visitor], shop: Callable[..., str]
) -> None:
    page = visit(None).page
    errors = errors_of(page)
    page.goto(shop())
    page.evaluate("(text) => localStorage.setItem('review-feedback.queue', text)", kept)
    page.reload()
    page.get_by_role("button", name="Bad answer").click()
    arrived(1)
    assert errors == []


def test_a_page_without_storage_still_sends(visit: Callable[..., Visitor], shop: Callable[..., str]) -> None:
    page = visit(None).page
    page.add_init_script("Object.defineProperty(window, 'localStorage', { get() { throw new Error('denied') } })")
    page.goto(shop())
    page.get_by_role("button", name="Bad answer").click()
    arrived(1)


def test_the_queue_survives_a_reload_and_is_bounded(visit: Callable[..., Visitor], shop: Callable[..., str]) -> None:
    page = visit(None).page
    page.add_init_script("navigator.sendBeacon = () => false")
    page.route("**/api/v1/feedback", lambda route: route.abort())
    page.goto(shop())
    button = page.get_by_role("button", name="Bad answer")
    expect(button).to_be_visible()
    button.evaluate("(button) => { for (let n = 0; n < 205; n++) button.click() }")
    size = "JSON.parse(localStorage.getItem('review-feedback.queue')).length"
    assert page.evaluate(size) == 200
    page.reload()
    expect(button).to_be_visible()
    assert page.evaluate(size) == 200
    newest = "JSON.stringify(JSON.parse(localStorage.getItem('review-feedback.queue')).slice(-2))"
    page.evaluate(f"localStorage.setItem('review-feedback.queue', {newest})")
    page.unroute("**/api/v1/feedback")
    page.reload()
    arrived(2)
    assert queued(page, lambda text: text == "[]")


def test_a_vote_goes_by_beacon_when_the_page_goes_out_of_sight(
    visit: Callable[..., Visitor], shop: Callable[..., str]
) -> None:
    page = visit(None).page
    page.goto(shop())
    page.route("**/api/v1/feedback", lambda route: route.abort())
    page.get_by_role("button", name="Bad answer").click()
    assert queued(page, lambda text: "down" in text)
    page.evaluate(
        """() => {
            Object.defineProperty(document, 'visibilityState', { value: 'hidden' });
            document.dispatchEvent(new Event('visibilitychange'));
        }"""
    )
    assert arrived(1)[0].number == -1


SIGNALS = ["copied", "regenerated", "rephrased", "edited", "abandoned", "escalated"]


def test_controls_of_the_page_tell_what_the_user_did(
    visit: Callable[..., Visitor], shop: Callable[..., str], site: Site
) -> None:
    visitor = visit(None)
    page = visitor.page
    address = shop()
    site.body += (
        "".join(
            f'<button data-review-signal="{name}" data-review-for="answer"><span>{name}</span></button>'
            for name in SIGNALS
        )
        + '<button data-review-signal="bored">bored</button>'
        + '<button data-review-signal="copied" data-review-for="x">x</button>'
    )
    page.goto(address)
    expect(page.get_by_role("button", name="Bad answer")).to_be_visible()
    for name in ["bored", "x", *SIGNALS, *SIGNALS]:
        page.get_by_text(name, exact=True).click()
    assert [row.label for row in arrived(6)] == SIGNALS
    assert {row.kind for row in arrived(6)} == {"implicit"}
    assert visitor.problems == []


def test_editing_the_answer_is_told_once(visit: Callable[..., Visitor], shop: Callable[..., str], site: Site) -> None:
    page = visit(None).page
    address = shop()
    site.body = site.body.replace('<p id="answer">', '<p id="answer" contenteditable="plaintext-only">')
    page.goto(address)
    expect(page.get_by_role("button", name="Bad answer")).to_be_visible()
    page.locator("#answer").press_sequentially("No, ")
    assert arrived(1)[0].label == "edited"


def test_two_widgets_and_two_scripts_do_not_disturb_each_other(
    visit: Callable[..., Visitor], shop: Callable[..., str], site: Site, project: Project
) -> None:
    services.record_interaction(project, interaction(id="req-2"))
    visitor = visit(None)
    page = visitor.page
    address = shop()
    site.body += site.body.replace("req-1", "req-2").replace('"answer"', '"answer-2"')
    site.body += f'<script src="{site.hub}/widget.js?again" defer></script>'
    page.goto(address)
    page.get_by_role("button", name="Good answer").nth(0).click()
    page.get_by_role("button", name="Bad answer").nth(1).click()
    expect(page.get_by_role("button", name="Bad answer").nth(0)).to_have_attribute("aria-pressed", "false")
    page.evaluate("getSelection().selectAllChildren(document.getElementById('answer-2'))")
    page.keyboard.press("Control+C")
    found = {(row.interaction_external_id, row.kind, row.number, row.label) for row in arrived(3)}
    assert found == {
        ("req-1", "thumbs", 1, ""), ("req-2", "thumbs", -1, ""), ("req-2", "implicit", None, "copied"),
    }  # fmt: skip
    assert visitor.problems == []


def test_an_element_that_is_moved_goes_on_and_one_that_is_removed_falls_silent(
    visit: Callable[..., Visitor], shop: Callable[..., str]
) -> None:
    page = visit(None).page
    page.goto(shop())
    expect(page.get_by_role("button", name="Bad answer")).to_be_visible()
    page.evaluate("document.body.append(window.kept = document.querySelector('review-feedback'))")
    page.evaluate("getSelection().selectAllChildren(document.getElementById('answer'))")
    page.keyboard.press("Control+C")
    assert arrived(1)[0].label == "copied"
    page.evaluate("kept.remove(); kept.told.clear()")
    page.keyboard.press("Control+C")
    page.evaluate("kept.signal('escalated')")
    assert [row.label for row in arrived(2)] == ["copied", "escalated"]


def test_the_next_answer_in_the_same_element_starts_anew(
    visit: Callable[..., Visitor], shop: Callable[..., str], project: Project
) -> None:
    services.record_interaction(project, interaction(id="req-2"))
    page = visit(None).page
    page.goto(shop())
    down = page.get_by_role("button", name="Bad answer")
    down.click()
    page.get_by_label("What was wrong?").fill("Not yet sent")
    page.evaluate("document.querySelector('review-feedback').setAttribute('interaction', 'req-2')")
    expect(down).to_have_attribute("aria-pressed", "false")
    expect(page.get_by_label("What was wrong?")).to_be_hidden()
    down.click()
    expect(page.get_by_label("What was wrong?")).to_have_value("")
    assert [row.interaction_external_id for row in arrived(2)] == ["req-1", "req-2"]


def test_an_isolated_page_may_load_it(visit: Callable[..., Visitor], shop: Callable[..., str], site: Site) -> None:
    site.headers["Cross-Origin-Embedder-Policy"] = "require-corp"
    visitor = visit(None)
    visitor.page.goto(shop())
    visitor.page.get_by_role("button", name="Bad answer").click()
    arrived(1)
    assert visitor.problems == []


def test_a_screen_reader_hears_names_states_and_the_thanks(
    visit: Callable[..., Visitor], shop: Callable[..., str]
) -> None:
    page = visit(None).page
    page.goto(shop())
    expect(page.locator("review-feedback")).to_match_aria_snapshot(
        """
        - group "Rate this answer":
          - button "Good answer"
          - button "Bad answer"
          - button "Report an issue"
        - status
        """
    )
    page.get_by_role("button", name="Report an issue").click()
    expect(page.get_by_role("button", name="Report an issue", expanded=True)).to_be_visible()
    page.get_by_label("What was wrong?").fill("Rude")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("button", name="Report an issue", expanded=False)).to_be_focused()
    expect(page.get_by_role("status")).to_have_text("Thank you.")
    page.get_by_role("button", name="Bad answer").click()
    expect(page.get_by_role("button", name="Bad answer", pressed=True)).to_be_visible()
    expect(page.get_by_role("button", name="Report an issue", expanded=False)).to_be_visible()
    assert [row.kind for row in arrived(2)] == ["report", "thumbs"]


def test_a_project_that_requires_tokens_keeps_nothing_of_a_page_without_one(
    visit: Callable[..., Visitor], shop: Callable[..., str], project: Project
) -> None:
    Project.objects.filter(pk=project.pk).update(token_policy="require")
    page = visit(None).page
    errors = errors_of(page)
    page.goto(shop())
    page.get_by_role("button", name="Bad answer").click()
    assert queued(page, lambda text: text == "[]")  # a refusal is final: it is not sent for ever
    assert Feedback.objects.count() == 0
    assert errors == []


def test_copying_the_answer_and_signals_of_the_page_count_once(
    visit: Callable[..., Visitor], shop: Callable[..., str]
) -> None:
    page = visit(None).page
    page.goto(shop())
    expect(page.get_by_role("button", name="Bad answer")).to_be_visible()
    for _ in range(2):
        page.evaluate("getSelection().selectAllChildren(document.getElementById('answer'))")
        page.keyboard.press("Control+C")
        page.evaluate("document.querySelector('review-feedback').signal('regenerated')")
    assert [row.label for row in arrived(2)] == ["copied", "regenerated"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(scheme: str, visit: Callable[..., Visitor], shop: Callable[..., str]) -> None:
    visitor = visit(None, color_scheme=scheme)
    page = visitor.page
    page.goto(shop())
    assert violations(page) == []
    page.get_by_role("button", name="Bad answer").click()
    page.get_by_label("What was wrong?").fill("Wrong fee")
    assert violations(page) == []
    colours = page.evaluate(
        """() => {
            const field = document.querySelector('review-feedback').shadowRoot.querySelector('textarea');
            return [getComputedStyle(field).color, getComputedStyle(document.body).color];
        }"""
    )
    assert colours[0] == colours[1]
    assert visitor.problems == []
