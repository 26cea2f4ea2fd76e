"""The bodies of the intake as types: what is accepted, with which limits, and where a fault lies.

Bodies arrive as plain values (from ``projects.strictjson`` or a file) and are checked by msgspec, which does
in 10 microseconds what a serializer does in 1,000. A fault is an ApiError 422 whose detail names the place by
JSON pointer, ``/messages/0/role``. Fields that are not known are not stored; the answer lists them as
``ignored``, so that a client written for a newer server works and a typing mistake is seen.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from feedback import limits
from projects import moments
from projects.errors import ApiError, invalid
from projects.strictjson import clean_text

Identifier = Annotated[str, Meta(min_length=1, max_length=limits.IDENTIFIER)]
OptionalIdentifier = Annotated[str, Meta(max_length=limits.IDENTIFIER)]
Name = Annotated[str, Meta(max_length=limits.NAME)]
ShortName = Annotated[str, Meta(max_length=limits.SHORT_NAME)]
Text = Annotated[str, Meta(max_length=limits.TEXT)]
Comment = Annotated[str, Meta(max_length=limits.COMMENT)]
Moment = Annotated[datetime, Meta(tz=True)]
Tokens = Annotated[int, Meta(ge=0, le=limits.TOKENS)]
Milliseconds = Annotated[float, Meta(ge=0, le=limits.MILLISECONDS)]
Mapping = Annotated[dict[str, Any], Meta(max_length=limits.METADATA_KEYS)]
Tags = Annotated[list[Annotated[str, Meta(min_length=1, max_length=limits.TAG)]], Meta(max_length=limits.TAGS)]
State = Literal["ok", "error"]
SpanKind = Literal["llm", "retriever", "tool", "chain", "agent", "embedding", "guardrail", "other"]


class Message(Struct):
    """One turn. Further fields (``tool_calls``, ``name``, …) are kept as they came."""

    role: Annotated[str, Meta(min_length=1, max_length=limits.ROLE)]
    content: str | list[Any] | None = None


class PromptIn(Struct):
    name: Name | None = None
    version: Annotated[str, Meta(max_length=limits.SHORT_NAME)] | int | None = None


class DocumentIn(Struct):
    content: Text | None = None
    id: Name | int | None = None
    title: Annotated[str, Meta(max_length=limits.TITLE)] | None = None
    score: float | None = None
    metadata: Mapping | None = None


class SpanIn(Struct):
    id: Identifier
    name: Annotated[str, Meta(max_length=limits.SPAN_NAME)] = ""
    parent_id: OptionalIdentifier | None = None
    kind: SpanKind = "other"
    started_at: Moment | None = None
    ended_at: Moment | None = None
    status: State = "ok"
    input: Any = None
    output: Any = None
    attributes: Mapping | None = None


class UsageIn(Struct):
    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    cached_input_tokens: Tokens | None = None


class ErrorIn(Struct):
    type: Name | None = None
    message: Text | None = None


Messages = Annotated[list[Message], Meta(max_length=limits.MESSAGES)]


class InteractionIn(Struct):
    """``POST /api/v1/interactions``: ``messages`` or ``input``, and ``output`` or ``error``, are required."""

    id: Identifier | None = None
    session_id: OptionalIdentifier | None = None
    user_id: OptionalIdentifier | None = None
    created_at: Moment | None = None
    feature: Name | None = None
    environment: ShortName | None = None
    release: Name | None = None
    variant: ShortName | None = None
    language: Annotated[str, Meta(max_length=limits.LANGUAGE)] | None = None
    provider: ShortName | None = None
    model: Name | None = None
    parameters: Mapping | None = None
    prompt: PromptIn | None = None
    messages: Messages | UnsetType | None = UNSET
    input: Text | UnsetType | None = UNSET
    output: Text | Messages | UnsetType | None = UNSET
    documents: Annotated[list[DocumentIn], Meta(max_length=limits.DOCUMENTS)] | None = None
    tools: Annotated[list[dict[str, Any]], Meta(max_length=limits.TOOLS)] | None = None
    spans: Annotated[list[SpanIn], Meta(max_length=limits.SPANS)] | None = None
    usage: UsageIn | None = None
    cost_usd: Decimal | None = None
    latency_ms: Milliseconds | None = None
    time_to_first_token_ms: Milliseconds | None = None
    status: State | None = None
    error: ErrorIn | None = None
    output_schema: Mapping | None = None
    outcome: Mapping | None = None
    tags: Tags | None = None
    metadata: Mapping | None = None


class InteractionPatch(Struct):
    """``PATCH /api/v1/interactions/{id}``: what may become known later."""

    outcome: Mapping | UnsetType | None = UNSET
    tags: Tags | UnsetType = UNSET
    metadata: Mapping | UnsetType = UNSET


class FeedbackIn(Struct):
    interaction_id: Identifier
    kind: Literal["thumbs", "rating", "category", "comment", "correction", "report", "implicit"]
    value: Any = None
    scale: Annotated[float, Meta(gt=0, le=limits.SCALE)] | None = None
    comment: Comment | None = None
    correction: Text | None = None
    user_id: OptionalIdentifier | None = None
    created_at: Moment | None = None
    key: Annotated[str, Meta(min_length=1, max_length=limits.KEY)] | None = None
    metadata: Mapping | None = None


class ScoreIn(Struct):
    interaction_id: Identifier
    name: Annotated[str, Meta(min_length=1, max_length=limits.SHORT_NAME)]
    value: Annotated[float, Meta(ge=-limits.SCORE, le=limits.SCORE)] | bool | None = None
    label: Name | None = None
    explanation: Text | None = None
    version: Annotated[str, Meta(max_length=limits.VERSION)] | None = None
    key: Annotated[str, Meta(min_length=1, max_length=limits.KEY)] | None = None
    flagged: bool | None = None
    detail: Mapping | None = None
    created_at: Moment | None = None


T = TypeVar("T", bound=Struct)
_FIELDS: dict[type[Struct], frozenset[str]] = {
    kind: frozenset(field.encode_name for field in msgspec.structs.fields(kind))
    for kind in (InteractionIn, InteractionPatch, FeedbackIn, ScoreIn)
}
_PLACE = re.compile(r"(.*?)(?: - at `(key in )?\$(.*)`)?", re.DOTALL)
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\[\.\.\.\]")


def check(item: Any, shape: type[T]) -> T:
    """The item as ``shape``, or ApiError 422 with the path of the fault."""
    try:
        return msgspec.convert(item, shape)
    except msgspec.ValidationError as error:
        raise _fault(str(error)) from None


def ignored(item: dict[str, Any], shape: type[Struct]) -> list[str]:
    """Pointers to the fields of the body that the shape does not know."""
    return [f"/{name}" for name in item.keys() - _FIELDS[shape]]


def _fault(text: str) -> ApiError:
    match = _PLACE.fullmatch(text)
    message, place = (match[1], match[3] or "") if match else (text, "")
    return invalid(_pointer(place), message.replace("`", ""))


def _pointer(place: str) -> str:
    """msgspec's ``.messages[0].role`` as the JSON pointer ``/messages/0/role``."""
    return "".join(f"/{name or index or '*'}" for name, index in _STEP.findall(place)) or "/"


def canonical(item: dict[str, Any]) -> tuple[dict[str, Any], bytes, bool]:
    """The item, its one canonical encoding, and whether text had to be replaced on the way.

    The encoding has sorted keys, so that two bodies that say the same have the same fingerprint. Text that
    PostgreSQL cannot hold (NUL, lone surrogates) becomes U+FFFD here for items that did not pass the strict
    parser, such as lines of an imported file.
    """
    try:
        body = msgspec.json.encode(item, order="sorted")
        if b"\\u0000" not in body:
            return item, body, False
    except UnicodeEncodeError:
        pass
    except (TypeError, OverflowError) as error:
        raise invalid("/", f"The item holds something that JSON cannot say: {error}") from None
    item = _clean(item)
    return item, msgspec.json.encode(item, order="sorted"), True


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list):
        return [_clean(part) for part in value]
    if isinstance(value, dict):
        return {clean_text(key): _clean(part) for key, part in value.items()}
    return value


def fingerprint(body: bytes) -> bytes:
    """What "the same body" means: SHA-256 of the canonical encoding."""
    return hashlib.sha256(body).digest()


def identifier(value: str | None, path: str) -> str:
    """An identifier that can be found again: nothing in it had to be replaced."""
    if value and "\ufffd" in value:
        raise invalid(path, "An identifier may not hold NUL, lone surrogates or U+FFFD.")
    return value or ""


def moment(value: datetime | None, path: str) -> datetime | None:
    """A time in UTC, between the years that every part of the system can hold."""
    if value is None:
        return None
    moment = moments.utc(value)
    if moment is None or not limits.FIRST_YEAR <= moment.year <= limits.LAST_YEAR:
        raise invalid(path, f"The year must lie between {limits.FIRST_YEAR} and {limits.LAST_YEAR}.")
    return moment
