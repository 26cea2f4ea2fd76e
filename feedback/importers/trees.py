"""A peer's trace as one interaction: its steps become spans, which the assembly of OpenTelemetry's traces reads.

So what is the answer, which tokens count and where a document came from follows one set of rules, whoever
recorded the trace.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from feedback import limits
from feedback.importers.shapes import mapping, messages, parsed, parts
from feedback.telemetry import assemble, assembly
from feedback.telemetry.wire import Event, WireSpan


@dataclass(slots=True)
class Step:
    """One observation, run or span of a peer. Times are nanoseconds since 1970, 0 where none is said."""

    id: str
    parent: str = ""
    kind: str = "CHAIN"  # in OpenInference's words
    name: str = ""
    start: int = 0
    end: int = 0
    first_token: int = 0
    input: Any = None
    output: Any = None
    error: str = ""
    error_type: str = ""
    model: str = ""
    provider: str = ""
    usage: dict[str, float | None] = field(default_factory=dict)  # input, output, cached
    cost: float | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    prompt: str = ""
    prompt_version: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    tools: list[Any] = field(default_factory=list)


@dataclass(slots=True)
class Whole:
    """What is said of a trace as a whole; what is empty here is looked for in its steps."""

    peer: str
    name: str = ""
    session: str = ""
    user: str = ""
    environment: str = ""
    release: str = ""
    tags: Sequence[Any] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    cost: float | None = None
    latency_ms: float | None = None
    usage: dict[str, float | None] = field(default_factory=dict)


def interaction(trace: str, whole: Whole, steps: Sequence[Step]) -> dict[str, Any]:
    """The interaction in the shape of the API. ValueError where nobody says a word in it.

    A step whose id is the trace's own id and that is no step of the peer stands for the trace itself.
    """
    spans = [_span(trace, step) for step in steps]
    body = assemble.interaction(spans, quiet=True)
    if body is None:
        raise ValueError("nothing says what was asked or answered")
    raw = {step.id: step for step in steps}
    body["id"] = trace
    body["spans"] = [_kept(span, raw[span["id"]]) for span in body.get("spans", ()) if raw[span["id"]].kind != WHOLE]
    for span in body["spans"]:
        if span.get("parent_id") in raw and raw[span["parent_id"]].kind == WHOLE:
            del span["parent_id"]
    body["metadata"] = {**whole.metadata, "imported_from": whole.peer}
    said = {
        "feature": whole.name, "session_id": whole.session, "user_id": whole.user, "environment": whole.environment,
        "release": whole.release,
    }  # fmt: skip
    body |= {name: value for name, value in said.items() if value}
    body["tags"] = list(dict.fromkeys(str(tag)[: limits.TAG] for tag in whole.tags if tag not in (None, "")))
    cost = whole.cost if whole.cost is not None else _total(step.cost for step in steps)
    if cost is not None:
        body["cost_usd"] = f"{cost:.8f}"
    usage = {f"{name}_tokens": int(count) for name, count in whole.usage.items() if count}
    if usage and "usage" not in body:
        body["usage"] = usage
    body |= _latency(whole, steps, body)
    return _cut(assembly.fit(body))


WHOLE = "WHOLE"


def _latency(whole: Whole, steps: Sequence[Step], body: dict[str, Any]) -> dict[str, Any]:
    if whole.latency_ms is not None:
        return {"latency_ms": whole.latency_ms}
    root = next((step for step in steps if step.kind == WHOLE), None)
    if root is None or root.end or "latency_ms" in body:
        return {}
    ends, starts = [step.end for step in steps if step.end], [step.start for step in steps if step.end and step.start]
    return {"latency_ms": round((max(ends) - min(starts)) / 1e6, 3)} if ends and starts else {}


def _span(trace: str, step: Step) -> WireSpan:
    attributes: dict[str, Any] = {
        "openinference.span.kind": "CHAIN" if step.kind == WHOLE else step.kind,
        "gen_ai.input.messages": parts(messages(step.input, "user")),
        "gen_ai.output.messages": parts(messages(step.output, "assistant")),
        "llm.model_name": step.model, "llm.provider": step.provider, "llm.invocation_parameters": step.parameters,
        "gen_ai.usage.input_tokens": _count(step.usage.get("input")),
        "gen_ai.usage.output_tokens": _count(step.usage.get("output")),
        "gen_ai.usage.cache_read.input_tokens": _count(step.usage.get("cached_input")),
        "gen_ai.prompt.name": step.prompt, "gen_ai.prompt.version": step.prompt_version,
        "gen_ai.tool.definitions": step.tools,
        "metadata": step.metadata,
    }  # fmt: skip
    if step.kind == "RETRIEVER":
        attributes["gen_ai.retrieval.documents"] = _documents(step.output)
    if step.first_token and step.start:
        attributes["gen_ai.response.time_to_first_chunk"] = max(step.first_token - step.start, 0) / 1e9
    events = []
    if step.error:
        exception = {"exception.type": step.error_type or "error", "exception.message": step.error}
        events = [Event("exception", step.end, exception)]
    return WireSpan(
        trace_id=trace, span_id=step.id, parent_id=step.parent, name=step.name, start_ns=step.start, end_ns=step.end,
        error=bool(step.error), status_message="",
        attributes={name: value for name, value in attributes.items() if value not in (None, "", [], {})},
        events=events,
    )  # fmt: skip


def _count(value: float | None) -> int | None:
    return None if value is None else int(value)


def _documents(output: Any) -> list[dict[str, Any]]:
    """What a retrieval gave, in the shapes of LangChain, LlamaIndex and plain lists."""
    output = parsed(output)
    if isinstance(output, dict):
        output = next(
            (output[name] for name in ("documents", "output", "nodes", "results") if name in output), [output]
        )
    rows = output if isinstance(output, list) else []
    found: list[dict[str, Any]] = []
    for row in rows:
        if isinstance(row, str):
            found.append({"content": row})
        elif isinstance(row, dict):
            inner = row.get("kwargs") or row.get("node") or row
            row = {**row, **inner} if isinstance(inner, dict) else row
            content = next((row[name] for name in ("page_content", "content", "text") if row.get(name)), None)
            metadata = mapping(row.get("metadata"))
            identifier = row.get("id") if isinstance(row.get("id"), str | int) else metadata.get("id")
            if isinstance(content, str):
                found.append({"content": content, "id": identifier, "score": row.get("score"), "metadata": metadata})
    return found


def _kept(span: dict[str, Any], step: Step) -> dict[str, Any]:
    """The span with what the peer recorded; only model calls speak in messages."""
    if span["kind"] != "llm":
        for name, value in (("input", parsed(step.input)), ("output", parsed(step.output))):
            if value not in (None, ""):
                span[name] = value
    span["attributes"] = {
        name: value for name, value in span.get("attributes", {}).items() if name != "openinference.span.kind"
    }
    if step.cost is not None:
        span["attributes"]["cost_usd"] = step.cost
    return span


def _total(costs: Any) -> float | None:
    known = [cost for cost in costs if cost is not None]
    return sum(known) if known else None


def _cut(body: dict[str, Any]) -> dict[str, Any]:
    """Within the limits that the assembly does not meet, since telemetry never says so much."""
    if error := body.get("error"):
        body["error"] = {"type": error["type"][: limits.NAME], "message": error["message"][: limits.TEXT]}
    if prompt := body.get("prompt"):
        cuts = {"name": limits.NAME, "version": limits.SHORT_NAME}
        body["prompt"] = {**prompt, **{name: prompt[name][:most] for name, most in cuts.items() if name in prompt}}
    return body
