"""What the attributes of a span mean, in the conventions that are in use.

Read are: OpenTelemetry GenAI semantic conventions, current (schema 1.42, ``gen_ai.input.messages``) and
legacy (up to 1.36: ``gen_ai.system``, ``gen_ai.prompt.N.*``, ``gen_ai.usage.prompt_tokens``), and
OpenInference (``openinference.span.kind``, ``llm.input_messages.N.*``, ``retrieval.documents.N.*``).
A table of accepted names, tolerant of what is missing: the names have moved with almost every release.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from feedback.telemetry.wire import WireSpan

Attributes = dict[str, Any]
Message = dict[str, Any]

KINDS = {
    "LLM": "llm", "EMBEDDING": "embedding", "CHAIN": "chain", "RETRIEVER": "retriever", "RERANKER": "retriever",
    "TOOL": "tool", "AGENT": "agent", "GUARDRAIL": "guardrail", "PROMPT": "chain", "EVALUATOR": "other",
}  # fmt: skip
OPERATIONS = {
    "chat": "llm", "text_completion": "llm", "generate_content": "llm", "embeddings": "embedding",
    "create_agent": "agent", "invoke_agent": "agent", "execute_tool": "tool", "retrieval": "retriever",
    "invoke_workflow": "chain",
}  # fmt: skip
PREFIXES = ("gen_ai.", "llm.", "openinference.", "input.", "output.", "retrieval.")


def first(attributes: Attributes, *names: str) -> Any:
    """The first of these attributes that has a value."""
    for name in names:
        value = attributes.get(name)
        if value or value not in _EMPTY:  # 0 and false are values
            return value
    return None


_EMPTY: tuple[Any, ...] = (None, "", [], {})


def text(attributes: Attributes, *names: str) -> str:
    value = first(attributes, *names)
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def number(attributes: Attributes, *names: str) -> float | None:
    value = first(attributes, *names)
    return float(value) if type(value) is int or type(value) is float else None


def speaks_of_models(span: WireSpan) -> bool:
    """Whether the span follows one of the conventions; a trace with none is no interaction."""
    return any(name.startswith(PREFIXES[:3]) for name in span.attributes)


def kind(span: WireSpan) -> str:
    """The kind in our words: llm, retriever, tool, chain, agent, embedding, guardrail, other."""
    declared = str(span.attributes.get("openinference.span.kind", "")).upper()
    if declared in KINDS:
        return KINDS[declared]
    operation = str(span.attributes.get("gen_ai.operation.name", ""))
    if operation in OPERATIONS:
        return OPERATIONS[operation]
    if first(span.attributes, "gen_ai.request.model", "llm.model_name", "gen_ai.usage.input_tokens"):
        return "llm"
    return "other"


def model(attributes: Attributes) -> str:
    """The model that answered, else the one that was asked: OpenInference names the latter among the parameters."""
    said = text(
        attributes, "gen_ai.response.model", "llm.response.model_name", "llm.model_name",
        "gen_ai.request.model", "llm.request.model_name",
    )  # fmt: skip
    declared = loads(attributes.get("llm.invocation_parameters"))
    return said or (text(declared, "model") if isinstance(declared, dict) else "")


def provider(attributes: Attributes) -> str:
    return text(attributes, "gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system")


def usage(attributes: Attributes) -> dict[str, int]:
    """Tokens of one call; a missing count stays missing."""
    found = {
        "input_tokens": number(
            attributes, "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt"
        ),
        "output_tokens": number(
            attributes, "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion"
        ),
        "cached_input_tokens": number(
            attributes,
            "gen_ai.usage.cache_read.input_tokens",
            "gen_ai.usage.cache_read_input_tokens",
            "gen_ai.usage.cached_tokens",
            "llm.token_count.prompt_details.cache_read",
        ),
    }
    counts = {name: int(value) for name, value in found.items() if value is not None and value >= 0}
    # All conventions count what was read from a cache as input. Who passes Anthropic's own figures on does not.
    if counts.get("cached_input_tokens", 0) > counts.get("input_tokens", 0):
        counts["input_tokens"] = counts.get("input_tokens", 0) + counts["cached_input_tokens"]
    return counts


def parameters(attributes: Attributes) -> dict[str, Any]:
    names = ("temperature", "top_p", "top_k", "max_tokens", "seed", "stop_sequences", "frequency_penalty")
    result = {name: attributes[f"gen_ai.request.{name}"] for name in names if f"gen_ai.request.{name}" in attributes}
    declared = loads(attributes.get("llm.invocation_parameters"))
    declared = declared if isinstance(declared, dict) else {}
    return {name: value for name, value in {**declared, **result}.items() if name != "model"}


def tools(attributes: Attributes) -> list[Any]:
    """The definitions of the tools that the model was offered, as its client sent them."""
    current = loads(attributes.get("gen_ai.tool.definitions"))
    if isinstance(current, list):
        return current
    offered = [loads(row.get("tool.json_schema")) for row in group(attributes, "llm.tools")]
    return [tool for tool in offered if isinstance(tool, dict)]


# What OpenInference and OpenLLMetry put on a span when the first piece of a streamed answer comes.
_FIRST_PIECE = {"First Token Stream Event", "gen_ai.content.completion.chunk"}


def seconds_to_first_token(span: WireSpan) -> float | None:
    """From the start of the call to the first piece of its answer; None where the answer was not streamed."""
    said = number(span.attributes, "gen_ai.response.time_to_first_chunk", "gen_ai.server.time_to_first_token")
    if said is not None:
        return said if said >= 0 else None
    pieces = [event.time_ns for event in span.events if event.name in _FIRST_PIECE and event.time_ns >= span.start_ns]
    return (min(pieces) - span.start_ns) / 1e9 if pieces and span.start_ns > 0 else None


def loads(value: Any) -> Any:
    """JSON in a string, or the value itself; None where it is neither."""
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)  # three times as fast, and stricter
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        pass
    if value.lstrip()[:1] not in {"{", "["}:
        return None
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


# -- messages ------------------------------------------------------------------------------------------------


def input_messages(span: WireSpan) -> list[Message]:
    """What was sent to the model, oldest first, system instructions in front."""
    attributes = _with_details(span)
    current = _parts_messages(loads(attributes.get("gen_ai.input.messages")))
    if current:
        system = _system(loads(attributes.get("gen_ai.system_instructions")))
        return [*system, *current]
    return (
        _indexed(attributes, "llm.input_messages", "message.")
        or _indexed(attributes, "gen_ai.prompt", "")
        or _from_events(span, _ASKING)
        or _plain(attributes.get("gen_ai.prompt"), "user")
        or _plain(attributes.get("input.value"), "user")
    )


def output_messages(span: WireSpan) -> list[Message]:
    """What the model answered."""
    attributes = _with_details(span)
    return (
        _parts_messages(loads(attributes.get("gen_ai.output.messages")))
        or _indexed(attributes, "llm.output_messages", "message.")
        or _indexed(attributes, "gen_ai.completion", "")
        or _from_events(span, ("gen_ai.choice",))
        or _plain(attributes.get("gen_ai.completion"), "assistant")
        or _plain(attributes.get("output.value"), "assistant")
    )


_ASKING = ("gen_ai.system.message", "gen_ai.user.message", "gen_ai.assistant.message", "gen_ai.tool.message")
# Events that carry what others put on the span itself: the current convention's, and those of 1.26 to 1.27.
_DETAILS = {
    "gen_ai.client.inference.operation.details", "gen_ai.content.prompt", "gen_ai.content.completion",
}  # fmt: skip


def _with_details(span: WireSpan) -> Attributes:
    """The span's attributes, with those of the events that say what was said."""
    details = [event.attributes for event in span.events if event.name in _DETAILS]
    return (
        {name: value for each in (*details, span.attributes) for name, value in each.items()}
        if details
        else (span.attributes)
    )


def _system(parts: Any) -> list[Message]:
    if isinstance(parts, str):
        return [{"role": "system", "content": parts}]
    content = "\n".join(_part_texts(parts)) if isinstance(parts, list) else ""
    return [{"role": "system", "content": content}] if content else []


_SPOKEN_APART = {"tool_call", "tool_call_response", "reasoning", "thinking"}


def _part_texts(parts: Iterable[Any]) -> list[str]:
    """The texts of a message. A picture or whatever else it holds leaves its kind in brackets."""
    texts = []
    for part in parts:
        if not isinstance(part, dict) or part.get("type") in _SPOKEN_APART:
            continue
        if part.get("type") in {"text", None}:
            texts += [part["content"]] if isinstance(part.get("content"), str) else []
        else:
            texts.append(f"[{part.get('modality') or part['type']}]")
    return texts


def _of_type(parts: Iterable[Any], *types: str) -> list[dict[str, Any]]:
    return [part for part in parts if isinstance(part, dict) and part.get("type") in types]


def _parts_messages(messages: Any) -> list[Message]:
    """``[{"role", "parts": [{"type": "text", "content"}, {"type": "tool_call", …}]}]`` of the current convention."""
    result: list[Message] = []
    for message in messages if isinstance(messages, list) else []:
        if not isinstance(message, dict):
            continue
        parts = message.get("parts")
        parts = parts if isinstance(parts, list) else []
        if len(parts) == 1 and isinstance(parts[0], dict) and parts[0].get("type") == "text":  # nearly all
            said = parts[0].get("content")
            result.append({"role": str(message.get("role", "user")), "content": said if isinstance(said, str) else ""})
            continue
        answers = [_tool_answer(part) for part in _of_type(parts, "tool_call_response")]
        result += answers  # a client may put the answers of several tools into one message
        entry: Message = {"role": str(message.get("role", "user")), "content": "\n".join(_part_texts(parts))}
        if not parts and isinstance(message.get("content"), str):
            entry["content"] = message["content"]
        thoughts = [part["content"] for part in _of_type(parts, "reasoning", "thinking")
                    if isinstance(part.get("content"), str)]  # fmt: skip
        if thoughts:
            entry["reasoning"] = "\n".join(thoughts)
        calls = _of_type(parts, "tool_call")
        if calls:
            entry["tool_calls"] = [_call(call.get("id"), call.get("name"), call.get("arguments")) for call in calls]
        if entry["content"] or calls or thoughts or not answers:
            result.append(entry)
    return result


def _tool_answer(part: dict[str, Any]) -> Message:
    value = first(part, "response", "result")
    content = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return {"role": "tool", "content": content, "tool_call_id": str(part.get("id", ""))}


def _call(call_id: Any, name: Any, arguments: Any) -> Message:
    return {"id": str(call_id or ""), "name": str(name or ""), "arguments": loads(arguments) or arguments or {}}


_INDEX = re.compile(r"^(\d+)\.(.*)$")


def group(attributes: Attributes, prefix: str) -> list[Attributes]:
    """``prefix.0.a, prefix.0.b, prefix.1.a`` as a list of ``{"a", "b"}``, in order of the index."""
    prefix += "."
    if prefix not in "\n".join(attributes):  # a fifth of the time of asking each name, and nearly always so
        return []
    rows: dict[int, Attributes] = {}
    for name in [name for name in attributes if name.startswith(prefix)]:
        match = _INDEX.match(name[len(prefix) :])
        if match and len(match[1]) < 7:
            rows.setdefault(int(match[1]), {})[match[2]] = attributes[name]
    return [rows[place] for place in sorted(rows)]


def _indexed(attributes: Attributes, prefix: str, inner: str) -> list[Message]:
    result = []
    for row in group(attributes, prefix):
        message: Message = {"role": str(row.get(f"{inner}role", "user")), "content": _indexed_content(row, inner)}
        calls = group(row, f"{inner}tool_calls")
        if calls:
            message["tool_calls"] = [
                _call(
                    first(call, "tool_call.id", "id"),
                    first(call, "tool_call.function.name", "name"),
                    first(call, "tool_call.function.arguments", "arguments"),
                )
                for call in calls
            ]
        if row.get(f"{inner}tool_call_id"):
            message["tool_call_id"] = str(row[f"{inner}tool_call_id"])
        result.append(message)
    return result


def _indexed_content(row: Attributes, inner: str) -> str:
    content = row.get(f"{inner}content")
    if content is not None:
        return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    parts = group(row, f"{inner}contents")
    texts = []
    for part in parts:
        kind = part.get("message_content.type", "text")
        if kind in {"reasoning", "thinking"}:
            continue
        texts.append(str(part["message_content.text"]) if "message_content.text" in part else f"[{kind}]")
    return "\n".join(texts)


def _from_events(span: WireSpan, names: tuple[str, ...]) -> list[Message]:
    result = []
    for event in span.events:
        if event.name not in names:
            continue
        body = loads(event.attributes.get("body")) or loads(event.attributes.get("message")) or event.attributes
        if not isinstance(body, dict):
            continue
        inner = body.get("message")
        body = {**body, **inner} if isinstance(inner, dict) else body
        role = str(body.get("role") or ("assistant" if event.name == "gen_ai.choice" else event.name.split(".")[1]))
        content = body.get("content") or ""
        message: Message = {"role": role, "content": content if isinstance(content, str) else json.dumps(content)}
        calls = loads(body.get("tool_calls"))
        if isinstance(calls, list):
            named = [(call, call.get("function")) for call in calls if isinstance(call, dict)]
            message["tool_calls"] = [
                _call(call.get("id"), *((inner.get("name"), inner.get("arguments")) if isinstance(inner, dict) else
                                        (call.get("name"), call.get("arguments"))))
                for call, inner in named
            ]  # fmt: skip
        if role == "tool" and body.get("id"):
            message["tool_call_id"] = str(body["id"])
        result.append(message)
    return result


def _plain(value: Any, role: str) -> list[Message]:
    """``input.value``: a text, or JSON that holds messages."""
    parsed = loads(value)
    if isinstance(parsed, dict):
        for key in ("messages", "input", "query", "question", "output", "answer", "result", "content"):
            if isinstance(parsed.get(key), list) and key == "messages":
                return [
                    {"role": str(message.get("role", role)), "content": _content_text(message.get("content"))}
                    for message in parsed[key]
                    if isinstance(message, dict)
                ]
            if isinstance(parsed.get(key), str):
                return [{"role": role, "content": parsed[key]}]
    if value in (None, ""):
        return []
    return [{"role": role, "content": value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}]


def _content_text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return ""


# -- retrieval, tools, evaluations -----------------------------------------------------------------------------


def documents(attributes: Attributes) -> list[dict[str, Any]]:
    """What a retrieval returned, best first as given."""
    current = loads(attributes.get("gen_ai.retrieval.documents"))
    if isinstance(current, list):
        rows = [row for row in current if isinstance(row, dict)]
    else:
        rows = [
            {name.removeprefix("document."): value for name, value in row.items()}
            for row in group(attributes, "retrieval.documents")
        ]
    result = []
    for place, row in enumerate(rows):
        metadata = loads(row.get("metadata"))
        metadata = metadata if isinstance(metadata, dict) else {}
        document = {
            "id": str(row.get("id") or f"doc-{place + 1}"),
            "content": text(row, "content", "text"),
            "title": str(row.get("title") or metadata.get("title") or ""),
            "metadata": metadata,
        }
        score = number(row, "score")
        result.append({**document, "score": score} if score is not None else document)
    return result


_ANNOTATIONS = (("annotations", "annotation."), ("trace.annotations", "annotation."), ("evaluations", "evaluation."))


def evaluations(span: WireSpan) -> list[dict[str, Any]]:
    """Verdicts on this span: GenAI ``gen_ai.evaluation.result`` events and OpenInference annotations."""
    found = []
    for event in span.events:
        if event.name == "gen_ai.evaluation.result":
            a = event.attributes
            found.append(
                {
                    "name": text(a, "gen_ai.evaluation.name"),
                    "value": number(a, "gen_ai.evaluation.score.value"),
                    "label": text(a, "gen_ai.evaluation.score.label"),
                    "explanation": text(a, "gen_ai.evaluation.explanation"),
                    "person": False,
                }
            )
    names = "\n".join(span.attributes)
    for prefix, inner in _ANNOTATIONS:
        for row in group(span.attributes, prefix) if prefix in names else ():
            found.append(
                {
                    "name": text(row, f"{inner}name"),
                    "value": number(row, f"{inner}score"),
                    "label": text(row, f"{inner}label"),
                    "explanation": text(row, f"{inner}explanation"),
                    "person": str(row.get(f"{inner}annotator_kind", "")).upper() == "HUMAN",
                }
            )
    return [one for one in found if one["name"] and (one["value"] is not None or one["label"])]
