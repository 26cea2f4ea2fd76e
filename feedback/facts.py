"""What a feedback or a score means: from the many ways to say it to the columns of its table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from feedback import limits, masking, schema
from feedback.models import Feedback
from feedback.schema import FeedbackIn, ScoreIn
from projects.errors import invalid

THUMBS = {"up": 1, "down": -1}
# 0 is a vote for neither side. True and False are up and down.
IMPLICIT = ("copied", "regenerated", "rephrased", "abandoned", "edited", "escalated")
VOTES = frozenset({Feedback.Kind.THUMBS, Feedback.Kind.RATING})
DEFAULT_SCALE = 5.0
# Keys of browsers live in a space of their own: a page must not be able to occupy a server's key.
BROWSER_KEY = "browser:"


@dataclass(frozen=True, slots=True)
class FeedbackRow:
    """The columns of one feedback; ``votes`` says whether a user has only one that counts."""

    interaction_external_id: str
    kind: str
    number: float | None
    scale: float | None
    label: str
    comment: str
    correction: str
    end_user_id: str
    key: str | None
    fingerprint: bytes
    created_at: datetime | None
    metadata: str
    sanitized: bool

    @property
    def votes(self) -> bool:
        return self.kind in VOTES


@dataclass(frozen=True, slots=True)
class ScoreRow:
    interaction_external_id: str
    name: str
    version: str
    value: float | None
    label: str
    flagged: bool | None
    explanation: str
    detail: str
    key: str | None
    fingerprint: bytes
    created_at: datetime | None


def feedback(
    item: dict[str, Any], *, browser: bool = False, sanitized: bool = False, kinds: Sequence[str] = ()
) -> FeedbackRow:
    """The row that ``item`` stands for, with these ``kinds`` of personal data masked.

    ``browser`` says that a page has sent it, whoever vouches for it. ApiError 422 with the path of a fault.
    """
    if not isinstance(item, dict):
        raise invalid("/", "A feedback is an object.")
    item, body, replaced = schema.canonical(item)
    sent = schema.check(item, FeedbackIn)
    if kinds:
        sent = schema.check(masking.mask_value(item, kinds)[0], FeedbackIn)
    kind = Feedback.Kind(sent.kind)
    number, scale, label = _value(sent, kind)
    comment, correction = sent.comment or "", sent.correction or ""
    if kind == Feedback.Kind.COMMENT:
        comment = comment or _said(sent.value, "/comment", limits.COMMENT)
    elif kind == Feedback.Kind.CORRECTION:
        correction = correction or _said(sent.value, "/correction", limits.TEXT)
    key = schema.identifier(sent.key, "/key") or None
    return FeedbackRow(
        interaction_external_id=schema.identifier(sent.interaction_id, "/interaction_id"), kind=sent.kind,
        number=number, scale=scale, label=label, comment=comment, correction=correction,
        end_user_id=schema.identifier(sent.user_id, "/user_id"),
        key=BROWSER_KEY + key if browser and key is not None else key, fingerprint=schema.fingerprint(body),
        created_at=schema.moment(sent.created_at, "/created_at"),
        metadata=msgspec.json.encode(sent.metadata or {}).decode(), sanitized=sanitized or replaced,
    )  # fmt: skip


def score(item: dict[str, Any]) -> ScoreRow:
    """The row of a machine's verdict; it must say a value, a label, or whether it is a problem."""
    if not isinstance(item, dict):
        raise invalid("/", "A score is an object.")
    item, body, _ = schema.canonical(item)
    sent = schema.check(item, ScoreIn)
    if sent.value is None and not sent.label and sent.flagged is None:
        raise invalid("/value", "Send a value (a number), a label, or flagged.")
    return ScoreRow(
        interaction_external_id=schema.identifier(sent.interaction_id, "/interaction_id"),
        name=schema.identifier(sent.name, "/name"), version=sent.version or "",
        value=None if sent.value is None else float(sent.value), label=sent.label or "", flagged=sent.flagged,
        explanation=sent.explanation or "", detail=msgspec.json.encode(sent.detail or {}).decode(),
        key=schema.identifier(sent.key, "/key") or None, fingerprint=schema.fingerprint(body),
        created_at=schema.moment(sent.created_at, "/created_at"),
    )  # fmt: skip


def _value(sent: FeedbackIn, kind: Feedback.Kind) -> tuple[float | None, float | None, str]:
    """Number, scale and label by the rules of the kind."""
    value = sent.value
    if kind == Feedback.Kind.THUMBS:
        return (None if value is None else _thumb(value)), None, ""
    if kind == Feedback.Kind.RATING:
        scale = sent.scale or DEFAULT_SCALE
        if value is None:
            return None, scale, ""
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= scale:
            raise invalid("/value", f"A rating is a number from 0 to its scale, {scale:g}; null takes it back.")
        return float(value), scale, ""
    if kind == Feedback.Kind.CATEGORY:
        return None, None, _word(value, "A category is a text; its value must not be empty.")
    if kind == Feedback.Kind.IMPLICIT:
        if value not in IMPLICIT:
            raise invalid("/value", f"An implicit signal is one of {', '.join(IMPLICIT)}.")
        return None, None, str(value)
    if kind == Feedback.Kind.REPORT and value is not None:
        return None, None, _word(value, "The reason of a report is a short text.")
    return None, None, ""


def _thumb(value: object) -> float:
    if isinstance(value, str) and value in THUMBS:
        return float(THUMBS[value])
    if isinstance(value, bool):
        return 1.0 if value else -1.0
    if isinstance(value, int | float) and value in (1, 0, -1):
        return float(value)
    raise invalid("/value", "Thumbs are up or down (or 1, 0, -1, true, false); null takes the vote back.")


def _word(value: object, otherwise: str) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > limits.NAME:
        raise invalid("/value", f"{otherwise} At most {limits.NAME} characters.")
    return value


def _said(value: object, path: str, most: int) -> str:
    if not isinstance(value, str) or not value:
        raise invalid(path, "Say something here.")
    if len(value) > most:
        raise invalid("/value", f"The text is longer than {most:,} characters.")
    return value
