"""What the published OpenAPI document says of judges."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from evals.judge_forms import MAX_BACKFILL
from projects.openapi import ERROR

_COUNT = {"type": "integer", "minimum": 0}
_TEXT = {"type": "string"}
_USD = {"type": "number", "nullable": True, "description": "US dollars; null where no price is known"}
_WORKING = "Without it the version at work"
_VERSION = {"type": "integer", "minimum": 1, "maximum": 999_999, "description": _WORKING}

_JOB = {"type": "integer", "minimum": 1, "maximum": 2**53}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


JUDGE = _object(
    judge=_TEXT, name=_TEXT, version=_COUNT, enabled={"type": "boolean"}, model=_TEXT, provider=_TEXT,
    threshold={"type": "number"}, sample_rate={"type": "number"},
    needs={**_TEXT, "nullable": True, "description": "What it lacks to work, e.g. needs a key: OPENAI_API_KEY"},
    verdicts=_COUNT, flagged=_COUNT, waiting=_COUNT, failed=_COUNT,
    last_verdict_at={**_TEXT, "format": "date-time", "nullable": True},
)  # fmt: skip
JOB = _object(
    id=_COUNT, interaction_id=_TEXT, error=_TEXT, attempts=_COUNT,
    finished_at={**_TEXT, "format": "date-time"},
)  # fmt: skip
LIST: dict[str, Any] = {
    "request": None, "responses": {200: _object(results={"type": "array", "items": JUDGE})}, "tags": ["Judges"],
}  # fmt: skip
DEAD: dict[str, Any] = {
    "request": None, "tags": ["Judges"],
    "parameters": [OpenApiParameter("version", {key: _VERSION[key] for key in ("type", "minimum", "maximum")},
                                    description=_WORKING)],
    "responses": {200: _object(version=_COUNT, results={"type": "array", "items": JOB})},
}  # fmt: skip
REPLAY: dict[str, Any] = {
    "request": {"application/json": _object(
        version=_VERSION, jobs={"type": "array", "maxItems": 100, "items": _JOB},
    )},
    "responses": {200: _object(replayed=_COUNT)}, "tags": ["Judges"],
}  # fmt: skip
BACKFILL: dict[str, Any] = {
    "request": {"application/json": {
        **_object(limit={"type": "integer", "minimum": 1, "maximum": MAX_BACKFILL}, version=_VERSION,
                  preview={"type": "boolean", "default": False},
                  batch={"type": "boolean", "default": False,
                         "description": "In the provider's batches: half the price, within 24 hours"}),
        "required": ["limit"],
    }},
    "responses": {
        200: _object(count=_COUNT, input_tokens=_COUNT, output_tokens=_COUNT, likely_usd=_USD, most_usd=_USD,
                     left_usd={**_USD, "description": "What is left of the caps today; null without a cap"},
                     batch_offered={"type": "boolean"}, batch_likely_usd=_USD, batch_most_usd=_USD,
                     needs={**_TEXT, "nullable": True}),
        201: _object(started=_COUNT),
    },
    "tags": ["Judges"],
}  # fmt: skip
_TIME = {**_TEXT, "format": "date-time"}
_MAYBE = {**_TIME, "nullable": True}
BATCHES: dict[str, Any] = {
    "request": None, "tags": ["Judges"], "parameters": DEAD["parameters"],
    "responses": {200: _object(version=_COUNT, results={"type": "array", "items": _object(
        id=_COUNT, state={**_TEXT, "enum": ["waiting", "sending", "running", "ended"]},
        provider_batch={**_TEXT, "nullable": True, "description": "What the provider calls it"},
        items=_COUNT, answered=_COUNT, created_at=_TIME, sent_at=_MAYBE, cancelled_at=_MAYBE, ended_at=_MAYBE,
        error={**_TEXT, "nullable": True},
    )})},
}  # fmt: skip
CANCEL: dict[str, Any] = {
    "request": {"application/json": _object(version=_VERSION)}, "tags": ["Judges"],
    "responses": {200: _object(items={**_COUNT, "description": "Interactions that were in batches"})},
}  # fmt: skip
_NO_EXAMPLES = "A comparison takes no examples, and the rubric of a preset is of one kind"
_TEXTS = {"type": "array", "items": _TEXT}
PRESETS: dict[str, Any] = {
    "request": None, "tags": ["Judges"],
    "responses": {200: _object(results={"type": "array", "items": _object(
        preset=_TEXT, name=_TEXT, kind=_TEXT, purpose=_TEXT, criterion=_TEXT, threshold={"type": "number"},
        variables=_TEXTS, sources=_TEXTS,
    )})},
}  # fmt: skip
PREVIEW: dict[str, Any] = {
    "tags": ["Judges"],
    "responses": {200: _object(
        interaction_id=_TEXT, messages={"type": "array", "items": _object(role=_TEXT, content=_TEXT)},
        cut={"type": "object", "description": "Parts that were too long: characters shown, and of how many"},
        missing={**_TEXTS, "description": "What the rubric needs and the interaction lacks: it would not be sent"},
        input_tokens=_COUNT, output_tokens=_COUNT, likely_usd=_USD, most_usd=_USD,
    ), 404: OpenApiResponse(ERROR, "No such connection or interaction, or none yet that it could judge"),
        409: OpenApiResponse(ERROR, _NO_EXAMPLES)},
}  # fmt: skip
DRAFT: dict[str, Any] = {
    "request": None, "tags": ["Judges"],
    "responses": {200: _object(criterion={**_TEXT, "nullable": True}, fails=_COUNT, passes=_COUNT)},
}  # fmt: skip
DRAFT_WRITE: dict[str, Any] = {
    "tags": ["Judges"],
    "responses": {
        200: _object(criterion=_TEXT, fails=_COUNT, passes=_COUNT, cost_usd=_USD),
        404: OpenApiResponse(ERROR, "No such connection"),
        409: OpenApiResponse(ERROR, "No draft: no key, no budget, too few critiques, or the provider's fault"),
    },
}  # fmt: skip
CREATE: dict[str, Any] = {
    "tags": ["Judges"],
    "responses": {404: OpenApiResponse(ERROR, "No such connection"), 409: OpenApiResponse(ERROR, _NO_EXAMPLES),
                  201: _object(
        judge=_TEXT, name=_TEXT, version=_COUNT, kind=_TEXT, criterion=_TEXT, model=_TEXT, provider=_TEXT,
        threshold={"type": "number"}, sample_rate={"type": "number"}, needs={**_TEXT, "nullable": True},
        examples={"type": "array", "items": _object(interaction_id=_TEXT, verdict=_TEXT)},
    )},
}  # fmt: skip
