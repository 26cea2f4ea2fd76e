"""LangSmith: runs as the SDK lists them or a bulk export holds them, and feedback, mixed as you like.

Source: LangSmith documentation, "Run (span) data format" and "Feedback data format"; ``langsmith/schemas.py``.
"""

from __future__ import annotations

from typing import Any

from feedback.importers import trees, verdicts
from feedback.importers.records import Piece, Record, register_traces
from feedback.importers.shapes import Values, mapping, nanoseconds, number, parsed, pick, text
from feedback.importers.trees import Step, Whole
from feedback.importers.verdicts import Verdict
from feedback.telemetry import assemble

KINDS = {
    "llm": "LLM", "chain": "CHAIN", "tool": "TOOL", "retriever": "RETRIEVER", "embedding": "EMBEDDING",
    "prompt": "PROMPT", "parser": "CHAIN", "agent": "AGENT",
}  # fmt: skip
# LangSmith joins the runs of one conversation by any of these.
THREADS = ("session_id", "thread_id", "conversation_id")
PARAMETERS = ("temperature", "top_p", "top_k", "max_tokens", "max_completion_tokens", "seed", "stop")
PEOPLE = {"app", "human"}


def take_apart(row: Values) -> list[Piece]:
    if "run_type" in row:
        children = row.pop("child_runs", None) or ()
        trace = text(row, "trace_id") or _trace_of(text(row, "dotted_order")) or _root_of(row)
        inner = [{"trace_id": trace, **child} for child in children if isinstance(child, dict)]
        return [Piece(row, trace, span=str(row["id"])), *(piece for one in inner for piece in take_apart(one))]
    if "key" not in row or "run_id" not in row:
        raise ValueError("neither a run (run_type) nor feedback (key, run_id)")
    trace, run = text(row, "trace_id"), text(row, "run_id")
    if not trace and not run:
        raise ValueError("feedback about a project, not about a run")
    return [Piece(row, trace, about=run)]


def _root_of(run: Values) -> str:
    if run.get("parent_run_id"):
        raise ValueError("a run below another that does not say its trace_id")
    return str(run["id"])


def _trace_of(order: str) -> str:
    return order.split(".")[0].partition("Z")[2]


def recognises(row: Values) -> bool:
    return {"id", "run_type"} <= row.keys() or {"run_id", "key", "score"} <= row.keys()


def put_together(trace: str, rows: list[Values]) -> Record:
    record = Record()
    runs = {str(row["id"]): row for row in rows if "run_type" in row}
    if runs:
        root = runs.get(trace) or next(iter(runs.values()))
        record.interactions.append(trees.interaction(trace, _whole(root), [_step(run) for run in runs.values()]))
    for row in rows:
        if "run_type" not in row:
            verdicts.add(record, _verdict(trace, row))
    return record


def _notes(run: Values) -> Values:
    return mapping(mapping(run.get("extra")).get("metadata"))


def _whole(root: Values) -> Whole:
    notes, tags = _notes(root), parsed(root.get("tags"))
    kept = {name: root[name] for name in ("reference_example_id",) if root.get(name)}
    return Whole(
        peer="langsmith", name=text(root, "name"), session=text(notes, *THREADS), user=text(notes, "user_id", "user"),
        environment=text(notes, "environment", "env"), release=text(notes, "revision_id", "release"),
        tags=tags if isinstance(tags, list) else (), metadata={**notes, **kept},
        cost=number(root.get("total_cost")) or None,
        usage={"input": number(root.get("prompt_tokens")), "output": number(root.get("completion_tokens"))},
    )  # fmt: skip


def _step(run: Values) -> Step:
    kind, extra, notes = KINDS.get(str(run["run_type"]), "CHAIN"), mapping(run.get("extra")), _notes(run)
    invocation = mapping(extra.get("invocation_params"))
    calls = kind == "LLM"
    error = text(run, "error")
    parents = parsed(run.get("parent_run_ids"))
    return Step(
        id=str(run["id"]), kind=kind, name=text(run, "name"),
        parent=text(run, "parent_run_id") or (str(parents[-1]) if isinstance(parents, list) and parents else ""),
        start=nanoseconds(run.get("start_time")), end=nanoseconds(run.get("end_time")),
        first_token=nanoseconds(run.get("first_token_time")), input=run.get("inputs"), output=run.get("outputs"),
        error=error, error_type=_error_type(error),
        model=(text(notes, "ls_model_name") or text(invocation, "model", "model_name")) if calls else "",
        provider=text(notes, "ls_provider") if calls else "",
        usage=_usage(run) if calls else {}, cost=(number(run.get("total_cost")) or None) if calls else None,
        parameters=_parameters(invocation, notes) if calls else {},
        prompt=text(notes, "lc_hub_repo", "prompt_name") if calls else "",
        prompt_version=text(notes, "lc_hub_commit_hash", "prompt_version") if calls else "",
        metadata=notes, tools=parsed(invocation.get("tools")) or [],
    )  # fmt: skip


def _error_type(error: str) -> str:
    """``ValueError('…')Traceback …`` or ``ValueError: …``, as Python says it."""
    name = error.split("(", 1)[0].split(":", 1)[0].strip()
    return name if name.isidentifier() and name[:1].isupper() else ""


def _usage(run: Values) -> dict[str, float | None]:
    said = mapping(mapping(run.get("outputs")).get("usage_metadata")) or mapping(_notes(run).get("usage_metadata"))
    cached = pick(mapping(run.get("prompt_token_details")), "cache_read") or pick(
        mapping(said.get("input_token_details")), "cache_read"
    )
    return {
        "input": number(pick(run, "prompt_tokens") or pick(said, "input_tokens")),
        "output": number(pick(run, "completion_tokens") or pick(said, "output_tokens")),
        "cached_input": number(cached),
    }


def _parameters(invocation: Values, notes: Values) -> dict[str, Any]:
    found = {name: invocation[name] for name in PARAMETERS if invocation.get(name) is not None}
    told = {"temperature": notes.get("ls_temperature"), "max_tokens": notes.get("ls_max_tokens")}
    return {**{name: value for name, value in told.items() if value is not None}, **found}


def _verdict(trace: str, row: Values) -> Verdict:
    source, settings = mapping(row.get("feedback_source")), mapping(row.get("feedback_config"))
    score, value = parsed(row.get("score")), parsed(row.get("value"))
    if score is None and isinstance(value, bool | int | float):
        score, value = value, None
    run, most = text(row, "run_id"), number(settings.get("max"))
    at = nanoseconds(pick(row, "created_at", "modified_at"))
    return Verdict(
        trace=trace, key=verdicts.key("langsmith", str(row["id"])), name=text(row, "key") or "feedback",
        number=number(score), word=value if isinstance(value, str) else text({"value": value}, "value"),
        comment=text(row, "comment"), correction=_desired(parsed(row.get("correction"))),
        free=settings.get("type") == "freeform", yes_no=isinstance(score, bool),
        person=str(source.get("type") or "") in PEOPLE, scale=most if most and most > 1 else None,
        who=text(source, "user_id"), called=text(source, "user_name"), at=assemble.moment(at) if at else None,
        span=run if run != trace else "",
        extra={**mapping(source.get("metadata")), **({"source": source["type"]} if source.get("type") else {})},
    )  # fmt: skip


def _desired(correction: Any) -> str:
    """Corrections are objects of the run's outputs; the one text in it is what should have been said."""
    if isinstance(correction, dict):
        texts = [value for value in correction.values() if isinstance(value, str)]
        if len(texts) == 1:
            return texts[0]
    return text({"correction": correction}, "correction")


register_traces(
    "langsmith", "LangSmith: runs and feedback, as the SDK lists them or a bulk export holds them",
    take_apart=take_apart, put_together=put_together, recognises=recognises, roots=True,
)  # fmt: skip
