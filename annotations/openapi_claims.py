"""What the published OpenAPI document says of claims and of what a reviewer has put aside."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiResponse

from annotations.claims import ESCALATED, NOTE_MOST, SKIP_REASONS, SNOOZE_LEAST, SNOOZE_MOST
from annotations.openapi import ANYTHING, COUNT, ERROR, LEASE, MOMENT, TASK, TEXT, UUID, fields, maybe

EMPTY = fields(
    open=COUNT, leased=COUNT, leased_until=maybe(MOMENT), snoozed=COUNT, snoozed_until=maybe(MOMENT), skipped=COUNT,
    not_your_topics=COUNT, assigned=COUNT, escalated=COUNT, done_by_you=COUNT, shed=COUNT,
    paused={"type": "boolean"}, member={"type": "boolean"},
)  # fmt: skip
LEASED = fields(claim=LEASE, task=TASK, draft=maybe(ANYTHING))
CLAIMED = fields(claim=maybe(LEASE), task=TASK, draft=maybe(ANYTHING), empty=EMPTY)
SKIP = fields(reason={"type": "string", "enum": list(SKIP_REASONS), "default": "unclear"})
SNOOZE = {
    **fields(seconds={"type": "integer", "minimum": SNOOZE_LEAST, "maximum": SNOOZE_MOST}), "required": ["seconds"]
}  # fmt: skip
ESCALATE = {**fields(note={**TEXT, "minLength": 1, "maxLength": NOTE_MOST}), "required": ["note"]}
WAITING = {"id": TEXT, "queue": TEXT, "interaction_id": TEXT, "due_at": MOMENT, "lane": TEXT}
ASIDE = {"type": "array", "items": fields(
    **WAITING, token=UUID, at=MOMENT, until=maybe(MOMENT),
    reason=maybe({"type": "string", "enum": [*SKIP_REASONS, ESCALATED]}),
)}  # fmt: skip
MINE = fields(skipped=ASIDE, snoozed=ASIDE, assigned={"type": "array", "items": fields(**WAITING)})
TAKEN = {
    409: OpenApiResponse(ERROR, "`taken`: somebody has it, or it is done; `not_put_aside`: not skipped, not put off")
}
