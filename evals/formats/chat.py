"""An example as a conversation in the shapes that other tools read. No format of its own."""

from __future__ import annotations

import json
from typing import Any

from reviewhub_client.targets import prompt_of

from evals import lines
from feedback.models import text_of

_ROLES = {"system", "user", "assistant", "tool"}
NO_OUTPUT, NO_QUESTION, NO_PAIR = "no desired answer", "no messages", "no rejected answer beside a desired one"

Row = dict[str, Any]


def desired(row: Row) -> str:
    """What should have been answered; empty where only assertions say it."""
    return row["expected"].get("output") or ""


def rejected(row: Row) -> str:
    """The recorded answer, if people judged it a failure and it is not what they want; else empty."""
    answer = row["metadata"].get("answer") or ""
    failed = (row["expected"].get("label") or {}).get("verdict") == "fail"
    return answer if failed and answer != desired(row) else ""


def question(row: Row) -> str:
    """The last thing the user said."""
    return lines.question_of(row["input"].get("messages") or [])


def contents(row: Row) -> list[str]:
    """The texts of the documents."""
    texts = [text_of(document.get("content")) for document in row["input"].get("documents") or []]
    return [text for text in texts if text]


def asserted(row: Row, kind: str) -> list[str]:
    """The assertions of one kind, ``must`` or ``must_not``."""
    return [entry["text"] for entry in row["expected"].get("assertions") or [] if entry.get("type") == kind]


def label(row: Row) -> dict[str, Any]:
    """What people said of the recorded answer: ``verdict``, ``category``, ``severity``."""
    return row["expected"].get("label") or {}


def openai(row: Row) -> list[dict[str, Any]]:
    """The messages as OpenAI's chat completions take them; documents that no message quotes go before them."""
    return [_openai(message) for message in prompt_of({"input": row["input"]})]


def answer(text: str) -> list[dict[str, str]]:
    """A final answer as a list of messages."""
    return [{"role": "assistant", "content": text}]


def plain(row: Row) -> list[dict[str, str]]:
    """The messages as texts alone: role and content, calls of tools as their JSON."""
    return [
        {"role": message["role"], "content": text_of(message.get("content")) or _calls_told(message)}
        for message in openai(row)
    ]


def _calls_told(message: dict[str, Any]) -> str:
    return lines.canonical(message["tool_calls"]).decode() if message.get("tool_calls") else ""


def _openai(message: dict[str, Any]) -> dict[str, Any]:
    role = str(message.get("role") or "user")
    role = "system" if role == "developer" else role if role in _ROLES else "user"
    content = message.get("content")
    if isinstance(content, list) and all(isinstance(part, str) or part.get("type") == "text" for part in content):
        content = text_of(content)
    found: dict[str, Any] = {"role": role, "content": content}
    calls = [call(entry, place) for place, entry in enumerate(message.get("tool_calls") or [])]
    if calls:
        found["tool_calls"] = calls
    elif content is None:
        found["content"] = ""
    for name in ("name", "tool_call_id"):
        if isinstance(message.get(name), str):
            found[name] = message[name]
    return found


def call(entry: Any, place: int) -> dict[str, Any]:
    """One call of a tool as OpenAI writes it: ``arguments`` is a text of JSON."""
    entry = entry if isinstance(entry, dict) else {"name": str(entry)}
    inner = entry.get("function") if isinstance(entry.get("function"), dict) else entry
    arguments = inner.get("arguments", inner.get("args", inner.get("input", {})))
    name = inner.get("name") or (entry["function"] if isinstance(entry.get("function"), str) else "") or "unknown"
    return {
        "id": str(entry.get("id") or f"call_{place}"), "type": "function",
        "function": {
            "name": str(name),
            "arguments": arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False),
        },
    }  # fmt: skip


def tools(row: Row) -> list[dict[str, Any]]:
    """The tools as OpenAI takes them: wrapped in ``function`` where they are not yet."""
    found = [tool for tool in row["input"].get("tools") or [] if isinstance(tool, dict)]
    return [tool if "function" in tool else {"type": "function", "function": tool} for tool in found]
