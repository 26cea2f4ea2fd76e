"""Answers of the wrong form: empty ones, broken JSON where JSON was asked for, JSON that breaks its schema."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

from evals.detectors.interface import Detector, Finding, Subject

log = logging.getLogger("reviewhub.detectors")
_ASKED = re.compile(
    r"\b(?:only|just|nothing but)\b[^.\n]{0,30}\bJSON\b|\bJSON\b[^.\n]{0,20}\b(?:only|and nothing else)\b|"
    r"\bvalid JSON\b|\bnur\b[^.\n]{0,30}\bJSON\b",
    re.IGNORECASE,
)
_FENCE = re.compile(r"\s*```[a-zA-Z]*\n(.*?)\n?```\s*", re.DOTALL)
_MAX_SCHEMA = 64_000
_MAX_CHECKED = 256_000
_MAX_REFERENCES = 1_000
# A schema comes from outside: its regular expressions could run for ever, uniqueItems is quadratic.
_UNCHECKED = ("pattern", "uniqueItems", "format")
_REFUSED = ("patternProperties", "$dynamicRef", "$recursiveRef", "unevaluatedProperties", "unevaluatedItems")


class _TooMuch(Exception):
    """The schema asks for more work than an answer is worth."""


def detect(subject: Subject) -> Finding | None:
    """What is wrong with the form of the answer; None where nothing is. A failed request is not judged."""
    if subject.failed or subject.acted:
        return None
    if not subject.output.strip():
        length = len(subject.output)
        return _finding("empty", f"The answer holds {length} blanks and nothing else." if length else "No answer.")
    if subject.output_schema is not None or subject.json_requested:
        return _check(subject.output, subject.output_schema, fence_is_fault=True)
    if _ASKED.search(subject.question[:20_000]):
        return _check(subject.output, None, fence_is_fault=False)
    return None


def _check(output: str, schema: Any, *, fence_is_fault: bool) -> Finding | None:
    if len(output) > _MAX_CHECKED:
        return None
    fenced = _FENCE.fullmatch(output)
    try:
        value = json.loads(fenced[1] if fenced else output, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        where = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        return _finding("not-json", f"JSON was asked for; this cannot be read as JSON{where}.")
    if fenced and fence_is_fault:
        return _finding("fenced", "The JSON stands in a Markdown fence; programs that expect JSON cannot read it.")
    fault = _first_fault(value, schema) if schema is not None else None
    return _finding("schema", fault) if fault else None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _first_fault(value: Any, schema: Any) -> str | None:
    """The first place where the value breaks the schema, as a sentence; None where it does not, or cannot be told."""
    if not isinstance(schema, dict) or _unfit(schema):
        return None
    # 70 ms of import that only installations with output schemas pay.
    from jsonschema import Draft202012Validator, validators  # type: ignore[import-untyped]
    from referencing import Registry

    steps = 0
    follow = Draft202012Validator.VALIDATORS["$ref"]

    def counted(*args: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps > _MAX_REFERENCES:
            raise _TooMuch
        return follow(*args)

    checks: dict[str, Any] = dict.fromkeys(_UNCHECKED, lambda *args: None)
    lenient = validators.extend(Draft202012Validator, {**checks, "$ref": counted})
    try:
        # The empty registry: a $ref to an address would otherwise be fetched.
        error = next(lenient(schema, registry=Registry()).iter_errors(value), None)
    except Exception as reason:  # a schema that is wrong itself fails anywhere; it says nothing about the answer
        log.info("an output schema cannot be checked: %s", type(reason).__name__)
        return None
    if error is None:
        return None
    place = "/" + "/".join(str(part) for part in error.absolute_path)
    return f"Breaks its schema at {place}: {_short(str(error.validator))} {_short(json.dumps(error.validator_value))}."


def _unfit(schema: dict[str, Any]) -> bool:
    text = json.dumps(schema)
    return len(text) > _MAX_SCHEMA or any(f'"{word}"' in text for word in _REFUSED)


def _short(text: str) -> str:
    return text if len(text) <= 120 else text[:119] + "…"


def _finding(label: str, explanation: str) -> Finding:
    return Finding(value=1.0, label=label, explanation=explanation)


detector = Detector(
    name="malformed",
    version="1",
    title="Form of the answer",
    meaning="1 where the answer is empty, is not the JSON it should be, or breaks its schema",
    threshold=0.5,
    detect=detect,
)
