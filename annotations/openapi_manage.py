"""What the published OpenAPI document says of queues and rules."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiResponse

from annotations.models import Backfill, Queue, TriageRule
from annotations.openapi import ANYTHING, COUNT, ERROR, MOMENT, QUEUES, TEXT, fields, maybe
from annotations.priority import WEIGHTS
from annotations.queue_settings import LANES
from annotations.rules import LAST

FLAG = {"type": "boolean"}
SLUG = {**TEXT, "description": "In its address"}
PERCENT = {"type": "number", "minimum": 0, "maximum": 100}
HOURS = {"type": "number", "minimum": 0, "exclusiveMinimum": True, "maximum": 8760}
CONDITION = {**ANYTHING, "description": "all, any, not, signal, feedback, score, field or text: see docs/triage.md"}
WORDS = {"type": "array", "items": {**TEXT, "maxLength": 60}, "maxItems": 50}
VERSION = {"type": "integer", "minimum": 1}


def _choice(values: Any) -> dict[str, Any]:
    return {"type": "string", "enum": list(values)}


def _shares(names: Any) -> dict[str, Any]:
    return {**fields(**dict.fromkeys(names, PERCENT)), "additionalProperties": False}


CHECKS = {"type": "number", "minimum": 0, "maximum": 0.5}
QUEUE_IN: dict[str, dict[str, Any]] = {
    "name": {**TEXT, "minLength": 1, "maxLength": 120}, "description": {**TEXT, "maxLength": 300},
    "kind": _choice(Queue.Kind.values), "overlap": {"type": "integer", "minimum": 1, "maximum": 9}, "blind": FLAG,
    "phase": {**_choice(Queue.Phase.values), "description": "open: notes; classify: failure modes"},
    "calibration_share": {**CHECKS, "description": "Of the items: two or more label them, blind"},
    "gold_share": {**CHECKS, "description": "Of the claims: known items"},
    "repeat_share": {**CHECKS, "description": "Of the claims: the reviewer's own items of long ago"},
    "lease_seconds": {"type": "integer", "minimum": 60, "maximum": 86_400}, "sla_min_hours": HOURS,
    "sla_max_hours": HOURS, "paused": FLAG, "open_to_all": FLAG,
    "members": {"type": "array", "maxItems": 500, "items": {
        **fields(user={**TEXT, "description": "E-mail"}, topics=WORDS), "required": ["user"],
        "additionalProperties": False,
    }},
    "topics": WORDS, "fallback": maybe({**TEXT, "description": "Slug of another queue"}),
    "weights": {**_shares(WEIGHTS), "description": "Points by term; with the default ones they make 100"},
    "lanes": {**_shares(LANES), "description": "Per cent of the claims by lane; they make 100"},
    "admission": FLAG, "admission_below": PERCENT,
    "capacity_per_day": maybe({"type": "number", "minimum": 0, "exclusiveMinimum": True, "maximum": 1_000_000}),
}  # fmt: skip
RULE_IN: dict[str, dict[str, Any]] = {
    "name": {**TEXT, "minLength": 1, "maxLength": 120}, "condition": CONDITION,
    "action": _choice(TriageRule.Action.values), "queue": maybe({**TEXT, "description": "Slug of a queue"}),
    "severity": maybe({"type": "number", "minimum": 0, "maximum": 1}), "cap": maybe(PERCENT),
    "sampling": _choice(TriageRule.Sampling.values),
    "rate": {"type": "number", "minimum": 0, "exclusiveMinimum": True, "maximum": 1},
    "strata": {**TEXT, "maxLength": 40}, "quota_per_week": maybe({"type": "integer", "minimum": 1, "maximum": 100_000}),
    "enabled": FLAG, "position": {"type": "integer", "minimum": 1},
}  # fmt: skip
QUEUE = fields(
    slug=SLUG, version=VERSION, **QUEUE_IN, measured_per_day=maybe({"type": "number"}), measured_at=maybe(MOMENT),
    admission_p={"type": "number"},
)  # fmt: skip
RULE = fields(slug=SLUG, version=VERSION, changed_at=MOMENT, **RULE_IN)
FAULTS = {"type": "array", "items": fields(path=TEXT, message=TEXT)}
PREVIEW = fields(
    matched=COUNT, of=COUNT, drawn=COUNT, faults=FAULTS,
    newest={"type": "array", "maxItems": 20, "items": {**TEXT, "description": "Id of an interaction"}},
)  # fmt: skip
PROGRESS = fields(
    state=_choice(Backfill.State.values), rule_version=VERSION, since=maybe(MOMENT), total=COUNT, seen=COUNT,
    matched=COUNT, made=COUNT, reason=maybe(TEXT), started_at=MOMENT, ended_at=maybe(MOMENT),
)  # fmt: skip
COUNTED = fields(of=COUNT, matched=COUNT, would_make=COUNT, exact=FLAG)
TOO_MANY = {409: OpenApiResponse(ERROR, "`too_many` of them in this project")}
IN_USE = {409: OpenApiResponse(ERROR, "`in_use`: `details` say by what, and what to do")}
RUNNING = {409: OpenApiResponse(ERROR, "`running`: it is being applied already")}


def _body(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    body = {**fields(**properties), "additionalProperties": False}
    return {"application/json": {**body, "required": list(required)} if required else body}


def _said(responses: dict[int, Any], request: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"request": request, "responses": responses, "tags": ["Queues and rules"]}


QUEUE_LIST = _said({200: QUEUES})
QUEUE_CREATE = _said({201: QUEUE, **TOO_MANY}, _body(QUEUE_IN, "name"))
QUEUE_READ = _said({200: QUEUE})
QUEUE_UPDATE = _said({200: QUEUE}, _body(QUEUE_IN))
QUEUE_DELETE = _said({204: None, **IN_USE})
RULE_LIST = _said({200: fields(results={"type": "array", "items": RULE})})
RULE_CREATE = _said({201: RULE, **TOO_MANY}, _body(RULE_IN, "name", "condition"))
RULE_READ = _said({200: RULE})
RULE_UPDATE = _said({200: RULE}, _body(RULE_IN))
RULE_DELETE = _said({204: None})
# Faults of the draft are told beside what it would do, so that anything may stand beside these two.
RULE_PREVIEW = _said(
    {200: PREVIEW},
    {"application/json": {
        **fields(
            rule=maybe({**TEXT, "description": "Slug of the rule to be changed"}),
            last={"type": "integer", "minimum": 1, "maximum": LAST, "default": LAST},
        ),
        "additionalProperties": True, "description": "With the fields of a rule",
    }},
)  # fmt: skip
BACKFILL_READ = _said({200: PROGRESS})
BACKFILL_START = _said(
    {200: {**COUNTED, "description": "With dry_run"}, 202: PROGRESS, **RUNNING},
    _body({"since": maybe(MOMENT), "dry_run": FLAG}),
)
BACKFILL_STOP = _said({200: PROGRESS})
