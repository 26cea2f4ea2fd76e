"""Every page that links lead to, with the sample in it: light, dark and on a phone, axe finds nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from reviewhub.sample import load as sample
from tests.browser import crawling
from tests.browser.conftest import Visitor
from tests.browser.test_review import violations

pytestmark = pytest.mark.browser
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
# With what axe looks for in each: all in the first, then what colours and width can change (a minute instead of three).
LOOKS: dict[str, tuple[dict[str, Any], list[str] | None]] = {
    "light": ({}, None),
    "dark": ({"color_scheme": "dark"}, ["color-contrast"]),
    "phone": (PHONE, ["target-size", "scrollable-region-focusable"]),
}
MOST = 40  # pages there are at least: fewer mean that the links lead nowhere


def test_axe_finds_nothing_on_any_page(transactional_db: None, visit: Callable[..., Visitor], client: Client) -> None:
    project = sample.load(passwords={person.email: "a long enough password" for person in sample.SAMPLE_USERS})
    found: dict[str, Any] = {}
    for look, (options, rules) in LOOKS.items():
        visitor = crawling.admin_of(project, visit, client, **options, reduced_motion="reduce")
        count = 0
        for name, page, status in crawling.pages(visitor, project.slug):
            count += 1
            wrong = violations(page, rules)
            if status >= 400:
                wrong.append(f"answers {status}")
            if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                wrong.append("scrolls sideways")
            if wrong:
                found[f"{look} {name} {page.url}"] = wrong
        assert count >= MOST
        assert (visitor.problems, visitor.foreign) == ([], [])
    assert not found, "\n".join(f"{where}: {wrong}" for where, wrong in found.items())
