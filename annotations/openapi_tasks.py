"""What the published OpenAPI document says of single tasks."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from annotations.models import Task
from annotations.openapi import ANYTHING, ERROR, MOMENT, TEXT, fields, maybe, said

PERSON = maybe({**TEXT, "maxLength": 254, "description": "E-mail of a reviewer"})
TASK = fields(
    id=TEXT, queue=TEXT, interaction_id=TEXT, state={"type": "string", "enum": Task.State.values}, lane=TEXT,
    topic=TEXT, score={"type": "number"}, reasons=ANYTHING, enqueued_at=MOMENT, due_at=MOMENT, assigned_to=PERSON,
)  # fmt: skip
PARAMETERS = ("queue", "state", "after", "limit")
_NUMBER = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
TASK_LIST: dict[str, Any] = {
    **said(fields(results={"type": "array", "items": TASK}, next=maybe(TEXT)),
           also={422: OpenApiResponse(ERROR, "Does not fit; `details` say where")}),
    "parameters": [
        OpenApiParameter("queue", TEXT, description="Its slug; all queues if absent"),
        OpenApiParameter("state", {"type": "string", "enum": Task.State.values}, description="open if absent"),
        OpenApiParameter("after", _NUMBER, description="`next` of the page before"),
        OpenApiParameter("limit", _NUMBER, description="50 if absent, at most 200"),
    ],
}  # fmt: skip
TASK_READ = said(TASK)
TASK_UPDATE = said(
    TASK,
    {**fields(assigned_to=PERSON, state={"type": "string", "enum": [Task.State.OPEN]}), "additionalProperties": False},
    also={409: OpenApiResponse(ERROR, "`not_open`, `in_work`, `not_assignable`, `not_shed` or `waits_elsewhere`")},
)
