"""Inspect AI: one sample a line, as ``inspect_ai.dataset.json_dataset`` reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from evals.formats import Format, chat, json_lines
from evals.source import Source
from feedback.models import text_of


def _message(message: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"role": message["role"], "content": text_of(message.get("content"))}
    if message.get("tool_calls"):
        found["tool_calls"] = [
            {"id": call["id"], "function": call["function"]["name"], "arguments": _arguments(call), "type": "function"}
            for call in message["tool_calls"]
        ]
    if message["role"] == "tool" and message.get("tool_call_id"):
        found["tool_call_id"] = message["tool_call_id"]
    return found


def _arguments(call: dict[str, Any]) -> dict[str, Any]:
    try:
        found = json.loads(call["function"]["arguments"])
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"arguments": call["function"]["arguments"]}


def sample(row: dict[str, Any]) -> dict[str, Any]:
    """One sample. ``target`` is the desired answer; what else is expected is in ``metadata``, for scorers."""
    said = chat.label(row)
    return {
        "id": row["key"], "input": [_message(message) for message in chat.openai(row)], "target": chat.desired(row),
        "metadata": {
            "split": row["split"], "must": chat.asserted(row, "must"), "must_not": chat.asserted(row, "must_not"),
            "schema": row["expected"].get("schema"), "verdict": said.get("verdict"), "category": said.get("category"),
            "severity": said.get("severity"), "documents": row["input"].get("documents") or [],
            "tools": chat.tools(row), "tags": row["tags"], "recorded_answer": row["metadata"].get("answer"),
        },
    }  # fmt: skip


def write(source: Source) -> Iterator[bytes]:
    """The file in pieces. A sample has to ask something, so that examples without messages are left out."""

    def samples() -> Iterator[dict[str, Any]]:
        for row in source.rows():
            if row["input"].get("messages"):
                yield sample(row)
            else:
                source.skip(chat.NO_QUESTION)

    return json_lines(samples())


FORMAT = Format(
    slug="inspect",
    label="Inspect AI samples",
    note="For json_dataset",
    suffix=".inspect.jsonl",
    media_type="application/x-ndjson",
    write=write,
    position=14,
)
