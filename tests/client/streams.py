"""A model provider that streams when it is asked to, calls tools, refuses and breaks off, for the real libraries."""

from __future__ import annotations

import json
from typing import Any

from tests.fakes.provider import Call
from tests.fakes.server import Answer

WORDS = ("Closing ", "costs ", "nothing.")
ANSWER = "".join(WORDS)
ARGUMENTS = ('{"city": ', '"Kraków"}')


def reply(call: Call) -> Any:
    if call.model == "broken":
        return Answer(400, b'{"error": {"message": "overloaded"}}')
    tools = bool(call.body.get("tools"))
    if call.body.get("stream"):
        return {"chat": _chat, "responses": _responses, "messages": _messages}[call.api](call, tools)
    if tools and call.api == "chat":
        return Answer(200, json.dumps(_chat_with_tool(call)).encode())
    return {"city": "Kraków"} if tools and call.api == "messages" else ANSWER


def _sse(events: list[dict[str, Any]], *, named: bool, end: str = "") -> Answer:
    lines = [(f"event: {event['type']}\n" if named else "") + f"data: {json.dumps(event)}\n\n" for event in events]
    return Answer(200, ("".join(lines) + end).encode(), content_type="text/event-stream")


def _chat(call: Call, tools: bool) -> Answer:
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": call.model}

    def says(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    pieces = [says({"role": "assistant", "content": ""}), *(says({"content": word}) for word in WORDS)]
    if tools:
        call_start = {"index": 0, "id": "call-1", "type": "function", "function": {"name": "weather", "arguments": ""}}
        pieces = [says({"role": "assistant", "tool_calls": [call_start]})]
        pieces += [says({"tool_calls": [{"index": 0, "function": {"arguments": part}}]}) for part in ARGUMENTS]
    pieces.append(says({}, "tool_calls" if tools else "stop"))
    usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120,
             "prompt_tokens_details": {"cached_tokens": 64}}  # fmt: skip
    if (call.body.get("stream_options") or {}).get("include_usage"):
        pieces.append({**chunk, "choices": [], "usage": usage})
    if call.model == "breaks-off":
        return _sse([*pieces[:3], {"error": {"message": "the model fell over"}}], named=False)
    return _sse(pieces, named=False, end="data: [DONE]\n\n")


def _chat_with_tool(call: Call) -> dict[str, Any]:
    function = {"name": "weather", "arguments": "".join(ARGUMENTS)}
    message = {"role": "assistant", "content": None, "refusal": None,
               "tool_calls": [{"id": "call-1", "type": "function", "function": function}]}  # fmt: skip
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": call.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
    }  # fmt: skip


def _responses(call: Call, tools: bool) -> Answer:
    part = {"type": "output_text", "text": ANSWER, "annotations": []}
    whole = {
        "id": "resp-1", "object": "response", "created_at": 1, "model": call.model, "status": "completed",
        "output": [{"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": [part]}],
        "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
        "usage": {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120,
                  "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}},
    }  # fmt: skip
    where = {"item_id": "m", "output_index": 0, "content_index": 0}
    item = {"id": "m", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {**whole, "status": "in_progress", "output": [], "usage": None}},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.content_part.added", **where, "part": {**part, "text": ""}},
        *({"type": "response.output_text.delta", **where, "delta": word, "logprobs": []} for word in WORDS),
        {"type": "response.completed", "response": whole},
    ]  # fmt: skip
    return _sse([{**event, "sequence_number": place} for place, event in enumerate(events)], named=True)


def _messages(call: Call, tools: bool) -> Answer:
    message = {
        "id": "msg-1", "type": "message", "role": "assistant", "model": call.model, "content": [], "stop_reason": None,
        "stop_sequence": None, "usage": {"input_tokens": 36, "cache_read_input_tokens": 64, "output_tokens": 1},
    }  # fmt: skip
    block: dict[str, Any] = {"type": "text", "text": ""}
    deltas: list[dict[str, Any]] = [{"type": "text_delta", "text": word} for word in WORDS]
    if tools:
        block = {"type": "tool_use", "id": "call-1", "name": "weather", "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": part} for part in ARGUMENTS]
    reason = {"stop_reason": "tool_use" if tools else "end_turn", "stop_sequence": None}
    events = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": reason, "usage": {"output_tokens": 20}},
        {"type": "message_stop"},
    ]
    return _sse(events, named=True)
