"""Where answers come from: a file, or a model behind an OpenAI-compatible address."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx

from reviewhub_client.hub import RETRIED, pause

OPENAI_URL = "https://api.openai.com/v1"
MAX_OUTPUT = 1_000_000
RETRIED_BY_MODELS = RETRIED | {409, 500, 529}
# Of an example's parameters those that every compatible server understands; others would be refused by some.
PASSED_ON = frozenset(
    {"temperature", "top_p", "max_tokens", "max_completion_tokens", "seed", "stop", "frequency_penalty",
     "presence_penalty", "response_format"}
)  # fmt: skip


class CannotRun(Exception):
    """The evaluation cannot go on: a wrong option, an unreadable file, a key that the provider refuses."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a target said to one example; ``error`` where it said nothing that can be judged."""

    output: str = ""
    error: str = ""
    latency_ms: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


class Target(Protocol):
    """Anything that answers examples. ``describe`` is stored with the run and must hold no secret."""

    name: str
    concurrent: bool

    def describe(self) -> dict[str, Any]: ...

    def answer(self, example: Mapping[str, Any]) -> Answer: ...


class FileTarget:
    """Answers that exist already: JSON Lines of ``{"id": …, "output": …}``, a list of these, or an object by id."""

    concurrent = False

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.name = self.path.name
        self.answers = _read_answers(self.path)

    def describe(self) -> dict[str, Any]:
        return {"kind": "file", "name": self.name, "answers": len(self.answers)}

    def answer(self, example: Mapping[str, Any]) -> Answer:
        return self.answers.get(example["id"]) or Answer(error="the file has no answer to this example")


def _read_answers(path: Path) -> dict[str, Answer]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CannotRun(f"{path} cannot be read: {error}") from None
    answers: dict[str, Answer] = {}
    for place, item in _items(text, path):
        key = item.get("id", item.get("example")) if isinstance(item, dict) else None
        if not isinstance(item, dict) or not isinstance(key, str) or not key:
            raise CannotRun(f'{path}, {place}: write {{"id": "…", "output": "…"}}')
        if key in answers:
            raise CannotRun(f"{path}, {place}: a second answer to {key}")
        answers[key] = _given(item, f"{path}, {place}")
    return answers


def _items(text: str, path: Path) -> list[tuple[str, Any]]:
    """The file's items with their place: a JSON list, an object by key, or a line each."""
    try:
        whole = json.loads(text)
    except ValueError:
        whole = None
    if isinstance(whole, list):
        return [(f"item {number}", item) for number, item in enumerate(whole, 1)]
    if isinstance(whole, dict) and not {"id", "example"} & whole.keys():
        return [(f"key {key}", {"id": key, "output": output}) for key, output in whole.items()]
    items = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                items.append((f"line {number}", json.loads(line)))
            except ValueError as error:
                raise CannotRun(f"{path}, line {number}: not JSON: {error}") from None
    return items


def _given(item: dict[str, Any], place: str) -> Answer:
    output, error, latency = item.get("output"), item.get("error"), item.get("latency_ms")
    if error:
        return Answer(error=str(error)[:500])
    if isinstance(output, dict | list):
        output = json.dumps(output, ensure_ascii=False)
    if not isinstance(output, str):
        raise CannotRun(f"{place}: output must be a text")
    if latency is not None and (not isinstance(latency, int | float) or isinstance(latency, bool) or not latency >= 0):
        raise CannotRun(f"{place}: latency_ms must be a number from 0 on")
    return _bounded(output, latency)


class OpenAITarget:
    """A model behind ``POST …/chat/completions``: OpenAI, or any server that speaks the same."""

    concurrent = True

    def __init__(
        self, model: str, *, base_url: str | None = None, key: str | None = None,
        parameters: Mapping[str, Any] | None = None, timeout: float = 120.0, retries: int = 5, backoff: float = 1.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:  # fmt: skip
        base = (base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL).rstrip("/")
        self.url = base if base.endswith("/chat/completions") else f"{base}/chat/completions"
        self.model, self.name, self.parameters = model, model, dict(parameters or {})
        key = key or os.environ.get("OPENAI_API_KEY") or ""
        try:
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            self._http = httpx.Client(timeout=timeout, headers=headers, transport=transport)
            self._host = httpx.URL(self.url).host
        except (httpx.InvalidURL, UnicodeEncodeError, ValueError) as error:
            raise CannotRun(f"The target's address or key cannot be used: {error}") from None
        self._retries, self._backoff = retries, backoff

    def describe(self) -> dict[str, Any]:
        return {"kind": "openai", "host": self._host, "model": self.model, "parameters": self.parameters}

    def answer(self, example: Mapping[str, Any]) -> Answer:
        given = (example.get("input") or {}).get("parameters") or {}
        body: dict[str, Any] = {name: value for name, value in given.items() if name in PASSED_ON}
        body |= {"model": self.model, "messages": prompt_of(example), **self.parameters}
        tools = (example.get("input") or {}).get("tools") or []
        if tools and all(isinstance(tool, dict) and tool.get("type") == "function" for tool in tools):
            body["tools"] = tools
        for attempt in range(self._retries + 1):
            started = time.perf_counter()
            try:
                response = self._http.post(self.url, json=body)
            except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
                raise CannotRun(f"{self.url} is no address: {error}") from None
            except httpx.HTTPError as error:
                failure, asked = f"no answer: {error or type(error).__name__}", None
            else:
                if response.is_success:
                    return _read_completion(response, (time.perf_counter() - started) * 1000)
                failure, asked = self._failure(response), response.headers.get("Retry-After")
                if response.status_code not in RETRIED_BY_MODELS:
                    break
            if attempt < self._retries:
                time.sleep(pause(attempt, self._backoff, asked))
        return Answer(error=failure[:500])

    def _failure(self, response: httpx.Response) -> str:
        if response.status_code in {401, 403, 404}:
            raise CannotRun(
                f"{self._host} answers {response.status_code} for the model {self.model}. "
                "Check the address, the model's name and OPENAI_API_KEY."
            )
        return f"HTTP {response.status_code}"


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
        tokens = usage.get("prompt_tokens"), usage.get("completion_tokens")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return Answer(error="the target did not answer with a chat completion", latency_ms=latency_ms)
    if not isinstance(content, str):
        return Answer(error="the target's message has no text", latency_ms=latency_ms)
    return _bounded(content, latency_ms, *tokens)


def _bounded(
    output: str, latency_ms: float | None, input_tokens: int | None = None, output_tokens: int | None = None
) -> Answer:
    if len(output) > MAX_OUTPUT:
        return Answer(error=f"the answer has more than {MAX_OUTPUT:,} characters", latency_ms=latency_ms)
    return Answer(output, "", latency_ms, input_tokens, output_tokens)


def resolve(
    spec: str, *, model: str = "", parameters: Mapping[str, Any] | None = None, timeout: float = 120.0
) -> Target:
    """The target that a word on the command line means: ``openai:MODEL``, an address with ``--model``, or a file."""
    kinds: dict[str, Callable[[], Target]] = {
        "openai:": lambda: OpenAITarget(spec.removeprefix("openai:"), parameters=parameters, timeout=timeout),
        "http://": lambda: OpenAITarget(model, base_url=spec, parameters=parameters, timeout=timeout),
        "https://": lambda: OpenAITarget(model, base_url=spec, parameters=parameters, timeout=timeout),
    }
    for prefix, make in kinds.items():
        if spec.startswith(prefix):
            if not (model or (prefix == "openai:" and spec != prefix)):
                raise CannotRun("Name the model: openai:MODEL, or --model beside an address.")
            return make()
    return FileTarget(spec)
