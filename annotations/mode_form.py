"""The forms of a failure mode: what was posted, as ``failure_modes`` takes it. Nothing is checked here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.http import QueryDict

from annotations.models import FailureMode
from projects.strictjson import clean_text

TEXTS = ("label", "description", "group", "guide", "digit")
LISTS = ("examples", "counter_examples")
NEW_PARTS = 3  # rows for parts that do not exist yet


def shown(mode: FailureMode | None) -> dict[str, str]:
    """What stands in the form of a mode, or of a new one; lists are paragraphs."""
    row = mode or FailureMode()
    values = {name: str(getattr(row, name)) for name in (*TEXTS, "default_severity")}
    return values | {name: "\n\n".join(map(str, getattr(row, name))) for name in LISTS} | {"note": ""}


def posted(post: QueryDict) -> dict[str, str]:
    """The form as it was sent, to show it again."""
    names = (*TEXTS, *LISTS, "default_severity", "note")
    return {name: clean_text(post.get(name, "").replace("\r\n", "\n")) for name in names}


def fields_of(values: Mapping[str, str]) -> dict[str, Any]:
    """What the service takes: examples are what stands between empty lines."""
    severity = values["default_severity"]
    whole = int(severity) if severity.isascii() and severity.isdecimal() and len(severity) == 1 else severity
    lists = {name: [part for text in values[name].split("\n\n") if (part := text.strip())] for name in LISTS}
    return {name: values[name].strip() for name in TEXTS} | lists | {"default_severity": whole}


def parts_of(post: QueryDict) -> list[dict[str, str]]:
    """What a mode is split into: those that are ticked, and the new names that were written."""
    ticked = [{"slug": clean_text(slug)} for slug in post.getlist("into")]
    return [*ticked, *({"label": name} for text in post.getlist("new") if (name := clean_text(text).strip()))]


def arrangement_of(post: QueryDict, slugs: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """Order and keys from the list's form. Equal places keep the order that they had."""
    rows = [(_place(post.get(f"place-{slug}", "")), number, slug) for number, slug in enumerate(slugs)]
    digits = {slug: clean_text(post.get(f"digit-{slug}", "")).strip() for _, _, slug in rows}
    return [slug for _, _, slug in sorted(rows)], digits


def _place(text: str) -> float:
    text = text.strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else float("inf")
