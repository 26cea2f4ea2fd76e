"""What the published OpenAPI document says of open notes and their groups."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from annotations.coding import MAX_DESCRIPTION, MAX_NAME
from annotations.models import FailureMode
from annotations.openapi import COUNT, ERROR, MOMENT, TEXT, fields, maybe
from annotations.openapi_agreement import VERDICT
from annotations.openapi_taxonomy import MODE

KEY_DIGITS, PAGE_DIGITS = 18, 9
KEY = {"type": "integer", "minimum": 1, "maximum": 10**KEY_DIGITS - 1}
MAX_SLUG: int = FailureMode._meta.get_field("slug").max_length or 0
SHARE = maybe({"type": "number", "minimum": 0})
NAME = {**TEXT, "minLength": 1, "maxLength": MAX_NAME}
DESCRIPTION = {**TEXT, "maxLength": MAX_DESCRIPTION}
SEVERAL = {"type": "array", "items": KEY, "minItems": 1, "maxItems": 500, "description": "Ids of notes"}
NOTE = fields(
    id=KEY, note=TEXT, verdict=VERDICT, interaction=TEXT, reviewer={**TEXT, "description": "E-mail"},
    created_at=MOMENT, group=maybe(KEY), proposed={"type": "boolean", "description": "Placed by nobody yet"},
)  # fmt: skip
GROUP = fields(
    id=KEY, name=NAME, description=DESCRIPTION, notes=COUNT, proposed={"type": "boolean"},
    failure_mode=maybe({**TEXT, "description": "Slug of what it has become"}),
)  # fmt: skip
SATURATION = fields(
    notes=COUNT, groups=COUNT, recent={**COUNT, "description": "New groups in the last 20 notes"},
    ratio={**SHARE, "description": "Of those by the groups of the first 40 notes"}, reached=maybe(COUNT), since=COUNT,
    unseen={**SHARE, "description": "The chance that the next note is of a new kind"},
    by_run={"type": "array", "items": COUNT},
)  # fmt: skip
TOO_MANY = OpenApiResponse(ERROR, "`too_many`: a project has at most 200 groups")
NOT_A_MODE = OpenApiResponse(ERROR, "`confirmed`: it is one already; `taken`, `too_many`: as for a failure mode")
NOT_CONFIRMED = OpenApiResponse(ERROR, "`not_confirmed`: it is no failure mode in use")


def _body(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    body = {**fields(**properties), "additionalProperties": False}
    return {"application/json": {**body, "required": list(required)} if required else body}


def _said(responses: dict[int, Any], request: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"request": request, "responses": responses, "tags": ["Open notes"], **more}


NOTES = _said(
    {200: fields(results={"type": "array", "items": NOTE}, page=COUNT, pages=COUNT, count=COUNT)},
    parameters=[
        OpenApiParameter(
            "group", {"type": "string", "pattern": rf"^([1-9][0-9]{{0,{KEY_DIGITS - 1}}}|none)?$"},
            description="Of this group, by `id`; `none`: in no group",
        ),
        OpenApiParameter(
            "page", {"type": "integer", "minimum": 1, "maximum": 10**PAGE_DIGITS - 1}, description="100 each"
        ),
    ],
)  # fmt: skip
PLACE = _said({200: fields(moved=COUNT)}, _body({"notes": SEVERAL, "group": maybe(KEY)}, "notes", "group"))
GROUPS = _said({200: fields(results={"type": "array", "items": GROUP}, ungrouped=COUNT, saturation=SATURATION)})
CREATE = _said({201: GROUP, 409: TOO_MANY}, _body({"name": NAME, "notes": SEVERAL}, "name", "notes"))
PROPOSE = _said({200: fields(proposed=COUNT)}, _body({}))
ONE = _said({200: GROUP})
UPDATE = _said({200: GROUP}, _body({"name": NAME, "description": DESCRIPTION}))
REMOVE = _said({204: None})
CONFIRM = _said(
    {200: MODE, 409: NOT_A_MODE},
    _body({"into": {**TEXT, "minLength": 1, "maxLength": MAX_SLUG, "description": "Slug of a failure mode in use"}}),
)
RECLASSIFY = _said({200: fields(opened=COUNT), 409: NOT_CONFIRMED}, _body({}))
