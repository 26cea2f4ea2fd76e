"""What the exports of peers share: names in two spellings, times in many, and messages in any shape."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from feedback.telemetry.conventions import loads
from projects import moments

Values = dict[str, Any]
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
# Under these names a single text of an object is what was asked or answered.
_SAYING = (
    "input",
    "question",
    "query",
    "prompt",
    "text",
    "content",
    "output",
    "answer",
    "response",
    "result",
    "message",
)
_ROLES = {"human": "user", "ai": "assistant", "aimessagechunk": "assistant", "function": "tool", "developer": "system"}


def snake(name: str) -> str:
    """``traceId`` as ``trace_id``: APIs of peers say one, their exports the other."""
    return _HUMP.sub("_", name).lower()


def pick(values: Values, *names: str) -> Any:
    """The first of these that says something; 0 and False do."""
    for name in names:
        value = values.get(name)
        if value is not None and value != "" and value != [] and value != {}:
            return value
    return None


def text(values: Values, *names: str) -> str:
    value = pick(values, *names)
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def number(value: Any) -> float | None:
    """A number, also where a table has made a text of it."""
    if isinstance(value, bool):
        return float(value)
    try:
        return None if value in (None, "") else float(value)
    except (TypeError, ValueError):
        return None


def mapping(value: Any) -> Values:
    """An object, or the object that a text holds; {} for anything else."""
    value = loads(value)
    return value if isinstance(value, dict) else {}


def parsed(value: Any) -> Any:
    """What a text that holds an object or a list says; any other value as it is."""
    if isinstance(value, str) and value[:1] in {"{", "["}:
        found = loads(value)
        return value if found is None else found
    return value


def nanoseconds(value: Any) -> int:
    """A time as nanoseconds since 1970; 0 where none is said. Texts without a zone are UTC.

    Numbers are seconds, milliseconds, microseconds or nanoseconds: pandas writes any of them.
    """
    if isinstance(value, datetime):
        found = moments.utc(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        scale = next(scale for scale, most in ((1e9, 1e11), (1e6, 1e14), (1e3, 1e17), (1, 1e30)) if abs(value) < most)
        return int(value * scale)
    else:
        found = moments.read(value.strip()) if isinstance(value, str) else None
    if found is None:
        if value not in (None, ""):
            raise ValueError(f"{value!r} is not a time")
        return 0
    whole = int(found.replace(microsecond=0).timestamp())
    return whole * 1_000_000_000 + found.microsecond * 1000


def messages(value: Any, role: str) -> list[Values]:
    """What a step was given or gave, as messages with ``role`` and ``content``; [] where nothing was said.

    Read are lists of messages of any client, LangChain's serialised ones, the bodies of OpenAI's and Anthropic's
    answers, and objects whose one text is what was said. Anything else is kept as JSON in one message.
    """
    value = parsed(value)
    if value in (None, "", [], {}):
        return []
    if isinstance(value, str):
        return [{"role": role, "content": value}]
    found = _listed(value, role) if isinstance(value, list) else _within(value, role)
    return found or [{"role": role, "content": json.dumps(value, ensure_ascii=False)}]


def _listed(values: list[Any], role: str) -> list[Values]:
    if len(values) == 1 and isinstance(values[0], list):  # LangChain's batches of one
        values = values[0]
    if values and all(isinstance(value, dict) and _speaks(value) for value in values):
        return [_message(value, role) for value in values]
    if values and all(isinstance(value, list) and len(value) == 2 for value in values):  # ("human", "Hello")
        return [{"role": _role(value[0], role), "content": _content(value[1])} for value in values]
    return []


def _speaks(value: Values) -> bool:
    return "role" in value or "kwargs" in value or ("type" in value and "content" in value)


def _within(value: Values, role: str) -> list[Values]:
    if _speaks(value):
        return [_message(value, role)]
    for name in ("messages", "choices", "generations", "input", "output", "message"):
        inner = value.get(name)
        if name == "choices" and isinstance(inner, list):
            inner = [choice.get("message") or {"role": role, "content": choice.get("text")} for choice in inner]
        elif name == "generations" and isinstance(inner, list):
            inner = [_generation(entry, role) for entry in _flat(inner)]
        if isinstance(inner, list | dict) and inner:
            found = _listed(inner, role) if isinstance(inner, list) else _within(inner, role)
            if found:
                system = value.get("system")
                return [*([{"role": "system", "content": _content(system)}] if system else []), *found]
    said = [name for name in _SAYING if isinstance(value.get(name), str)]
    texts = [entry for entry in value.values() if isinstance(entry, str)]
    if said or len(texts) == len(value) == 1:
        return [{"role": role, "content": value[said[0]] if said else texts[0]}]
    return []


def _flat(values: list[Any]) -> Iterable[Any]:
    for value in values:
        if isinstance(value, list):
            yield from value
        else:
            yield value


def _generation(entry: Any, role: str) -> Values:
    if isinstance(entry, dict) and isinstance(entry.get("message"), dict):
        return _message(entry["message"], role)
    return {"role": role, "content": entry.get("text", "") if isinstance(entry, dict) else str(entry)}


def _message(value: Values, role: str) -> Values:
    inner = value.get("kwargs")
    value = {**value, **inner} if isinstance(inner, dict) else value
    kind = value.get("role") or value.get("type")
    if kind in {None, "constructor"} and isinstance(value.get("id"), list):  # ["langchain", …, "HumanMessage"]
        kind = str(value["id"][-1]).removesuffix("Chunk").removesuffix("Message")
    message: Values = {"role": _role(kind, role), "content": _content(value.get("content"))}
    calls = value.get("tool_calls") or mapping(value.get("additional_kwargs")).get("tool_calls")
    if isinstance(calls, list) and calls:
        message["tool_calls"] = [_call(call) for call in calls if isinstance(call, dict)]
    if value.get("tool_call_id"):
        message["tool_call_id"] = str(value["tool_call_id"])
    return message


def _role(kind: Any, role: str) -> str:
    name = str(kind or role).lower()
    return _ROLES.get(name, name)[:50]


def _content(content: Any) -> str:
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, dict) else part for part in content]
        return "\n".join(part for part in parts if isinstance(part, str))
    if content is None or isinstance(content, str):
        return content or ""
    return json.dumps(content, ensure_ascii=False)


def _call(call: Values) -> Values:
    function = mapping(call.get("function"))
    arguments = pick(function, "arguments") or pick(call, "args", "arguments", "input")
    return {
        "id": str(call.get("id") or ""), "name": text(function, "name") or text(call, "name"),
        "arguments": parsed(arguments) or {},
    }  # fmt: skip


def parts(found: list[Values]) -> list[Values]:
    """Messages in the form of OpenTelemetry's current convention, which the assembly of traces reads."""
    result = []
    for message in found:
        entries: list[Values] = [{"type": "text", "content": message["content"]}] if message["content"] else []
        entries += [{"type": "tool_call", **call} for call in message.get("tool_calls", [])]
        if "tool_call_id" in message:
            entries = [{"type": "tool_call_response", "id": message["tool_call_id"], "result": message["content"]}]
        result.append({"role": message["role"], "parts": entries})
    return result
