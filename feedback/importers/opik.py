"""Opik: the files of ``opik export`` (one trace with its spans in each), or traces and spans one by one, as JSON.

Source: ``opik/cli/exports`` and ``opik/rest_api/types`` of comet-ml/opik.
"""

from __future__ import annotations

from feedback.importers import trees, verdicts
from feedback.importers.records import Piece, Record, register_traces
from feedback.importers.shapes import Values, mapping, nanoseconds, number, parsed, pick, text
from feedback.importers.trees import Step, Whole
from feedback.importers.verdicts import Verdict
from feedback.telemetry import assemble

KINDS = {"llm": "LLM", "tool": "TOOL", "guardrail": "GUARDRAIL", "general": "CHAIN"}
PARAMETERS = ("temperature", "top_p", "top_k", "max_tokens", "seed", "stop")


def take_apart(row: Values) -> list[Piece]:
    if "trace_id" in row and "trace_start_time" in row:
        raise ValueError("a CSV file of opik has no readable scores; export it as JSON, which is the default")
    if isinstance(row.get("trace"), dict):
        whole = {**row["trace"], **({"project_name": row["project_name"]} if row.get("project_name") else {})}
        trace = str(whole["id"])
        inner = [{**span, "trace_id": trace} for span in row.get("spans") or () if isinstance(span, dict)]
        return [Piece(whole, trace), *(Piece(span, trace, span=str(span["id"])) for span in inner)]
    if "start_time" not in row:
        raise ValueError("neither a file of opik export (trace, spans) nor a trace or a span (start_time)")
    if row.get("trace_id"):
        return [Piece(row, str(row["trace_id"]), span=str(row["id"]))]
    return [Piece(row, str(row["id"]))]


def recognises(row: Values) -> bool:
    if isinstance(row.get("trace"), dict) or {"trace_id", "trace_start_time"} <= row.keys():
        return True
    if "start_time" not in row or "context" in row:
        return False
    return bool({"feedback_scores", "thread_id", "total_estimated_cost", "error_info", "span_count"} & row.keys())


def put_together(trace: str, rows: list[Values]) -> Record:
    record = Record()
    whole = next((row for row in rows if not row.get("trace_id")), None)
    spans = {str(row["id"]): row for row in rows if row.get("trace_id")}
    steps = [_step(span) for span in spans.values()]
    if whole is not None:
        steps.insert(0, _trace(whole))
        for step in steps[1:]:
            step.parent = step.parent or trace
    root = whole or next((span for span in spans.values() if not span.get("parent_span_id")), rows[0])
    record.interactions.append(trees.interaction(trace, _whole(root), steps))
    for row in (whole, *spans.values()) if whole else spans.values():
        _say(record, trace, row)
    return record


def _trace(row: Values) -> Step:
    step = _step(row)
    step.id, step.kind, step.usage, step.cost = str(row["id"]), trees.WHOLE, {}, None
    return step


def _whole(row: Values) -> Whole:
    tags, metadata, usage = parsed(row.get("tags")), mapping(row.get("metadata")), mapping(row.get("usage"))
    notes = {name: row[name] for name in ("project_name", "created_by") if row.get(name)}
    return Whole(
        peer="opik", name=text(row, "name"), session=text(row, "thread_id"), user=text(metadata, "user_id", "user"),
        environment=text(metadata, "environment") or text(row, "environment"), release=text(metadata, "release"),
        tags=tags if isinstance(tags, list) else (), metadata={**metadata, **notes},
        cost=number(row.get("total_estimated_cost")),
        usage={"input": number(usage.get("prompt_tokens")), "output": number(usage.get("completion_tokens"))},
    )  # fmt: skip


def _step(row: Values) -> Step:
    metadata, failed = mapping(row.get("metadata")), mapping(row.get("error_info"))
    usage, start = mapping(row.get("usage")), nanoseconds(row["start_time"])
    wait = number(row.get("ttft"))
    prompt: Values = next(iter(parsed(metadata.get("opik_prompts")) or ()), {})
    return Step(
        id=str(row["id"]), parent=text(row, "parent_span_id"), kind=KINDS.get(str(row.get("type") or ""), "CHAIN"),
        name=text(row, "name"), start=start, end=nanoseconds(row.get("end_time")),
        first_token=start + int(wait * 1e6) if wait else 0, input=row.get("input"), output=row.get("output"),
        error=(text(failed, "message") or text(failed, "exception_type")) if failed else "",
        error_type=text(failed, "exception_type"), model=text(row, "model"), provider=text(row, "provider"),
        usage={
            "input": number(pick(usage, "prompt_tokens", "original_usage.input_tokens")),
            "output": number(pick(usage, "completion_tokens", "original_usage.output_tokens")),
            "cached_input": number(usage.get("original_usage.prompt_tokens_details.cached_tokens")),
        },
        cost=number(row.get("total_estimated_cost")),
        parameters={name: metadata[name] for name in PARAMETERS if metadata.get(name) is not None},
        prompt=text(prompt, "name"), prompt_version=text(mapping(prompt.get("version")), "commit", "id"),
        metadata=metadata,
    )  # fmt: skip


def _say(record: Record, trace: str, row: Values) -> None:
    """The scores and comments of a trace or span; where several people gave one score, what each of them gave."""
    span = str(row["id"]) if row.get("trace_id") else ""
    for score in parsed(row.get("feedback_scores")) or ():
        authors = mapping(score.get("value_by_author")) or {text(score, "created_by"): score}
        for author, said in authors.items():
            verdicts.add(record, _verdict(trace, span, author, {**score, **said}))
    for comment in parsed(row.get("comments")) or ():
        item = Verdict(
            trace=trace, key=verdicts.key("opik", text(comment, "id") or f"{trace}:{text(comment, 'text')}"),
            name="comment", comment=text(comment, "text"), person=True, who=text(comment, "created_by"),
            at=_moment(comment), span=span,
        )  # fmt: skip
        verdicts.add(record, item)


def _verdict(trace: str, span: str, author: str, score: Values) -> Verdict:
    source = text(score, "source")
    return Verdict(
        trace=trace, key=verdicts.key("opik", trace, span, text(score, "name"), author), name=text(score, "name"),
        number=number(score.get("value")), word=text(score, "category_name"), comment=text(score, "reason"),
        person=source == "ui", who=author, at=_moment(score), span=span, extra={"source": source} if source else {},
    )  # fmt: skip


def _moment(row: Values) -> str | None:
    at = nanoseconds(pick(row, "created_at", "last_updated_at"))
    return assemble.moment(at) if at else None


register_traces(
    "opik", "Opik: the JSON files of `opik export`, or traces and spans as the API gives them",
    take_apart=take_apart, put_together=put_together, recognises=recognises,
)  # fmt: skip
