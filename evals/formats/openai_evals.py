"""OpenAI Evals, the API's shape: one ``{"item": …}`` a line (https://platform.openai.com/docs/guides/evals).

In a bundle ``eval.json`` lies beside it: the body of ``POST /v1/evals`` that fits these items.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from evals import lines
from evals.formats import Format, Writer, chat, json_lines
from evals.source import Source

_TEXT: dict[str, Any] = {"type": "string"}
_MESSAGE: dict[str, Any] = {"type": "object", "properties": {"role": _TEXT}, "required": ["role"]}
ITEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": _TEXT, "split": _TEXT, "question": _TEXT, "ideal": _TEXT, "verdict": _TEXT, "category": _TEXT,
        "input": {"type": "array", "items": _MESSAGE},
        "context": {"type": "array", "items": _TEXT},
        "must": {"type": "array", "items": _TEXT},
        "must_not": {"type": "array", "items": _TEXT},
        "tags": {"type": "array", "items": _TEXT},
    },
    "required": ["id", "input", "ideal"],
}  # fmt: skip


def item(row: dict[str, Any]) -> dict[str, Any]:
    """One item. All fields are always there, so that templates such as ``{{item.category}}`` never fail."""
    said = chat.label(row)
    return {
        "id": row["key"], "split": row["split"], "question": chat.question(row), "input": chat.openai(row),
        "ideal": chat.desired(row), "context": chat.contents(row), "must": chat.asserted(row, "must"),
        "must_not": chat.asserted(row, "must_not"), "verdict": said.get("verdict") or "",
        "category": said.get("category") or "", "tags": row["tags"],
    }  # fmt: skip


def evaluation(source: Source) -> dict[str, Any]:
    """The eval that these items are made for: the answer is compared with the ideal one."""
    version = source.version
    return {
        "name": f"{version.dataset.slug}@{version.number}",
        "data_source_config": {"type": "custom", "item_schema": ITEM_SCHEMA, "include_sample_schema": True},
        "testing_criteria": [
            {
                "type": "text_similarity", "name": "Like the desired answer", "input": "{{sample.output_text}}",
                "reference": "{{item.ideal}}", "evaluation_metric": "rouge_l", "pass_threshold": 0.5,
            }
        ],
        "metadata": {"sha256": version.checksum},
    }  # fmt: skip


def write(source: Source) -> Iterator[bytes]:
    """The items."""
    return json_lines({"item": item(row)} for row in source.rows())


def _evaluation(source: Source) -> Iterator[bytes]:
    yield lines.canonical(evaluation(source)) + b"\n"


def beside(source: Source) -> Iterable[tuple[str, Writer]]:
    """What a bundle holds besides the items."""
    return [("eval.json", _evaluation)]


FORMAT = Format(
    slug="openai-evals",
    label="OpenAI Evals",
    note="Items for the Evals API",
    suffix=".openai-evals.jsonl",
    media_type="application/x-ndjson",
    write=write,
    position=10,
    beside=beside,
)
