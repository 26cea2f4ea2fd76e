"""What the conventions can say and instrumentations do say, beyond a plain question and its answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from feedback.models import Interaction, TelemetryTrace
from feedback.telemetry import unread
from feedback.telemetry.assemble import interaction, scores
from feedback.telemetry.assembly import EMBEDDING
from feedback.telemetry.intake import record_spans
from feedback.telemetry.wire import Event, WireSpan
from projects.models import Project
from tests.feedback.test_telemetry_assembly import CURRENT, START, span
from tests.feedback.test_telemetry_intake import settle

CALL = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}


def read(*spans: WireSpan) -> dict[str, Any]:
    body = interaction(list(spans))
    assert body is not None
    return body


def parts(role: str, *given: dict[str, Any]) -> str:
    return json.dumps([{"role": role, "parts": list(given)}])


def text(content: str) -> dict[str, Any]:
    return {"type": "text", "content": content}


def test_what_a_model_thinks_is_kept_apart_from_what_it_says() -> None:
    answer = parts("assistant", {"type": "reasoning", "content": "Look it up."}, text("4.90"))
    body = read(span(1, attributes=CURRENT | {"gen_ai.output.messages": answer}))
    assert body["output"] == "4.90"
    assert body["spans"][0]["output"] == [{"role": "assistant", "content": "4.90", "reasoning": "Look it up."}]


def test_openinferences_reasoning_is_no_part_of_the_answer() -> None:
    said = "llm.output_messages.0.message."
    body = read(span(1, attributes={
        "openinference.span.kind": "LLM", "llm.input_messages.0.message.content": "Fee?", f"{said}role": "assistant",
        f"{said}contents.0.message_content.type": "reasoning", f"{said}contents.0.message_content.text": "Hm.",
        f"{said}contents.1.message_content.type": "text", f"{said}contents.1.message_content.text": "4.90",
    }))  # fmt: skip
    assert body["output"] == "4.90"


def test_a_picture_in_a_question_leaves_a_mark() -> None:
    asked = parts("user", text("What is this?"), {"type": "uri", "modality": "image", "uri": "https://a.example/x"})
    body = read(span(1, attributes=CURRENT | {"gen_ai.input.messages": asked}))
    assert body["messages"][-1]["content"] == "What is this?\n[image]"


def test_the_answers_of_several_tools_in_one_message_are_all_kept_and_so_is_the_text_beside_them() -> None:
    asked = parts(
        "user",
        {"type": "tool_call_response", "id": "a", "response": "rain"},
        {"type": "tool_call_response", "id": "b", "response": {"wind": 7}},
        text("And tomorrow?"),
    )
    body = read(span(1, attributes=CURRENT | {"gen_ai.input.messages": asked}))
    assert body["messages"][1:] == [
        {"role": "tool", "content": "rain", "tool_call_id": "a"},
        {"role": "tool", "content": '{"wind": 7}', "tool_call_id": "b"},
        {"role": "user", "content": "And tomorrow?"},
    ]


def test_an_answer_that_only_calls_tools_is_an_answer(project: Project) -> None:
    answer = parts("assistant", {"type": "tool_call", "id": "c1", "name": "weather", "arguments": {"city": "Kraków"}})
    record_spans(project, [span(1, attributes=CURRENT | {"gen_ai.output.messages": answer})])
    settle()
    stored = Interaction.objects.get()
    assert stored.output == ""
    assert stored.output_messages[0]["tool_calls"] == [
        {"id": "c1", "name": "weather", "arguments": {"city": "Kraków"}}
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"input_tokens": 1000, "cache_read.input_tokens": 900}, (1000, 900)),
        ({"input_tokens": 1000, "cache_read_input_tokens": 900}, (1000, 900)),
        ({"input_tokens": 100, "cache_read.input_tokens": 900}, (1000, 900)),
        ({"cache_read.input_tokens": 900}, (900, 900)),
    ],
    ids=["in the whole", "older name", "Anthropic's own figures, beside it", "nothing else"],
)
def test_tokens_from_a_cache_are_part_of_the_input(said: dict[str, int], expected: tuple[int, int]) -> None:
    attributes = {name: value for name, value in CURRENT.items() if "usage" not in name}
    body = read(span(1, attributes=attributes | {f"gen_ai.usage.{name}": count for name, count in said.items()}))
    assert (body["usage"]["input_tokens"], body["usage"]["cached_input_tokens"]) == expected


def test_an_agent_that_reports_for_its_calls_is_counted_once() -> None:
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": 70, "gen_ai.usage.output_tokens": 9}
    quiet = {name: value for name, value in CURRENT.items() if "usage" not in name}
    assert read(span(1, attributes=agent), span(2, 1, attributes=quiet))["usage"] == {
        "input_tokens": 70, "output_tokens": 9,
    }  # fmt: skip
    counted = read(span(1, attributes=agent), span(2, 1, attributes=CURRENT))
    assert counted["usage"] == {"input_tokens": 512, "output_tokens": 120}


def test_an_agent_within_an_agent_does_not_speak_for_it() -> None:
    """Over several turns: plan, hand over to another agent as a tool, answer."""
    inner = CURRENT | {"gen_ai.output.messages": parts("assistant", text("inner"))}
    final = CURRENT | {"gen_ai.output.messages": parts("assistant", text("It costs 4.90."))}
    body = read(
        span(1, ms=900, name="invoke_agent support", attributes={"gen_ai.operation.name": "invoke_agent",
                                                                 "gen_ai.agent.name": "support"}),
        span(2, 1, start=10, ms=50, attributes=CURRENT),
        span(3, 1, start=70, ms=500, name="execute_tool ask", attributes={"gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.call.arguments": '{"q": "fee"}', "gen_ai.tool.call.result": "4.90"}),
        span(4, 3, start=80, ms=480, attributes={"gen_ai.operation.name": "invoke_agent"}),
        span(5, 4, start=90, ms=800, attributes=inner),
        span(6, 1, start=600, ms=200, attributes=final),
    )  # fmt: skip
    assert (body["output"], body["feature"]) == ("It costs 4.90.", "support")
    assert [one["kind"] for one in body["spans"]] == ["agent", "llm", "tool", "agent", "llm", "llm"]
    assert (body["spans"][2]["input"], body["spans"][2]["output"]) == ({"q": "fee"}, 4.9)
    assert body["usage"] == {"input_tokens": 3 * 512, "output_tokens": 3 * 120}


CONTENT = {"gen_ai.input.messages": parts("user", text("Fee?")),
           "gen_ai.output.messages": parts("assistant", text("4.90"))}  # fmt: skip
EVENTS = {
    "one event with everything": [Event("gen_ai.client.inference.operation.details", START, CONTENT)],
    "a message an event": [
        Event("gen_ai.user.message", START, {"content": "Fee?"}),
        Event("gen_ai.choice", START, {"message": '{"role": "assistant", "content": "4.90"}'}),
    ],
    "prompt and completion": [
        Event("gen_ai.content.prompt", START, {"gen_ai.prompt": '{"messages": [{"role": "user", "content": "Fee?"}]}'}),
        Event("gen_ai.content.completion", START, {"gen_ai.completion": "4.90"}),
    ],
}


@pytest.mark.parametrize("form", EVENTS)
def test_what_was_said_may_stand_in_events(form: str) -> None:
    body = read(span(1, attributes=CALL, events=EVENTS[form]))
    assert body["messages"] == [{"role": "user", "content": "Fee?"}]
    assert body["output"] == "4.90"


def test_tools_in_events_are_kept() -> None:
    call = [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"c": "P"}'}}]
    body = read(span(1, attributes=CALL, events=[
        Event("gen_ai.user.message", START, {"content": "Weather?"}),
        Event("gen_ai.assistant.message", START, {"tool_calls": json.dumps(call)}),
        Event("gen_ai.tool.message", START, {"id": "c1", "content": "rain"}),
        Event("gen_ai.choice", START, {"message": '{"role": "assistant", "content": "Rain."}'}),
    ]))  # fmt: skip
    assert body["messages"][1:] == [
        {"role": "assistant", "content": "", "tool_calls": [{"id": "c1", "name": "weather", "arguments": {"c": "P"}}]},
        {"role": "tool", "content": "rain", "tool_call_id": "c1"},
    ]


def test_embedding_texts_is_no_interaction_and_no_fault(project: Project) -> None:
    record_spans(project, [span(1, attributes={
        "openinference.span.kind": "EMBEDDING", "embedding.model_name": "small", "input.value": "Fee?",
        "output.value": '{"data": [[0.1, 0.2]]}',
    })])  # fmt: skip
    settle()
    assert not Interaction.objects.exists()
    assert TelemetryTrace.objects.get().problem == EMBEDDING
    assert (unread.count(project), unread.count(project, everything=True)) == (0, 1)


def test_what_the_application_declared_is_found_below_a_web_servers_span() -> None:
    declared = {"metadata": '{"tier": "gold"}', "tag.tags": ["vip"], "session.id": "s-2", "user.id": "u-2"}
    body = read(span(1, name="POST /chat", attributes={"http.request.method": "POST"}),
                span(2, 1, attributes=CURRENT | declared | {"gen_ai.conversation.id": None}))  # fmt: skip
    assert (body["metadata"]["tier"], body["tags"]) == ("gold", ["vip"])
    assert (body["session_id"], body["user_id"]) == ("s-2", "u-2")


def test_annotations_on_the_whole_trace_are_verdicts() -> None:
    found = scores([span(1, attributes=CURRENT | {
        "trace.annotations.0.annotation.name": "correct", "trace.annotations.0.annotation.score": 0.5,
        "trace.annotations.0.annotation.annotator_kind": "LLM",
    })])  # fmt: skip
    assert [(one["name"], one["value"], one["person"]) for one in found] == [("correct", 0.5, False)]


def test_numbers_beyond_64_bit_refuse_their_span_alone(sk: Any) -> None:
    def one(number: int, **changes: Any) -> dict[str, Any]:
        return {"traceId": f"{number:032x}", "spanId": f"{number:016x}", "name": f"n{number}", **changes}

    odd = [
        one(1, startTimeUnixNano="9" * 400), one(2, endTimeUnixNano=-1), one(3),
        one(4, attributes=[{"key": "n", "value": {"intValue": "9" * 30}}]),
    ]  # fmt: skip
    status, body = sk.post("/v1/traces", {"resourceSpans": [{"scopeSpans": [{"spans": odd}]}]})
    assert status == 200
    assert body["partialSuccess"]["rejectedSpans"] == "3"
    assert list(TelemetryTrace.objects.values_list("trace_id", flat=True)) == [f"{3:032x}"]
