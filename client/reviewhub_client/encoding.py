"""Anything an application holds as JSON that the hub accepts. Never raises: a strange value becomes a text."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

DEEPEST = 24  # the server reads 32 levels; what is put around a value takes some
LONGEST_REPR = 1_000
LONGEST_TEXT = 90_000  # the server takes 100,000 characters of a message, an answer or a document
LONGEST_DATA = 1_000


def encode(item: Mapping[str, Any]) -> bytes:
    """The item as UTF-8. Values that JSON does not know are converted, NaN becomes null."""
    try:
        return json.dumps(item, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=plain).encode()
    except (ValueError, TypeError, RecursionError):  # NaN, a key that is no text, a lone surrogate, a circle
        return json.dumps(_tidy(item, DEEPEST), separators=(",", ":")).encode()


def plain(value: Any) -> Any:
    """A value that JSON does not know, one step nearer to JSON."""
    try:
        return _plain(value)
    except Exception:
        return f"({type(value).__name__})"


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.astimezone()).astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"({len(value):,} bytes)"
    if hasattr(value, "model_dump"):  # pydantic, which the clients of model providers are made of
        return value.model_dump(mode="json", exclude_none=True)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return str(value)[:LONGEST_REPR]


def _tidy(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth == 0:
        return "…"
    if isinstance(value, Mapping):
        return {_tidy(str(key), 1): _tidy(inner, depth - 1) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_tidy(inner, depth - 1) for inner in value]
    return _tidy(plain(value), depth - 1)


def clipped(value: Any, depth: int = DEEPEST) -> Any:
    """A copy without what the hub would refuse or nobody would read: texts beyond its limit, pictures as base64."""
    if isinstance(value, str):
        if len(value) > LONGEST_DATA and value.startswith("data:"):
            return f"{value[:40]}… ({len(value):,} characters)"
        return shortened(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth == 0:
        return "…"
    if isinstance(value, Mapping):
        data = value.get("type") == "base64" or "format" in value
        return {
            key: f"({len(inner):,} characters)"
            if data and key == "data" and isinstance(inner, str)
            else clipped(inner, depth - 1)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [clipped(inner, depth - 1) for inner in value]
    return clipped(plain(value), depth - 1)


def shortened(text: str) -> str:
    """The text, up to the length that the hub takes, with a note of what is missing."""
    if len(text) <= LONGEST_TEXT:
        return text
    return f"{text[:LONGEST_TEXT]}\n… ({len(text) - LONGEST_TEXT:,} more characters were not recorded)"
