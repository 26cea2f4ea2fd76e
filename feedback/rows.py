"""From a checked body to the columns of its table."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import UNSET

from feedback import limits, masking, pricing, schema
from feedback.models import Interaction, text_of
from feedback.schema import InteractionIn, SpanIn
from projects.errors import invalid
from projects.models import Project

# The order of the values that ``interaction`` makes, for INSERT and COPY alike.
INTERACTION_COLUMNS = (
    "project_id", "external_id", "session_id", "end_user_id", "feature", "environment", "release", "variant",
    "language", "provider", "model", "prompt_name", "prompt_version", "prompt", "parameters", "messages", "output",
    "output_messages", "documents", "tools", "input_tokens", "output_tokens", "cached_input_tokens", "cost_usd",
    "latency_ms", "time_to_first_token_ms", "status", "error_type", "error_message", "output_schema", "outcome",
    "tags", "metadata", "sanitized", "masked", "fingerprint",
)  # fmt: skip
SPAN_COLUMNS = (
    "external_id", "parent_external_id", "kind", "name", "started_at", "ended_at", "status", "input", "output",
    "attributes",
)  # fmt: skip
_EIGHT_PLACES = Decimal("1e-8")


@dataclass(frozen=True, slots=True)
class InteractionRow:
    external_id: str
    fingerprint: bytes
    created_at: datetime | None
    values: tuple[Any, ...]
    spans: list[SpanIn]
    sanitized: bool


def interaction(project: Project, item: dict[str, Any], *, sanitized: bool = False) -> InteractionRow:
    """The row of one interaction as the body says it; ApiError 422 with the path of a fault.

    Personal data of the kinds that the project masks is replaced here, before anything is stored; the
    fingerprint is that of the body as it was sent, so that sending it again is a replay.
    """
    if not isinstance(item, dict):
        raise invalid("/", "An interaction is an object.")
    item, body, replaced = schema.canonical(item)
    sent = schema.check(item, InteractionIn)
    mark = schema.fingerprint(body)
    masked = None
    if project.masking:
        item, found = masking.mask_value(item, project.masking)
        masked = _json(found or None)
        sent = schema.check(item, InteractionIn)
    external_id = schema.identifier(sent.id, "/id") or f"int_{secrets.token_hex(10)}"
    messages = _messages(sent, item)
    output, output_messages = _output(sent, item)
    status, error = _status(sent)
    usage, prompt = sent.usage, sent.prompt
    values = (
        project.pk, external_id, schema.identifier(sent.session_id, "/session_id"),
        schema.identifier(sent.user_id, "/user_id"), sent.feature or "", sent.environment or "", sent.release or "",
        sent.variant or "", sent.language or "", sent.provider or "", sent.model or "",
        prompt.name or "" if prompt else "", _text(prompt.version) if prompt else "",
        _json({key: part for key, part in item["prompt"].items() if key not in {"name", "version"}} or None)
        if prompt else None,
        _json(sent.parameters), _json(messages), output, _json(output_messages), _documents(sent, item),
        _json(sent.tools),
        usage.input_tokens if usage else None, usage.output_tokens if usage else None,
        usage.cached_input_tokens if usage else None, _cost(sent), sent.latency_ms,
        sent.time_to_first_token_ms, status, error[0], error[1], _json(sent.output_schema), _json(sent.outcome),
        _array(sent.tags or []), _json(sent.metadata or {}), sanitized or replaced, masked, mark,
    )  # fmt: skip
    return InteractionRow(
        external_id, mark, schema.moment(sent.created_at, "/created_at"), values, _spans(sent.spans or []),
        sanitized or replaced,
    )  # fmt: skip


def span_values(spans: list[SpanIn]) -> list[tuple[Any, ...]]:
    """The rows of an interaction's spans, in SPAN_COLUMNS."""
    return [
        (
            span.id, span.parent_id or "", span.kind, span.name, span.started_at, span.ended_at, span.status,
            _json(span.input), _json(span.output), _json(span.attributes or {}),
        )
        for span in spans
    ]  # fmt: skip


def spans_document(spans: list[SpanIn]) -> str:
    """The same rows as one JSON document, for ``jsonb_to_recordset``."""
    return msgspec.json.encode(
        [
            {
                "external_id": span.id, "parent_external_id": span.parent_id or "", "kind": span.kind,
                "name": span.name, "started_at": span.started_at, "ended_at": span.ended_at, "status": span.status,
                "input": span.input, "output": span.output, "attributes": span.attributes or {},
            }
            for span in spans
        ]
    ).decode()  # fmt: skip


def _json(value: Any) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


def _array(texts: list[str]) -> str:
    """As PostgreSQL reads a ``text[]``; psycopg takes 50 microseconds for the same."""
    quoted = [text.replace("\\", "\\\\").replace('"', '\\"') for text in texts]
    return "{" + ",".join(f'"{text}"' for text in quoted) + "}"


def _text(value: str | int | None) -> str:
    return "" if value is None else str(value)


def _messages(sent: InteractionIn, item: dict[str, Any]) -> list[dict[str, Any]]:
    if sent.messages:
        _check_parts(item["messages"], "/messages")
        if isinstance(sent.input, str):
            raise invalid("/input", "Send messages or input, not both.")
        return item["messages"]  # type: ignore[no-any-return]  # the shape was checked; extra fields stay
    if isinstance(sent.input, str):
        return [{"role": "user", "content": sent.input}] if sent.input else []
    if sent.messages is UNSET or sent.messages is None:
        raise invalid("/messages", "Send messages (a list) or input (a string).")
    return []


def _output(sent: InteractionIn, item: dict[str, Any]) -> tuple[str, list[dict[str, Any]] | None]:
    if isinstance(sent.output, str):
        return sent.output, None
    if isinstance(sent.output, list):
        _check_parts(item["output"], "/output")
        texts = [text for message in item["output"] if (text := text_of(message.get("content")))]
        return (texts[-1] if texts else ""), item["output"]
    if sent.error is None:
        raise invalid("/output", "Send output (a string or a list of messages) or error.")
    return "", None


def _check_parts(messages: list[dict[str, Any]], path: str) -> None:
    for place, message in enumerate(messages):
        if len(text_of(message.get("content"))) > limits.TEXT:
            raise invalid(f"{path}/{place}/content", f"The text is longer than {limits.TEXT:,} characters.")


def _status(sent: InteractionIn) -> tuple[str, tuple[str, str]]:
    error = sent.error
    status = sent.status or (Interaction.Status.ERROR if error else Interaction.Status.OK)
    return str(status), ((error.type or "", error.message or "") if error else ("", ""))


def _documents(sent: InteractionIn, item: dict[str, Any]) -> str:
    documents = item["documents"] if sent.documents else []
    if any(isinstance(document.id, int) for document in sent.documents or []):  # marks refer to ids as text
        documents = [{**document, "id": _text(document.get("id"))} for document in documents]
    return _json(documents) or "[]"


def _cost(sent: InteractionIn) -> Decimal | None:
    """What the caller says it cost, else what the price table says; unknown stays unknown."""
    cost, usage = sent.cost_usd, sent.usage
    if cost is None:
        if usage is None or not sent.model:
            return None
        return pricing.cost_usd(
            model=sent.model,
            provider=sent.provider or "",
            at=sent.created_at,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cached_input_tokens=usage.cached_input_tokens,
        )
    # twice, because the last digits may round up to the limit, and what is far beyond it cannot be rounded
    if (
        not cost.is_finite()
        or not 0 <= cost < limits.COST_USD
        or (rounded := cost.quantize(_EIGHT_PLACES)) >= limits.COST_USD
    ):
        raise invalid("/cost_usd", f"Costs are US dollars from 0 to under {limits.COST_USD:,}.")
    return rounded


def _spans(spans: list[SpanIn]) -> list[SpanIn]:
    seen: set[str] = set()
    for place, span in enumerate(spans):
        if span.id in seen:
            raise invalid(f"/spans/{place}/id", "Two spans have this id.")
        seen.add(schema.identifier(span.id, f"/spans/{place}/id"))
        span.started_at = schema.moment(span.started_at, f"/spans/{place}/started_at")
        span.ended_at = schema.moment(span.ended_at, f"/spans/{place}/ended_at")
    return spans
