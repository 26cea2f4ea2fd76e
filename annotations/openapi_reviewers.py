"""What the published OpenAPI document says of a reviewer's figures."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiResponse

from annotations.openapi import COUNT, ERROR, REFUSALS, TEXT, fields, maybe
from annotations.openapi_agreement import FIGURE, SHARE

DAY = {"type": "string", "format": "date"}
SECONDS = maybe({"type": "number", "minimum": 0})
PACE = {
    **fields(median=SECONDS, lower_quartile=SECONDS, upper_quartile=SECONDS, n=COUNT),
    "description": "Seconds for an item; null under five",
}
PORTION = {
    **fields(value=maybe(SHARE), low=maybe(SHARE), high=maybe(SHARE), n=COUNT),
    "description": "With its 95 % Wilson interval; null under thirty",
}
STANDING = {
    **fields(value=maybe(SHARE), low=maybe(SHARE), high=maybe(SHARE), right=COUNT, wrong=COUNT, unsure=COUNT),
    "description": "Mean of Beta(1 + right, 1 + wrong) and its 95 % interval; null under ten checks",
}
STRETCH = fields(seconds=PACE, same_verdict=PORTION)
FLAG = {"type": "boolean"}
REPORT = fields(
    reviewer=TEXT, items={**COUNT, "description": "Of the last 30 days"},
    by_day={"type": "array", "items": fields(day=DAY, items=COUNT)}, seconds=PACE, known_items=STANDING,
    repeats=STANDING, same_verdict=FIGURE,
    weeks={"type": "array", "items": fields(start=DAY, items=COUNT, fail=PORTION, same_verdict=PORTION, seconds=PACE)},
    moved={"type": "array", "items": TEXT},
    long_sessions=fields(
        sessions=COUNT, first_hour=STRETCH, after_two_hours=STRETCH, slower=FLAG, less_alike=FLAG,
    ),
)  # fmt: skip
ME: dict[str, Any] = {
    "request": None,
    "responses": {
        200: REPORT,
        401: REFUSALS[401],
        403: OpenApiResponse(ERROR, "Not a personal token of somebody who may review"),
    },
    "tags": ["Agreement"],
}
