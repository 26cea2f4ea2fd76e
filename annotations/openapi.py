"""What the published OpenAPI document says of the review API."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiResponse

from annotations.claims import SKIP_REASONS
from annotations.models import Annotation, Task, Verdict
from annotations.submission import KINDS, MAX_ASSERTIONS, MAX_NOTE, MAX_SPANS, MAX_TEXT, TARGETS

TEXT: dict[str, Any] = {"type": "string"}
MOMENT = {"type": "string", "format": "date-time"}
UUID = {"type": "string", "format": "uuid"}
COUNT = {"type": "integer", "minimum": 0}
ANYTHING: dict[str, Any] = {"type": "object", "additionalProperties": True}
ERROR = {
    "type": "object",
    "properties": {"error": {"type": "object", "properties": {"code": TEXT, "message": TEXT, "details": {
        "type": "array", "items": {"type": "object", "properties": {"path": TEXT, "message": TEXT}}}}}},
}  # fmt: skip


def fields(**properties: dict[str, Any]) -> dict[str, Any]:
    """An object with these properties."""
    return {"type": "object", "properties": properties}


def maybe(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, or null."""
    return {**schema, "nullable": True}


LEASE = fields(token=UUID, expires_at=MOMENT)
QUEUES = fields(results={"type": "array", "items": fields(
    slug=TEXT, name=TEXT, paused={"type": "boolean"}, open=COUNT, oldest_due_at=maybe(MOMENT),
    oldest_enqueued_at=maybe(MOMENT), done_by_you=COUNT,
)})  # fmt: skip
REASON = fields(kind=TEXT, text=TEXT, quote=TEXT, rule=TEXT, rule_version=COUNT, points={"type": "number"})
TASK = fields(
    id=TEXT, queue=TEXT, interaction=ANYTHING, reasons={"type": "array", "items": REASON},
    score=maybe({"type": "number", "minimum": 0, "maximum": 100}),
    terms={"type": "array", "items": fields(term=TEXT, text=TEXT, points={"type": "number"})},
    due_at=MOMENT, lane={"type": "string", "enum": Task.Lane.values},
)  # fmt: skip
CLAIMED = fields(
    claim=maybe(LEASE), task=TASK, draft=maybe(ANYTHING),
    empty=fields(open=COUNT, leased=COUNT, snoozed=COUNT, done_by_you=COUNT),
)  # fmt: skip
SKIP = fields(reason={"type": "string", "enum": list(SKIP_REASONS), "default": "unclear"})
SPAN = {
    **fields(
        target={"type": "string", "enum": list(TARGETS)},
        ref=maybe({**TEXT, "description": "A document's id, or the number of a document or message, from 0."}),
        start={**COUNT, "description": "In Unicode code points of the stored text."}, end=COUNT,
        category=maybe(TEXT), quote=TEXT, kind={"type": "string", "enum": list(KINDS)},
    ),
    "required": ["target", "start", "end"],
}  # fmt: skip
SUBMISSION = {
    **fields(
        submission_id={**UUID, "description": "Yours. Sent again with the same content it is the same vote."},
        verdict={"type": "string", "enum": Verdict.values}, primary_category=maybe(TEXT),
        categories={"type": "array", "items": TEXT}, severity=maybe({"type": "integer", "minimum": 1, "maximum": 4}),
        spans={"type": "array", "maxItems": MAX_SPANS, "items": SPAN},
        desired_output=maybe({**TEXT, "maxLength": MAX_TEXT}), note=maybe({**TEXT, "maxLength": MAX_NOTE}),
        assertions={"type": "array", "maxItems": MAX_ASSERTIONS, "items": fields(
            type={"type": "string", "enum": ["must", "must_not"]}, text=TEXT)},
        golden={"type": "boolean"}, golden_set={"type": "string", "maxLength": 60},
        suggestion_seen={"type": "boolean"}, seconds=maybe({"type": "number"}),
    ),
    "required": ["submission_id", "verdict"],
}  # fmt: skip
SUBMITTED = fields(
    status={"type": "string", "enum": [Annotation.State.COUNTED, "replayed", Annotation.State.SURPLUS]},
    annotation_id={"type": "integer"}, label=maybe(fields(id={"type": "integer"}, verdict=TEXT, settled_by=TEXT)),
)  # fmt: skip
REFUSALS = {
    401: OpenApiResponse(ERROR, "No key, or not a valid one"),
    403: OpenApiResponse(ERROR, "Not a personal token of somebody who may review"),
    404: OpenApiResponse(ERROR, "No such queue, or no such claim of yours"),
}
LOST = {409: OpenApiResponse(ERROR, "`lease_lost`: the lease has ended; the draft is kept")}


def said(answer: dict[str, Any], body: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """``request`` and ``responses`` of a verb that answers 200."""
    refusals = {**REFUSALS, **({422: OpenApiResponse(ERROR, "Does not fit; `details` say where")} if body else {})}
    request = {"application/json": body} if body else None
    return {"request": request, "responses": {200: answer, **refusals, **more.get("also", {})}, "tags": ["Review"]}
