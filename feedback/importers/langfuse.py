"""Langfuse: exports to blob storage, exports of the pages (JSON, CSV) and answers of the API, mixed as you like.

Rows are traces, observations (with the trace's fields or without) and scores; each says by its fields what it is.
Source: Langfuse documentation, "Blob storage export field reference"; ``packages/shared`` of langfuse/langfuse.
"""

from __future__ import annotations

from typing import Any

from feedback.importers import trees, verdicts
from feedback.importers.records import Piece, Record, register_traces
from feedback.importers.shapes import Values, mapping, nanoseconds, number, parsed, pick, snake, text
from feedback.importers.trees import Step, Whole
from feedback.importers.verdicts import Verdict
from feedback.telemetry import assemble

KINDS = {
    "GENERATION": "LLM", "EMBEDDING": "EMBEDDING", "AGENT": "AGENT", "TOOL": "TOOL", "CHAIN": "CHAIN",
    "RETRIEVER": "RETRIEVER", "EVALUATOR": "EVALUATOR", "GUARDRAIL": "GUARDRAIL", "SPAN": "CHAIN", "EVENT": "CHAIN",
}  # fmt: skip
# The columns of an exported trace; any other column that holds a list is a score of that name.
COLUMNS = {
    "id", "timestamp", "name", "user_id", "session_id", "release", "version", "environment", "tags", "bookmarked",
    "public", "input", "output", "metadata", "latency", "usage", "level", "observations", "scores", "comments",
    "usage_details", "cost_details", "html_path", "project_id", "created_at", "updated_at", "external_id",
}  # fmt: skip
FIELDS = COLUMNS | {
    "trace_id", "trace_name", "observation_id", "parent_observation_id", "type", "start_time", "end_time",
    "completion_start_time", "status_message", "provided_model_name", "model", "model_id", "model_parameters",
    "prompt_name", "prompt_version", "tool_definitions", "total_cost", "calculated_total_cost", "input_tokens",
    "output_tokens", "prompt_tokens", "completion_tokens", "data_type", "string_value", "value", "source", "comment",
    "author_user_id", "author_user_name", "author_name", "config_id", "queue_id",
}  # fmt: skip


def take_apart(row: Values) -> list[Piece]:
    row = _plain(row)
    if _is_score(row):
        trace = text(row, "trace_id")
        if not trace:
            raise ValueError("a score of a session or of a dataset run, which is about no trace")
        return [Piece(row, trace)]
    if "start_time" in row:
        return [Piece(row, row["trace_id"] or row["id"], span=row["id"])]
    if "timestamp" not in row:
        raise ValueError("neither a trace (timestamp) nor an observation (start_time) nor a score (data_type)")
    inner = [
        {**_plain(entry), "trace_id": row["id"]}
        for name in ("observations", "scores")
        for entry in row.pop(name, None) or ()
        if isinstance(entry, dict)
    ]
    return [Piece(row, row["id"]), *(piece for entry in inner for piece in take_apart(entry))]


def _plain(row: Values) -> Values:
    """The fields that are known in one spelling; columns of scores carry names that people chose, and keep them."""
    return {spelt if (spelt := snake(name)) in FIELDS else name: value for name, value in row.items()}


def _is_score(row: Values) -> bool:
    return "start_time" not in row and ("data_type" in row or {"source", "value"} <= row.keys())


def recognises(row: Values) -> bool:
    row = _plain(row)
    if "start_time" in row:
        return {"id", "type"} <= row.keys() and "run_type" not in row and str(row["type"]) in KINDS
    if _is_score(row):
        return "name" in row and bool({"trace_id", "session_id"} & row.keys())
    return {"id", "timestamp"} <= row.keys() and bool({"bookmarked", "public", "html_path"} & row.keys())


def put_together(trace: str, rows: list[Values]) -> Record:
    record = Record()
    whole = next((row for row in rows if "timestamp" in row and not _is_score(row)), None)
    observations = {row["id"]: row for row in rows if "start_time" in row}
    if whole is not None or observations:
        steps = [_step(row) for row in observations.values()]
        root = next((row for row in observations.values() if not row.get("parent_observation_id")), {})
        if whole is not None:
            steps.insert(0, _trace(whole))
            steps = [_below(step, whole["id"]) for step in steps]
        record.interactions.append(trees.interaction(trace, _whole(whole or {}, root), steps))
        record.scores.extend(_columns(trace, whole or {}))
    for row in rows:
        if _is_score(row):
            verdicts.add(record, _verdict(trace, row))
    return record


def _trace(row: Values) -> Step:
    return Step(
        id=row["id"], kind=trees.WHOLE, name=text(row, "name"), start=nanoseconds(row["timestamp"]),
        input=row.get("input"), output=row.get("output"),
    )  # fmt: skip


def _below(step: Step, root: str) -> Step:
    if step.id != root and not step.parent:
        step.parent = root
    return step


def _whole(row: Values, root: Values) -> Whole:
    """The trace's own row, else what its first observation says of it."""
    both = {**root, **{name: value for name, value in row.items() if value not in (None, "")}}
    seconds = number(row.get("latency"))
    notes = {
        name: both[name]
        for name in ("version", "bookmarked", "public")
        if both.get(name) not in {None, False, "", "false"}
    }
    tags = parsed(both.get("tags"))
    return Whole(
        peer="langfuse", name=text(row, "name") or text(root, "trace_name", "name"), session=text(both, "session_id"),
        user=text(both, "user_id"), environment=text(both, "environment"), release=text(both, "release"),
        tags=tags if isinstance(tags, list) else (), metadata={**mapping(both.get("metadata")), **notes},
        cost=_cost(row), latency_ms=round(seconds * 1000, 3) if seconds is not None else None,
        usage={
            "input": number(pick(row, "input_tokens", "prompt_tokens")),
            "output": number(pick(row, "output_tokens", "completion_tokens")),
        },
    )  # fmt: skip


def _step(row: Values) -> Step:
    kind = KINDS.get(str(row.get("type") or "SPAN").upper(), "CHAIN")
    tools = parsed(row.get("tool_definitions"))
    failed = str(row.get("level") or "") == "ERROR"
    return Step(
        id=row["id"], parent=text(row, "parent_observation_id"), kind=kind, name=text(row, "name"),
        start=nanoseconds(row["start_time"]), end=nanoseconds(row.get("end_time")),
        first_token=nanoseconds(row.get("completion_start_time")), input=row.get("input"), output=row.get("output"),
        error=(text(row, "status_message") or "failed") if failed else "",
        model=text(row, "provided_model_name", "model", "model_id") if kind in {"LLM", "EMBEDDING"} else "",
        usage=_usage(row), cost=_cost(row),
        parameters=mapping(row.get("model_parameters")), prompt=text(row, "prompt_name"),
        prompt_version=text(row, "prompt_version"), metadata=mapping(row.get("metadata")),
        tools=list(tools.values()) if isinstance(tools, dict) else tools if isinstance(tools, list) else [],
    )  # fmt: skip


def _cost(row: Values) -> float | None:
    """Enriched exports say 0 where the model's price is not known; that is not a price."""
    cost = number(pick(row, "total_cost", "calculated_total_cost"))
    return cost if cost or mapping(row.get("cost_details")) else None


def _usage(row: Values) -> dict[str, float | None]:
    """Langfuse counts cached tokens beside the input, we count them within."""
    details, usage = mapping(row.get("usage_details")), mapping(row.get("usage"))
    given = number(pick(details, "input", "prompt_tokens", "input_tokens") or pick(usage, "input", "promptTokens"))
    cached = number(pick(details, "input_cached_tokens", "cache_read_input_tokens", "input_cache_read"))
    return {
        "input": given + cached if given is not None and cached else given,
        "output": number(
            pick(details, "output", "completion_tokens", "output_tokens") or pick(usage, "output", "completionTokens")
        ),
        "cached_input": cached,
    }


def _verdict(trace: str, row: Values) -> Verdict:
    kind, word = str(row.get("data_type") or "").upper(), text(row, "string_value")
    value = row.get("value")
    if isinstance(value, str) and number(value) is None:
        word, value = word or value, None
    numeric = kind not in {"TEXT", "CATEGORICAL", "CORRECTION"}
    return Verdict(
        trace=trace, key=verdicts.key("langfuse", str(row["id"])), name=text(row, "name") or "score",
        number=number(value) if numeric else None,
        word=word if kind not in {"BOOLEAN", "NUMERIC", "CORRECTION"} else "",
        comment=text(row, "comment"), correction=word if kind == "CORRECTION" else "", free=kind == "TEXT",
        yes_no=kind == "BOOLEAN", person=str(row.get("source") or "").upper() == "ANNOTATION",
        who=text(row, "author_user_id"), called=text(row, "author_user_name", "author_name"), at=_moment(row),
        span=text(row, "observation_id"),
        extra={
            **mapping(row.get("metadata")),
            **{name: row[name] for name in ("source", "config_id", "queue_id") if row.get(name)},
        },
    )  # fmt: skip


def _moment(row: Values) -> str | None:
    at = nanoseconds(pick(row, "timestamp", "created_at"))
    return assemble.moment(at) if at else None


def _columns(trace: str, row: Values) -> list[dict[str, Any]]:
    """The scores that an exported table of traces has as columns: values without author, time or id."""
    found: list[dict[str, Any]] = []
    for name, column in row.items():
        values = parsed(column)
        if name in COLUMNS or not isinstance(values, list):
            continue
        for place, value in enumerate(values):
            score = {
                "interaction_id": trace,
                "name": name[:100],
                "key": verdicts.key("langfuse", trace, name, str(place)),
            }
            known = number(value)
            found.append({**score, "value": known} if known is not None else {**score, "label": str(value)[:200]})
    return found


register_traces(
    "langfuse", "Langfuse: traces, observations and scores, from blob storage, the pages or the API",
    take_apart=take_apart, put_together=put_together, recognises=recognises,
)  # fmt: skip
