"""The part of JSON Schema that answers of language models are held against.

Understood: type, enum, const, properties, required, additionalProperties, items, minItems, maxItems, minLength,
maxLength, minimum, maximum, exclusiveMinimum, exclusiveMaximum, anyOf, oneOf, allOf, not, and ``$ref`` into
``$defs`` of the same document. Other words (``pattern``, ``format``, …) are not looked at: the first would run
a stranger's pattern, the second is optional by the standard.

Source of the meaning: JSON Schema 2020-12, https://json-schema.org/draft/2020-12/json-schema-validation.
Road not taken: the package jsonschema, because the client depends on httpx only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

MAX_DEPTH = 40
MAX_FAULTS = 20

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "boolean": (bool,), "null": (type(None),),
    "number": (int, float), "integer": (int, float),
}  # fmt: skip


class BadSchema(ValueError):
    """The schema itself cannot be used."""


def faults(value: Any, schema: Any) -> list[str]:
    """What does not fit, as sentences with the place; empty where the value fits. At most MAX_FAULTS."""
    if not isinstance(schema, dict | bool):
        raise BadSchema("a schema is an object")
    found: list[str] = []
    for fault in _faults(value, schema, schema, "", 0):
        found.append(fault)
        if len(found) == MAX_FAULTS:
            break
    return found


def _faults(value: Any, schema: Any, root: Any, path: str, depth: int) -> Iterator[str]:
    if depth > MAX_DEPTH:
        raise BadSchema(f"nested deeper than {MAX_DEPTH}, or a $ref that never ends")
    if schema is True:
        return
    if schema is False:
        yield f"{path or '/'} is not allowed"
        return
    if not isinstance(schema, dict):
        raise BadSchema("a schema is an object")
    if "$ref" in schema:
        yield from _faults(value, _target(root, schema["$ref"]), root, path, depth + 1)
    place = path or "/"
    if "type" in schema and not _is(value, schema["type"]):
        yield f"{place} is not of type {_words(schema['type'])}"
        return
    if "enum" in schema and not any(_equal(value, entry) for entry in _list(schema, "enum")):
        yield f"{place} is none of the allowed values"
    if "const" in schema and not _equal(value, schema["const"]):
        yield f"{place} is not the required value"
    if isinstance(value, str):
        yield from _bounds(len(value), schema, place, "minLength", "maxLength", "characters")
    elif isinstance(value, list):
        yield from _bounds(len(value), schema, place, "minItems", "maxItems", "items")
        if "items" in schema:
            for index, entry in enumerate(value):
                yield from _faults(entry, schema["items"], root, f"{path}/{index}", depth + 1)
    elif isinstance(value, dict):
        yield from _object(value, schema, root, path, depth)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _range(value, schema, place)
    yield from _combined(value, schema, root, path, depth)


def _object(value: dict[str, Any], schema: dict[str, Any], root: Any, path: str, depth: int) -> Iterator[str]:
    known = schema.get("properties", {})
    if not isinstance(known, dict):
        raise BadSchema("properties is an object")
    for name in _list(schema, "required"):
        if not isinstance(name, str):
            raise BadSchema("required is a list of names")
        if name not in value:
            yield f"{path}/{name} is missing"
    others = schema.get("additionalProperties", True)
    for name, entry in value.items():
        inner = known.get(name, others)
        if inner is False:
            yield f"{path}/{name} is not allowed"
        else:
            yield from _faults(entry, inner, root, f"{path}/{name}", depth + 1)


def _combined(value: Any, schema: dict[str, Any], root: Any, path: str, depth: int) -> Iterator[str]:
    for inner in _list(schema, "allOf"):
        yield from _faults(value, inner, root, path, depth + 1)
    for word in ("anyOf", "oneOf"):
        if word in schema:
            fits = sum(
                next(_faults(value, inner, root, path, depth + 1), None) is None for inner in _list(schema, word)
            )
            if fits == 0 or (word == "oneOf" and fits > 1):
                yield f"{path or '/'} fits {'none' if fits == 0 else 'more than one'} of {word}"
    if "not" in schema and next(_faults(value, schema["not"], root, path, depth + 1), None) is None:
        yield f"{path or '/'} fits what it must not"


def _bounds(size: int, schema: dict[str, Any], place: str, low: str, high: str, unit: str) -> Iterator[str]:
    if low in schema and size < _number(schema, low):
        yield f"{place} has {size} {unit}, at least {schema[low]} are needed"
    if high in schema and size > _number(schema, high):
        yield f"{place} has {size} {unit}, at most {schema[high]} are allowed"


def _range(value: float, schema: dict[str, Any], place: str) -> Iterator[str]:
    if "minimum" in schema and value < _number(schema, "minimum"):
        yield f"{place} is below {schema['minimum']}"
    if "maximum" in schema and value > _number(schema, "maximum"):
        yield f"{place} is above {schema['maximum']}"
    if "exclusiveMinimum" in schema and value <= _number(schema, "exclusiveMinimum"):
        yield f"{place} is not above {schema['exclusiveMinimum']}"
    if "exclusiveMaximum" in schema and value >= _number(schema, "exclusiveMaximum"):
        yield f"{place} is not below {schema['exclusiveMaximum']}"


def _is(value: Any, wanted: Any) -> bool:
    for name in wanted if isinstance(wanted, list) else [wanted]:
        if not isinstance(name, str) or name not in _TYPES:
            raise BadSchema(f"no such type: {name!r}")
        if isinstance(value, bool) != (name == "boolean") or not isinstance(value, _TYPES[name]):
            continue
        if name != "integer" or not isinstance(value, float) or value.is_integer():
            return True
    return False


def _equal(left: Any, right: Any) -> bool:
    """JSON equality: true is not 1."""
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def _target(root: Any, reference: Any) -> Any:
    if not isinstance(reference, str) or not reference.startswith("#"):
        raise BadSchema("$ref may only point into the same document")
    here = root
    for part in reference[1:].split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(here, dict) or name not in here:
            raise BadSchema(f"$ref points nowhere: {reference}")
        here = here[name]
    return here


def _list(schema: dict[str, Any], word: str) -> list[Any]:
    entries = schema.get(word, [])
    if not isinstance(entries, list):
        raise BadSchema(f"{word} is a list")
    return entries


def _number(schema: dict[str, Any], word: str) -> float:
    value = schema[word]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadSchema(f"{word} is a number")
    return value


def _words(wanted: Any) -> str:
    return " or ".join(map(str, wanted)) if isinstance(wanted, list) else str(wanted)
