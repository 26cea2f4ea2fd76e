"""What requests to models and their answers say, in the words of an interaction: one reader for each API.

A reader looks at objects and dictionaries alike and needs no library of a provider.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reviewhub_client.encoding import clipped, plain
from reviewhub_client.recording import Answer
from reviewhub_client.types import Usage

LONGEST_OUTPUT = 100_000  # characters of a stream that are kept
NOT_PARAMETERS = frozenset(
    {"model", "messages", "input", "system", "instructions", "tools", "stream", "stream_options", "timeout", "user",
     "extra_headers", "extra_query", "extra_body", "metadata", "response_format", "text", "text_format",
     "output_format", "output_config", "prompt"}
)  # fmt: skip
UNSET_TYPES = frozenset({"NotGiven", "Omit"})  # how the libraries say that an argument was not given


def get(value: Any, *path: str) -> Any:
    """An attribute or key of a value, and of what is found there; None where there is none."""
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
        if type(value).__name__ in UNSET_TYPES:
            return None
    return value


class Reader:
    """Reads one call. ``piece`` is told each event of a stream and says whether a part of the answer was in it."""

    def __init__(self, provider: str, request: Mapping[str, Any]) -> None:
        request = {name: value for name, value in request.items() if type(value).__name__ not in UNSET_TYPES}
        given = {name: value for name, value in request.items() if name not in NOT_PARAMETERS and value is not None}
        self.answer = Answer(
            provider=provider, model=str(request.get("model") or ""), parameters=clipped(given),
            messages=clipped(self.asked(request)), tools=self.tools(request), output_schema=self.schema(request),
        )  # fmt: skip
        self._texts: dict[int, list[str]] = {}
        self._kept = 0

    def asked(self, request: Mapping[str, Any]) -> list[Any]:
        return _turns(request.get("messages"))

    def tools(self, request: Mapping[str, Any]) -> list[Any]:
        tools = request.get("tools")
        return [tool for tool in clipped(list(tools)) if isinstance(tool, dict)] if isinstance(tools, list) else []

    def schema(self, request: Mapping[str, Any]) -> dict[str, Any] | None:
        return None

    def whole(self, value: Any) -> None:
        """The answer arrived in one piece."""
        raise NotImplementedError

    def piece(self, event: Any) -> bool:
        raise NotImplementedError

    def finish(self) -> None:
        """The stream has ended, completely or not."""

    def _named(self, value: Any) -> None:
        self.answer.model = str(get(value, "model") or self.answer.model)
        self.answer.response_id = str(get(value, "id") or self.answer.response_id)

    def _count(self, given: Any, got: Any, cached: Any) -> None:
        """Tokens, where they are stated."""
        for name, count in (("input_tokens", given), ("output_tokens", got), ("cached_input_tokens", cached)):
            if isinstance(count, int):
                self.answer.usage[name] = count  # type: ignore[literal-required]

    def _keep(self, place: int, text: Any) -> bool:
        """Adds to the text at this place; whether there was any."""
        if not isinstance(text, str) or not text:
            return False
        if self._kept < LONGEST_OUTPUT:
            self._texts.setdefault(place, []).append(text)
            self._kept += len(text)
        return True

    def _text(self, place: int) -> str:
        return "".join(self._texts.get(place, ()))


class ChatReader(Reader):
    """OpenAI's chat completions, and those that speak like it. Of several choices the first is the answer."""

    def __init__(self, provider: str, request: Mapping[str, Any]) -> None:
        super().__init__(provider, request)
        self._calls: dict[int, dict[str, Any]] = {}

    def schema(self, request: Mapping[str, Any]) -> dict[str, Any] | None:
        found = get(request.get("response_format"), "json_schema", "schema")
        return dict(found) if isinstance(found, Mapping) else None

    def whole(self, value: Any) -> None:
        self._named(value)
        self._usage(get(value, "usage"))
        for choice in (get(value, "choices") or [])[:1]:
            message = get(choice, "message")
            calls = [_call(get(call, "id"), get(call, "function")) for call in get(message, "tool_calls") or []]
            self.answer.output = spoken(get(message, "content") or get(message, "refusal") or "", calls)

    def piece(self, event: Any) -> bool:
        event = get(event, "chunk") or event  # the stream helper puts the original into an event of its own
        self._named(event)
        self._usage(get(event, "usage"))
        told = False
        for choice in get(event, "choices") or []:
            if get(choice, "index"):
                continue
            delta = get(choice, "delta")
            told |= self._keep(0, get(delta, "content")) or self._keep(0, get(delta, "refusal"))
            for call in get(delta, "tool_calls") or []:
                told = True
                place = get(call, "index") or 0
                self._calls.setdefault(place, {}).update(
                    {name: found for name, found in (("id", get(call, "id")), ("name", get(call, "function", "name")))
                     if found}
                )  # fmt: skip
                self._keep(place + 1, get(call, "function", "arguments"))
        return told

    def finish(self) -> None:
        calls = [
            _call(call.get("id"), {"name": call.get("name"), "arguments": self._text(place + 1)})
            for place, call in sorted(self._calls.items())
        ]
        self.answer.output = spoken(self._text(0), calls)

    def _usage(self, usage: Any) -> None:
        cached = get(usage, "prompt_tokens_details", "cached_tokens")
        self._count(get(usage, "prompt_tokens"), get(usage, "completion_tokens"), cached)


class ResponsesReader(Reader):
    """OpenAI's responses."""

    def asked(self, request: Mapping[str, Any]) -> list[Any]:
        first = request.get("instructions")
        given = request.get("input")
        turns = [{"role": "user", "content": given}] if isinstance(given, str) else []
        for item in given if isinstance(given, list | tuple) else []:
            turns.append(_response_turn(item if isinstance(item, Mapping) else plain(item)))
        return [{"role": "system", "content": first}, *turns] if first else turns

    def schema(self, request: Mapping[str, Any]) -> dict[str, Any] | None:
        found = get(request.get("text"), "format", "schema")
        return dict(found) if isinstance(found, Mapping) else None

    def whole(self, value: Any) -> None:
        self._named(value)
        usage = get(value, "usage")
        cached = get(usage, "input_tokens_details", "cached_tokens")
        self._count(get(usage, "input_tokens"), get(usage, "output_tokens"), cached)
        texts, calls = [], []
        for item in get(value, "output") or []:
            if get(item, "type") == "message":
                parts = get(item, "content") or []
                texts += [str(get(part, "text") or get(part, "refusal") or "") for part in parts]
            elif get(item, "type") == "function_call":
                calls.append(_call(get(item, "call_id"), item))
        self.answer.output = spoken("".join(texts), calls)

    def piece(self, event: Any) -> bool:
        kind = str(get(event, "type") or "")
        if kind in ("response.completed", "response.incomplete", "response.failed"):
            self.whole(get(event, "response"))
        elif kind == "response.created":
            self._named(get(event, "response"))
        elif kind in ("response.output_text.delta", "response.refusal.delta"):
            return self._keep(0, get(event, "delta"))
        return kind == "response.function_call_arguments.delta"

    def finish(self) -> None:
        if self.answer.output is None:  # it broke off before the event that holds everything
            self.answer.output = self._text(0)


class MessagesReader(Reader):
    """Anthropic's messages."""

    def __init__(self, provider: str, request: Mapping[str, Any]) -> None:
        super().__init__(provider, request)
        self._blocks: dict[int, dict[str, Any]] = {}

    def asked(self, request: Mapping[str, Any]) -> list[Any]:
        system, turns = request.get("system"), _turns(request.get("messages"))
        return [{"role": "system", "content": system}, *turns] if system else turns

    def schema(self, request: Mapping[str, Any]) -> dict[str, Any] | None:
        found = get(request.get("output_config"), "format", "schema")
        return dict(found) if isinstance(found, Mapping) else None

    def whole(self, value: Any) -> None:
        self._named(value)
        self._usage(get(value, "usage"))
        blocks = get(value, "content") or []
        calls = [
            _call(get(block, "id"), {"name": get(block, "name"), "arguments": get(block, "input")})
            for block in blocks if get(block, "type") == "tool_use"
        ]  # fmt: skip
        texts = [str(get(block, "text") or "") for block in blocks if get(block, "type") == "text"]
        self.answer.output = spoken("".join(texts), calls)

    def piece(self, event: Any) -> bool:
        kind, place = get(event, "type"), get(event, "index") or 0
        if kind == "message_start":
            self._named(get(event, "message"))
            self._usage(get(event, "message", "usage"))
        elif kind == "message_delta":
            self._usage(get(event, "usage"))
        elif kind == "content_block_start":
            block = get(event, "content_block")
            self._blocks[place] = {name: get(block, name) for name in ("type", "id", "name")}
            return self._keep(place, get(block, "text"))
        elif kind == "content_block_delta":
            delta = get(event, "delta")
            return self._keep(place, get(delta, "text")) or self._keep(place, get(delta, "partial_json"))
        return False

    def finish(self) -> None:
        calls, texts = [], []
        for place, block in sorted(self._blocks.items()):
            if block["type"] == "tool_use":
                calls.append(_call(block["id"], {"name": block["name"], "arguments": self._text(place)}))
            else:
                texts.append(self._text(place))
        self.answer.output = spoken("".join(texts), calls)

    def _usage(self, usage: Any) -> None:
        given, got = get(usage, "input_tokens"), get(usage, "output_tokens")
        read, written = get(usage, "cache_read_input_tokens"), get(usage, "cache_creation_input_tokens")
        # Anthropic counts cached tokens beside the input, the hub as a part of it.
        whole = given + (read or 0) + (written or 0) if isinstance(given, int) else None
        if whole is None or whole >= self.answer.usage.get("input_tokens", 0):
            self._count(whole, got, read)
        else:
            self._count(None, got, None)


def spoken(text: str, calls: list[dict[str, Any]]) -> Any:
    """An answer: its text, or a message where tools are called."""
    if not calls:
        return text
    return [{"role": "assistant", "content": text or None, "tool_calls": calls}]


def _call(id: Any, function: Any) -> dict[str, Any]:
    """A tool's call as OpenAI writes it; the hub shows it so."""
    arguments = get(function, "arguments")
    return {
        "id": str(id or ""), "type": "function",
        "function": {"name": str(get(function, "name") or ""), "arguments": plain_arguments(arguments)},
    }  # fmt: skip


def plain_arguments(arguments: Any) -> Any:
    return arguments if isinstance(arguments, str) else clipped(arguments)


def _turns(messages: Any) -> list[Any]:
    if not isinstance(messages, list | tuple):
        return []
    return [message if isinstance(message, Mapping) else plain(message) for message in messages]


def _response_turn(item: Any) -> Any:
    """An item of a responses request as a message; calls and their results are items there."""
    kind = get(item, "type")
    if kind == "function_call":
        return {"role": "assistant", "content": None, "tool_calls": [_call(get(item, "call_id"), item)]}
    if kind == "function_call_output":
        output = get(item, "output")
        return {"role": "tool", "tool_call_id": str(get(item, "call_id") or ""), "content": output}
    if get(item, "role"):
        return item
    return {"role": "assistant", "content": [item]}


__all__ = ["ChatReader", "MessagesReader", "Reader", "ResponsesReader", "Usage"]
