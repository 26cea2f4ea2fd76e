"""Spans with attributes of OpenInference or OpenTelemetry's GenAI conventions, one by one or as OTLP requests.

Read are the SDK's ``span.to_json()`` (what its console exporter prints), OTLP/JSON (what a collector's file exporter
writes), and Phoenix's spans, which the module ``phoenix`` shares with this one.
"""

from __future__ import annotations

from typing import Any

import msgspec

from feedback import limits
from feedback.importers import verdicts
from feedback.importers.records import Piece, Record, register_traces
from feedback.importers.shapes import Values, mapping, nanoseconds, parsed, text
from feedback.importers.verdicts import Verdict
from feedback.telemetry import assemble, assembly, wire
from feedback.telemetry.wire import Event, WireSpan

# Attributes whose objects are one value and not more attributes.
WHOLE = {
    "metadata", "input.value", "output.value", "llm.invocation_parameters", "llm.prompt_template.variables",
    "document.metadata", "annotation.metadata", "tool.parameters", "tool.json_schema", "gen_ai.input.messages",
    "gen_ai.output.messages", "gen_ai.system_instructions", "gen_ai.tool.definitions",
}  # fmt: skip


def take_apart(row: Values) -> list[Piece]:
    if "resourceSpans" in row:
        request = wire.decode(msgspec.json.encode(row), "application/json")
        if request.rejected:
            raise ValueError(request.rejected[0])
        return [piece_of(span) for span in request.spans]
    return [piece_of(span_of(row))]


def piece_of(span: WireSpan) -> Piece:
    """One span, which ``span_in`` finds again."""
    return Piece({"span": msgspec.to_builtins(span)}, span.trace_id, span=span.span_id)


def span_in(body: dict[str, Any]) -> WireSpan | None:
    """The span that a piece's body holds; None for anything else."""
    return msgspec.convert(body["span"], WireSpan) if "span" in body else None


def recognises(row: Values) -> bool:
    if "resourceSpans" in row:
        return True
    return "context" in row and "attributes" in row and "status" in row and "span_kind" not in row


def put_together(trace: str, bodies: list[dict[str, Any]]) -> Record:
    return made(trace, [span for body in bodies if (span := span_in(body))], "openinference")


def span_of(row: Values) -> WireSpan:
    """A span of the SDK or of Phoenix. KeyError or ValueError where it has no ids."""
    context, status = mapping(row.get("context")), mapping(row.get("status"))
    attributes = flat(mapping(row.get("attributes")))
    kind = text(row, "span_kind")
    if kind and kind != "UNKNOWN":
        attributes.setdefault("openinference.span.kind", kind)
    return WireSpan(
        trace_id=_id(context["trace_id"]), span_id=_id(context["span_id"]), parent_id=_id(row.get("parent_id") or ""),
        name=text(row, "name"), start_ns=nanoseconds(row.get("start_time")), end_ns=nanoseconds(row.get("end_time")),
        error=(text(status, "status_code") or text(row, "status_code")).upper() == "ERROR",
        status_message=text(status, "description") or text(row, "status_message"), attributes=attributes,
        events=[_event(event) for event in parsed(row.get("events")) or () if isinstance(event, dict)],
        resource=mapping(mapping(row.get("resource")).get("attributes")),
    )  # fmt: skip


def _id(value: Any) -> str:
    """Ids without the prefix that the SDK prints."""
    return str(value).removeprefix("0x")


def _event(event: Values) -> Event:
    return Event(text(event, "name"), nanoseconds(event.get("timestamp")), flat(mapping(event.get("attributes"))))


def flat(values: Values, prefix: str = "") -> Values:
    """Attributes by their whole names, with lists of objects counted: ``llm.input_messages.0.message.role``."""
    result: Values = {}
    for name, value in values.items():
        whole = f"{prefix}{name}"
        if whole in WHOLE or any(whole.endswith(f".{known}") for known in WHOLE):
            result[whole] = value
        elif isinstance(value, dict):
            result |= flat(value, f"{whole}.")
        elif isinstance(value, list) and value and all(isinstance(entry, dict) for entry in value):
            for place, entry in enumerate(value):
                result |= flat(entry, f"{whole}.{place}.")
        elif value is not None:
            result[whole] = value
    return result


def made(trace: str, spans: list[WireSpan], peer: str) -> Record:
    """The interaction of these spans, and the verdicts that their attributes and events hold."""
    record = Record()
    body = assemble.interaction(spans, quiet=True)
    if body is None:
        raise ValueError("nothing says what was asked or answered")
    body["metadata"] = {**body.get("metadata", {}), "imported_from": peer}
    costs = [span.attributes["llm.cost.total"] for span in spans if "llm.cost.total" in span.attributes]
    if costs:
        body["cost_usd"] = f"{sum(float(cost) for cost in costs):.8f}"
    record.interactions.append(assembly.fit(body))
    for span in spans:
        for verdict in assemble.scores([span]):
            said = Verdict(
                trace=trace, key=verdict["key"], name=verdict["name"], number=verdict["value"],
                word=verdict["label"], comment=verdict["explanation"][: limits.COMMENT], person=verdict["person"],
                span=span.span_id, at=assemble.moment(span.end_ns) if span.end_ns else None,
            )  # fmt: skip
            verdicts.add(record, said)
    return record


register_traces(
    "openinference", "Spans with OpenInference or GenAI attributes: the SDK's JSON, or OTLP/JSON of a collector",
    take_apart=take_apart, put_together=put_together, recognises=recognises,
)  # fmt: skip
