"""OpenAI Evals, the shape of the older ``openai/evals`` framework: ``input`` and ``ideal``, one sample a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from evals.formats import Format, chat, json_lines
from evals.source import Source


def entries(source: Source) -> Iterator[dict[str, Any]]:
    """One sample for each example that has a desired answer: its templates cannot do without."""
    for row in source.rows():
        if chat.desired(row) and row["input"].get("messages"):
            yield {"input": chat.openai(row), "ideal": chat.desired(row), "id": row["key"]}
        else:
            source.skip(chat.NO_OUTPUT)


def write(source: Source) -> Iterator[bytes]:
    """The file in pieces."""
    return json_lines(entries(source))


FORMAT = Format(
    slug="openai-evals-legacy",
    label="OpenAI Evals, older framework",
    note="Samples for the command oaieval",
    suffix=".oaieval.jsonl",
    media_type="application/x-ndjson",
    write=write,
    position=11,
)
