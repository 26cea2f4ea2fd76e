"""The shapes of what is sent and read, for type checkers and editors. They are plain dictionaries at run time.

docs/api.md says what each field means. Fields that are absent here but known to a newer server may be sent too.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, NotRequired, Required, TypedDict

SpanKind = Literal["llm", "retriever", "tool", "chain", "agent", "embedding", "guardrail", "other"]
FeedbackKind = Literal["thumbs", "rating", "category", "comment", "correction", "report", "implicit"]
Status = Literal["ok", "error"]


class Message(TypedDict, total=False):
    """One turn of a conversation."""

    role: Required[str]
    content: str | list[Any] | None
    name: str
    tool_calls: list[Any]
    tool_call_id: str


class Document(TypedDict, total=False):
    """What was retrieved for an answer."""

    id: str | int
    title: str
    content: str
    score: float
    metadata: dict[str, Any]


class Prompt(TypedDict, total=False):
    """The template that the messages were made from."""

    name: str
    version: str | int
    template: str
    variables: dict[str, Any]


class Usage(TypedDict, total=False):
    """Tokens. ``input_tokens`` includes the cached ones."""

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int


class ErrorInfo(TypedDict, total=False):
    type: str
    message: str


class Span(TypedDict, total=False):
    """One step on the way to an answer. Times are RFC 3339 with a zone."""

    id: Required[str]
    parent_id: str | None
    kind: SpanKind
    name: str
    started_at: str | datetime
    ended_at: str | datetime
    status: Status
    input: Any
    output: Any
    attributes: dict[str, Any]


class Fields(TypedDict, total=False):
    """What may be known of an interaction before it has happened."""

    session_id: str
    user_id: str
    feature: str
    environment: str
    release: str
    variant: str
    language: str
    provider: str
    model: str
    parameters: dict[str, Any]
    prompt: Prompt
    tools: list[dict[str, Any]]
    output_schema: dict[str, Any]
    tags: list[str]
    metadata: dict[str, Any]


class Interaction(Fields, total=False):
    """One request to an application and its answer: ``messages`` or ``input``, and ``output`` or ``error``."""

    id: str
    created_at: str | datetime
    messages: Sequence[Message | dict[str, Any]]
    input: str
    output: str | Sequence[Message | dict[str, Any]]
    documents: Sequence[Document]
    spans: Sequence[Span]
    usage: Usage
    cost_usd: str | float | Decimal
    latency_ms: float
    time_to_first_token_ms: float
    status: Status
    error: ErrorInfo
    outcome: dict[str, Any]


class Amendment(TypedDict, total=False):
    """What may become known of an interaction later. ``outcome`` and ``metadata`` are merged by key, tags added."""

    outcome: dict[str, Any]
    tags: list[str]
    metadata: dict[str, Any]


class Feedback(TypedDict, total=False):
    """What an end user said or did."""

    interaction_id: Required[str]
    kind: Required[FeedbackKind]
    value: Any
    scale: float
    comment: str
    correction: str
    user_id: str
    created_at: str | datetime
    key: str
    metadata: dict[str, Any]


class Score(TypedDict, total=False):
    """The verdict of a machine or a third party."""

    interaction_id: Required[str]
    name: Required[str]
    value: float | bool | None
    label: str
    flagged: bool
    explanation: str
    version: str
    key: str
    detail: dict[str, Any]
    created_at: str | datetime


class ItemResult(TypedDict):
    """What became of one item of a batch: 201 stored, 200 was here already, otherwise ``error`` says why not."""

    index: int
    status: int
    id: NotRequired[str]
    linked: NotRequired[bool]
    replayed: NotRequired[bool]
    sanitized: NotRequired[bool]
    ignored: NotRequired[list[str]]
    error: NotRequired[dict[str, Any]]
