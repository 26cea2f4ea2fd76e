"""What the published OpenAPI document says of the intake: request bodies straight from the types that check them."""

from __future__ import annotations

from typing import Any

import msgspec
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from feedback import limits
from feedback.filters import EXACT, SIGNALS

_TEXT = {"type": "string"}
_ERROR = {
    "type": "object", "required": ["error"],
    "properties": {
        "error": {
            "type": "object", "required": ["code", "message"],
            "properties": {
                "code": _TEXT, "message": _TEXT,
                "details": {
                    "type": "array",
                    "items": {"type": "object", "properties": {"path": _TEXT, "message": _TEXT}},
                },
            },
        }
    },
}  # fmt: skip
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
                    "linked": {"type": "boolean"}, "error": _ERROR["properties"]["error"], **_NOTES,  # type: ignore[index]
                },
            },
        }
    },
}  # fmt: skip
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key", OpenApiTypes.STR, OpenApiParameter.HEADER, description="The same as `key` in the body."
)
INTERACTION_TOKEN = OpenApiParameter(
    "X-Interaction-Token", OpenApiTypes.STR, OpenApiParameter.HEADER,
    description="Beside a publishable key: signed by the chat's backend, makes the feedback verified.",
)  # fmt: skip
_REFUSALS: dict[int, Any] = {
    400: OpenApiResponse(_ERROR, "Not JSON, or not gzip"), 401: OpenApiResponse(_ERROR, "No key, or not a valid one"),
    403: OpenApiResponse(_ERROR, "The key may not do this"), 413: OpenApiResponse(_ERROR, "Too large"),
    415: OpenApiResponse(_ERROR, "Not a media type that is read here"),
    422: OpenApiResponse(_ERROR, "Does not fit; `details` say where"),
    429: OpenApiResponse(_ERROR, "Too many requests of browsers: send again after `Retry-After` seconds"),
    503: OpenApiResponse(_ERROR, "The database is away: send again after `Retry-After` seconds"),
}  # fmt: skip
FILTERS = [
    *(OpenApiParameter(name, OpenApiTypes.STR, many=True, description="Equals; may be repeated.") for name in EXACT),
    OpenApiParameter("tag", OpenApiTypes.STR, many=True, description="Has all of these tags."),
    OpenApiParameter("q", OpenApiTypes.STR, description="Text in the conversation or the answer."),
    OpenApiParameter("feedback", OpenApiTypes.STR, enum=list(SIGNALS)),
    OpenApiParameter("since", OpenApiTypes.STR, description="A date or a time, inclusive."),
    OpenApiParameter("until", OpenApiTypes.STR, description="A date, inclusive, or a time, exclusive."),
    OpenApiParameter("cursor", OpenApiTypes.STR, description="`next` of the answer before."),
    OpenApiParameter(
        "limit", OpenApiTypes.INT, description=f"1 to {limits.PAGE_SIZE_MAX}; {limits.PAGE_SIZE} if absent."
    ),
]


def body_of(shape: type[msgspec.Struct]) -> dict[str, Any]:
    """The JSON Schema of a body, with its parts in place of references."""
    (schema,), parts = msgspec.json.schema_components([shape], ref_template="{name}")
    resolved: dict[str, Any] = _resolve(schema, parts)
    return resolved


def _resolve(schema: Any, parts: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_resolve(part, parts) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _resolve(parts[schema["$ref"]], parts)
    return _as_openapi_3_0({name: _resolve(part, parts) for name, part in schema.items()})


def _as_openapi_3_0(schema: dict[str, Any]) -> dict[str, Any]:
    """JSON Schema says null and exclusive bounds otherwise than OpenAPI 3.0, which most generators read."""
    if isinstance(choices := schema.get("anyOf"), list) and {"type": "null"} in choices:
        rest = [choice for choice in choices if choice != {"type": "null"}]
        only = rest[0] if len(rest) == 1 else {"anyOf": rest}
        schema = {**{name: part for name, part in schema.items() if name != "anyOf"}, **only, "nullable": True}
    if isinstance(low := schema.get("exclusiveMinimum"), int | float) and not isinstance(low, bool):
        schema = {**schema, "minimum": low, "exclusiveMinimum": True}
    if schema.get("required") == []:
        schema = {name: part for name, part in schema.items() if name != "required"}
    return schema


def posting(shape: type[msgspec.Struct], result: dict[str, Any], *, status: int = 201) -> dict[str, Any]:
    """``request`` and ``responses`` of a POST that stores one thing once."""
    responses = {status: result, **({200: result} if status == 201 else {404: _ERROR}), **_REFUSALS}
    return {"request": {"application/json": body_of(shape)}, "responses": responses}


def beacon(shape: type[msgspec.Struct]) -> dict[str, Any]:
    """``request`` and ``responses`` of what a browser sends while it leaves the page: all in one text."""
    body = {
        "type": "object", "required": ["key", "feedback"],
        "properties": {"key": _TEXT, "token": {**_TEXT, "nullable": True}, "feedback": body_of(shape)},
    }  # fmt: skip
    return {"request": {"text/plain": body}, "responses": {204: None, **_REFUSALS}}


def batch(shape: type[msgspec.Struct], name: str) -> dict[str, Any]:
    """``request`` and ``responses`` of a batch, in its three forms."""
    items = {"type": "array", "maxItems": limits.BATCH_ITEMS, "items": body_of(shape)}
    wrapped = {"type": "object", "required": [name], "properties": {name: items}}
    return {
        "request": {"application/json": {"oneOf": [items, wrapped]}, "application/x-ndjson": _TEXT},
        "responses": {200: _RESULTS, **_REFUSALS},
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
