"""What the published OpenAPI document says of the intake: request bodies straight from the types that check them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from feedback import limits
from feedback.facts import IMPLICIT
from feedback.filters import BOUNDS, EXACT, KEY, LARGEST, NONE, facts
from feedback.schema import FeedbackIn, InteractionIn, InteractionPatch, ScoreIn
from projects.openapi import ERROR

_TEXT = {"type": "string"}
_NOTES = {
    "replayed": {"type": "boolean", "description": "Was stored before; nothing changed."},
    "sanitized": {"type": "boolean", "description": "NUL or lone surrogates were replaced by U+FFFD."},
    "ignored": {"type": "array", "items": _TEXT, "description": "Fields that are not known and not stored."},
}
STORED = {"type": "object", "properties": {"id": _TEXT, **_NOTES}}
RECEIVED = {
    "type": "object",
    "properties": {
        "id": _TEXT, "linked": {"type": "boolean", "description": "False while the interaction is not known."},
        "received": {"type": "boolean", "description": "All that a publishable key is told."}, **_NOTES,
    },
}  # fmt: skip
WHOLE: dict[str, Any] = {"type": "object", "additionalProperties": True}
LISTED = {
    "type": "object",
    "properties": {"results": {"type": "array", "items": WHOLE}, "next": {"type": "string", "nullable": True}},
}
_RESULTS = {
    "type": "object",
    "properties": {
        "results": {
            "type": "array",
            "items": {
                "type": "object", "required": ["index", "status"],
                "properties": {
                    "index": {"type": "integer"}, "status": {"type": "integer"}, "id": _TEXT,
                    "linked": {"type": "boolean"}, "error": ERROR["properties"]["error"], **_NOTES,
                },
            },
        }
    },
}  # fmt: skip
_AMOUNT = {
    "anyOf": [
        {"type": "number", "minimum": 0, "maximum": limits.COST_USD, "exclusiveMaximum": True},
        {"type": "string", "pattern": r"^\d{1,6}(\.\d{1,8})?$"},
    ]
}


def _one_of(*values: Any) -> dict[str, Any]:
    return {"enum": list(values), "nullable": None in values}


_SAID = {"type": "string", "minLength": 1}
_WORD = {"type": "string", "minLength": 1, "maxLength": limits.NAME, "pattern": r"\S"}


def _kind(kind: str, *, required: Sequence[str] = (), **fields: Any) -> dict[str, Any]:
    return {"required": ["kind", *required], "properties": {"kind": {"enum": [kind]}, **fields}}


# What the fields of a body ask of each other. Equal ids of two spans and a rating above its scale cannot be said.
BETWEEN_FIELDS: dict[type[msgspec.Struct], dict[str, Any]] = {
    InteractionIn: {
        "allOf": [
            {"anyOf": [
                {"required": ["messages"], "properties": {"messages": {"type": "array"}, "input": _one_of(None)}},
                {"required": ["input"], "properties": {
                    "input": _TEXT, "messages": {"type": "array", "maxItems": 0, "nullable": True}}},
            ]},
            {"anyOf": [
                {"required": ["output"], "properties": {"output": {"anyOf": [_TEXT, {"type": "array"}]}}},
                {"required": ["error"], "properties": {"error": {"type": "object"}}},
            ]},
        ]
    },
    InteractionPatch: {"additionalProperties": False},
    FeedbackIn: {
        "anyOf": [
            _kind("thumbs", value=_one_of("up", "down", 1, 0, -1, True, False, None)),
            _kind("rating", value={"type": "number", "minimum": 0, "nullable": True}),
            _kind("category", required=["value"], value=_WORD),
            _kind("implicit", required=["value"], value=_one_of(*IMPLICIT)),
            _kind("report", value={**_WORD, "nullable": True}),
            _kind("comment", required=["comment"], comment=_SAID),
            _kind("comment", required=["value"], value={**_SAID, "maxLength": limits.COMMENT}),
            _kind("correction", required=["correction"], correction=_SAID),
            _kind("correction", required=["value"], value={**_SAID, "maxLength": limits.TEXT}),
        ]
    },
    ScoreIn: {
        "anyOf": [
            {"required": ["value"], "properties": {"value": {"anyOf": [{"type": "number"}, {"type": "boolean"}]}}},
            {"required": ["label"], "properties": {"label": _SAID}},
            {"required": ["flagged"], "properties": {"flagged": {"type": "boolean"}}},
        ]
    },
}  # fmt: skip
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": limits.KEY},
    OpenApiParameter.HEADER,
    description="The same as `key` in the body.",
)
INTERACTION_TOKEN = OpenApiParameter(
    "X-Interaction-Token", OpenApiTypes.STR, OpenApiParameter.HEADER,
    description="Beside a publishable key: signed by the chat's backend, makes the feedback verified.",
)  # fmt: skip
RATE_LIMITED = OpenApiResponse(ERROR, "Too many requests of browsers: send again after `Retry-After` seconds")
_SEARCHED = {"type": "string", "maxLength": limits.SEARCH, "pattern": r"^[^\u0000]*$"}
_SEVERAL = {"type": "array", "items": _SEARCHED}
_KEYS = {"type": "array", "items": {"type": "string", "pattern": f"^({KEY.pattern}|{NONE})?$"}}
_BOUND = {"type": "number", "minimum": 0, "maximum": LARGEST}
_DAY_OR_TIME = {
    "type": "string",
    "pattern": r"^((19[7-9]|20\d|21\d)\d-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])(T([01]\d|2[0-3]):[0-5]\d:[0-5]\dZ)?)?$",
}
_FACTS = {
    "score": "`faithfulness:under 0.50`, `faithfulness:0.50 to 0.80`, `faithfulness:over 0.80`; any of these.",
    "flag": "Has a score of this name that flags it; any of these.",
    "category": "The failure of its label, by slug; any of these.",
    "cluster": "Its cluster of complaints that are nearly the same, by `id` of `/clusters`; any of these.",
}
FILTERS = [
    *(OpenApiParameter(name, _SEVERAL, description="Equals; may be repeated.") for name in EXACT),
    OpenApiParameter("tag", _SEVERAL, description="Has all of these tags."),
    OpenApiParameter(
        "q", _SEARCHED,
        description='Words in the question, in the answer or in what users wrote: all of them; "a phrase"; -without.',
    ),
    *(
        OpenApiParameter(fact.name, OpenApiTypes.STR, many=True, enum=list(fact.choices), description="Any of these.")
        if fact.choices
        else OpenApiParameter(
            fact.name, _KEYS if fact.titles else _SEVERAL, description=_FACTS.get(fact.name, "Any of these.")
        )
        for fact in facts
    ),
    *(OpenApiParameter(name, _BOUND, description="Inclusive.") for name in BOUNDS),
    OpenApiParameter("since", _DAY_OR_TIME, description="A date or a time, inclusive."),
    OpenApiParameter("until", _DAY_OR_TIME, description="A date, inclusive, or a time, exclusive."),
    OpenApiParameter("cursor", OpenApiTypes.STR, description="`next` of the answer before."),
    OpenApiParameter(
        "limit", {"type": "integer", "minimum": 1, "maximum": limits.PAGE_SIZE_MAX},
        description=f"1 to {limits.PAGE_SIZE_MAX}; {limits.PAGE_SIZE} if absent.",
    ),
]  # fmt: skip


def body_of(shape: type[msgspec.Struct]) -> dict[str, Any]:
    """The JSON Schema of a body, with its parts in place of references, and the rules between its fields."""
    (schema,), parts = msgspec.json.schema_components([shape], ref_template="{name}")
    resolved: dict[str, Any] = _resolve(schema, parts)
    return {**resolved, **BETWEEN_FIELDS.get(shape, {})}


def _resolve(schema: Any, parts: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_resolve(part, parts) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _resolve(parts[schema["$ref"]], parts)
    if schema.get("format") == "decimal":
        return _AMOUNT
    return _as_openapi_3_0({name: _resolve(part, parts) for name, part in schema.items()})


def _as_openapi_3_0(schema: dict[str, Any]) -> dict[str, Any]:
    """JSON Schema says null and exclusive bounds otherwise than OpenAPI 3.0, which most generators read."""
    if isinstance(choices := schema.get("anyOf"), list) and {"type": "null"} in choices:
        rest = [choice for choice in choices if choice != {"type": "null"}]
        only = rest[0] if len(rest) == 1 else {"anyOf": rest}
        schema = {**{name: part for name, part in schema.items() if name != "anyOf"}, **only, "nullable": True}
        if "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
    if isinstance(low := schema.get("exclusiveMinimum"), int | float) and not isinstance(low, bool):
        schema = {**schema, "minimum": low, "exclusiveMinimum": True}
    if schema.get("required") == []:
        schema = {name: part for name, part in schema.items() if name != "required"}
    return schema


def posting(shape: type[msgspec.Struct], result: dict[str, Any], *, status: int = 201) -> dict[str, Any]:
    """``request`` and ``responses`` of a POST that stores one thing once."""
    responses = {status: result, **({200: result} if status == 201 else {}), 429: RATE_LIMITED}
    return {"request": {"application/json": body_of(shape)}, "responses": responses}


def beacon(shape: type[msgspec.Struct]) -> dict[str, Any]:
    """``request`` and ``responses`` of what a browser sends while it leaves the page: all in one text."""
    body = {
        "type": "object", "required": ["key", "feedback"],
        "properties": {"key": _TEXT, "token": {**_TEXT, "nullable": True}, "feedback": body_of(shape)},
    }  # fmt: skip
    return {"request": {"text/plain": body}, "responses": {204: None, 429: RATE_LIMITED}}


def batch(shape: type[msgspec.Struct], name: str) -> dict[str, Any]:
    """``request`` and ``responses`` of a batch, in its three forms. An item that does not fit is refused alone."""
    item = {"anyOf": [body_of(shape), {"description": "Anything else is refused alone, in its place of the results."}]}
    items = {"type": "array", "maxItems": limits.BATCH_ITEMS, "items": item}
    wrapped = {"type": "object", "required": [name], "properties": {name: items}}
    return {
        "request": {"application/json": {"oneOf": [items, wrapped]}, "application/x-ndjson": _TEXT},
        "responses": {200: _RESULTS},
    }


class PeerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the document names the two places in which the peers' clients send their key."""

    target_class = "feedback.api_peers.PeerKey"
    name = ["peerPassword", "peerHeader"]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        return [
            {"type": "http", "scheme": "basic", "description": "The password is a secret key (rh_sk_…)."},
            {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "A secret key (rh_sk_…)."},
        ]

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[str]]]:
        return [{name: []} for name in self.name]  # either is enough
