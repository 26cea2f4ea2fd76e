"""How the spans of a trace become one interaction, by convention and in every order."""

from __future__ import annotations

import itertools
import json
from typing import Any

from feedback.telemetry.assemble import interaction, scores
from feedback.telemetry.wire import Event, WireSpan, decode

TRACE = "0af7651916cd43dd8448eb211c80319c"
START = 1_763_700_000_000_000_000


def span(
    number: int, parent: int | None = None, *, start: int = 0, ms: int = 100, name: str = "", **more: Any
) -> WireSpan:
    attributes = more.pop("attributes", {})
    return WireSpan(
        trace_id=TRACE,
        span_id=f"{number:016x}",
        parent_id=f"{parent:016x}" if parent else "",
        name=name or f"span {number}",
        start_ns=START + start * 1_000_000,
        end_ns=START + (start + ms) * 1_000_000,
        error=more.pop("error", False),
        status_message=more.pop("status_message", ""),
        attributes=attributes,
        **more,
    )


CURRENT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.request.temperature": 0.2,
    "gen_ai.conversation.id": "s-1",
    "gen_ai.usage.input_tokens": 512,
    "gen_ai.usage.output_tokens": 120,
    "gen_ai.response.time_to_first_chunk": 0.32,
    "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "Be brief."}]),
    "gen_ai.input.messages": json.dumps(
        [{"role": "user", "parts": [{"type": "text", "content": "What does closing cost?"}]}]
    ),
    "gen_ai.output.messages": json.dumps(
        [{"role": "assistant", "parts": [{"type": "text", "content": "Nothing."}], "finish_reason": "stop"}]
    ),
}


def test_a_single_model_call_of_the_current_convention() -> None:
    body = interaction(
        [span(1, attributes=CURRENT, ms=1840, resource={"service.name": "support", "service.version": "7"})]
    )
    assert body is not None
    assert body["id"] == TRACE
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What does closing cost?"},
    ]
    assert body["output"] == "Nothing."
    assert (body["model"], body["provider"]) == ("gpt-4o-2024-08-06", "openai")
    assert body["usage"] == {"input_tokens": 512, "output_tokens": 120}
    assert (body["latency_ms"], body["time_to_first_token_ms"]) == (1840, 320)
    assert (body["session_id"], body["feature"], body["release"]) == ("s-1", "support", "7")
    assert body["parameters"] == {"temperature": 0.2}


def test_the_legacy_convention_reads_the_same() -> None:
    body = interaction(
        [
            span(
                1,
                attributes={
                    "gen_ai.system": "openai",
                    "gen_ai.request.model": "gpt-4",
                    "gen_ai.prompt.0.role": "system",
                    "gen_ai.prompt.0.content": "Be brief.",
                    "gen_ai.prompt.1.role": "user",
                    "gen_ai.prompt.1.content": "Hello?",
                    "gen_ai.completion.0.role": "assistant",
                    "gen_ai.completion.0.content": "Hi.",
                    "gen_ai.usage.prompt_tokens": 5,
                    "gen_ai.usage.completion_tokens": 2,
                },
            )
        ]
    )
    assert body is not None
    assert [message["content"] for message in body["messages"]] == ["Be brief.", "Hello?"]
    assert (body["output"], body["model"], body["provider"]) == ("Hi.", "gpt-4", "openai")
    assert body["usage"] == {"input_tokens": 5, "output_tokens": 2}


def agent() -> list[WireSpan]:
    """An OpenInference agent: a chain with a retrieval, a tool that calls a model of its own, and the answer."""
    return [
        span(1, ms=900, name="support agent", attributes={
            "openinference.span.kind": "AGENT", "input.value": "Fee?", "output.value": "The fee is 4.90.",
            "session.id": "s-9", "user.id": "u-7", "metadata": '{"tier": "gold"}', "tag.tags": ["vip", "beta"],
        }),
        span(2, 1, start=10, ms=50, name="search", attributes={
            "openinference.span.kind": "RETRIEVER", "input.value": "fee",
            "retrieval.documents.1.document.content": "Second.", "retrieval.documents.1.document.score": 0.4,
            "retrieval.documents.0.document.id": "kb-12", "retrieval.documents.0.document.content": "Fees are 4.90.",
            "retrieval.documents.0.document.score": 0.83,
            "retrieval.documents.0.document.metadata": '{"title": "Price list"}',
        }),
        span(3, 1, start=70, ms=700, name="convert", attributes={
            "openinference.span.kind": "TOOL", "input.value": '{"amount": 4.9}', "output.value": "5.2"}),
        span(4, 3, start=80, ms=680, attributes={
            "openinference.span.kind": "LLM", "llm.model_name": "small", "llm.token_count.prompt": 10,
            "llm.output_messages.0.message.content": "inner"}),
        span(5, 1, start=100, ms=300, attributes={
            "openinference.span.kind": "LLM", "llm.model_name": "large", "llm.token_count.prompt": 100,
            "llm.token_count.completion": 20,
            "llm.input_messages.0.message.role": "system", "llm.input_messages.0.message.content": "Be kind.",
            "llm.input_messages.1.message.role": "user", "llm.input_messages.1.message.content": "Fee?",
            "llm.output_messages.0.message.role": "assistant", "llm.output_messages.0.message.content": "4.90",
        }),
    ]  # fmt: skip


def test_an_agents_whole_path_becomes_one_interaction() -> None:
    body = interaction(agent())
    assert body is not None
    assert body["output"] == "The fee is 4.90."
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert body["model"] == "large"
    assert body["usage"] == {"input_tokens": 110, "output_tokens": 20}
    assert [(d["id"], d["title"], d.get("score")) for d in body["documents"]] == [
        ("kb-12", "Price list", 0.83),
        ("doc-2", "", 0.4),
    ]
    assert [(s["kind"], s.get("parent_id")) for s in body["spans"]] == [
        ("agent", None),
        ("retriever", f"{1:016x}"),
        ("tool", f"{1:016x}"),
        ("llm", f"{3:016x}"),
        ("llm", f"{1:016x}"),
    ]
    assert body["spans"][2]["input"] == {"amount": 4.9}
    assert (body["user_id"], body["session_id"], body["tags"]) == ("u-7", "s-9", ["beta", "vip"])
    assert body["metadata"]["tier"] == "gold"


def test_every_order_of_arrival_gives_the_same_interaction() -> None:
    expected = interaction(agent())
    assert all(interaction(order) == expected for order in itertools.permutations(agent()))


def test_there_is_no_interaction_before_the_root_has_come() -> None:
    assert interaction(agent()[1:]) is None


def test_after_a_quiet_while_the_topmost_span_stands_for_a_root_that_reports_elsewhere() -> None:
    body = interaction([span(2, 1, attributes=CURRENT)], quiet=True)
    assert body is not None
    assert body["output"] == "Nothing."


def test_a_trace_that_never_speaks_of_a_model_is_no_interaction() -> None:
    assert interaction([span(1, attributes={"http.request.method": "GET"})], quiet=True) is None


def test_an_exception_of_the_root_is_the_error() -> None:
    failed = span(
        1,
        attributes=CURRENT | {"gen_ai.output.messages": None},
        error=True,
        status_message="boom",
        events=[Event("exception", START, {"exception.type": "TimeoutError", "exception.message": "after 30 s"})],
    )
    body = interaction([failed])
    assert body is not None
    assert (body["status"], body["error"]) == ("error", {"type": "TimeoutError", "message": "after 30 s"})


def test_tool_calls_are_kept_in_the_messages() -> None:
    attributes = CURRENT | {
        "gen_ai.input.messages": json.dumps(
            [
                {"role": "user", "parts": [{"type": "text", "content": "Weather?"}]},
                {
                    "role": "assistant",
                    "parts": [{"type": "tool_call", "id": "c1", "name": "weather", "arguments": {"c": "P"}}],
                },
                {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "result": "rain"}]},
            ]
        )
    }
    body = interaction([span(1, attributes=attributes)])
    assert body is not None
    assert body["messages"][2]["tool_calls"] == [{"id": "c1", "name": "weather", "arguments": {"c": "P"}}]
    assert body["messages"][3] == {"role": "tool", "content": "rain", "tool_call_id": "c1"}


def test_evaluation_events_and_annotations_become_scores_with_a_key() -> None:
    judged = span(
        1,
        attributes=CURRENT
        | {
            "annotations.0.annotation.name": "correct",
            "annotations.0.annotation.label": "no",
            "annotations.0.annotation.annotator_kind": "HUMAN",
        },
        events=[
            Event(
                "gen_ai.evaluation.result",
                START,
                {"gen_ai.evaluation.name": "faithful", "gen_ai.evaluation.score.value": 0.3},
            )
        ],
    )
    found = scores([judged])
    assert [(one["name"], one["value"], one["label"], one["person"]) for one in found] == [
        ("faithful", 0.3, "", False),
        ("correct", None, "no", True),
    ]
    assert len({one["key"] for one in found}) == 2


def test_hostile_attribute_keys_are_only_data() -> None:
    hostile = {"__proto__": 1, "__class__": "x", "project_id": 7, "gen_ai.prompt.99999999999.role": "x", "a.b.c": [1]}
    body = interaction([span(1, attributes=CURRENT | hostile)])
    assert body is not None
    assert body["spans"][0]["attributes"]["__proto__"] == 1


def test_json_and_protobuf_say_the_same() -> None:
    from google.protobuf.json_format import Parse
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    wire = {
        "resourceSpans": [{
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "chat"}}]},
            "scopeSpans": [{"scope": {"name": "lib"}, "spans": [{
                "traceId": TRACE, "spanId": f"{1:016x}", "name": "chat", "startTimeUnixNano": str(START),
                "endTimeUnixNano": str(START + 5), "status": {"code": 2, "message": "bad"},
                "attributes": [
                    {"key": "n", "value": {"intValue": "7"}}, {"key": "d", "value": {"doubleValue": 0.5}},
                    {"key": "b", "value": {"boolValue": True}},
                    {"key": "l", "value": {"arrayValue": {"values": [{"stringValue": "x"}]}}},
                    {"key": "m", "value": {"kvlistValue": {"values": [{"key": "k", "value": {"intValue": "1"}}]}}},
                ],
                "events": [{"name": "e", "timeUnixNano": "5", "attributes": []}],
            }]}],
        }]
    }  # fmt: skip
    as_json = decode(json.dumps(wire).encode(), "application/json; charset=utf-8")
    # protobuf's own JSON form wants base64 ids where OTLP's wants hex
    other = json.loads(json.dumps(wire))
    inner = other["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    import base64

    for key in ("traceId", "spanId"):
        inner[key] = base64.b64encode(bytes.fromhex(inner[key])).decode()
    message = Parse(json.dumps(other), ExportTraceServiceRequest())
    assert decode(message.SerializeToString(), "application/x-protobuf") == as_json
    assert as_json.spans[0].attributes == {"n": 7, "d": 0.5, "b": True, "l": ["x"], "m": {"k": 1}}


def test_spans_without_proper_ids_are_refused_with_a_reason_and_the_others_kept() -> None:
    wire = {"resourceSpans": [{"scopeSpans": [{"spans": [
        {"traceId": "zz", "spanId": "1", "name": "odd"},
        {"traceId": "0" * 32, "spanId": f"{1:016x}", "name": "zero"},
        {"traceId": TRACE, "spanId": f"{1:016x}", "name": "good"},
        7,
    ]}]}]}  # fmt: skip
    request = decode(json.dumps(wire).encode(), "application/json")
    assert [one.name for one in request.spans] == ["good"]
    assert len(request.rejected) == 3
