"""What is done from the list: views that are kept, files, tags, and acts on all that match."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from feedback import bulk, listed, services
from feedback.models import Interaction, SavedView
from projects.models import AuditEntry, Project
from tests.feedback.bodies import full_interaction

LIST = "/p/acme/interactions/"
ACT = f"{LIST}act/"
VIEWS = "/p/acme/views/"


@pytest.fixture
def lead(browser_of: Callable[[str], Client]) -> Client:
    return browser_of("lead")


@pytest.fixture
def five(project: Project) -> list[int]:
    """r0 to r4, the models a and b in turn; their keys."""
    items = [full_interaction(id=f"r{n}", model="ab"[n % 2], created_at=f"2026-11-20T0{n}:00:00Z") for n in range(5)]
    return [int(outcome.pk or 0) for outcome in services.record_interactions(project, items)]


def tagged(tag: str) -> list[str]:
    found = Interaction.objects.filter(tags__contains=[tag]).order_by("external_id")
    return list(found.values_list("external_id", flat=True))


def said(response: HttpResponse) -> str:
    return " ".join(re.sub("<[^>]+>", "", response.content.decode()).split())


class TestActs:
    def test_ticked_rows_are_tagged_once_and_the_audit_log_says_so(self, lead: Client, five: list[int]) -> None:
        for _ in range(2):
            response = lead.post(ACT, {"action": "tag", "pk": five[:2], "for-tag": " odd "}, follow=True)
        assert tagged("odd") == ["r0", "r1"]
        assert "Tagged 0 interactions “odd”." in said(response)
        entries = AuditEntry.objects.filter(action="interactions.tagged").order_by("pk")
        assert [entry.detail["count"] for entry in entries] == [2, 0]

    def test_all_that_match_are_counted_and_asked_about_first(self, lead: Client, five: list[int]) -> None:
        body = {"action": "tag", "everything": "on", "for-tag": "odd"}
        question = lead.post(f"{ACT}?model=a", body)
        assert "all 3 interactions that match: odd" in said(question)
        assert tagged("odd") == []
        done = lead.post(f"{ACT}?model=a", {**body, "confirmed": "on"})
        assert done["Location"] == f"{LIST}?model=a"
        assert tagged("odd") == ["r0", "r2", "r4"]

    def test_an_act_stops_at_the_most_it_may_change(
        self, lead: Client, five: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bulk, "MOST", 2)
        body = {"action": "tag", "everything": "on", "for-tag": "odd"}
        assert "the newest 2 interactions that match, the most in one go" in said(lead.post(ACT, body))
        lead.post(ACT, {**body, "confirmed": "on"})
        assert tagged("odd") == ["r3", "r4"]

    def test_a_full_row_of_tags_stays_as_it_is(self, lead: Client, project: Project) -> None:
        body = full_interaction(id="full", tags=[str(n) for n in range(50)])
        pk = services.record_interaction(project, body).pk
        lead.post(ACT, {"action": "tag", "pk": [pk], "for-tag": "one more"})
        assert tagged("one more") == []

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            ({"action": "tag", "for-tag": "x"}, "Tick the interactions first."),
            ({"action": "tag", "pk": ["r1", "", "9" * 30, "²"], "for-tag": "x"}, "Tick the interactions first."),
            ({"action": "tag", "pk": "FIRST", "for-tag": "  "}, "A tag has 1 to 200 characters."),
            ({"action": "tag", "pk": "FIRST", "for-tag": "x" * 201}, "A tag has 1 to 200 characters."),
        ],
    )
    def test_what_does_not_fit_is_said(self, lead: Client, five: list[int], body: dict[str, Any], words: str) -> None:
        if body.get("pk") == "FIRST":
            body = {**body, "pk": five[0]}
        assert words in said(lead.post(ACT, body, follow=True))
        assert tagged("x") == []

    def test_rows_of_another_project_are_not_touched(self, lead: Client, other_project: Project) -> None:
        pk = services.record_interaction(other_project, full_interaction(id="foreign")).pk
        lead.post(ACT, {"action": "tag", "pk": [pk], "for-tag": "mine"})
        assert tagged("mine") == []

    def test_who_may_only_read_is_offered_files_and_no_acts(
        self, browser_of: Callable[[str], Client], five: list[int]
    ) -> None:
        viewer = browser_of("viewer")
        html = viewer.get(LIST).content.decode()
        assert 'name="action" value="tag"' not in html
        assert 'name="action" value="csv"' in html
        assert viewer.post(ACT, {"action": "tag", "pk": five[:1], "for-tag": "x"}).status_code == 403
        assert viewer.post(ACT, {"action": "jsonl", "pk": five[:1]}).status_code == 200

    def test_an_act_that_does_not_exist_is_not_found(self, lead: Client, five: list[int]) -> None:
        assert lead.post(ACT, {"action": "nope", "pk": five}).status_code == 404
        assert lead.post(f"{ACT}?nope=1", {"action": "tag", "pk": five}).status_code == 404


class TestFiles:
    def lines(self, response: Any) -> list[Any]:
        return [json.loads(line) for line in response.getvalue().splitlines()]

    def test_a_list_is_a_file_in_its_order(self, lead: Client, five: list[int]) -> None:
        response = lead.get(f"{LIST}export/?model=a")
        assert [line["id"] for line in self.lines(response)] == ["r4", "r2", "r0"]
        assert response["Content-Disposition"] == 'attachment; filename="acme-interactions.jsonl"'

    def test_ticked_rows_are_a_file(self, lead: Client, five: list[int]) -> None:
        response: Any = lead.post(ACT, {"action": "jsonl", "pk": five[1:3]})
        assert {line["id"] for line in self.lines(response)} == {"r1", "r2"}

    def test_all_that_match_are_a_file(self, lead: Client, five: list[int]) -> None:
        response: Any = lead.post(f"{ACT}?model=b", {"action": "jsonl", "everything": "on"})
        assert [line["id"] for line in self.lines(response)] == ["r3", "r1"]

    def test_a_table_holds_no_formulas(self, lead: Client, project: Project) -> None:
        services.record_interaction(project, full_interaction(id="=1+1", output='@cmd "x"\nnew line', tags=["a", "b"]))
        text = lead.get(f"{LIST}export/?format=csv").getvalue().decode()
        head, row = list(csv.reader(io.StringIO(text)))
        cells = dict(zip(head, row, strict=True))
        assert (cells["id"], cells["output"], cells["tags"]) == ("'=1+1", '\'@cmd "x"\nnew line', "a b")
        assert cells["question"] == "What does it cost?"

    def test_a_file_ends_at_its_most_rows(self, lead: Client, five: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(listed, "MOST", 2)
        monkeypatch.setattr(listed, "CHUNK", 1)
        assert [line["id"] for line in self.lines(lead.get(f"{LIST}export/"))] == ["r4", "r3"]

    @pytest.mark.parametrize("query", ["format=xml", "nope=1", "since=x"])
    def test_what_does_not_fit_is_refused(self, lead: Client, five: list[int], query: str) -> None:
        assert lead.get(f"{LIST}export/?{query}").status_code == 422


class TestViews:
    def test_a_search_is_kept_under_a_name_and_opened_by_its_link(self, lead: Client, five: list[int]) -> None:
        response = lead.post(f"{VIEWS}new/", {"name": "All of a", "query": "q=&model=a&cursor="})
        assert response["Location"] == f"{LIST}?model=a"
        html = lead.get(response["Location"]).content.decode()
        assert '<a href="?model=a" aria-current="page">All of a</a>' in html
        view = SavedView.objects.get()
        assert lead.get(f"{VIEWS}{view.pk}/")["Location"] == f"{LIST}?model=a"

    def test_only_shared_views_are_seen_by_others_and_only_their_owners_change_them(
        self, lead: Client, browser_of: Callable[[str], Client], project: Project
    ) -> None:
        viewer, admin = browser_of("viewer"), browser_of("admin")
        lead.post(f"{VIEWS}new/", {"name": "Mine", "query": "model=a"})
        lead.post(f"{VIEWS}new/", {"name": "Ours", "query": "model=b", "shared": "on"})
        mine, ours = SavedView.objects.order_by("name")
        assert viewer.get(f"{VIEWS}{mine.pk}/").status_code == 404
        assert viewer.get(f"{VIEWS}{ours.pk}/")["Location"] == f"{LIST}?model=b"
        assert viewer.post(f"{VIEWS}{ours.pk}/change/", {"name": "x"}).status_code == 403
        assert viewer.post(f"{VIEWS}{ours.pk}/remove/").status_code == 403
        assert admin.post(f"{VIEWS}{mine.pk}/remove/").status_code == 404
        assert admin.post(f"{VIEWS}{ours.pk}/remove/").status_code == 302
        assert [view.name for view in SavedView.objects.all()] == ["Mine"]

    def test_a_view_is_renamed_and_taken_back(self, lead: Client, project: Project) -> None:
        lead.post(f"{VIEWS}new/", {"name": "One", "query": "", "shared": "on"})
        view = SavedView.objects.get()
        lead.post(f"{VIEWS}{view.pk}/change/", {"name": "Two"})
        view.refresh_from_db()
        assert (view.name, view.shared) == ("Two", False)

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            ({"name": "", "query": ""}, "A name has 1 to 60 characters."),
            ({"name": "x" * 61, "query": ""}, "A name has 1 to 60 characters."),
            ({"name": "Taken", "query": "model=a"}, "You have a view of this name."),
            ({"name": "Odd", "query": "nope=1"}, "There is no filter"),
        ],
    )
    def test_what_does_not_fit_is_said(self, lead: Client, project: Project, body: dict[str, str], words: str) -> None:
        lead.post(f"{VIEWS}new/", {"name": "Taken", "query": ""})
        assert words in said(lead.post(f"{VIEWS}new/", body, follow=True))
        assert SavedView.objects.count() == 1

    def test_somebody_elses_project_is_not_found(
        self, browser_of: Callable[[str], Client], lead: Client, project: Project
    ) -> None:
        lead.post(f"{VIEWS}new/", {"name": "Ours", "query": "", "shared": "on"})
        pk = SavedView.objects.get().pk
        assert browser_of("outsider").get(f"/p/other/views/{pk}/").status_code == 404
