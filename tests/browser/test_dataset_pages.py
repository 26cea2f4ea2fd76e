"""Filling and tidying a dataset in a real browser: a file from the disk, a remedy by one key, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from evals.importing import uploads
from evals.models import DatasetImport, Example
from projects.models import Project, User
from tests.browser.conftest import Visitor
from tests.evals import golden
from tests.evals.test_hygiene import asking, drafted, keys

pytestmark = pytest.mark.browser
TABLE = "frage,answer\nWhat does it cost?,50 cents\nAnd abroad?,60 cents\n,nothing\n"


def test_a_file_is_chosen_mapped_and_imported(project: Project, visit: Callable[..., Visitor], tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    file.write_text(TABLE)
    lead = visit("lead")
    page = lead.open("/p/acme/datasets/golden/import/")
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Read it").click()
    expect(page.get_by_text("Which column is the input?")).to_be_visible()
    page.get_by_label("frage").select_option("input")
    page.get_by_role("button", name="Look again").click()
    expect(page.get_by_text("line 4")).to_be_visible()
    page.keyboard.press("i")
    expect(page.get_by_text("Added 2 examples, changed 0. 1 did not fit.")).to_be_visible()
    assert (Example.objects.count(), DatasetImport.objects.count()) == (2, 0)
    assert (lead.problems, lead.foreign) == ([], [])


def test_findings_are_gone_through_settled_and_taken_back_by_keyboard(
    project: Project, visit: Callable[..., Visitor]
) -> None:
    dataset = drafted(project, asking("a", "Q?"), asking("b", "Q?"), asking("c", "R?"), asking("d", "R?", "else"))
    lead = visit("lead")
    page = lead.open("/p/acme/datasets/golden/hygiene/")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("o")
    expect(page.get_by_text("Kept one of 2 examples.")).to_be_visible()
    assert keys(dataset) == ["a", "c", "d"]
    page.keyboard.press("j")
    page.keyboard.press("r")
    expect(page.get_by_text("Let 2 examples stay as they are.")).to_be_visible()
    for _ in range(2):
        page.keyboard.press("z")
        expect(page.get_by_text("Taken back.")).to_be_visible()
        page.reload()
    assert keys(dataset) == ["a", "b", "c", "d"]
    assert (lead.problems, lead.foreign) == ([], [])


@pytest.mark.parametrize("size", [(1440, 900), (390, 844)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_are_accessible_and_never_scroll_sideways(
    size: tuple[int, int], scheme: str, project: Project, people: dict[str, User], visit: Callable[..., Visitor]
) -> None:
    drafted(
        project, asking("a" * 60, "Q" * 400), asking("b", "Q" * 400), asking("c", "R?"), asking("d", "R?", "e" * 400)
    )

    table = TABLE + f"{'long' * 90},{'x' * 400}\n"
    upload = uploads.keep(golden.dataset(project), table.encode(), "p" * 190, actor=people["lead"])
    uploads.remap(upload, {"frage": "input", "answer": "expected"})
    lead = visit("lead", viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    for path in ("datasets/golden/hygiene/", "datasets/golden/import/", f"imports/{upload.pk}/", "datasets/golden/"):
        page = lead.open(f"/p/acme/{path}")
        page.keyboard.press("j")
        assert Axe().run(page).response["violations"] == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
