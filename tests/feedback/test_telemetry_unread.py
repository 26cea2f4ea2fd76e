"""Traces that made no interaction are listed with the reason, for people and for programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.test import Client

from feedback import services
from feedback.telemetry import unread
from feedback.telemetry.assembly import FOREIGN, SILENT, TAKEN
from feedback.telemetry.intake import record_spans
from feedback.telemetry.wire import WireSpan
from projects.models import Project
from tests.conftest import Api
from tests.feedback.test_telemetry_assembly import CURRENT, span
from tests.feedback.test_telemetry_intake import settle

WORDLESS = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}


def trace(number: int, attributes: dict[str, Any], name: str = "chat") -> WireSpan:
    one = span(1, attributes=attributes, name=name, resource={"service.name": "support-bot"})
    one.trace_id = f"{number:032x}"
    return one


def page(client: Client, query: str = "") -> str:
    answer = client.get(f"/p/acme/traces/{query}")
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_page_says_which_trace_why_and_what_to_do(project: Project, browser_of: Callable[[str], Client]) -> None:
    services.record_interaction(project, {"id": f"{2:032x}", "input": "a", "output": "by REST"})
    record_spans(project, [trace(1, WORDLESS, "chat gpt-4o"), trace(2, CURRENT), trace(3, CURRENT)])
    settle()
    shown = page(browser_of("viewer"))
    for text in (f"{1:032x}", "chat gpt-4o", "support-bot", SILENT, unread.ADVICE[SILENT], f"{2:032x}", TAKEN):
        assert text in shown
    assert f"{3:032x}" not in shown


def test_requests_without_a_model_call_are_shown_on_demand_only(
    project: Project, browser_of: Callable[[str], Client]
) -> None:
    record_spans(project, [trace(1, {"http.request.method": "GET"}, "GET /healthz"), trace(2, WORDLESS)])
    settle()
    viewer = browser_of("viewer")
    assert "GET /healthz" not in page(viewer)
    shown = page(viewer, "?show=all")
    assert "GET /healthz" in shown
    assert FOREIGN in shown


def test_the_list_of_interactions_has_a_quiet_line(
    project: Project, other_project: Project, browser_of: Callable[[str], Client]
) -> None:
    viewer = browser_of("viewer")
    record_spans(other_project, [trace(1, WORDLESS)])
    record_spans(project, [trace(1, {"http.request.method": "GET"})])
    settle()
    assert "could not be read" not in viewer.get("/p/acme/interactions/").content.decode()
    record_spans(project, [trace(2, WORDLESS), trace(3, WORDLESS)])
    settle()
    shown = viewer.get("/p/acme/interactions/").content.decode()
    assert '<a class="link" href="/p/acme/traces/">2 traces</a> could not be read as interactions.' in shown


def test_a_trace_whose_words_come_later_leaves_the_list(project: Project, browser_of: Callable[[str], Client]) -> None:
    record_spans(project, [trace(1, WORDLESS)])
    settle()
    late = trace(1, CURRENT)
    late.span_id, late.parent_id = f"{2:016x}", f"{1:016x}"
    record_spans(project, [late])
    settle()
    assert unread.count(project, everything=True) == 0
    assert "All traces of model calls are interactions" in page(browser_of("viewer"))


def test_the_pages_queries_do_not_grow_with_the_traces(
    project: Project, browser_of: Callable[[str], Client], django_assert_max_num_queries: Any
) -> None:
    viewer = browser_of("viewer")
    page(viewer)
    record_spans(project, [trace(number, WORDLESS) for number in range(1, 41)])
    settle()
    with django_assert_max_num_queries(9):
        assert page(viewer).count(SILENT) == 40


def test_programs_read_the_reasons_too(project: Project, sk: Api, pk: Api) -> None:
    record_spans(project, [trace(1, WORDLESS, "chat gpt-4o")])
    settle()
    status, body = sk.get("/api/v1/traces/unread")
    assert status == 200
    (one,) = body["results"]
    assert one.pop("touched_at").startswith("20")
    assert one == {
        "trace_id": f"{1:032x}", "service": "support-bot", "name": "chat gpt-4o", "problem": SILENT,
        "advice": unread.ADVICE[SILENT],
    }  # fmt: skip
    assert pk.get("/api/v1/traces/unread")[0] in {401, 403}


def test_names_and_services_of_any_shape_are_only_text(project: Project, browser_of: Callable[[str], Client]) -> None:
    odd = trace(1, WORDLESS, "<script>" + "n" * 400)
    odd.resource = {"service.name": ["a", 7]}
    record_spans(project, [odd])
    settle()
    shown = page(browser_of("viewer"))
    assert "<script>n" not in shown
    assert "&lt;script&gt;n" in shown
