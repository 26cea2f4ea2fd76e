"""Any HTTP endpoint as a target, by a template: ``http:FILE``.

The file is JSON: ``url``; ``method`` (POST); ``headers``, in which ``${NAME}`` is a variable of the environment;
``body``, any JSON in which ``{{question}}``, ``{{id}}``, ``{{messages}}``, ``{{documents}}``, ``{{tools}}`` and
``{{parameters}}`` stand for parts of the example; and ``answer``, the JSON Pointer (RFC 6901) of the text in what
comes back, empty for the whole body as text. A string that is only a placeholder becomes the value itself, so
``"{{messages}}"`` is a list.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from reviewhub_client.answers import Answer, CannotRun, Wish, bounded
from reviewhub_client.target_models import Wire

_PLACE = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_WORDS = ("id", "question", "messages", "documents", "tools", "parameters")
_MISSING = object()


class HTTPTarget:
    """An endpoint of your own: a request by template for each example, the answer by a pointer into the reply."""

    concurrent = True

    def __init__(
        self, template: Mapping[str, Any], *, name: str = "http", timeout: float = 120.0, retries: int = 5,
        backoff: float = 1.0, transport: httpx.BaseTransport | None = None,
    ) -> None:  # fmt: skip
        unknown = sorted(template.keys() - {"url", "method", "headers", "body", "answer", "name"})
        if unknown or not isinstance(template.get("url"), str):
            raise CannotRun(f"{name}: {f'{unknown[0]} is not understood' if unknown else 'url is missing'}")
        self.name = str(template.get("name") or name)
        self._method, self._body = str(template.get("method") or "POST").upper(), template.get("body")
        self._pointer = str(template.get("answer") or "")
        for word in _PLACE.findall(json.dumps(self._body)):
            if word not in _WORDS:
                raise CannotRun(f"{name}: {{{{{word}}}}} is not known; known are {', '.join(_WORDS)}")
        headers = {key: _filled(str(value), name) for key, value in (template.get("headers") or {}).items()}
        self._headers = sorted(headers.items())
        self._wire = Wire(
            template["url"], headers, what="this request", advice="Check the address and the headers.",
            timeout=timeout, retries=retries, backoff=backoff, transport=transport,
        )  # fmt: skip

    def describe(self) -> dict[str, Any]:
        return {"kind": "http", "host": self._wire.host, "name": self.name}

    def identity(self) -> dict[str, Any]:
        """What its answers depend on. Of the headers only a hash is kept, because keys stand in them."""
        asked = [self._method, self._wire.url, self._body, self._pointer, self._headers]
        return {**self.describe(), "sha256": hashlib.sha256(json.dumps(asked).encode()).hexdigest()}

    def answer(self, example: Mapping[str, Any]) -> Answer:
        return self._wire.ask(render(self._body, values_of(example)), self._read, method=self._method)

    def _read(self, response: httpx.Response, latency_ms: float) -> Answer:
        if not self._pointer:
            return bounded(response.text, latency_ms)
        try:
            found = at(response.json(), self._pointer)
        except ValueError:
            return Answer(error="the target did not answer with JSON", latency_ms=latency_ms)
        if found is _MISSING or found is None:
            return Answer(error=f"the target's answer has nothing at {self._pointer}", latency_ms=latency_ms)
        return bounded(found if isinstance(found, str) else json.dumps(found, ensure_ascii=False), latency_ms)


def make(wish: Wish) -> HTTPTarget:
    """``http:FILE``."""
    path = Path(wish.rest)
    try:
        template = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CannotRun(f"{path} cannot be read: {error}") from None
    if not isinstance(template, dict):
        raise CannotRun(f"{path}: a template is one JSON object")
    return HTTPTarget(template, name=path.stem, timeout=wish.timeout, retries=wish.retries)


def values_of(example: Mapping[str, Any]) -> dict[str, Any]:
    """What the placeholders stand for."""
    given = example.get("input") or {}
    asked = [one.get("content") for one in given.get("messages") or [] if one.get("role") == "user"]
    return {
        "id": example.get("id"), "question": asked[-1] if asked else "", "messages": given.get("messages") or [],
        "documents": given.get("documents") or [], "tools": given.get("tools") or [],
        "parameters": given.get("parameters") or {},
    }  # fmt: skip


def render(template: Any, values: Mapping[str, Any]) -> Any:
    """The template with its placeholders filled; a text that is only a placeholder becomes the value itself."""
    if isinstance(template, dict):
        return {key: render(value, values) for key, value in template.items()}
    if isinstance(template, list):
        return [render(value, values) for value in template]
    if not isinstance(template, str):
        return template
    whole = _PLACE.fullmatch(template)
    return values[whole[1]] if whole else _PLACE.sub(lambda place: _as_text(values[place[1]]), template)


def at(value: Any, pointer: str) -> Any:
    """The part of a JSON value that a pointer names, or a mark that it is missing."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(name, _MISSING)
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return _MISSING
    return value


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _filled(text: str, name: str) -> str:
    def variable(found: re.Match[str]) -> str:
        if found[1] not in os.environ:
            raise CannotRun(f"{name}: the variable {found[1]} is not set")
        return os.environ[found[1]]

    return _VARIABLE.sub(variable, text)
