"""Queues, rules and tasks in a browser: rows that swap, sums and previews that follow, keys, and what axe finds."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from annotations import rules
from annotations.models import Task, TriageRule
from projects.models import Project
from tests.browser.conftest import Visitor
from tests.browser.test_review import violations

pytestmark = pytest.mark.browser
NOT_LOW = {"not": {"score": {"source": "judge", "op": "below", "value": 0.5}}}
RULE = {"all": [
    {"field": "model", "op": "in", "value": ["gpt-4o", "o3"]},
    {"any": [{"text": {"in": "question", "words": ["refund"]}}, NOT_LOW]},
]}  # fmt: skip


@pytest.fixture
def busy(project: Project, wait_in: Callable[..., Task]) -> TriageRule:
    """Two items that wait, one that was not let in, and a rule with a group in its condition."""
    first, _ = wait_in("first", model="o3"), wait_in("second")
    reason = {"kind": "negative", "icon": "thumb-down", "text": "Thumbs-down", "quote": "wrong fee", "title": "",
              "rule": "negative-feedback", "rule_version": 1, "points": 25}  # fmt: skip
    terms = [{"term": "negative", "points": 25, "text": "Thumbs-down"}]
    Task.objects.filter(pk=first.pk).update(reasons=[reason], score=25, terms=terms)
    fields = {"name": "Refunds of two models", "condition": RULE, "queue": "flagged"}
    return rules.save(project=project, actor=None, rule=None, fields=fields)


def test_rows_of_a_condition_swap_and_the_preview_follows(visit: Callable[..., Visitor], busy: TriageRule) -> None:
    visitor = visit("lead")
    page = visitor.open("/p/acme/rules/new/")
    expect(page.locator("#preview")).to_contain_text("This may not be empty.")
    page.get_by_role("textbox", name="Name").fill("Of one model")
    page.locator("#id_queue").select_option("flagged")
    page.locator("[name='0-what']").select_option("field:model")
    expect(page.locator("[name='0-op']")).to_have_value("is")
    page.locator("[name='0-value']").fill("o3")
    page.locator("[name='0-value']").press("Tab")
    expect(page.locator("#preview")).to_contain_text("Would have matched 1 of the last 2")
    page.get_by_role("button", name="Add a group").click()
    expect(page.locator(".group .cond")).to_have_count(1)
    expect(page.locator("[name='0-value']")).to_have_value("o3")
    page.get_by_role("button", name="Remove the group").click()
    expect(page.locator(".group")).to_have_count(0)
    expect(page.locator("#id_cap")).not_to_be_visible()
    page.locator("[name=action][value=cap]").check()
    expect(page.locator("#id_cap")).to_be_visible()
    expect(page.locator("#id_queue")).not_to_be_visible()
    page.locator("[name=action][value=queue]").check()
    page.wait_for_load_state("networkidle")  # a preview that is cut off by leaving is told on the console
    page.get_by_role("textbox", name="Name").press("Enter")  # Enter saves
    page.wait_for_url("**/p/acme/rules/of-one-model/")
    assert TriageRule.objects.get(slug="of-one-model").condition == {
        "all": [{"field": "model", "op": "is", "value": "o3"}]
    }
    assert visitor.problems == []


def test_points_and_lanes_are_added_up_while_one_types(visit: Callable[..., Visitor]) -> None:
    page = visit("lead").open("/p/acme/queues/negative-feedback/")
    points, lanes = page.locator("[data-sum-out]").all()
    expect(points).to_have_text("100")
    page.get_by_label("Complaints").fill("30")
    expect(points).to_have_text("105")
    expect(lanes).to_have_text("100")
    page.get_by_label("Calibration", exact=True).fill("40")
    expect(lanes).to_have_text("40")


def test_rules_are_moved_by_keys(visit: Callable[..., Visitor], project: Project) -> None:
    page = visit("lead").open("/p/acme/rules/")
    second = TriageRule.objects.get(project=project, position=2)
    for key in ("j", "j", "u"):
        page.keyboard.press(key)
    page.wait_for_url("**moved=*")
    expect(page.locator("tr[aria-current=true]")).to_have_attribute("id", f"rule-{second.slug}")
    second.refresh_from_db()
    assert second.position == 1
    page.keyboard.press("n")
    expect(page.locator("tbody tr").nth(1)).to_have_attribute("id", f"rule-{second.slug}")


PAGES = {
    "queues": "/p/acme/queues/?show=all", "queue settings": "/p/acme/queues/negative-feedback/",
    "rules": "/p/acme/rules/", "rule": "/p/acme/rules/refunds-of-two-models/",
    "versions": "/p/acme/rules/negative-feedback/versions/",
    "backfill": "/p/acme/rules/negative-feedback/backfill/?count=1",
    "tasks": "/p/acme/tasks/", "put aside": "/p/acme/labels/aside/",
}  # fmt: skip


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_axe_finds_nothing(look: str, visit: Callable[..., Visitor], busy: TriageRule) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    scheme = {"color_scheme": look, "reduced_motion": "reduce"}
    visitor = visit("lead", **(phone if look == "phone" else scheme))
    found: dict[str, Any] = {}
    for name, path in PAGES.items():
        page = visitor.open(path)
        _settle(page)
        found[name] = violations(page)
        if page.evaluate("document.documentElement.scrollWidth") > page.viewport_size["width"]:  # type: ignore[index]
            found[name].append("scrolls sideways")
    assert {where: what for where, what in found.items() if what} == {}
    assert visitor.problems == []


def _settle(page: Page) -> None:
    if page.locator("#preview").count():
        expect(page.locator("#preview")).to_contain_text(re.compile("Would have matched"))
