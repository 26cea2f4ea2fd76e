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
