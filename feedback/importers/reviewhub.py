"""Our own lines: interactions, feedback and scores in the shapes of the API, mixed as you like."""

from __future__ import annotations

from typing import Any

from feedback import schema
from feedback.importers.records import Record, register


def recognises(record: dict[str, Any]) -> bool:
    if {"timestamp", "start_time", "run_type", "trace_id", "trace", "context", "resourceSpans"} & record.keys():
        return False
    return bool({"interaction_id", "messages", "input"} & record.keys())


@register("reviewhub", "Interactions, feedback and scores as the API takes and gives them", recognises=recognises)
def convert(record: dict[str, Any]) -> Record:
    """``type`` (interaction, feedback or score) may say what a line is; else its fields do.

    What names no id or key gets one from its content, so that a second import adds nothing.
    """
    item = {name: value for name, value in record.items() if name != "type"}
    kind = record.get("type") or _kind(item)
    if kind == "interaction":
        return Record(interactions=[{**item, "id": item.get("id") or f"line_{_mark(item)}"}])
    item["key"] = item.get("key") or f"import:{_mark(item)}"
    if kind == "feedback":
        return Record(feedback=[item])
    if kind == "score":
        return Record(scores=[item])
    raise ValueError(f"type is interaction, feedback or score, not {kind!r}")


def _mark(item: dict[str, Any]) -> str:
    return schema.fingerprint(schema.canonical(item)[1]).hex()[:32]


def _kind(item: dict[str, Any]) -> str:
    if "interaction_id" not in item:
        return "interaction"
    return "feedback" if "kind" in item else "score"
