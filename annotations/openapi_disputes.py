"""What the published OpenAPI document says of differences between reviewers."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiResponse

from annotations.adjudication import CAUSES, MAX_GUIDE_NOTE, MAX_QUESTION, MAX_REASON
from annotations.openapi import COUNT, ERROR, MOMENT, REFUSALS, SUBMISSION, TEXT, fields, maybe

VOTE = fields(
    id={"type": "integer"}, reviewer=TEXT, blind={"type": "boolean"}, seconds=maybe({"type": "number"}),
    created_at=MOMENT, **{name: schema for name, schema in SUBMISSION["properties"].items()
                          if name not in {"submission_id", "seconds", "suggestion"}},
)  # fmt: skip
DISPUTE = fields(
    id={"type": "integer"}, queue=TEXT, interaction_id=TEXT, disputed_at=MOMENT,
    question=maybe(fields(text=TEXT, waiting_for={**COUNT, "description": "How many have not answered"})),
    votes={"type": "array", "items": VOTE},
)  # fmt: skip
DECISION = {
    **fields(
        take=maybe({"type": "integer", "description": "Id of the vote that counts; or send `own`"}),
        own=maybe(SUBMISSION), cause={"type": "string", "enum": list(CAUSES)},
        reason={**TEXT, "minLength": 1, "maxLength": MAX_REASON, "description": "Shown to those who labelled it"},
        guide_note={**TEXT, "maxLength": MAX_GUIDE_NOTE, "description": "What the guide should say from now on"},
        gold_check={"type": "boolean", "default": False, "description": "May be served as a known item"},
    ),
    "required": ["cause", "reason"],
}  # fmt: skip
QUESTION = {**fields(question={**TEXT, "minLength": 1, "maxLength": MAX_QUESTION}), "required": ["question"]}
_REFUSED = {
    401: REFUSALS[401],
    403: OpenApiResponse(ERROR, "Not a personal token of somebody who may settle differences"),
}
_OF_ONE = {
    **_REFUSED,
    404: OpenApiResponse(ERROR, "No such task"),
    422: OpenApiResponse(ERROR, "Does not fit; `details` say where"),
}
LIST: dict[str, Any] = {
    "request": None,
    "responses": {200: fields(count=COUNT, results={"type": "array", "items": DISPUTE}), **_REFUSED},
    "tags": ["Differences"],
}
RESOLVE: dict[str, Any] = {
    "request": {"application/json": DECISION},
    "responses": {
        200: fields(label=fields(id={"type": "integer"}, verdict=TEXT, settled_by=TEXT)), **_OF_ONE,
        409: OpenApiResponse(ERROR, "`already_resolved`: somebody was faster; the message says who"),
    },
    "tags": ["Differences"],
}  # fmt: skip
ASK: dict[str, Any] = {
    "request": {"application/json": QUESTION},
    "responses": {
        201: fields(id={"type": "integer"}, waiting_for=COUNT), **_OF_ONE,
        409: OpenApiResponse(ERROR, "`already_asked`, or `already_resolved`"),
    },
    "tags": ["Differences"],
}  # fmt: skip
