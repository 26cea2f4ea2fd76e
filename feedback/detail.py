"""One interaction with everything that is known about it, for the API and for its page.

Apps that build on this one add what they know by appending to ``sections``; nothing here names them::

    detail.sections.append(Section(name="labels", load=labels_of, panel="…/_labels.html"))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from feedback.models import Feedback, Interaction, Score, Span


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to an interaction, for the timeline of its page."""

    at: datetime
    icon: str
    title: str
    text: str = ""
    tone: str = ""  # "fail", "pass", "warn" or nothing


@dataclass(frozen=True, slots=True)
class Section:
    """What another app knows about an interaction.

    ``load`` returns plain JSON values, which the API answers under ``name``. ``panel`` is a template that
    shows them on the page as ``section_data``; ``events`` adds to the timeline; ``actions`` is a template with
    buttons for the page's head.
    """

    name: str
    load: Callable[[Interaction], Any]
    panel: str = ""
    events: Callable[[Interaction], list[Event]] | None = None
    actions: str = ""


sections: list[Section] = []


def summary(interaction: Interaction) -> dict[str, Any]:
    """The fields of a list entry: what identifies and classifies it, question and answer."""
    return {
        "id": interaction.external_id, "session_id": interaction.session_id, "user_id": interaction.end_user_id,
        "created_at": interaction.created_at, "received_at": interaction.received_at,
        "feature": interaction.feature, "environment": interaction.environment, "release": interaction.release,
        "variant": interaction.variant, "language": interaction.language, "provider": interaction.provider,
        "model": interaction.model,
        "prompt": {
            "name": interaction.prompt_name, "version": interaction.prompt_version, **(interaction.prompt or {}),
        },
        "messages": interaction.messages,
        "output": interaction.output if interaction.output_messages is None else interaction.output_messages,
        "usage": {
            "input_tokens": interaction.input_tokens, "output_tokens": interaction.output_tokens,
            "cached_input_tokens": interaction.cached_input_tokens,
        },
        "cost_usd": None if interaction.cost_usd is None else format(interaction.cost_usd.normalize(), "f"),
        "latency_ms": interaction.latency_ms, "time_to_first_token_ms": interaction.time_to_first_token_ms,
        "status": interaction.status,
        "error": {"type": interaction.error_type, "message": interaction.error_message}
        if interaction.status == Interaction.Status.ERROR else None,
        "outcome": interaction.outcome, "tags": interaction.tags, "metadata": interaction.metadata,
        "sanitized": interaction.sanitized,
    }  # fmt: skip


def whole(interaction: Interaction) -> dict[str, Any]:
    """Everything: the summary, the long parts, spans, feedback, scores, and the sections of other apps."""
    return {
        **summary(interaction),
        "parameters": interaction.parameters, "documents": interaction.documents, "tools": interaction.tools,
        "output_schema": interaction.output_schema,
        "spans": [span(row) for row in interaction.spans.order_by("started_at", "id")],
        "feedback": [feedback(row) for row in interaction.feedback.order_by("created_at", "id")],
        "scores": [score(row) for row in interaction.scores.order_by("created_at", "id")],
        **{section.name: section.load(interaction) for section in sections},
    }  # fmt: skip


def span(row: Span) -> dict[str, Any]:
    return {
        "id": row.external_id, "parent_id": row.parent_external_id or None, "kind": row.kind, "name": row.name,
        "started_at": row.started_at, "ended_at": row.ended_at, "status": row.status, "input": row.input,
        "output": row.output, "attributes": row.attributes,
    }  # fmt: skip


def feedback(row: Feedback) -> dict[str, Any]:
    return {
        "id": str(row.pk), "interaction_id": row.interaction_external_id, "kind": row.kind, "value": value_of(row),
        "scale": row.scale, "comment": row.comment, "correction": row.correction, "user_id": row.end_user_id,
        "source": row.source, "verified": row.verified, "counts": row.superseded_at is None,
        "created_at": row.created_at, "received_at": row.received_at, "metadata": row.metadata,
        "sanitized": row.sanitized,
    }  # fmt: skip


def value_of(row: Feedback) -> str | float | None:
    """The value as it would be sent: ``up`` and ``down`` for thumbs, the number of a rating, the word of others."""
    if row.kind == Feedback.Kind.THUMBS:
        return {1.0: "up", -1.0: "down"}.get(row.number, row.number) if row.number is not None else None
    return row.number if row.number is not None else row.label or None


def score(row: Score) -> dict[str, Any]:
    return {
        "id": str(row.pk), "interaction_id": row.interaction_external_id, "name": row.name, "version": row.version,
        "source": row.source, "value": row.value, "label": row.label, "flagged": row.flagged,
        "explanation": row.explanation, "detail": row.detail, "created_at": row.created_at,
    }  # fmt: skip
