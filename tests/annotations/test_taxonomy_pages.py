"""The taxonomy as pages and over the API: who sees it, who changes it, and what a refusal keeps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from annotations import failure_modes
from annotations.models import FailureMode, Rubric, Task
from annotations.rubric_changes import changes
from projects.models import Project, User
from tests.annotations.flow import complaint
from tests.annotations.test_settlement import cast
from tests.conftest import Api

Browser = Callable[[str], Client]
PAGE = "/p/acme/taxonomy/"
A, B = "unsupported-claim", "contradicts-source"
HOSTILE = "<img src=x onerror=alert(1)>\u202egnp"


def text_of(answer: Any) -> str:
    return str(answer.content.decode()).replace("\u00a0", " ")


def mode(project: Project, slug: str) -> FailureMode:
    return FailureMode.objects.get(project=project, slug=slug)


def labelled(project: Project, user: User, name: str, slug: str = A) -> Task:
    task = complaint(project, name)
    cast(project, user, task, primary_category=slug)
    return task


class TestPages:
    def test_everybody_in_the_project_reads_it_and_only_leads_see_forms(
        self, browser_of: Browser, project: Project
    ) -> None:
        failure_modes.save(
            project=project, actor=None, mode=mode(project, A),
            fields={"guide": "**Only** where no source says so", "examples": [HOSTILE], "group": HOSTILE},
        )  # fmt: skip
        for who, may in (("reviewer", False), ("viewer", False), ("lead", True), ("admin", True)):
            page = text_of(browser_of(who).get(PAGE))
            assert "<strong>Only</strong>" in page
            assert "<img src=x" not in page
            assert "\u202e" not in page
            assert ("Save order and keys" in page) == may

    def test_a_lead_changes_one_by_a_plain_form(self, browser_of: Browser, project: Project) -> None:
        form = {
            "label": "No source", "description": "Nothing says so", "digit": "1", "default_severity": "1",
            "group": "", "guide": "Line one\r\n\r\nLine two", "examples": "First\r\nof two lines\r\n\r\nSecond",
            "counter_examples": "", "note": "Plainer",
        }  # fmt: skip
        answer = browser_of("lead").post(f"{PAGE}modes/{A}/", form)
        assert answer.status_code == 302
        saved = mode(project, A)
        assert (saved.label, saved.default_severity, saved.guide) == ("No source", 1, "Line one\n\nLine two")
        assert saved.examples == ["First\nof two lines", "Second"]
        assert Rubric.objects.filter(project=project).latest("version").note == "Plainer"

    def test_what_is_refused_comes_back_with_every_word_and_the_reason(
        self, browser_of: Browser, project: Project
    ) -> None:
        form = {"label": "Made-up fee", "digit": "2", "default_severity": "2", "guide": "Words", "note": "Mine"}
        answer = browser_of("lead").post(f"{PAGE}modes/new/", form)
        page = text_of(answer)
        assert answer.status_code == 409
        assert "The key 2 is that of Contradicts source." in page
        assert all(f'value="{word}"' in page for word in ("Made-up fee", "Mine"))
        assert "\nWords</textarea>" in page
        assert FailureMode.objects.filter(project=project).count() == 12

    def test_order_and_keys_are_one_form(self, browser_of: Browser, project: Project) -> None:
        slugs = list(project.failure_modes.values_list("slug", flat=True))
        form = {f"place-{slug}": str(place) for place, slug in enumerate(slugs, start=1)}
        form |= {f"digit-{one.slug}": one.digit for one in project.failure_modes.all()}
        lead = browser_of("lead")
        swapped = {f"place-{A}": "2", f"place-{B}": "1", f"digit-{A}": "2", f"digit-{B}": "1"}
        assert lead.post(f"{PAGE}arrange/", form | swapped).status_code == 302
        assert [(one.slug, one.digit) for one in project.failure_modes.all()[:3]][:2] == [(B, "1"), (A, "2")]
        refusal = lead.post(f"{PAGE}arrange/", form | {f"digit-{A}": "p"})
        assert refusal.status_code == 422
        assert "means “Pass” already" in text_of(refusal)

    def test_merging_splitting_and_opening_again_by_buttons(
        self, browser_of: Browser, project: Project, people: dict[str, User]
    ) -> None:
        task, lead = labelled(project, people["reviewer"], "one"), browser_of("lead")
        split = {"new": ["Made-up fee", "Made-up date", ""], "note": "Two things"}
        assert lead.post(f"{PAGE}modes/{A}/split/", split).status_code == 302
        assert "1 label says “Unsupported claim”, which was split into Made-up fee, Made-up date." in text_of(
            lead.get(PAGE)
        )
        page = text_of(lead.get(f"{PAGE}modes/{A}/"))
        assert "Open 1 item again" in page
        lead.post(f"{PAGE}modes/{A}/reopen/")
        task.refresh_from_db()
        assert task.state == "open"
        assert "1 waits for reviewers already." in text_of(lead.get(f"{PAGE}modes/{A}/"))
        lead.post(f"{PAGE}modes/{B}/merge/", {"into": "made-up-fee"})
        assert failure_modes.forward(project) == {B: "made-up-fee"}
        lead.post(f"{PAGE}modes/{B}/bring-back/", {})
        lead.post(f"{PAGE}modes/{B}/retire/", {"note": "Nobody chose it"})
        assert mode(project, B).retired_at is not None
        refusal = lead.post(f"{PAGE}modes/incomplete/split/", {"new": ["Only one"], "note": "why"})
        assert refusal.status_code == 422
        assert 'value="Only one"' in text_of(refusal)

    def test_two_versions_are_compared(self, browser_of: Browser, project: Project, people: dict[str, User]) -> None:
        save = {"project": project, "actor": people["lead"]}
        failure_modes.save(mode=mode(project, A), fields={"label": HOSTILE}, note="One", **save)
        failure_modes.save(mode=None, fields={"label": "Made-up fee", "description": "New"}, note="Two", **save)
        failure_modes.merge(actor=people["lead"], mode=mode(project, B), into=A)
        page = text_of(browser_of("reviewer").get(f"{PAGE}versions/?from=1&to=4"))
        assert "Changed: &lt;img src=x onerror=alert(1)&gt;" in page
        assert "<del>Unsupported claim</del>" in page
        assert "New: Made-up fee" in page
        assert "Retired: Contradicts source" in page
        assert "From version 3 to 4" in text_of(browser_of("reviewer").get(f"{PAGE}versions/"))
        assert browser_of("reviewer").get(f"{PAGE}versions/?from=77&to=99999999999").status_code == 200

    @pytest.mark.parametrize("path", [PAGE, f"{PAGE}modes/{A}/", f"{PAGE}versions/"])
    def test_pages_take_the_same_queries_at_n_and_2n(
        self, path: str, browser_of: Browser, project: Project, people: dict[str, User]
    ) -> None:
        lead = browser_of("lead")

        def grow(start: int) -> None:
            for number in range(start, start + 3):
                made = failure_modes.save(
                    project=project, actor=people["lead"], mode=None, fields={"label": f"Mode {number}"}
                )
                labelled(project, people["reviewer"], f"i{number}", made.slug)
                parts = [{"label": f"Part {number}{part}"} for part in "ab"]
                failure_modes.split(actor=None, mode=made, into=parts, counts=f"Part {number}a")

        grow(0)
        lead.get(path)
        with CaptureQueriesContext(connection) as few:
            lead.get(path)
        grow(3)
        with CaptureQueriesContext(connection) as many:
            assert lead.get(path).status_code == 200
        assert len(many) == len(few)


class TestApi:
    def test_modes_are_read_by_reviewers_and_changed_by_leads_and_keys(
        self, sk: Api, token_of: Callable[[str], Api], project: Project
    ) -> None:
        for caller in (sk, token_of("reviewer"), token_of("viewer")):
            status, body = caller.get("/api/v1/failure-modes")
            assert (status, body["results"][0]["slug"], body["results"][0]["labels"]) == (200, A, 0)
        assert token_of("reviewer").post("/api/v1/failure-modes", {"label": "X"})[0] == 403
        status, made = token_of("lead").post("/api/v1/failure-modes", {"label": "Made-up fee", "note": "Seen thrice"})
        assert (status, made["slug"], made["digit"]) == (201, "made-up-fee", "")
        status, refusal = sk.patch("/api/v1/failure-modes/made-up-fee", {"digit": "1", "colour": "red"})
        assert (status, [fault["path"] for fault in refusal["error"]["details"]]) == (422, ["/colour"])
        assert sk.patch("/api/v1/failure-modes/made-up-fee", {"default_severity": 1})[1]["default_severity"] == 1

    def test_where_they_went_and_what_is_to_be_looked_at_again(
        self, sk: Api, project: Project, people: dict[str, User]
    ) -> None:
        labelled(project, people["reviewer"], "one")
        into = [{"slug": B}, {"label": "Made-up fee"}]
        status, body = sk.post(f"/api/v1/failure-modes/{A}/split", {"into": into, "counts_as": B})
        assert (status, body["counts_as"], body["split_into"]) == (200, B, [B, "made-up-fee"])
        assert sk.get(f"/api/v1/failure-modes/{A}/reopen") == (200, {"items": 1, "waiting": 0})
        assert sk.post(f"/api/v1/failure-modes/{A}/reopen", {}) == (200, {"opened": 1, "left": 0})
        assert sk.post(f"/api/v1/failure-modes/{A}/merge", {"into": B})[0] == 409
        assert sk.post(f"/api/v1/failure-modes/{A}/bring-back", {})[1]["counts_as"] is None
        assert sk.post(f"/api/v1/failure-modes/{A}/merge", {"into": B})[1]["counts_as"] == B
        assert sk.post(f"/api/v1/failure-modes/{B}/retire", {"note": "n"})[0] == 200

    def test_versions_tell_what_changed(self, sk: Api, project: Project) -> None:
        sk.patch(f"/api/v1/failure-modes/{A}", {"label": "No source", "note": "Plainer"})
        status, body = sk.get("/api/v1/rubrics")
        assert (status, [(one["version"], one["note"]) for one in body["results"]]) == (200, [(2, "Plainer"), (1, "")])
        status, body = sk.get("/api/v1/rubrics/2")
        assert (status, body["since"], len(body["failure_modes"])) == (200, 1, 12)
        assert body["changes"] == [{
            "kind": "changed", "slug": A, "label": "No source",
            "differences": [
                {"field": "label", "name": "Name", "before": "Unsupported claim", "after": "No source"}
            ],
        }]  # fmt: skip
        assert sk.get("/api/v1/rubrics/1")[1]["since"] is None
        assert sk.get("/api/v1/rubrics/2?since=x")[0] == 422
        assert sk.get("/api/v1/rubrics/9")[0] == 404


def test_changes_between_snapshots() -> None:
    def one(slug: str, **more: Any) -> dict[str, Any]:
        return {"slug": slug, "label": slug.title(), **more}

    gone = {"retired": True, "merged_into": None, "split_into": []}
    cases: list[tuple[list[Any], list[Any], list[tuple[str, str, list[str]]]]] = [
        ([one("a")], [one("a")], []),
        ([one("a")], [one("a", guide="g")], []),  # the older version did not keep guides
        ([one("a", guide="")], [one("a", guide="g")], [("changed", "a", ["guide"])]),
        ([], [one("a", default_severity=1)], [("added", "a", ["default_severity"])]),
        ([one("a")], [], [("retired", "a", [])]),
        ([one("a"), one("b")], [one("b"), one("a", **{**gone, "merged_into": "b"})],
         [("retired", "a", ["merged_into"])]),
        ([one("a", **gone)], [one("a")], [("returned", "a", [])]),
        ([one("a", **gone)], [one("a", **gone)], []),
        ([one("a", **gone)], [one("b"), one("a", **{**gone, "split_into": ["b"]})],
         [("added", "b", []), ("changed", "a", ["split_into"])]),
    ]  # fmt: skip
    for before, after, expected in cases:
        found = changes(before, after)
        assert [(c.kind, c.slug, [d.field for d in c.differences]) for c in found] == expected
