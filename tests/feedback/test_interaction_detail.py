"""The page of one interaction: what is fetched when it is asked for, its JSON, and what can be done to it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from annotations.models import Task
from feedback import detail, services, waterfall
from feedback.models import Interaction
from projects.models import Project
from tests.feedback.bodies import interaction

HOSTILE = "</pre><script>alert(1)</script>\u202egpj.exe\u2028 {{ 7*7 }} \U000e0041"


@pytest.fixture
def viewer(browser_of: Callable[[str], Client]) -> Client:
    return browser_of("viewer")


def store(project: Project, **fields: Any) -> str:
    """The address of its page."""
    return f"/p/acme/interactions/{services.record_interaction(project, interaction(**fields)).pk}/"


def tree(count: int) -> list[dict[str, Any]]:
    """A root, then branches of ten below each other; every step says ``secret`` and its number inside."""
    return [
        {"id": f"s{n}", "parent_id": None if not n else "s0" if n % 10 == 1 else f"s{n - 1}", "kind": "tool",
         "name": f"step {n}", "input": f"secret {n}"}
        for n in range(count)
    ]  # fmt: skip


def turns(count: int) -> list[dict[str, str]]:
    return [{"role": ["user", "assistant"][n % 2], "content": f"Turn-{n}."} for n in range(count)]


def part(client: Client, address: str, target: str) -> str:
    """What htmx receives to put at ``target``."""
    response = client.get(address, headers={"HX-Request": "true", "HX-Target": target})
    assert response.status_code == 200
    return response.content.decode()


def steps_of(page: str) -> list[str]:
    return [html.unescape(name) for name in re.findall(r'class="step"[^>]*>([^<]*)<', page)]


def said(page: str) -> list[int]:
    return [int(number) for number in re.findall(r"Turn-(\d+)\.", page.split('id="conversation"')[-1])]


class TestTrace:
    def test_a_step_is_fetched_alone_or_with_the_page(self, viewer: Client, project: Project) -> None:
        address = store(project, spans=tree(30))
        fetched = part(viewer, f"{address}?span=s7", "span-detail")
        assert "secret 7" in fetched
        assert 'id="steps"' not in fetched
        whole = viewer.get(f"{address}?span=s7").content.decode()
        assert re.findall(r"secret \d+", whole) == ["secret 7"]
        assert (
            viewer.get(f"{address}?span=no", headers={"HX-Request": "true", "HX-Target": "span-detail"}).status_code
            == 404
        )

    def test_a_long_trace_is_folded_below_level_two_and_opens_by_a_link(self, viewer: Client, project: Project) -> None:
        address = store(project, spans=tree(200))
        page = viewer.get(address).content.decode()
        assert steps_of(page)[:4] == ["step 0", "step 1", "step 2", "step 11"]
        link = re.search(r'href="([^"]*)#trace" hx-get="([^"]*)"[^>]*aria-label="8 inside step 2"', page)
        assert link is not None
        opened = viewer.get(address + html.unescape(link[1])).content.decode()
        assert steps_of(opened)[:5] == ["step 0", "step 1", "step 2", "step 3", "step 11"]
        fetched = part(viewer, address + html.unescape(link[2]) + "&span=s3", "steps")
        assert steps_of(fetched) == steps_of(opened)
        assert re.findall(r'aria-current="true".*?class="step"[^>]*>([^<]*)<', fetched) == ["step 3"]

    def test_all_rows_of_a_wide_trace_can_be_reached(self, viewer: Client, project: Project) -> None:
        spans = [{"id": f"w{n}", "name": f"w{n}"} for n in range(waterfall.ROWS + 7)]
        address = store(project, spans=spans)
        page = viewer.get(address).content.decode()
        assert "Show more: 7 steps left" in page
        rest = part(viewer, f"{address}?first={waterfall.ROWS}", "steps-more")
        assert steps_of(page) + steps_of(rest) == [span["name"] for span in spans]

    def test_the_wait_for_the_first_token_is_drawn(self, viewer: Client, project: Project) -> None:
        call = {"id": "a", "kind": "llm", "started_at": "2026-11-20T12:00:00Z", "ended_at": "2026-11-20T12:00:02Z"}
        page = viewer.get(store(project, spans=[call], time_to_first_token_ms=500)).content.decode()
        assert page.count('class="ttft"') == 1
        assert "to first token" in page

    def test_ids_from_outside_stay_text(self, viewer: Client, project: Project) -> None:
        bad = 'a"><script>&#/ä'
        spans = [{"id": bad, "name": bad}, {"id": "b", "parent_id": bad, "input": "found"}]
        address = store(project, spans=spans)
        page = viewer.get(address).content.decode()
        assert "<script>&" not in page
        link = re.search(r'href="([^"]*)#span-detail"', page)
        assert link is not None
        assert f'aria-label="Step {html.escape(bad)}"' in viewer.get(address + html.unescape(link[1])).content.decode()

    @pytest.mark.parametrize("query", ["?first=x", "?first=99999999999", "?first=-1", "?fold=no", "?turns=-3"])
    def test_odd_parameters_have_a_page(self, viewer: Client, project: Project, query: str) -> None:
        address = store(project, spans=tree(3))
        assert viewer.get(address + query).status_code == 200
        assert viewer.get(address + query, headers={"HX-Request": "true", "HX-Target": "steps"}).status_code == 200

    def test_takes_the_same_queries_for_n_and_2n(
        self, viewer: Client, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(detail, "sections", [])
        counts: list[list[int]] = []
        for count in (100, 200):
            address = store(project, id=f"n{count}", spans=tree(count), messages=turns(count))
            row = []
            for target in ("", "span-detail", "steps", "earlier"):
                with CaptureQueriesContext(connection) as queries:
                    part(viewer, f"{address}?span=s1", target)
                row.append(len([query for query in queries if "SAVEPOINT" not in query["sql"]]))
            counts.append(row)
        assert counts[0] == counts[1]
        # session, user, membership with project, interaction; then the step; the steps; nothing more
        assert counts[0][1:] == [5, 5, 4]
        assert counts[0][0] <= 11


class TestConversation:
    def test_earlier_messages_come_in_parts_and_each_once(self, viewer: Client, project: Project) -> None:
        address = store(project, messages=turns(120), output="Done.")
        page = viewer.get(address).content.decode()
        found = said(page)
        assert found == list(range(112, 120))
        while link := re.search(r'hx-get="(\?turns=\d+)"', page):
            page = part(viewer, address + link[1], "earlier")
            assert "Done." not in page
            found = said(page) + found
        assert found == list(range(120))

    def test_without_scripts_the_link_shows_them_in_the_page(self, viewer: Client, project: Project) -> None:
        address = store(project, messages=turns(60))
        link = re.search(r'href="(\?turns=\d+)#conversation"', viewer.get(address).content.decode())
        assert link is not None
        assert said(viewer.get(address + link[1]).content.decode()) == list(range(2, 60))

    def test_a_short_one_is_shown_whole(self, viewer: Client, project: Project) -> None:
        page = viewer.get(store(project, messages=turns(8))).content.decode()
        assert said(page) == list(range(8))
        assert 'id="earlier"' not in page


class TestJson:
    def test_is_what_the_api_answers_however_hostile(self, viewer: Client, project: Project) -> None:
        address = store(project, output=HOSTILE, metadata={"Ä": HOSTILE}, spans=tree(2))
        page = viewer.get(f"{address}json/").content.decode()
        shown = re.search(r'<pre id="raw"[^>]*>\n(.*?)</pre>', page, re.DOTALL)
        assert shown is not None
        text = html.unescape(shown[1])
        assert "\u202e" not in text
        assert "\\u202e" in text
        assert "<script>alert" not in page
        read = json.loads(text)
        assert read["output"] == read["metadata"]["Ä"] == HOSTILE
        assert [span["input"] for span in read["spans"]] == ["secret 0", "secret 1"]
        assert json.loads(viewer.get(f"{address}json/?file").content) == read

    def test_a_very_long_one_says_so_and_its_file_has_all(self, viewer: Client, project: Project) -> None:
        address = store(project, documents=[{"id": str(n), "content": "x" * 99_000} for n in range(6)])
        page = viewer.get(f"{address}json/").content.decode()
        assert "This is the beginning" in page
        assert "data-copy" not in page
        file = viewer.get(f"{address}json/?file")
        assert file["Content-Disposition"].startswith("attachment")
        assert [len(document["content"]) for document in json.loads(file.content)["documents"]] == [99_000] * 6

    def test_another_projects_is_not_found(self, viewer: Client, other_project: Project, project: Project) -> None:
        pk = services.record_interaction(other_project, interaction()).pk
        assert viewer.get(f"/p/acme/interactions/{pk}/json/").status_code == 404


class TestActs:
    def test_a_lead_sends_it_to_a_queue_and_stays(self, browser_of: Callable[[str], Client], project: Project) -> None:
        lead = browser_of("lead")
        address = store(project)
        assert "Send to queue" in lead.get(address).content.decode()
        pk = Interaction.objects.get().pk
        body = {"action": "queue", "pk": str(pk), "for-queue": "negative-feedback", "stay": "on"}
        response = lead.post("/p/acme/interactions/act/?model=m", body)
        assert response["Location"] == f"{address}?model=m"
        assert Task.objects.get().queue.slug == "negative-feedback"
        assert "Sent 1 interaction" in lead.get(address).content.decode()

    def test_who_may_not_is_not_offered_it(self, viewer: Client, project: Project) -> None:
        assert "Send to queue" not in viewer.get(store(project)).content.decode()
