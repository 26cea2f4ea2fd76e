"""OTLP/HTTP trace requests, protobuf or JSON, as plain values.

Source: OTLP specification 1.9, "OTLP/HTTP" (binary protobuf; JSON with hex ids, 64-bit integers as strings,
unknown fields ignored). Protobuf is walked by hand: converting to dicts first costs five times as much.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from projects import strictjson
from projects.errors import ApiError

STATUS_ERROR = 2
MAX_ATTRIBUTE_DEPTH = 16


class Event(msgspec.Struct):
    name: str
    time_ns: int
    attributes: dict[str, Any]


class WireSpan(msgspec.Struct, omit_defaults=True):
    """One span as it came, ids in lower-case hex, times in nanoseconds since 1970 (0 = not given)."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    start_ns: int
    end_ns: int
    error: bool
    status_message: str
    attributes: dict[str, Any]
    events: list[Event] = msgspec.field(default_factory=list)
    resource: dict[str, Any] = msgspec.field(default_factory=dict)
    scope: str = ""
    masked: dict[str, int] = msgspec.field(default_factory=dict)
    """How often each kind of personal data was masked in it."""


@dataclass(slots=True)
class Request:
    spans: list[WireSpan]
    rejected: list[str]
    """Why spans were refused, one sentence each."""


def check_content_type(content_type: str) -> str:
    """The media type of an export request; ApiError 415 if it is not one of the two."""
    kind = content_type.split(";")[0].strip().lower()
    if kind not in {"application/x-protobuf", "application/json"}:
        raise ApiError(415, "unsupported_media_type", "Send application/x-protobuf or application/json.")
    return kind


def decode(body: bytes, content_type: str) -> Request:
    """The spans of an export request; ApiError 400 for what cannot be read, 415 for another content type."""
    if check_content_type(content_type) == "application/x-protobuf":
        return _collect(_from_protobuf(body))
    return _collect(_from_json(strictjson.parse(body).value))


def _collect(spans: Iterable[WireSpan | str]) -> Request:
    result = Request([], [])
    for span in spans:
        if isinstance(span, str):
            result.rejected.append(span)
        elif not _names(span.trace_id, 32) or not _names(span.span_id, 16):
            result.rejected.append(f"span {span.name!r}: trace id and span id must be 16 and 8 bytes, not all zero")
        else:
            result.spans.append(span)
    return result


def _names(hex_id: str, length: int) -> bool:
    return len(hex_id) == length and bool(hex_id.strip("0"))


# -- protobuf ------------------------------------------------------------------------------------------------


def _from_protobuf(body: bytes) -> Iterator[WireSpan | str]:
    request = ExportTraceServiceRequest()
    try:
        request.ParseFromString(body)
    except DecodeError:
        raise ApiError(400, "malformed_protobuf", "The body is not an OTLP trace request.") from None
    for group in request.resource_spans:
        resource = _attributes(group.resource.attributes)
        for scoped in group.scope_spans:
            scope = _clean(scoped.scope.name)
            for span in scoped.spans:
                yield WireSpan(
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    name=_clean(span.name),
                    start_ns=span.start_time_unix_nano,
                    end_ns=span.end_time_unix_nano,
                    error=span.status.code == STATUS_ERROR,
                    status_message=_clean(span.status.message),
                    attributes=_attributes(span.attributes),
                    events=[
                        Event(_clean(event.name), event.time_unix_nano, _attributes(event.attributes))
                        for event in span.events
                    ],
                    resource=resource,
                    scope=scope,
                )


def _clean(text: str) -> str:
    """Protobuf's parser has refused lone surrogates, so that NUL is all that is left to replace."""
    return strictjson.clean_text(text) if "\0" in text else text


def _attributes(pairs: Iterable[Any]) -> dict[str, Any]:
    return {_clean(pair.key): _value(pair.value) for pair in pairs}


def _value(value: Any, depth: int = 0) -> Any:
    if text := value.string_value:  # nearly all of them
        return _clean(text)
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return ""
    if kind == "double_value":
        return _finite(value.double_value)
    if kind in {"int_value", "bool_value"}:
        return getattr(value, kind)
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    if depth >= MAX_ATTRIBUTE_DEPTH:
        return "[nested too deep]"
    if kind == "array_value":
        return [_value(entry, depth + 1) for entry in value.array_value.values]
    if kind == "kvlist_value":
        return {_clean(pair.key): _value(pair.value, depth + 1) for pair in value.kvlist_value.values}
    return None


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


# -- JSON ----------------------------------------------------------------------------------------------------


def _from_json(body: Any) -> Iterator[WireSpan | str]:
    if not isinstance(body, dict):
        raise ApiError(400, "malformed_json", "The body must be an object with resourceSpans.")
    for group in _groups(body, "resourceSpans"):
        resource = _json_attributes(_dict(group, "resource"))
        for scoped in _groups(group, "scopeSpans"):
            scope = str(_dict(scoped, "scope").get("name", ""))
            for span in _groups(scoped, "spans"):
                yield _json_span(span, resource, scope)


def _groups(holder: Any, key: str) -> list[Any]:
    """A level of the request. What has the wrong shape here would be dropped without a word, so it is refused."""
    value = holder.get(key, []) if isinstance(holder, dict) else None
    if value is None and isinstance(holder, dict):
        return []
    if not isinstance(value, list):
        raise ApiError(400, "malformed_json", f"{key} must be a list in an object.")
    return value


def _json_span(span: Any, resource: dict[str, Any], scope: str) -> WireSpan | str:
    if not isinstance(span, dict):
        return "a span is not an object"
    name = str(span.get("name", ""))
    try:
        status = _dict(span, "status")
        return WireSpan(
            trace_id=_hex(span.get("traceId", "")),
            span_id=_hex(span.get("spanId", "")),
            parent_id=_hex(span.get("parentSpanId", "")),
            name=name,
            start_ns=_nanoseconds(span.get("startTimeUnixNano", 0)),
            end_ns=_nanoseconds(span.get("endTimeUnixNano", 0)),
            error=status.get("code") in {STATUS_ERROR, "STATUS_CODE_ERROR"},
            status_message=str(status.get("message", "")),
            attributes=_json_attributes(span),
            events=[
                Event(str(event.get("name", "")), _nanoseconds(event.get("timeUnixNano", 0)), _json_attributes(event))
                for event in _list(span, "events")
                if isinstance(event, dict)
            ],
            resource=resource,
            scope=scope,
        )
    except (ValueError, TypeError):
        return f"span {name!r}: an id, a time or a number cannot be read"


def _nanoseconds(value: Any) -> int:
    """An unsigned number of 64 bit, as protobuf has it."""
    return _within(int(value), 0, 2**64)


def _within(number: int, low: int, high: int) -> int:
    if not low <= number < high:
        raise ValueError("more than 64 bit")
    return number


def _hex(text: Any) -> str:
    try:
        return bytes.fromhex(text).hex()
    except (ValueError, TypeError, binascii.Error):
        raise ValueError("not hexadecimal") from None


def _list(holder: Any, key: str) -> list[Any]:
    value = holder.get(key) if isinstance(holder, dict) else None
    return value if isinstance(value, list) else []


def _dict(holder: Any, key: str) -> dict[str, Any]:
    value = holder.get(key) if isinstance(holder, dict) else None
    return value if isinstance(value, dict) else {}


def _json_attributes(holder: dict[str, Any]) -> dict[str, Any]:
    return {
        str(pair["key"]): _json_value(pair.get("value"))
        for pair in _list(holder, "attributes")
        if isinstance(pair, dict) and "key" in pair
    }


def _json_value(value: Any) -> Any:
    if not isinstance(value, dict):
        return None
    if "stringValue" in value:
        return str(value["stringValue"])
    if "boolValue" in value:
        return bool(value["boolValue"])
    if "intValue" in value:
        return _within(int(value["intValue"]), -(2**63), 2**63)
    if "doubleValue" in value:
        return _finite(float(value["doubleValue"]))
    if "bytesValue" in value:
        return str(value["bytesValue"])
    if "arrayValue" in value:
        return [_json_value(entry) for entry in _list(value["arrayValue"], "values")]
    if "kvlistValue" in value:
        return {
            str(pair["key"]): _json_value(pair.get("value"))
            for pair in _list(value["kvlistValue"], "values")
            if isinstance(pair, dict) and "key" in pair
        }
    return None
