"""Resolving a difference in a real browser, by keyboard, on a desk and on a phone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from annotations.models import Adjudication, Label, Question, Task
from projects.models import Project, User
from tests.annotations.test_adjudication import disputed
from tests.browser.conftest import Visitor

pytestmark = pytest.mark.browser


def test_a_difference_is_resolved_by_keyboard_and_the_next_one_comes(
    project: Project, people: dict[str, User], visit: Callable[..., Visitor]
) -> None:
    first, second = disputed(project, people, "a"), disputed(project, people, "b")
    lead = visit("lead")
    page = lead.open(f"/p/acme/disputes/{first.pk}/")
    press = page.keyboard.press
    press("w")
    expect(page.get_by_label("What should it have said?")).to_be_visible()
    press("b")
    expect(page.get_by_label("What should it have said?")).to_be_hidden()
    page.get_by_label("Why do they differ?").select_option("edge_case")
    page.get_by_label("Why, for everybody who labelled it").fill("It says so in the price list.")
    press("Control+Enter")
    page.wait_for_url(f"**/disputes/{second.pk}/")
    assert (Label.objects.get().verdict, Adjudication.objects.get().cause) == ("pass", "edge_case")
    press("q")
    page.keyboard.type("Which price list did you read?")
    press("Control+Enter")
    page.wait_for_url("**/disputes/")
    assert Question.objects.get().text == "Which price list did you read?"
    assert lead.problems == []
    assert lead.foreign == []


@pytest.mark.parametrize("size", [(1440, 900), (390, 844)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_accessible_and_never_scrolls_sideways(
    size: tuple[int, int], scheme: str, project: Project, people: dict[str, User], visit: Callable[..., Visitor]
) -> None:
    task: Task = disputed(project, people)
    options = {"viewport": {"width": size[0], "height": size[1]}, "color_scheme": scheme}
    lead = visit("lead", **options)
    for path in ("/p/acme/disputes/", f"/p/acme/disputes/{task.pk}/"):
        page = lead.open(path)
        if page.locator("[data-key=w]").count():
            page.keyboard.press("w")
        assert Axe().run(page).response["violations"] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
