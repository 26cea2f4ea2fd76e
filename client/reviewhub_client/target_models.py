"""Models as targets: OpenAI and servers that speak the same, and Anthropic."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from reviewhub_client.answers import MAX_ERROR, Answer, CannotRun, Wish, bounded
from reviewhub_client.wire import RETRIED, pause

OPENAI_URL = "https://api.openai.com/v1"
ANTHROPIC_URL = "https://api.anthropic.com"
ANTHROPIC_VERSION = "2023-06-01"
ANTHROPIC_TOKENS = 2048  # Anthropic refuses requests without a limit
MAX_REPLY_BYTES = 32_000_000
KEPT_HEADERS = ("content-type", "retry-after")
RETRIED_BY_MODELS = RETRIED | {409, 500, 529}
# Of an example's parameters those that every compatible server understands; others would be refused by some.
PASSED_ON = frozenset(
    {"temperature", "top_p", "max_tokens", "max_completion_tokens", "seed", "stop", "frequency_penalty",
     "presence_penalty", "response_format"}
)  # fmt: skip
ANTHROPIC_PASSED_ON = frozenset({"temperature", "top_p", "max_tokens", "max_completion_tokens", "stop"})
Read = Callable[[httpx.Response, float], Answer]


class Wire:
    """Requests to one address with retries: what may pass is tried again, a refused key ends the evaluation."""

    def __init__(
        self, url: str, headers: Mapping[str, str], *, what: str, advice: str, timeout: float, retries: int,
        backoff: float, transport: httpx.BaseTransport | None,
    ) -> None:  # fmt: skip
        self.url, self._what, self._advice = url, what, advice
        try:
            self._http = httpx.Client(timeout=timeout, headers=dict(headers), transport=transport)
            self.host = httpx.URL(url).host
        except (httpx.InvalidURL, UnicodeEncodeError, ValueError) as error:
            raise CannotRun(f"The target's address or key cannot be used: {error}") from None
        self._retries, self._backoff, self._timeout = retries, backoff, timeout

    def told(self) -> dict[str, Any]:
        """Where it is, as a run may keep it: names, passwords and queries, in which keys stand, are left out."""
        plain = httpx.URL(self.url).copy_with(username=None, password=None, query=None, fragment=None)
        return {"host": self.host, "url": str(plain)}

    def ask(self, body: Any, read: Read, *, method: str = "POST") -> Answer:
        """The answer to one request. Raises CannotRun where the address, the model or the key is refused."""
        failure = ""
        for attempt in range(self._retries + 1):
            started = time.perf_counter()
            try:
                response = self._whole(method, body, started)
            except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
                raise CannotRun(f"{self.url} is no address: {error}") from None
            except httpx.HTTPError as error:
                failure, asked = f"no answer: {error or type(error).__name__}", None
            else:
                if response.is_success:
                    return read(response, (time.perf_counter() - started) * 1000)
                if response.status_code in {401, 403, 404}:
                    raise CannotRun(f"{self.host} answers {response.status_code} for {self._what}. {self._advice}")
                failure, asked = f"HTTP {response.status_code}", response.headers.get("Retry-After")
                if response.status_code not in RETRIED_BY_MODELS:
                    break
            if attempt < self._retries:
                time.sleep(pause(attempt, self._backoff, asked))
        return Answer(error=failure[:MAX_ERROR])

    def _whole(self, method: str, body: Any, started: float) -> httpx.Response:
        """The reply within the time for one answer, which httpx takes for each read: a server that sends a byte now
        and then would hold the run for ever. Raises httpx.HTTPError."""
        with self._http.stream(method, self.url, json=body) as response:
            content = bytearray()
            for piece in response.iter_bytes():
                content += piece
                if len(content) > MAX_REPLY_BYTES:
                    raise httpx.ReadError(f"more than {MAX_REPLY_BYTES // 1_000_000} MB")
                if time.perf_counter() - started > self._timeout:
                    raise httpx.ReadTimeout(f"not whole after {self._timeout:g} seconds")
            kept = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
            return httpx.Response(response.status_code, headers=kept, content=bytes(content))


class OpenAITarget:
    """A model behind ``POST …/chat/completions``: OpenAI, or any server that speaks the same."""

    concurrent = True

    def __init__(
        self, model: str, *, base_url: str | None = None, key: str | None = None,
        parameters: Mapping[str, Any] | None = None, timeout: float = 120.0, retries: int = 5, backoff: float = 1.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:  # fmt: skip
        base = (base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL).rstrip("/")
        url = base if base.endswith("/chat/completions") else f"{base}/chat/completions"
        self.model, self.name, self.parameters = model, model, dict(parameters or {})
        key = key or os.environ.get("OPENAI_API_KEY") or ""
        self._wire = Wire(
            url, {"Authorization": f"Bearer {key}"} if key else {}, what=f"the model {model}",
            advice="Check the address, the model's name and OPENAI_API_KEY.", timeout=timeout, retries=retries,
            backoff=backoff, transport=transport,
        )  # fmt: skip

    def describe(self) -> dict[str, Any]:
        return {**self._wire.told(), "kind": "openai", "model": self.model, "parameters": self.parameters}

    def identity(self) -> dict[str, Any]:
        """What its answers depend on: two servers of one host are two targets."""
        return {**self.describe(), "url": self._wire.url}

    def answer(self, example: Mapping[str, Any]) -> Answer:
        return self._wire.ask(openai_body(example, self.model) | self.parameters, _read_completion)

    def say(self, messages: list[dict[str, Any]], **parameters: Any) -> Answer:
        """The answer to messages that belong to no example."""
        body = {"model": self.model, "messages": messages, **parameters, **self.parameters}
        return self._wire.ask(body, _read_completion)


class AnthropicTarget:
    """A model behind ``POST /v1/messages``: Anthropic, or a server that speaks the same."""

    concurrent = True

    def __init__(
        self, model: str, *, base_url: str | None = None, key: str | None = None,
        parameters: Mapping[str, Any] | None = None, timeout: float = 120.0, retries: int = 5, backoff: float = 1.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:  # fmt: skip
        base = (base_url or os.environ.get("ANTHROPIC_BASE_URL") or ANTHROPIC_URL).rstrip("/").removesuffix("/v1")
        self.model, self.name, self.parameters = model, model, dict(parameters or {})
        key = key or os.environ.get("ANTHROPIC_API_KEY") or ""
        self._wire = Wire(
            f"{base}/v1/messages", {"x-api-key": key, "anthropic-version": ANTHROPIC_VERSION},
            what=f"the model {model}", advice="Check the address, the model's name and ANTHROPIC_API_KEY.",
            timeout=timeout, retries=retries, backoff=backoff, transport=transport,
        )  # fmt: skip

    def describe(self) -> dict[str, Any]:
        return {**self._wire.told(), "kind": "anthropic", "model": self.model, "parameters": self.parameters}

    def identity(self) -> dict[str, Any]:
        """What its answers depend on: two servers of one host are two targets."""
        return {**self.describe(), "url": self._wire.url}

    def answer(self, example: Mapping[str, Any]) -> Answer:
        return self._wire.ask(anthropic_body(example, self.model) | self.parameters, _read_message)

    def say(self, messages: list[dict[str, Any]], **parameters: Any) -> Answer:
        """The answer to messages; instructions among them go where Anthropic wants them."""
        return self._wire.ask(_anthropic_turns(messages, self.model) | parameters | self.parameters, _read_message)


def make_openai(wish: Wish) -> OpenAITarget:
    """``openai:MODEL``."""
    return OpenAITarget(
        _named(wish.rest or wish.model), parameters=wish.parameters, timeout=wish.timeout, retries=wish.retries
    )


def make_anthropic(wish: Wish) -> AnthropicTarget:
    """``anthropic:MODEL``."""
    return AnthropicTarget(
        _named(wish.rest or wish.model), parameters=wish.parameters, timeout=wish.timeout, retries=wish.retries
    )


def make_compatible(wish: Wish) -> OpenAITarget:
    """An address with ``--model``."""
    return OpenAITarget(
        _named(wish.model), base_url=wish.rest, parameters=wish.parameters, timeout=wish.timeout, retries=wish.retries
    )


def openai_body(example: Mapping[str, Any], model: str) -> dict[str, Any]:
    """What is sent to ``POST …/chat/completions`` for an example."""
    body: dict[str, Any] = {name: value for name, value in _parameters(example).items() if name in PASSED_ON}
    body |= {"model": model, "messages": prompt_of(example)}
    tools = (example.get("input") or {}).get("tools") or []
    if functions_of(tools):
        body["tools"] = tools
    return body


def functions_of(tools: list[Any]) -> list[dict[str, Any]]:
    """What each tool says of its function; none unless all of them are functions, because half a set is another set."""
    found = [tool["function"] for tool in tools if _is_function(tool)]
    return found if len(found) == len(tools) else []


def _is_function(tool: Any) -> bool:
    given = tool.get("function") if isinstance(tool, dict) and tool.get("type") == "function" else None
    return isinstance(given, dict) and isinstance(given.get("name"), str)


def anthropic_body(example: Mapping[str, Any], model: str) -> dict[str, Any]:
    """What is sent to ``POST /v1/messages`` for an example."""
    given = _parameters(example)
    limit = given.get("max_completion_tokens") or given.get("max_tokens")
    kept: dict[str, Any] = {name: given[name] for name in ("temperature", "top_p") if name in given}
    stop = given.get("stop")
    if stop:
        kept["stop_sequences"] = stop if isinstance(stop, list) else [stop]
    tools = [
        {"name": one["name"], "description": str(one.get("description") or ""),
         "input_schema": one.get("parameters") or {"type": "object"}}
        for one in functions_of((example.get("input") or {}).get("tools") or [])
    ]  # fmt: skip
    kept |= {"tools": tools} if tools else {}
    return _anthropic_turns(prompt_of(example), model) | {"max_tokens": limit or ANTHROPIC_TOKENS} | kept


def _anthropic_turns(messages: list[dict[str, Any]], model: str) -> dict[str, Any]:
    system = [str(one.get("content") or "") for one in messages if one.get("role") in ("system", "developer")]
    turns: list[dict[str, Any]] = []
    for one in messages:
        if one.get("role") in ("system", "developer"):
            continue
        role, text = ("assistant" if one.get("role") == "assistant" else "user"), _text(one)
        if turns and turns[-1]["role"] == role:  # turns must alternate
            turns[-1]["content"] += f"\n\n{text}"
        else:
            turns.append({"role": role, "content": text})
    body: dict[str, Any] = {"model": model, "max_tokens": ANTHROPIC_TOKENS, "messages": turns}
    return body | ({"system": "\n\n".join(system)} if system else {})


def _named(model: str) -> str:
    if not model:
        raise CannotRun("Name the model: openai:MODEL, anthropic:MODEL, or --model beside an address.")
    return model


def _parameters(example: Mapping[str, Any]) -> dict[str, Any]:
    given = (example.get("input") or {}).get("parameters")
    return {name: value for name, value in given.items() if value is not None} if isinstance(given, dict) else {}


def prompt_of(example: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The messages to send. Documents that no message quotes go before them, as a system message."""
    given = example.get("input") or {}
    kept = ("role", "content", "name", "tool_calls", "tool_call_id")
    messages = [
        {
            name: message[name]
            for name in kept
            if message.get(name) is not None or (name == "content" and name in message)
        }
        for message in given.get("messages") or []
    ]
    said = "\n".join(str(message.get("content")) for message in messages)
    unseen = [
        f"[{document.get('id') or place}] {document.get('title') or ''}\n{document['content']}".strip()
        for place, document in enumerate(given.get("documents") or [], 1)
        if document.get("content") and str(document["content"]) not in said
    ]
    if unseen:
        messages.insert(0, {"role": "system", "content": "Use these documents:\n\n" + "\n\n".join(unseen)})
    return messages


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    calls = message.get("tool_calls")
    return "\n".join(part for part in (content or "", json.dumps(calls) if calls else "") if part)


def _read_completion(response: httpx.Response, latency_ms: float) -> Answer:
    try:
        body = response.json()
        message = body["choices"][0]["message"]
        content = message.get("content")
        if isinstance(content, list):
            content = "".join(part.get("text", "") for part in content)
        if content is None and message.get("tool_calls"):
            content = json.dumps(message["tool_calls"], ensure_ascii=False, sort_keys=True)
        if content is None:
            content = message.get("refusal")
        usage = body.get("usage") or {}
        tokens = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return Answer(error="the target did not answer with a chat completion", latency_ms=latency_ms)
    if not isinstance(content, str):
        return Answer(error="the target's message has no text", latency_ms=latency_ms)
    return bounded(content, latency_ms, *tokens)


def _read_message(response: httpx.Response, latency_ms: float) -> Answer:
    try:
        body = response.json()
        blocks = body["content"]
        texts = [block["text"] for block in blocks if block.get("type") == "text"]
        calls = [block for block in blocks if block.get("type") == "tool_use"]
        usage = body.get("usage") or {}
        tokens = _count(usage.get("input_tokens")), _count(usage.get("output_tokens"))
        content = "".join(texts) if texts or not calls else json.dumps(calls, ensure_ascii=False, sort_keys=True)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Answer(error="the target did not answer with a message", latency_ms=latency_ms)
    return bounded(content, latency_ms, *tokens)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
