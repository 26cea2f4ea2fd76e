"""The spans of one trace as one interaction: a pure function of the set, whatever the order of arrival.

The root of the trace is the interaction. What the user asked and got is read from the root where it says
so, else from the model call that ended last outside of tools; tokens add up over all model calls, each
counted once though a client and its instrumentation both report it; latency is the root's; retrieved
documents are those of all retrievals, in order of time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from feedback.telemetry import conventions
from feedback.telemetry.conventions import first, text
from feedback.telemetry.wire import WireSpan

NS_PER_MS = 1_000_000
# Said elsewhere in the interaction, so not repeated among a span's attributes.
_SPOKEN = ("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions", "input.value",
           "output.value", "llm.input_messages.", "llm.output_messages.", "gen_ai.prompt.", "gen_ai.completion.",
           "retrieval.documents.", "gen_ai.retrieval.documents", "gen_ai.tool.definitions", "llm.tools.",
           "annotations.", "trace.annotations.", "evaluations.")  # fmt: skip


def interaction(spans: Sequence[WireSpan], *, quiet: bool = False) -> dict[str, Any] | None:
    """The interaction of a trace in the shape of ``POST /api/v1/interactions``; None while there is none.

    There is none before the root has come, in a trace that never speaks of a model, and in one that is
    ``silent``. ``quiet`` says that nothing has come for a while: then the topmost span counts as the root even
    if its parent, say a gateway that reports elsewhere, never arrives.
    """
    ordered = _ordered(spans)
    if not speaks_of_models(ordered):
        return None
    root = _root(ordered, quiet)
    if root is None or silent(ordered):
        return None
    calls = [span for span in ordered if conventions.kind(span) == "llm"]
    answering = _answering(root, ordered, calls)
    asked, answered = _conversation(root, answering)
    calls_tools = [] if answered or answering is None else _tool_calls(answering)
    everything = {**root.resource, **(answering.attributes if answering else {}), **root.attributes}
    body: dict[str, Any] = {
        "id": root.trace_id,
        "created_at": moment(root.start_ns),
        "messages": asked or [{"role": "user", "content": ""}],
        "output": answered or calls_tools or "",
        "session_id": _anywhere(root, ordered, "gen_ai.conversation.id", "session.id"),
        "user_id": _anywhere(root, ordered, "user.id", "enduser.id"),
        "feature": text(everything, "reviewhub.feature", "gen_ai.workflow.name", "gen_ai.agent.name", "service.name"),
        "environment": text(everything, "deployment.environment.name", "deployment.environment"),
        "release": text(everything, "reviewhub.release", "service.version"),
        "variant": text(everything, "reviewhub.variant", "feature_flag.result.variant"),
        "documents": [document for span in ordered for document in conventions.documents(span.attributes)],
        "spans": [_span(span) for span in ordered],
        "tags": _tags(everything),
        "metadata": _metadata(root, answering),
        **_timing(root, answering),
        **_outcome(root, answering, answered),
    }
    if answering is not None:
        body |= _call(answering)
    # An agent may report for its calls, which then keep quiet.
    usage = _usage(ordered, calls) or conventions.usage(root.attributes)
    if usage:
        body["usage"] = usage
    return {name: value for name, value in body.items() if value not in ("", None, [], {}) or name in _KEPT}


_KEPT = {"output", "messages"}


def _ordered(spans: Iterable[WireSpan]) -> list[WireSpan]:
    return sorted(spans, key=lambda span: (span.start_ns, span.span_id))


def topmost(spans: Sequence[WireSpan]) -> WireSpan:
    """The root, or what stands for it while it has not come."""
    root = _root(_ordered(spans), quiet=True)
    assert root is not None
    return root


def steps(spans: Iterable[WireSpan]) -> list[dict[str, Any]]:
    """The ``spans`` of an interaction."""
    return [_span(span) for span in _ordered(spans)]


def speaks_of_models(spans: Iterable[WireSpan]) -> bool:
    """Whether any span follows a convention for model calls."""
    return any(conventions.speaks_of_models(span) for span in spans)


def silent(spans: Iterable[WireSpan]) -> bool:
    """Whether nobody says a word in the trace: there is nothing to review in it.

    Instrumentations keep content to themselves until they are told otherwise. And a client that has spans of its
    own (Anthropic's) opens a second, silent trace beside an instrumentation that does not make its span current.
    """
    return not any(_speaks(span) for span in spans)


def only_embeds(spans: Sequence[WireSpan]) -> bool:
    """Whether texts are turned into vectors in this trace and nothing else is done with a model."""
    kinds = {conventions.kind(span) for span in spans}
    return "embedding" in kinds and kinds <= {"embedding", "other"}


def _speaks(span: WireSpan) -> bool:
    return conventions.kind(span) != "embedding" and bool(
        conventions.input_messages(span) or conventions.output_messages(span)
    )


def moment(ns: int) -> str:
    """Nanoseconds since 1970 as an ISO time in UTC, to the microsecond."""
    seconds, rest = divmod(max(ns, 0), 1_000_000_000)
    fraction = f".{micros:06}" if (micros := rest // 1000) else ""
    return f"{_second(min(seconds, 253_402_300_799))}{fraction}+00:00"


@lru_cache(maxsize=256)
def _second(seconds: int) -> str:
    """The steps of a trace lie within few seconds, and formatting one takes four times as long as its fraction."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _root(ordered: Sequence[WireSpan], quiet: bool) -> WireSpan | None:
    for span in ordered:
        if not span.parent_id:
            return span
    if quiet and ordered:
        known = {span.span_id for span in ordered}
        return next((span for span in ordered if span.parent_id not in known), ordered[0])
    return None


def _above(span: WireSpan, known: dict[str, WireSpan]) -> Iterator[WireSpan]:
    """The parent of a span, its parent, and so on; each once, though hostile spans may go round in a circle."""
    seen = {span.span_id}
    while span.parent_id in known and span.parent_id not in seen:
        seen.add(span.parent_id)
        span = known[span.parent_id]
        yield span


def _answering(root: WireSpan, ordered: Sequence[WireSpan], calls: Sequence[WireSpan]) -> WireSpan | None:
    """The model call whose output the user got: the root itself, else the last to end outside of a tool.

    A call that tells its words goes before one that does not: they may be two reports of one call.
    """
    if root in calls:
        return root
    known = {span.span_id: span for span in ordered}
    outside = [
        span
        for span in calls
        if not any(conventions.kind(above) in {"tool", "guardrail"} for above in _above(span, known))
    ]
    latest = sorted(outside or calls, key=lambda span: (span.end_ns, span.span_id), reverse=True)
    return next((span for span in latest if _speaks(span)), latest[0] if latest else None)


def _conversation(root: WireSpan, answering: WireSpan | None) -> tuple[list[dict[str, Any]], str]:
    own_answer = _spoken(conventions.output_messages(root))
    own_question = conventions.input_messages(root)
    if answering is None or answering is root:
        return own_question, own_answer
    asked = conventions.input_messages(answering)
    # A chain's input is often the bare question; the call below it has the whole conversation.
    question = asked if len(asked) >= len(own_question) else own_question
    return question, own_answer or _spoken(conventions.output_messages(answering))


def _tool_calls(answering: WireSpan) -> list[dict[str, Any]]:
    """The answer where it is no text but calls of tools that the application ran elsewhere."""
    return [message for message in conventions.output_messages(answering) if message.get("tool_calls")]


def _spoken(messages: Iterable[dict[str, Any]]) -> str:
    return "\n".join(str(message["content"]) for message in messages if message.get("content"))


def _anywhere(root: WireSpan, ordered: Sequence[WireSpan], *names: str) -> str:
    for span in (root, *ordered):
        if value := text(span.attributes, *names):
            return value
    return text(root.resource, *names)


def _tags(attributes: dict[str, Any]) -> list[str]:
    tags = first(attributes, "tag.tags", "reviewhub.tags")
    tags = conventions.loads(tags) if isinstance(tags, str) else tags
    return sorted({str(tag)[:200] for tag in tags})[:50] if isinstance(tags, list) else []


def _metadata(root: WireSpan, answering: WireSpan | None) -> dict[str, Any]:
    """What the application declared, on the root or, where that is a server's span, on the call."""
    declared = root.attributes.get("metadata") or (answering.attributes.get("metadata") if answering else None)
    declared = conventions.loads(declared)
    result = dict(declared) if isinstance(declared, dict) else {}
    result["otel"] = {"scope": root.scope, "resource": root.resource}
    return result


def _timing(root: WireSpan, answering: WireSpan | None) -> dict[str, Any]:
    timing: dict[str, Any] = {}
    if root.end_ns >= root.start_ns > 0:
        timing["latency_ms"] = round((root.end_ns - root.start_ns) / NS_PER_MS, 3)
    if answering is not None:
        seconds = conventions.seconds_to_first_token(answering)
        if seconds is not None:
            before = max(answering.start_ns - root.start_ns, 0) / NS_PER_MS
            timing["time_to_first_token_ms"] = round(before + seconds * 1000, 3)
    return timing


def _outcome(root: WireSpan, answering: WireSpan | None, answered: str) -> dict[str, Any]:
    """The root's error; or that of the call that was to answer, where the application caught it and had no answer."""
    failed = root if root.error else answering
    if failed is None or not failed.error or (failed is not root and answered):
        return {"status": "ok"}
    exception = next((event.attributes for event in failed.events if event.name == "exception"), {})
    return {
        "status": "error",
        "error": {
            "type": text(exception, "exception.type") or text(failed.attributes, "error.type") or "error",
            "message": text(exception, "exception.message") or failed.status_message,
        },
    }


def _call(answering: WireSpan) -> dict[str, Any]:
    a = answering.attributes
    template = text(a, "llm.prompt_template.template")
    variables = conventions.loads(a.get("llm.prompt_template.variables"))
    prompt = {
        "name": text(a, "gen_ai.prompt.name"),
        "version": text(a, "gen_ai.prompt.version", "llm.prompt_template.version"),
        "template": template,
        "variables": variables if isinstance(variables, dict) else {},
    }
    prompt = {name: value for name, value in prompt.items() if value}
    return {
        "model": conventions.model(a),
        "provider": conventions.provider(a),
        "parameters": conventions.parameters(a),
        "prompt": prompt,
        "tools": conventions.tools(a),
    }


def _usage(ordered: Sequence[WireSpan], calls: Sequence[WireSpan]) -> dict[str, int]:
    """The tokens of all calls. One call may be reported twice, by its client and by an instrumentation of it.

    Such a report lies within the other's span, or says the same id of the provider's response.
    """
    counts = {span.span_id: conventions.usage(span.attributes) for span in calls}
    known = {span.span_id: span for span in ordered}
    total: dict[str, int] = {}
    responses: set[str] = set()
    for span in calls:
        if any(counts.get(above.span_id) for above in _above(span, known)):
            continue
        response = text(span.attributes, "gen_ai.response.id")
        if counts[span.span_id] and response:
            if response in responses:
                continue
            responses.add(response)
        for name, value in counts[span.span_id].items():
            total[name] = total.get(name, 0) + value
    return total


def _span(span: WireSpan) -> dict[str, Any]:
    a = span.attributes
    kind = conventions.kind(span)
    if kind == "tool":
        given = conventions.loads(first(a, "gen_ai.tool.call.arguments", "input.value"))
        got: Any = conventions.loads(first(a, "gen_ai.tool.call.result", "output.value"))
    elif kind == "retriever":
        given = text(a, "gen_ai.retrieval.query.text", "input.value")
        got = conventions.documents(a)
    else:
        given, got = conventions.input_messages(span), conventions.output_messages(span)
    rest = {name: value for name, value in a.items() if not _is_spoken(name)}
    if span.status_message:
        rest["status.message"] = span.status_message
    if events := [{"name": event.name, **event.attributes} for event in span.events if event.name == "exception"]:
        rest["events"] = events
    body = {
        "id": span.span_id,
        "parent_id": span.parent_id or None,
        "kind": kind,
        "name": span.name or kind,
        "started_at": moment(span.start_ns) if span.start_ns else None,
        "ended_at": moment(span.end_ns) if span.end_ns >= span.start_ns > 0 else None,
        "status": "error" if span.error else "ok",
        "input": given or None,
        "output": got or None,
        "attributes": rest,
    }
    return {name: value for name, value in body.items() if value is not None}


@lru_cache(maxsize=4096)
def _is_spoken(name: str) -> bool:
    return name.startswith(_SPOKEN)


def scores(spans: Iterable[WireSpan]) -> list[dict[str, Any]]:
    """The verdicts in a trace, each with a key that makes it arrive once: machine scores as well as people's."""
    found = []
    for span in spans:
        for place, verdict in enumerate(conventions.evaluations(span)):
            key = f"otlp:{span.trace_id}:{span.span_id}:{verdict['name']}:{place}"[:200]
            found.append({"interaction_id": span.trace_id, "key": key, **verdict})
    return found


def canonical(body: dict[str, Any]) -> bytes:
    """The same bytes for the same interaction."""
    return json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
