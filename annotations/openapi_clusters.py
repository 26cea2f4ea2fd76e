"""What the published OpenAPI document says of clusters."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from annotations.cluster_list import ORDERS
from annotations.openapi import COUNT, ERROR, MOMENT, TEXT, fields, maybe

SHARE = {"type": "number", "minimum": 0, "maximum": 1}
CLUSTER = fields(
    id={"type": "integer"}, title=TEXT, head={**TEXT, "description": "Id of its first interaction"}, size=COUNT,
    users={**COUNT, "description": "Of the last seven days"},
    reviewed={**COUNT, "description": "Members with a label"}, failing=maybe(SHARE), last_6h=COUNT, last_3d=COUNT,
    started_at=MOMENT, newest_at=MOMENT,
)  # fmt: skip
LIST: dict[str, Any] = {
    "request": None,
    "responses": {
        200: fields(results={"type": "array", "items": CLUSTER}, page=COUNT, pages=COUNT, count=COUNT)
    },
    "parameters": [
        OpenApiParameter("order", str, enum=list(ORDERS), description="Default: what grew last first"),
        OpenApiParameter(
            "page", {"type": "integer", "minimum": 1, "maximum": 999_999_999}, description="50 clusters each"
        ),
    ],
    "tags": ["Clusters"],
}  # fmt: skip
NO_LABEL = OpenApiResponse(ERROR, "`no_label`: nothing in it has a label of its own; `label_not_current`")
BODY = {
    **fields(leave_out={
        "type": "array", "items": {**TEXT, "description": "Id of an interaction"}, "maxItems": 1000,
    }),
    "additionalProperties": False,
}  # fmt: skip
APPLY: dict[str, Any] = {
    "request": {"application/json": BODY},
    "responses": {200: fields(applied=COUNT, left_out=COUNT, label={"type": "integer"}), 409: NO_LABEL},
    "tags": ["Clusters"],
}
TAKE_BACK: dict[str, Any] = {
    "request": None, "responses": {200: fields(taken_back=COUNT), 409: NO_LABEL}, "tags": ["Clusters"],
}  # fmt: skip
