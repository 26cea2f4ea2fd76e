"""The page of a run in a real browser: it moves while the run goes on, reads well on a desk and on a phone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from evals import runs
from evals.models import Run
from projects.models import Project
from tests.browser.conftest import Visitor
from tests.evals import golden

pytestmark = pytest.mark.browser


def story(project: Project) -> Run:
    """A candidate that lost one topic and gained in others."""

    def content(n: int) -> golden.Content:
        topic = ("account-closing", "card-payments", "statements", "overdraft")[n % 4]
        label = {"verdict": "pass", "category": topic, "severity": 1 + n % 4}
        asked = f"What happens to my {topic} in case {n}?"
        return golden.content(
            f"k{n:03}", input={"messages": [{"role": "user", "content": asked}]},
            expected={"output": "", "assertions": [{"type": "must", "text": "due"}], "label": label},
        )  # fmt: skip

    version = golden.frozen(project, *(content(n) for n in range(80)))

    def run(name: str, baseline: Run | None, right: Callable[[int], bool]) -> Run:
        started, _ = runs.start_run(project, version=version, candidate=name, baseline=baseline)
        said = ("Any remaining overdraft is waived and no further interest is charged.",
                "Please settle it before closing. Interest is due until the day it is paid.")  # fmt: skip
        items = [
            runs.ResultItem(
                example=f"k{n:03}", output=said[right(n)], latency_ms=900.0 + n, score=0.9 if right(n) else 0.2
            )
            for n in range(80)
        ]
        runs.add_results(started, items)
        return runs.finish_run(started)

    before = run("Prompt v41", None, lambda n: n % 5 > 0)
    return run("Prompt v43", before, lambda n: n % 4 < 3 or n % 3 > 0)


@pytest.mark.parametrize("size", [(1440, 900), (390, 844)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_are_accessible_and_never_scroll_sideways(
    size: tuple[int, int], scheme: str, project: Project, visit: Callable[..., Visitor]
) -> None:
    run = story(project)
    lead = visit("lead", viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    for path in (f"runs/{run.pk}/", f"runs/{run.pk}/compare/", "datasets/golden/history/k003/"):
        page = lead.open(f"/p/acme/{path}")
        assert Axe().run(page).response["violations"] == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


def test_a_running_run_moves_without_a_reload_and_shows_its_end(
    project: Project, visit: Callable[..., Visitor]
) -> None:
    version = golden.frozen(project, *(golden.content(f"k{n}") for n in range(4)))
    run, _ = runs.start_run(project, version=version, candidate="v1")
    engineer = visit("engineer")
    page = engineer.open(f"/p/acme/runs/{run.pk}/")
    expect(page.locator("#run-progress")).to_contain_text("0 of 4 answers are here")
    runs.add_results(run, [runs.ResultItem(example=f"k{n}", output=f"right k{n}") for n in range(3)])
    expect(page.locator("#run-progress")).to_contain_text("3 of 4 answers are here")
    runs.add_results(run, [runs.ResultItem(example="k3", output="right k3")])
    runs.finish_run(run)
    expect(page.get_by_role("heading", name="Gate open")).to_be_visible()
    assert engineer.problems == []
    engineer.rest()
