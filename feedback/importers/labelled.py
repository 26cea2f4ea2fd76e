"""The common shape of public data sets with human labels, which the modules beside this one register.

Keys of a record: ``id``, ``app``, ``task``, ``group``, ``model``, ``messages``, ``context`` (sources), ``output``,
``metadata``, ``feedback`` (thumb, rating, comment), ``judge_labels``, ``human_labels``. Absent means empty.
"""

from __future__ import annotations

from typing import Any

from feedback.importers.records import HumanLabel, Record

# From the keys of ``metadata`` to the fields of an interaction.
NUMBERS = {"latency_ms": "latency_ms", "ttft_ms": "time_to_first_token_ms"}
TOKENS = {
    "input_tokens": "input_tokens", "context_tokens": "input_tokens", "output_tokens": "output_tokens",
    "generated_tokens": "output_tokens",
}  # fmt: skip


def convert(record: dict[str, Any]) -> Record:
    """One record of any of these sets, if it has a single output or none; a pair of candidates is refused."""
    if "candidates" in record and "output" not in record:
        raise ValueError("a pair of candidates has no single output to review")
    external_id = record["id"]
    return Record(
        interactions=[_interaction(record)],
        feedback=[_feedback(external_id, place, entry) for place, entry in enumerate(record.get("feedback", []))],
        scores=[_score(external_id, place, entry) for place, entry in enumerate(record.get("judge_labels", []))],
        labels=[_label(external_id, place, entry) for place, entry in enumerate(record.get("human_labels", []))],
    )


def _interaction(record: dict[str, Any]) -> dict[str, Any]:
    metadata = dict(record.get("metadata") or {})
    usage = {field: metadata.pop(name) for name, field in TOKENS.items() if metadata.get(name) is not None}
    numbers = {field: metadata.pop(name) for name, field in NUMBERS.items() if metadata.get(name) is not None}
    code, message = metadata.pop("error_code", None), metadata.pop("error_msg", None)
    item: dict[str, Any] = {
        "id": record["id"], "feature": record.get("app") or "", "model": record.get("model") or "",
        "provider": metadata.pop("provider", None) or "", "output": record.get("output") or "", **numbers,
        "metadata": {**metadata, "task": record.get("task") or "", "group": record.get("group") or ""},
        "tags": [record["dataset"]] if record.get("dataset") else [],
    }  # fmt: skip
    # Sets whose prompts could not be published have no messages: the question is then unknown, not "".
    item |= {"messages": record["messages"]} if record.get("messages") else {"input": ""}
    item |= {name: record[name] for name in ("session_id", "user_id", "created_at") if record.get(name)}
    if usage:
        item["usage"] = usage
    if code is not None:
        item["error"] = {"type": str(code), "message": str(message or "")}
    if record.get("context"):
        item["documents"] = [_document(source) for source in record["context"]]
    return item


def _document(source: dict[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in source.items() if name not in {"id", "title", "text"}}
    return {
        "id": str(source["id"]), "title": source.get("title") or "", "content": source.get("text") or "",
        **({"metadata": rest} if rest else {}),
    }  # fmt: skip


def _feedback(external_id: str, place: int, entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "interaction_id": external_id, "kind": "thumbs", "value": entry["thumb"], "comment": entry.get("comment") or "",
        # Where the set names no user, each entry is another person at this position.
        "user_id": entry.get("user") or f"slot{place + 1}", "key": f"{external_id}:feedback:{place}",
        "metadata": {} if entry.get("rating") is None else {"rating": entry["rating"]},
    }  # fmt: skip


def _score(external_id: str, place: int, entry: dict[str, Any]) -> dict[str, Any]:
    question = f" {entry['question']}" if entry.get("question") else ""
    detail = {name: entry[name] for name in ("probs", "level", "preferred_output") if entry.get(name) is not None}
    score = {
        "interaction_id": external_id, "name": f"{entry['judge']}{question}"[:100],
        "label": str(entry.get("label") or ""), "explanation": entry.get("comment") or "", "detail": detail,
        "key": f"{external_id}:judge:{place}",
    }  # fmt: skip
    return score if entry.get("score") is None else {**score, "value": entry["score"]}


def _label(external_id: str, place: int, entry: dict[str, Any]) -> HumanLabel:
    span = entry.get("span") or {}
    return HumanLabel(
        interaction_id=external_id, key=f"{external_id}:label:{place}", annotator=entry.get("annotator") or "",
        level=entry.get("level") or "response", label=str(entry.get("label") or ""),
        category=entry.get("category") or "", severity=str(entry.get("severity") or ""), score=entry.get("score"),
        question=entry.get("question") or "", start=span.get("start"), end=span.get("end"),
        quote=span.get("text") or "", target=entry.get("target") or "", comment=entry.get("comment") or "",
        preferred_output=entry.get("preferred_output") or "",
    )  # fmt: skip
