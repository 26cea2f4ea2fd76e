"""Direct preference optimisation, as OpenAI's API takes it: the desired answer preferred to the rejected one.

https://platform.openai.com/docs/guides/direct-preference-optimization. The rejected answer is the recorded one that
people judged a failure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from evals.formats import Format, chat, json_lines
from evals.source import Source


def pairs(source: Source) -> Iterator[dict[str, Any]]:
    """The examples that have both a rejected and a desired answer, and messages before them."""
    for row in source.rows():
        if chat.rejected(row) and chat.desired(row) and row["input"].get("messages"):
            yield row
        else:
            source.skip(chat.NO_PAIR)


def entry(row: dict[str, Any]) -> dict[str, Any]:
    """One pair."""
    tools = chat.tools(row)
    asked = {"messages": chat.openai(row), **({"tools": tools, "parallel_tool_calls": True} if tools else {})}
    return {
        "input": asked,
        "preferred_output": chat.answer(chat.desired(row)),
        "non_preferred_output": chat.answer(chat.rejected(row)),
    }


def write(source: Source) -> Iterator[bytes]:
    """The file in pieces."""
    return json_lines(map(entry, pairs(source)))


FORMAT = Format(
    slug="openai-dpo",
    label="Preference pairs (DPO)",
    note="Rejected answers beside the desired ones, for OpenAI",
    suffix=".openai-dpo.jsonl",
    media_type="application/x-ndjson",
    write=write,
    position=21,
    trains=True,
)
