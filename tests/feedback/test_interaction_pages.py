"""The list of interactions and the page of one: what they show, to whom, and with how many queries."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from django.db import connection
from django.template import engines
from django.test import Client
from django.test.utils import CaptureQueriesContext

from feedback import browsing, detail, filters, finding, services
from feedback.browsing import Cell, Column
from feedback.detail import Event, Section
from feedback.models import Interaction
from projects.models import Project
from tests.feedback.bodies import full_interaction, interaction, thumbs

HOSTILE = '<script>alert(1)</script><img src=x onerror=alert(1)> " onmouseover="x {{ 7*7 }}'


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Without what other apps add: their tests count their queries."""
    monkeypatch.setattr(detail, "sections", [])
    monkeypatch.setattr(browsing, "columns", [])
    everything = filters.facts[:]
    filters.facts[:] = [fact for fact in everything if fact.name in {"feedback", "score", "flag"}]
    yield
    filters.facts[:] = everything


@pytest.fixture
def viewer(browser_of: Callable[[str], Client]) -> Client:
    return browser_of("viewer")


def store(project: Project, count: int, start: int = 0, **changes: Any) -> None:
    items = [
        full_interaction(id=f"r{n:03}", created_at=f"2026-11-20T{n // 60:02}:{n % 60:02}:00Z", **changes)
        for n in range(start, start + count)
    ]
    assert {outcome.status for outcome in services.record_interactions(project, items)} == {201}


def forbidden(html: str) -> list[str]:
    """Elements and attributes that no page of ours has, so that they can only come from what was sent."""
    found: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            if tag in {"img", "iframe", "style"} or (tag == "script" and "src" not in dict(attributes)):
                found.append(tag)
            found.extend(name for name, _ in attributes if name.startswith("on") or name == "style")

    Reader().feed(html)
    return found


def rows_of(html: str) -> list[str]:
    return re.findall(r"<tr data-row>.*?</tr>", html, re.DOTALL)


def get(client: Client, query: str = "", **headers: str) -> str:
    return client.get(f"/p/acme/interactions/{query}", headers=headers).content.decode()


def page_of(client: Client, external_id: str, query: str = "") -> str:
    pk = Interaction.objects.get(external_id=external_id).pk
    response = client.get(f"/p/acme/interactions/{pk}/{query}")
    assert response.status_code == 200
    return response.content.decode()


class TestList:
    def test_an_empty_project_says_how_to_send_something(self, viewer: Client, project: Project) -> None:
        html = get(viewer)
        assert "No interactions yet" in html
        assert "/api/v1/interactions" in html

    def test_a_row_shows_question_answer_feedback_flags_and_figures(self, viewer: Client, project: Project) -> None:
        services.record_interaction(project, full_interaction())
        services.record_feedback(project, thumbs("up", interaction_id="req-8f2"))
        services.record_feedback(project, thumbs("down", interaction_id="req-8f2", user_id="other"))
        services.record_score(project, {"interaction_id": "req-8f2", "name": "refusal", "flagged": True})
        (row,) = rows_of(get(viewer))
        for text in (
            "What does it cost?",
            "It costs **4.90**",
            "Down",
            "refusal",
            "gpt-x",
            "14",
            "1.8\u00a0s",
            "$0.0031",
        ):
            assert text in row, text
        assert "Up" not in row

    def test_a_vote_that_was_taken_back_is_not_shown(self, viewer: Client, project: Project) -> None:
        services.record_interaction(project, interaction())
        services.record_feedback(project, thumbs("down"))
        services.record_feedback(project, thumbs(None))
        (row,) = rows_of(get(viewer))
        assert "Down" not in row
        assert "Taken back" not in row

    def test_filters_keep_their_state_and_can_be_removed_one_by_one(self, viewer: Client, project: Project) -> None:
        store(project, 3)
        services.record_interaction(project, full_interaction(id="other", model="other"))
        html = get(viewer, "?model=gpt-x&feature=billing-faq&session=s-1&tag=vip")
        assert len(rows_of(html)) == 3
        assert 'name="model" value="gpt-x" checked' in html
        assert 'href="?feature=billing-faq&amp;session=s-1&amp;tag=vip"' in html
        assert '<input type="hidden" name="session" value="s-1">' in html
        assert 'value="other"' in html, "a chosen facet still offers its other values"

    def test_nothing_matches_offers_a_way_out(self, viewer: Client, project: Project) -> None:
        store(project, 1)
        assert "Nothing matches" in get(viewer, "?model=nope")

    @pytest.mark.parametrize("query", ["?nope=1", "?since=x", "?cursor=%01", "?cursor=abc", "?feedback=q"])
    def test_a_filter_that_does_not_fit_is_explained(self, viewer: Client, project: Project, query: str) -> None:
        store(project, 1)
        response = viewer.get(f"/p/acme/interactions/{query}")
        assert response.status_code == 422
        assert "This filter does not fit" in response.content.decode()

    def test_pages_go_on_where_the_last_ended_and_keep_the_filter(self, viewer: Client, project: Project) -> None:
        store(project, 40)
        first = get(viewer, "?model=gpt-x")
        older = re.search(r'rel="next" href="(\?[^"]+)"', first)
        assert older is not None
        assert "model=gpt-x" in older[1]
        second = get(viewer, older[1].replace("&amp;", "&"))
        assert (len(rows_of(first)), len(rows_of(second))) == (25, 15)
        assert 'rel="next"' not in second

    def test_htmx_receives_the_results_alone(self, viewer: Client, project: Project) -> None:
        store(project, 1)
        html = get(viewer, "", **{"HX-Request": "true"})
        assert html.lstrip().startswith('<div id="results"')
        assert "<html" not in html

    def test_text_from_outside_stays_text(self, viewer: Client, project: Project) -> None:
        body = interaction(
            id=HOSTILE[:200], output=HOSTILE, model=HOSTILE, feature=HOSTILE, tags=[HOSTILE],
            prompt={"version": HOSTILE[:100]}, error={"type": HOSTILE, "message": HOSTILE},
            messages=[{"role": "user", "content": HOSTILE}],
        )  # fmt: skip
        services.record_interaction(project, body)
        services.record_score(project, {"interaction_id": body["id"], "name": HOSTILE[:100], "flagged": True})
        services.record_feedback(project, {"interaction_id": body["id"], "kind": "category", "value": HOSTILE})
        assert "{{ 7*7 }}" in page_of(viewer, body["id"])
        for html in (get(viewer), get(viewer, "?tag=" + "%3Cscript%3E"), page_of(viewer, body["id"])):
            assert not forbidden(html)

    def test_takes_the_same_number_of_queries_for_n_and_2n_rows(self, viewer: Client, project: Project) -> None:
        counts = []
        for start in (0, 12):
            store(project, 12, start)
            for n in range(start, start + 12):
                services.record_feedback(project, thumbs(interaction_id=f"r{n:03}"))
            with CaptureQueriesContext(connection) as queries:
                assert len(rows_of(get(viewer))) == start + 12
            counts.append(len(queries))
        # session, user, membership with project; unread traces; keys with counts and facets, rows with what is said of
        # them, saved views
        assert counts == [7, 7]

    def test_does_not_load_what_it_does_not_show(self, viewer: Client, project: Project) -> None:
        store(project, 1)
        with CaptureQueriesContext(connection) as queries:
            get(viewer)
        (rows,) = [query["sql"] for query in queries if "jsonb_path_query_array" in query["sql"]]
        for column in ("documents", "metadata", "output_messages", "parameters"):
            assert column not in rows

    def test_counts_look_at_a_bounded_number_of_rows(
        self, viewer: Client, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(finding, "NEAR", 30)
        store(project, 40)
        assert "of the newest 30 match" in " ".join(re.sub("<[^>]+>", "", get(viewer)).split())

    def test_facets_count_by_value(self, project: Project) -> None:
        store(project, 3)
        services.record_interaction(project, interaction(model="b", status="error", error={}))
        found = browsing.listing(project, browsing.Filters())
        facets = {facet.name: {choice.value: choice.count for choice in facet.choices} for facet in found.facets}
        assert facets == {
            "feature": {"billing-faq": 3}, "model": {"gpt-x": 3, "b": 1}, "prompt_version": {"14": 3},
            "release": {"2026.11.2": 3}, "environment": {"production": 3}, "status": {"ok": 3, "error": 1},
            "variant": {"control": 3}, "tag": {"vip": 3}, "language": {},
        }  # fmt: skip
        assert found.counts == finding.Counts(4, None, False, found.counts.facets)

    def test_each_score_has_its_own_heading(self, viewer: Client, project: Project) -> None:
        services.record_interaction(project, interaction())
        for name, value in (("tone", 0.9), ("faithfulness", 0.6), ("faithfulness", 0.9), ("faithfulness", 0.2)):
            services.record_score(project, {"interaction_id": "req-1", "name": name, "value": value})
        html = get(viewer)
        steps = ["faithfulness:under 0.50", "faithfulness:0.50 to 0.80", "faithfulness:over 0.80", "tone:over 0.80"]
        assert re.findall(r'name="score" value="([^"]+)"', html) == steps
        assert "Score: faithfulness" in html
        assert "Score: tone" in html

    def test_another_app_adds_a_column(self, viewer: Client, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        store(project, 2)
        pk = Interaction.objects.get(external_id="r000").pk
        monkeypatch.setattr(browsing, "columns", [Column("Verdict", lambda pks: {pk: Cell("Fail", "bad", "fail")})])
        html = get(viewer)
        assert ">Verdict</th>" in html
        assert ["Fail" in row for row in rows_of(html)] == [False, True]


class TestDetail:
    def test_shows_everything_that_is_known(self, viewer: Client, project: Project) -> None:
        services.record_interaction(project, full_interaction())
        services.record_feedback(project, thumbs("down", interaction_id="req-8f2", comment="wrong fee"))
        services.record_score(
            project, {"interaction_id": "req-8f2", "name": "faithfulness", "value": 0.31, "flagged": True}
        )
        html = page_of(viewer, "req-8f2")
        for text in (
            "What does it cost?", "<strong>4.90</strong>", "kb-12", "4.90 a month", "generate", "support",
            "512 in, 120 out",
            "$0.0031", "s-1", "u-7", "vip", "Kraków", "Thumbs-down", "wrong fee", "faithfulness", "0.31", "temperature",
            "resolved", "2026.11.2",
        ):  # fmt: skip
            assert text in html, text

    def test_the_failed_step_is_shown_first_and_any_step_can_be_chosen(self, viewer: Client, project: Project) -> None:
        services.record_interaction(project, full_interaction())
        assert 'aria-label="Step generate"' in page_of(viewer, "req-8f2")
        assert 'aria-label="Step answer"' in page_of(viewer, "req-8f2", "?span=a1")
        assert 'aria-label="Step generate"' in page_of(viewer, "req-8f2", "?span=nowhere")

    def test_an_interaction_with_the_least_has_a_page(self, viewer: Client, project: Project) -> None:
        outcome = services.record_interaction(project, {"input": "", "output": ""})
        html = page_of(viewer, str(outcome.external_id))
        assert "(empty)" in html
        assert 'id="trace"' not in html

    @pytest.mark.parametrize(
        "changes",
        [
            {"messages": [{"role": "tool", "name": 7, "content": None, "tool_calls": "x"}]},
            {"messages": [{"role": "a", "content": [1, None, {"text": 5}], "tool_calls": [{"function": None}, 3]}]},
            {"output": [{"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f"}}]}]},
            {"documents": [{}, {"content": None, "title": None, "metadata": None}]},
            {"metadata": {"items": {"items": []}, "a": None, "": 0, "keys": "x"}}, {"outcome": {"items": 1}},
            {"prompt": {"items": [1]}}, {"parameters": {"a": [[[]]]}}, {"tools": [{}]}, {"error": {}},
            {"spans": [{"id": "a", "parent_id": "b"}, {"id": "b", "parent_id": "a"}, {"id": "c", "parent_id": "c"}]},
            {"spans": [{"id": "a", "started_at": "2026-01-02T00:00:00Z", "ended_at": "2026-01-01T00:00:00Z"}]},
            {"spans": [{"id": "a\"b<&?#/ä", "name": "", "attributes": {"items": 1}, "input": [], "output": 0}]},
        ],
    )  # fmt: skip
    def test_odd_shapes_have_a_page_and_a_row(self, viewer: Client, project: Project, changes: dict[str, Any]) -> None:
        services.record_interaction(project, interaction(**changes))
        page_of(viewer, "req-1")
        assert len(rows_of(get(viewer))) == 1

    def test_steps_through_the_list_in_its_order_and_filter(self, viewer: Client, project: Project) -> None:
        store(project, 3)
        services.record_interaction(project, full_interaction(id="other", model="b", created_at="2026-11-20T00:01:30Z"))
        html = page_of(viewer, "r001", "?model=gpt-x")
        keys = {row.external_id: row.pk for row in Interaction.objects.all()}
        links = dict(re.findall(r'interactions/(\d+)/\?model=gpt-x" aria-label="(\w+) interaction"', html))
        assert {name: int(pk) for pk, name in links.items()} == {"Previous": keys["r002"], "Next": keys["r000"]}
        plain = page_of(viewer, "r001")
        assert f"interactions/{keys['other']}/" in plain

    def test_another_projects_interaction_is_not_found(
        self, viewer: Client, other_project: Project, project: Project
    ) -> None:
        pk = services.record_interaction(other_project, interaction()).pk
        assert viewer.get(f"/p/acme/interactions/{pk}/").status_code == 404
        assert viewer.get(f"/p/other/interactions/{pk}/").status_code == 404

    @pytest.mark.parametrize(("role", "status"), [("viewer", 200), ("reviewer", 403), ("lead", 200), ("outsider", 404)])
    def test_who_may_read(self, browser_of: Callable[[str], Client], project: Project, role: str, status: int) -> None:
        pk = services.record_interaction(project, interaction()).pk
        assert browser_of(role).get(f"/p/acme/interactions/{pk}/").status_code == status
        assert browser_of(role).get("/p/acme/interactions/").status_code == status

    def test_takes_a_fixed_number_of_queries(self, viewer: Client, project: Project) -> None:
        counts = []
        for name, times in (("a", 1), ("b", 20)):
            services.record_interaction(
                project, full_interaction(id=name, spans=[{"id": str(n)} for n in range(times)])
            )
            for n in range(times):
                services.record_feedback(project, thumbs(interaction_id=name, user_id=str(n)))
                services.record_score(project, {"interaction_id": name, "name": str(n), "value": 1})
            with CaptureQueriesContext(connection) as queries:
                page_of(viewer, name)
            counts.append(len(queries) - 1)
        # session, user, membership with project; interaction, newer, older, spans, the chosen span, feedback, scores
        assert counts == [10, 10]

    def test_superseded_and_unverified_votes_say_so(self, viewer: Client, project: Project) -> None:
        services.record_interaction(project, interaction())
        services.record_feedback(project, thumbs("down"))
        services.record_feedback(project, thumbs("up"))
        services.record_feedback(project, thumbs("down", user_id="web"), source="browser", verified=False)
        html = page_of(viewer, "req-1")
        assert "Thumbs-down (replaced by a later vote)" in html
        assert "Thumbs-down (not verified)" in html

    def test_another_app_adds_events_and_a_panel(
        self, viewer: Client, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def events(row: Interaction) -> list[Event]:
            return [Event(row.created_at, "ok", "Labelled by Ida", "pass", "pass")]

        section = Section(
            "labels", lambda row: {"text": "from above"}, panel="feedback/_section_for_tests.html", events=events
        )
        monkeypatch.setattr(detail, "sections", [section])
        loader = ("django.template.loaders.locmem.Loader", {section.panel: "<b>{{ section_data.text }}</b>"})
        engine = engines["django"].engine
        monkeypatch.setattr(
            engine, "template_loaders", [*engine.get_template_loaders([loader]), *engine.template_loaders]
        )
        services.record_interaction(project, interaction())
        html = page_of(viewer, "req-1")
        assert "Labelled by Ida" in html
        assert "<b>from above</b>" in html
