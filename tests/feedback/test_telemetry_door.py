"""``POST /v1/traces`` over HTTP: two encodings, compressed or not, and what is refused."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest
from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from feedback import limits
from feedback.models import TelemetryChunk
from feedback.telemetry.intake import merged
from projects import keys
from projects.models import Project
from tests.conftest import Api

PROTOBUF = "application/x-protobuf"
TRACE = "0af7651916cd43dd8448eb211c80319c"


def export(*spans: dict[str, Any]) -> dict[str, Any]:
    return {"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]}


def span(**changes: Any) -> dict[str, Any]:
    return {
        "traceId": TRACE, "spanId": "00f067aa0ba902b7", "name": "chat", "startTimeUnixNano": "1763700000000000000",
        "endTimeUnixNano": "1763700001000000000",
        "attributes": [{"key": "gen_ai.request.model", "value": {"stringValue": "gpt-4o"}}], **changes,
    }  # fmt: skip


def binary(body: dict[str, Any]) -> bytes:
    """Protobuf's own JSON has ids in base64, OTLP's in hex."""
    text = json.dumps(body).replace(TRACE, base64.b64encode(bytes.fromhex(TRACE)).decode())
    text = text.replace("00f067aa0ba902b7", base64.b64encode(bytes.fromhex("00f067aa0ba902b7")).decode())
    return bytes(Parse(text, ExportTraceServiceRequest()).SerializeToString())


def stored() -> list[str]:
    return [span.span_id for span in merged(TelemetryChunk.objects.values_list("body", flat=True))]


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("encoding", [PROTOBUF, "application/json", "application/json; charset=utf-8"])
def test_both_encodings_are_taken_and_answered_in_kind(encoding: str, compressed: bool, sk: Api) -> None:
    body = binary(export(span())) if encoding == PROTOBUF else json.dumps(export(span())).encode()
    headers = {"Content-Encoding": "gzip"} if compressed else {}
    status, answer = sk.post(
        "/v1/traces", gzip.compress(body) if compressed else body, content_type=encoding, **headers
    )
    assert (status, answer) == (200, b"" if encoding == PROTOBUF else {})
    assert stored() == ["00f067aa0ba902b7"]


def test_spans_that_cannot_be_taken_are_counted_and_the_others_stay(sk: Api) -> None:
    body = export(span(), span(spanId="0" * 16, traceId="0" * 32))
    status, answer = sk.post("/v1/traces", body)
    assert status == 200
    assert answer["partialSuccess"]["rejectedSpans"] == "1"
    assert "not all zero" in answer["partialSuccess"]["errorMessage"]
    assert stored() == ["00f067aa0ba902b7"]

    request = ExportTraceServiceRequest.FromString(binary(export(span())))
    request.resource_spans[0].scope_spans[0].spans.add(name="no ids")
    status, answer = sk.post("/v1/traces", request.SerializeToString(), content_type=PROTOBUF)
    assert status == 200
    assert ExportTraceServiceResponse.FromString(answer).partial_success.rejected_spans == 1


def test_a_span_whose_id_is_all_zero_is_refused(sk: Api) -> None:
    assert sk.post("/v1/traces", export(span(spanId="0" * 16)))[1]["partialSuccess"]["rejectedSpans"] == "1"
    assert stored() == []


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/grpc", ""])
def test_another_content_type_is_not_taken(kind: str, sk: Api) -> None:
    assert sk.post("/v1/traces", binary(export(span())), content_type=kind)[0] == 415
    assert stored() == []


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"\xff\xff\xff garbage", PROTOBUF),
        (binary(export(span()))[:-7], PROTOBUF),
        (b"{", "application/json"),
        (b"[]", "application/json"),
        (b'{"resourceSpans": NaN}', "application/json"),
    ],
)
def test_what_is_no_export_request_is_refused(body: bytes, encoding: str, sk: Api) -> None:
    assert sk.post("/v1/traces", body, content_type=encoding)[0] == 400
    assert stored() == []


@pytest.mark.parametrize("value", [{"intValue": "9" * 5000}, {"doubleValue": "x"}, {"intValue": {}}])
def test_an_attribute_that_cannot_be_read_costs_its_span_only(value: dict[str, Any], sk: Api) -> None:
    odd = span(spanId="00f067aa0ba902b8", attributes=[{"key": "n", "value": value}])
    status, answer = sk.post("/v1/traces", export(span(), odd))
    assert (status, answer["partialSuccess"]["rejectedSpans"]) == (200, "1")
    assert stored() == ["00f067aa0ba902b7"]


def test_a_body_is_measured_while_it_is_inflated(sk: Api) -> None:
    bomb = gzip.compress(b"\0" * (limits.BATCH_BODY + 1))
    assert len(bomb) < 100_000
    assert sk.post("/v1/traces", bomb, content_type=PROTOBUF, **{"Content-Encoding": "gzip"})[0] == 413
    assert sk.post("/v1/traces", b"\0" * (limits.BATCH_BODY + 1), content_type=PROTOBUF)[0] == 413
    assert sk.post("/v1/traces", b"not gzip", content_type=PROTOBUF, **{"Content-Encoding": "gzip"})[0] == 400


def test_the_key_must_be_one_that_may_send(project: Project, pk: Api, nobody: Api) -> None:
    reader = Api(keys.create_key(project=project, kind="sk", name="reader", scopes=["read"])[1])
    body = export(span())
    assert reader.post("/v1/traces", body)[0] == 403
    assert nobody.post("/v1/traces", body)[0] == 401
    assert pk.post("/v1/traces", body, Origin="https://chat.example.com")[0] == 403, "a browser's key has no traces"
    assert stored() == []


@pytest.mark.parametrize(
    "body",
    [
        {"resourceSpans": 5},
        {"resourceSpans": [5]},
        {"resourceSpans": [{"scopeSpans": {}}]},
        {"resourceSpans": [{"scopeSpans": [{"spans": "x"}]}]},
    ],
)
def test_a_request_of_the_wrong_shape_is_refused_rather_than_dropped(body: dict[str, Any], sk: Api) -> None:
    assert sk.post("/v1/traces", body)[0] == 400


@pytest.mark.parametrize("body", [{}, {"resourceSpans": []}, {"resourceSpans": None}])
def test_an_empty_request_is_fine(body: dict[str, Any], sk: Api) -> None:
    assert sk.post("/v1/traces", body)[0] == 200
