"""What the published OpenAPI document says of agreement between reviewers."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from annotations.models import Verdict
from annotations.openapi import COUNT, ERROR, REFUSALS, TEXT, fields, maybe
from annotations.shared_items import MOST

SHARE = {"type": "number", "minimum": 0, "maximum": 1}
COEFFICIENT = {"type": "number", "minimum": -1, "maximum": 1}
READING = {"type": "string", "enum": ["reliable", "tentative", "weak", "few", "undefined"]}
FIGURE = {
    **fields(value=maybe(COEFFICIENT), low=maybe(COEFFICIENT), high=maybe(COEFFICIENT), n=COUNT, reading=READING),
    "description": "With its 95 % bootstrap interval; value and interval are null under 30 shared items (`few`) and "
    "where all answers are one (`undefined`)",
}
VERDICT = {"type": "string", "enum": Verdict.values}
REPORT = fields(
    items={**COUNT, "description": f"Shared items, the newest {MOST:,} at most"}, more={"type": "boolean"},
    summary=TEXT,
    questions={"type": "array", "items": fields(
        question={"type": "string", "enum": ["verdict", "category", "severity"]},
        metric={"type": "string", "enum": ["nominal", "ordinal"]}, same_answer=FIGURE, krippendorff_alpha=FIGURE,
        gwet={**FIGURE, "description": "AC1; of an ordinal question AC2 with quadratic weights"},
        one_sided={"type": "boolean", "description": "α is low because nearly all answers are one"},
    )},
    categories={"type": "array", "items": fields(
        category=TEXT, label=TEXT, named=COUNT, differ=COUNT, krippendorff_alpha=FIGURE)},
    pairs={"type": "array", "items": fields(
        reviewers={"type": "array", "items": TEXT}, same_verdict=COUNT, cohen_kappa=FIGURE)},
    median_kappa=maybe(COEFFICIENT),
    verdicts={"type": "array", "items": fields(first=VERDICT, second=VERDICT, items=COUNT)},
)  # fmt: skip
_MOMENT = {"type": "string", "format": "date-time"}
READ: dict[str, Any] = {
    "request": None,
    "parameters": [
        OpenApiParameter("queue", str, description="Only what was labelled in this queue"),
        OpenApiParameter("since", _MOMENT, description="The newest vote is not older; default: 30 days"),
        OpenApiParameter("until", _MOMENT, description="Votes before"),
    ],
    "responses": {
        200: REPORT,
        401: REFUSALS[401],
        403: OpenApiResponse(ERROR, "Neither a key with the scope `read` nor a personal token of a lead"),
        404: OpenApiResponse(ERROR, "No such queue"),
        422: OpenApiResponse(ERROR, "Not a time; `details` say which"),
    },
    "tags": ["Agreement"],
}
