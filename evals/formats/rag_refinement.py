"""The list for whoever tends the retrieval: failed answers with the documents that were wrong and what was missing.

An example is in it if its category is a retrieval miss, if a reviewer marked a passage of a document, or if most of
a sentence of the desired answer stands in no document that was retrieved.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from evals.detectors.groundedness import unsupported
from evals.formats import Format, chat, json_lines
from evals.source import Source
from feedback.models import text_of

MISS = "retrieval-miss"
NOT_RETRIEVAL = "not a failure of retrieval"


def entry(row: dict[str, Any]) -> dict[str, Any] | None:
    """What the retrieval should have done; None where it did no wrong that can be seen."""
    said, documents = chat.label(row), row["input"].get("documents") or []
    marks = row["metadata"].get("document_marks") or []
    missing = unsupported(chat.desired(row), chat.contents(row)) if chat.desired(row) and documents else []
    if said.get("verdict") != "fail" or not (said.get("category") == MISS or marks or missing):
        return None
    wrong = {str(mark.get("ref")) for mark in marks}
    return {
        "id": row["key"], "interaction_id": row["provenance"].get("interaction_id"), "question": chat.question(row),
        "problem": "missing" if not wrong else "wrong" if not missing else "missing and wrong",
        "missing": missing or ([chat.desired(row)] if said.get("category") == MISS and chat.desired(row) else []),
        "wrong": [
            {"id": document.get("id"), "title": document.get("title"),
             "passages": [{"text": mark.get("text"), "category": mark.get("category")}
                          for mark in marks if str(mark.get("ref")) == str(document.get("id"))]}
            for document in documents if str(document.get("id")) in wrong
        ],
        "retrieved": [
            {"rank": rank, "id": document.get("id"), "title": document.get("title"), "score": document.get("score"),
             "characters": len(text_of(document.get("content")))}
            for rank, document in enumerate(documents, 1)
        ],
        "desired_output": chat.desired(row), "recorded_answer": row["metadata"].get("answer") or "",
        "category": said.get("category"), "severity": said.get("severity"),
    }  # fmt: skip


def write(source: Source) -> Iterator[bytes]:
    """The file in pieces."""

    def entries() -> Iterator[dict[str, Any]]:
        for row in source.rows():
            found = entry(row)
            if found is None:
                source.skip(NOT_RETRIEVAL)
            else:
                yield found

    return json_lines(entries())


FORMAT = Format(
    slug="rag-refinement",
    label="Retrieval to mend",
    note="Failed retrievals: what was wrong, what was missing",
    suffix=".rag-refinement.jsonl",
    media_type="application/x-ndjson",
    write=write,
    position=24,
)
