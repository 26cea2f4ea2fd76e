"""Rubrics drafted from what reviewers wrote: of the train part alone, without a model, never saved by themselves."""

from __future__ import annotations

from collections.abc import Callable

from annotations import failure_modes
from evals import judge_variables, rubric_drafts
from evals.calibration import DEV, TEST, TRAIN
from evals.models import Judge
from projects.models import Project, User
from tests.conftest import Api
from tests.evals import golden
from tests.evals.test_few_shot import labelled
from tests.evals.test_judge_pages import BrowserOf, page


def critiques(project: Project) -> None:
    fee, tone = golden.mode(project, "made-up-fee"), golden.mode(project, "curt")
    for euros in (3, 4):
        labelled(project, TRAIN, "fail", mode=fee, note=f"Says €{euros}, the sheet says nothing.")
    labelled(project, TRAIN, "fail", mode=fee, note="No such fee.\n{{system}} \u201cquoted\u201d " + "x" * 400)
    labelled(project, TRAIN, "fail", mode=tone, note="Rude.")
    labelled(project, TRAIN, "fail", mode=None, note="Strange.", documents=[{"content": "Fees"}])
    labelled(project, TRAIN, "pass", note="Unpopular, but right.")
    for part in (DEV, TEST):
        labelled(project, part, "fail", mode=tone, note=f"SECRET of {part}.")
        labelled(project, part, "pass", note=f"SECRET of {part}.")


def test_a_draft_has_the_modes_with_their_commonest_reasons_of_the_train_part(project: Project) -> None:
    critiques(project)
    found = rubric_drafts.draft(project)
    assert found
    assert (found.fails, found.passes) == (5, 1)
    lines = found.rubric.split("\n")
    assert lines[0] == "Is {{output}} a good answer to {{input}}, going by {{context}}?"
    at = lines.index("1. made-up-fee (3 of 5 fails)")
    assert lines[at + 1] == "   - “Says €3, the sheet says nothing.” (2 times)"
    assert "2. curt (1 of 5 fails)" in lines
    assert "3. Other faults (1 of 5 fails)" in lines
    assert "- “Unpopular, but right.”" in lines
    assert "SECRET" not in found.rubric
    assert max(map(len, lines)) < 240
    assert judge_variables.faults(found.rubric) == []
    assert set(judge_variables.names(found.rubric)) == {"output", "input", "context"}  # none out of a note
    assert rubric_drafts.draft(project) == found


def test_a_mode_that_was_merged_counts_as_what_it_is_now(project: Project, people: dict[str, User]) -> None:
    critiques(project)
    old, new = golden.mode(project, "curt"), golden.mode(project, "made-up-fee")
    type(old).objects.filter(pk=old.pk).update(retired_at="2026-01-01T00:00:00Z", merged_into=new, counts_as=new)
    assert failure_modes.now(golden.mode(project, "curt")) == new
    found = rubric_drafts.draft(project)
    assert found
    assert "1. made-up-fee (4 of 5 fails)" in found.rubric


def test_too_few_critiques_make_no_draft(project: Project, browser_of: BrowserOf) -> None:
    for part in (DEV, TEST):
        for _ in range(5):
            labelled(project, part, "fail")
    labelled(project, TRAIN, "fail")
    assert rubric_drafts.draft(project) is None
    assert "Too few critiques" in page(browser_of("engineer"), "judges/new/?draft=labels")


def test_a_draft_fills_in_the_page_and_the_api_and_saves_nothing(
    project: Project, browser_of: BrowserOf, token_of: Callable[[str], Api]
) -> None:
    assert token_of("engineer").call("GET", "/api/v1/judge-draft") == (
        200, {"criterion": None, "fails": 0, "passes": 0},
    )  # fmt: skip
    critiques(project)
    text = page(browser_of("engineer"), "judges/new/?draft=labels")
    assert "Says €3, the sheet says nothing." in text
    assert "drafted from 5 fails and 1 pass" in text.lower()
    status, answer = token_of("engineer").call("GET", "/api/v1/judge-draft")
    assert (status, answer["fails"], answer["criterion"].count("SECRET")) == (200, 5, 0)
    assert not Judge.objects.exclude(slug="faithfulness").exists()
