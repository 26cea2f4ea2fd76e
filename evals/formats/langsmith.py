"""LangSmith: one example a line, as ``Client.create_examples`` and the upload of JSON Lines take it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from evals.formats import Format, chat, json_lines
from evals.source import Source

_SPACE = uuid.UUID("6f1d0a52-5b0e-5e5f-9a3c-6d9f7b1c2a44")


def entry(row: dict[str, Any], dataset: str) -> dict[str, Any]:
    """One example. Its id follows from the dataset and the key, so that uploading it again replaces it."""
    return {
        "id": str(uuid.uuid5(_SPACE, f"{dataset}/{row['key']}")),
        "inputs": {**row["input"], "question": chat.question(row)},
        "outputs": row["expected"],
        "metadata": {**row["metadata"], "key": row["key"], "tags": row["tags"], "provenance": row["provenance"]},
        "split": row["split"],
    }


def write(source: Source) -> Iterator[bytes]:
    """The file in pieces."""
    name = f"{source.version.dataset.project.slug}/{source.version.dataset.slug}"
    return json_lines(entry(row, name) for row in source.rows())


FORMAT = Format(
    slug="langsmith",
    label="LangSmith examples",
    note="Inputs, outputs, metadata, split",
    suffix=".langsmith.jsonl",
    media_type="application/x-ndjson",
    write=write,
    position=15,
)
