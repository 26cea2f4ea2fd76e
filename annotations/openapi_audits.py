"""What the published OpenAPI document says of audits."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiResponse

from annotations.models import Audit
from annotations.openapi import ANYTHING, COUNT, ERROR, MOMENT, REFUSALS, TEXT, fields, maybe

SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_AUDIT = {
    "id": {"type": "integer"}, "name": TEXT, "since": MOMENT, "until": MOMENT, "filters": ANYTHING,
    "segment_by": maybe(TEXT), "allocation": {"type": "string", "enum": Audit.Allocation.values}, "size": COUNT,
    "population": COUNT, "seed": TEXT, "queue": TEXT, "created_at": MOMENT, "signed_at": maybe(MOMENT),
    "signed_by": maybe(TEXT), "statement": maybe(TEXT), "labelled": COUNT,
}  # fmt: skip
LINE = {
    **fields(
        segment=maybe(TEXT), population=COUNT, drawn=COUNT, passed=COUNT, failed=COUNT, unsure=COUNT,
        value=maybe(SHARE), low=maybe(SHARE), high=maybe(SHARE), enough={"type": "boolean"},
    ),
    "description": "`value` is the rate of fails, null under 30 labels; `low` and `high` are its 95 % interval",
}  # fmt: skip
_REFUSED = {
    401: REFUSALS[401],
    403: OpenApiResponse(ERROR, "Neither a key with the scope `read` nor a personal token of somebody who may read"),
}
LIST: dict[str, Any] = {
    "request": None,
    "responses": {200: fields(results={"type": "array", "items": fields(**_AUDIT)}), **_REFUSED},
    "tags": ["Audits"],
}
READ: dict[str, Any] = {
    "request": None,
    "responses": {
        200: fields(
            **_AUDIT, blind=COUNT, total=LINE, segments={"type": "array", "items": LINE},
            categories={"type": "array", "items": fields(label=TEXT, items=COUNT)},
            items={"type": "array", "items": fields(interaction_id=TEXT, segment=maybe(TEXT), inclusion_p=SHARE)},
        ),
        **_REFUSED,
        404: OpenApiResponse(ERROR, "No such audit"),
    },
    "tags": ["Audits"],
}  # fmt: skip
