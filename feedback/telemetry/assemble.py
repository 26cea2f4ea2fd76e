"""The spans of one trace as one interaction: a pure function of the set, whatever the order of arrival.

The root of the trace is the interaction. What the user asked and got is read from the root where it says
so, else from the model call that ended last outside of tools; tokens add up over all model calls; latency
is the root's; retrieved documents are those of all retrievals, in order of time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from feedback.telemetry import conventions
from feedback.telemetry.conventions import first, number, text
from feedback.telemetry.wire import WireSpan

NS_PER_MS = 1_000_000
# Said elsewhere in the interaction, so not repeated among a span's attributes.
_SPOKEN = ("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions", "input.value",
           "output.value", "llm.input_messages.", "llm.output_messages.", "gen_ai.prompt.", "gen_ai.completion.",
           "retrieval.documents.", "gen_ai.retrieval.documents", "annotations.", "evaluations.")  # fmt: skip


def interaction(spans: Sequence[WireSpan], *, quiet: bool = False) -> dict[str, Any] | None:
    """The interaction of a trace in the shape of ``POST /api/v1/interactions``; None while there is none.

    There is none before the root has come, and in a trace that never speaks of a model. ``quiet`` says that
    nothing has come for a while: then the topmost span counts as the root even if its parent, say a
    gateway that reports elsewhere, never arrives.
    """
    ordered = sorted({span.span_id: span for span in spans}.values(), key=lambda span: (span.start_ns, span.span_id))
    if not any(conventions.speaks_of_models(span) for span in ordered):
        return None
    root = _root(ordered, quiet)
    if root is None:
        return None
    calls = [span for span in ordered if conventions.kind(span) == "llm"]
    answering = _answering(root, ordered, calls)
    asked, answered = _conversation(root, answering)
    everything = {**root.resource, **(answering.attributes if answering else {}), **root.attributes}
    body: dict[str, Any] = {
        "id": root.trace_id,
        "created_at": moment(root.start_ns),
        "messages": asked or [{"role": "user", "content": ""}],
        "output": answered,
        "session_id": _anywhere(root, ordered, "gen_ai.conversation.id", "session.id"),
        "user_id": _anywhere(root, ordered, "user.id", "enduser.id"),
        "feature": text(everything, "reviewhub.feature", "gen_ai.workflow.name", "gen_ai.agent.name", "service.name"),
        "environment": text(everything, "deployment.environment.name", "deployment.environment"),
        "release": text(everything, "reviewhub.release", "service.version"),
        "variant": text(everything, "reviewhub.variant", "feature_flag.result.variant"),
        "documents": [document for span in ordered for document in conventions.documents(span.attributes)],
        "spans": [_span(span) for span in ordered],
        "tags": _tags(everything),
        "metadata": _metadata(root),
        **_timing(root, answering),
        **_outcome(root, answered),
    }
    if answering is not None:
        body |= _call(answering)
    usage = _usage(calls)
    if usage:
        body["usage"] = usage
    return {name: value for name, value in body.items() if value not in ("", None, [], {}) or name in _KEPT}


_KEPT = {"output", "messages"}


def moment(ns: int) -> str:
    """Nanoseconds since 1970 as an ISO time in UTC, to the microsecond."""
    seconds, rest = divmod(max(ns, 0), 1_000_000_000)
    return datetime.fromtimestamp(min(seconds, 253_402_300_799), UTC).replace(microsecond=rest // 1000).isoformat()


def _root(ordered: Sequence[WireSpan], quiet: bool) -> WireSpan | None:
    for span in ordered:
        if not span.parent_id:
            return span
    if quiet and ordered:
        known = {span.span_id for span in ordered}
        return next((span for span in ordered if span.parent_id not in known), ordered[0])
    return None


def _answering(root: WireSpan, ordered: Sequence[WireSpan], calls: Sequence[WireSpan]) -> WireSpan | None:
    """The model call whose output the user got: the root itself, else the last to end outside of a tool."""
    if root in calls:
        return root
    parents = {span.span_id: span for span in ordered}

    def inside_tool(span: WireSpan) -> bool:
        seen = set()
        while span.parent_id in parents and span.parent_id not in seen:
            seen.add(span.parent_id)
            span = parents[span.parent_id]
            if conventions.kind(span) in {"tool", "guardrail"}:
                return True
        return False

    outside = [span for span in calls if not inside_tool(span)] or list(calls)
    return max(outside, key=lambda span: (span.end_ns, span.span_id), default=None)


def _conversation(root: WireSpan, answering: WireSpan | None) -> tuple[list[dict[str, Any]], str]:
    own_answer = _spoken(conventions.output_messages(root))
    own_question = conventions.input_messages(root)
    if answering is None or answering is root:
        return own_question, own_answer
    asked = conventions.input_messages(answering)
    # A chain's input is often the bare question; the call below it has the whole conversation.
    question = asked if len(asked) >= len(own_question) else own_question
    return question, own_answer or _spoken(conventions.output_messages(answering))


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


def _metadata(root: WireSpan) -> dict[str, Any]:
    declared = conventions.loads(root.attributes.get("metadata"))
    result = dict(declared) if isinstance(declared, dict) else {}
    result["otel"] = {"scope": root.scope, "resource": root.resource}
    return result


def _timing(root: WireSpan, answering: WireSpan | None) -> dict[str, Any]:
    timing: dict[str, Any] = {}
    if root.end_ns >= root.start_ns > 0:
        timing["latency_ms"] = round((root.end_ns - root.start_ns) / NS_PER_MS, 3)
    if answering is not None:
        seconds = number(
            answering.attributes, "gen_ai.response.time_to_first_chunk", "gen_ai.server.time_to_first_token"
        )
        if seconds is not None and seconds >= 0:
            before = max(answering.start_ns - root.start_ns, 0) / NS_PER_MS
            timing["time_to_first_token_ms"] = round(before + seconds * 1000, 3)
    return timing


def _outcome(root: WireSpan, answered: str) -> dict[str, Any]:
    if not root.error:
        return {"status": "ok"}
    exception = next((event.attributes for event in root.events if event.name == "exception"), {})
    return {
        "status": "error",
        "error": {
            "type": text(exception, "exception.type") or text(root.attributes, "error.type") or "error",
            "message": text(exception, "exception.message") or root.status_message,
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
    tools = conventions.loads(a.get("gen_ai.tool.definitions"))
    return {
        "model": conventions.model(a),
        "provider": conventions.provider(a),
        "parameters": conventions.parameters(a),
        "prompt": prompt,
        "tools": tools if isinstance(tools, list) else [],
    }


def _usage(calls: Sequence[WireSpan]) -> dict[str, int]:
    total: dict[str, int] = {}
    for span in calls:
        for name, value in conventions.usage(span.attributes).items():
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
    rest = {name: value for name, value in a.items() if not name.startswith(_SPOKEN)}
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
