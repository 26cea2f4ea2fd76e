"""Langfuse: one dataset item a line, each the body of ``POST /api/public/dataset-items``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from evals.formats import Format, json_lines
from evals.source import Source


def item(row: dict[str, Any], dataset: str) -> dict[str, Any]:
    """One item. Its id is unique in a Langfuse project, so that posting it again replaces it."""
    return {
        "datasetName": dataset, "id": f"{dataset}:{row['key']}", "input": row["input"],
        "expectedOutput": row["expected"], "status": "ACTIVE",
        "metadata": {
            **row["metadata"], "key": row["key"], "split": row["split"], "tags": row["tags"],
            "provenance": row["provenance"],
        },
    }  # fmt: skip


def write(source: Source) -> Iterator[bytes]:
    """The file in pieces."""
    return json_lines(item(row, source.version.dataset.slug) for row in source.rows())


FORMAT = Format(
    slug="langfuse",
    label="Langfuse dataset items",
    note="Bodies for the public API",
    suffix=".langfuse.jsonl",
    media_type="application/x-ndjson",
    write=write,
    position=16,
)
