"""Supervised fine-tuning, as OpenAI's API takes it: the conversation with the desired answer as its last message.

https://platform.openai.com/docs/guides/supervised-fine-tuning. Only that last answer is learned: what the assistant
said before was not judged, so it has ``weight`` 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from evals.formats import Format, chat, json_lines
from evals.source import Source


def entries(source: Source) -> Iterator[dict[str, Any]]:
    """One training example for each golden one that has a desired answer."""
    for row in source.rows():
        messages = chat.openai(row)
        if not messages or not chat.desired(row):
            source.skip(chat.NO_QUESTION if not messages else chat.NO_OUTPUT)
            continue
        told = [{**message, "weight": 0} if message["role"] == "assistant" else message for message in messages]
        tools = chat.tools(row)
        yield {"messages": told + chat.answer(chat.desired(row)), **({"tools": tools} if tools else {})}


def write(source: Source) -> Iterator[bytes]:
    """The file in pieces."""
    return json_lines(entries(source))


FORMAT = Format(
    slug="openai-sft",
    label="Fine-tuning, chat format",
    note="For OpenAI and whoever takes its files",
    suffix=".openai-sft.jsonl",
    media_type="application/x-ndjson",
    write=write,
    position=20,
    trains=True,
)
