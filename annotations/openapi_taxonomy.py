"""What the published OpenAPI document says of failure modes and versions of the rubric."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from annotations.failure_modes import (
    EXAMPLES,
    MAX_DESCRIPTION,
    MAX_EXAMPLE,
    MAX_GROUP,
    MAX_GUIDE,
    MAX_LABEL,
    MAX_NOTE,
    PARTS,
)
from annotations.keymap import ROW
from annotations.openapi import ANYTHING, COUNT, ERROR, MOMENT, TEXT, fields, maybe
from annotations.rubric_changes import NAMES, WORDS

NOTE = {**TEXT, "maxLength": MAX_NOTE, "description": "Why, for the version"}
SLUG = {**TEXT, "description": "In its address"}
SLUGS = {"type": "array", "items": TEXT}
SEVERAL = {"type": "array", "maxItems": EXAMPLES, "items": {**TEXT, "maxLength": MAX_EXAMPLE}}
MODE_IN: dict[str, dict[str, Any]] = {
    "label": {**TEXT, "minLength": 1, "maxLength": MAX_LABEL}, "description": {**TEXT, "maxLength": MAX_DESCRIPTION},
    "group": {**TEXT, "maxLength": MAX_GROUP, "description": "What kind of failure it is"},
    "guide": {**TEXT, "maxLength": MAX_GUIDE, "description": "When to choose it, and when not"},
    "examples": SEVERAL, "counter_examples": SEVERAL,
    "digit": {"type": "string", "enum": ["", *ROW], "description": "Its key; each key once in a project"},
    "default_severity": {"type": "integer", "minimum": 1, "maximum": 4},
}  # fmt: skip
MODE = fields(
    slug=SLUG, **MODE_IN, position=COUNT, retired_at=maybe(MOMENT), split_into=SLUGS,
    counts_as=maybe({**TEXT, "description": "The mode that its labels count as now, if it is retired"}),
)  # fmt: skip
PART = {
    "oneOf": [
        {**fields(slug=SLUG), "required": ["slug"], "additionalProperties": False},
        {**fields(**MODE_IN), "required": ["label"], "additionalProperties": False},
    ]
}
RUBRIC = fields(
    version={"type": "integer", "minimum": 1}, note=TEXT, created_at=MOMENT,
    changed_by=maybe({**TEXT, "description": "E-mail; null for a key"}),
)  # fmt: skip
CHANGE = fields(
    kind={"type": "string", "enum": list(WORDS)}, slug=SLUG, label=TEXT,
    differences={"type": "array", "items": fields(
        field={"type": "string", "enum": list(NAMES)}, name=TEXT, before=TEXT, after=TEXT
    )},
)  # fmt: skip
RETIRED = {409: OpenApiResponse(ERROR, "`retired`; `taken`: another one has the name or the key; `too_many`")}
IN_USE = {409: OpenApiResponse(ERROR, "`in_use`: it is not retired, or `taken`: another one has its name now")}


def _body(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    body = {**fields(**properties), "additionalProperties": False}
    return {"application/json": {**body, "required": list(required)} if required else body}


def _said(responses: dict[int, Any], request: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"request": request, "responses": responses, "tags": ["Failure modes"], **more}


LIST = _said({200: fields(results={"type": "array", "items": fields(**MODE["properties"], labels=COUNT)})})
CREATE = _said({201: MODE, **RETIRED}, _body({**MODE_IN, "note": NOTE}, "label"))
ONE = _said({200: MODE})
UPDATE = _said({200: MODE, **RETIRED}, _body({**MODE_IN, "note": NOTE}))
RETIRE = _said({200: MODE, **RETIRED}, _body({"note": NOTE}))
BRING_BACK = _said({200: MODE, **IN_USE}, _body({"note": NOTE}))
MERGE = _said({200: MODE, **RETIRED}, _body({"into": {**SLUG, "minLength": 1}, "note": NOTE}, "into"))
SPLIT = _said({200: MODE, **RETIRED}, _body({
    "into": {"type": "array", "minItems": 2, "maxItems": PARTS, "items": PART},
    "counts_as": maybe({**TEXT, "description": "Slug or name of the part that old labels count as; null for none"}),
    "note": NOTE,
}, "into"))  # fmt: skip
STALE = _said({200: fields(items=COUNT, waiting=COUNT)})
REOPEN = _said({200: fields(opened=COUNT, left=COUNT), **IN_USE}, _body({}))
RUBRICS = _said({200: fields(results={"type": "array", "items": RUBRIC})})
RUBRIC_READ = fields(
    **RUBRIC["properties"], failure_modes={"type": "array", "items": ANYTHING}, since=maybe(COUNT),
    changes={"type": "array", "items": CHANGE},
)  # fmt: skip
RUBRIC_ONE = _said(
    {200: RUBRIC_READ},
    parameters=[OpenApiParameter(
        "since", {"type": "integer", "minimum": 0, "maximum": 999_999_999},
        description="The version to compare with; without it the one before",
    )],
)  # fmt: skip
