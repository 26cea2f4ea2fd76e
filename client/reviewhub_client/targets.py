"""Where answers come from: which target a word on the command line means, and the file of answers.

Add a kind of target: a module with a function from ``Wish`` to ``Target`` (see ``reviewhub_client.answers``), named
under its prefix in ``KINDS``, or by a package of your own with an entry point in ``reviewhub.targets``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from reviewhub_client import target_http, target_models, target_python
from reviewhub_client.answers import MAX_ERROR, Answer, CannotRun, Make, Target, Wish, bounded
from reviewhub_client.target_http import HTTPTarget
from reviewhub_client.target_models import AnthropicTarget, OpenAITarget, prompt_of
from reviewhub_client.target_python import PythonTarget

__all__ = [
    "Answer", "AnthropicTarget", "CannotRun", "FileTarget", "HTTPTarget", "OpenAITarget", "PythonTarget", "Target",
    "prompt_of", "resolve",
]  # fmt: skip

GROUP = "reviewhub.targets"
KINDS: dict[str, Make] = {
    "openai": target_models.make_openai,
    "anthropic": target_models.make_anthropic,
    "http": target_http.make,
    "python": target_python.make,
}


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
    output, error, latency, cost = (item.get(name) for name in ("output", "error", "latency_ms", "cost_usd"))
    if error:
        return Answer(error=str(error)[:MAX_ERROR])
    if isinstance(output, dict | list):
        output = json.dumps(output, ensure_ascii=False)
    if not isinstance(output, str):
        raise CannotRun(f"{place}: output must be a text")
    if latency is not None and (
        not isinstance(latency, int | float) or isinstance(latency, bool) or not 0 <= latency < math.inf
    ):
        raise CannotRun(f"{place}: latency_ms must be a number from 0 on")
    if cost is not None and (not isinstance(cost, int | float) or isinstance(cost, bool) or not 0 <= cost < math.inf):
        raise CannotRun(f"{place}: cost_usd must be a number from 0 on")
    return bounded(output, latency, cost_usd=cost)


def resolve(
    spec: str, *, model: str = "", parameters: Mapping[str, Any] | None = None, timeout: float = 120.0,
    retries: int = 5,
) -> Target:  # fmt: skip
    """The target that a word on the command line means: ``openai:MODEL``, ``anthropic:MODEL``, ``http:FILE``,
    ``python:MODULE:FUNCTION``, what an entry point adds, an address with ``--model``, or a file of answers."""
    wish = Wish(spec, model, dict(parameters or {}), timeout, retries)
    if spec.startswith(("http://", "https://")):
        return target_models.make_compatible(wish)
    prefix, colon, rest = spec.partition(":")
    if not colon:
        return FileTarget(spec)
    if prefix in KINDS:
        return KINDS[prefix](replace(wish, rest=rest))
    for entry in entry_points(group=GROUP, name=prefix):
        make: Make = entry.load()
        return make(replace(wish, rest=rest))
    return FileTarget(spec)
