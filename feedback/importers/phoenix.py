"""Arize Phoenix: spans as its API and command line give them or as a saved data frame, and annotations.

A frame's columns are ``context.trace_id``, ``attributes.llm.model_name`` and so on; annotations name the span, the
trace, or both. Source: ``phoenix.client`` and ``phoenix.trace`` of Arize-ai/phoenix.
"""

from __future__ import annotations

from typing import Any

from feedback.importers import openinference, verdicts
from feedback.importers.records import Piece, Record, register_traces
from feedback.importers.shapes import Values, mapping, nanoseconds, number, parsed, pick, text
from feedback.importers.verdicts import Verdict
from feedback.telemetry import assemble


def take_apart(row: Values) -> list[Piece]:
    if isinstance(row.get("spans"), list):  # `px traces`
        return [piece for span in row["spans"] for piece in take_apart(span)]
    row = _nested(row)
    if not {"context", "attributes"} & row.keys():
        return [_annotation(row)]
    annotations = parsed(row.pop("annotations", None)) or ()
    piece = openinference.piece_of(openinference.span_of(row))
    about = {"span_id": piece.span, "trace_id": piece.trace}
    return [piece, *(_annotation({**about, **_nested(said)}) for said in annotations)]


def _nested(row: Values) -> Values:
    """The columns of a frame as the objects that they were: ``context.span_id``, ``result.label``."""
    result: Values = {}
    for name, value in row.items():
        head, dot, rest = name.partition(".")
        if dot and head in {"context", "attributes", "result"}:
            holder = result.setdefault(head, {})
            if value is not None:
                holder[rest] = value
        else:
            result[name] = value
    return result


def _annotation(row: Values) -> Piece:
    trace, span = text(row, "trace_id"), text(row, "span_id")
    if not text(row, "name", "annotation_name") or not (trace or span):
        raise ValueError(
            "neither a span (context.trace_id, attributes) nor an annotation (name, span_id); "
            "of a data frame write the index too: frame.reset_index()"
        )
    return Piece(row, trace, about=span)


def recognises(row: Values) -> bool:
    names = row.keys()
    if isinstance(row.get("spans"), list) and "trace" not in row:
        return bool({"traceId", "trace_id"} & names)
    if "context.trace_id" in names or "context.span_id" in names or ("context" in names and "span_kind" in names):
        return True
    return "annotator_kind" in names and bool({"span_id", "trace_id"} & names)


def put_together(trace: str, bodies: list[dict[str, Any]]) -> Record:
    spans = [span for body in bodies if (span := openinference.span_in(body))]
    record = openinference.made(trace, spans, "phoenix") if spans else Record()
    for body in bodies:
        if "span" not in body:
            verdicts.add(record, _verdict(trace, body))
    return record


def _verdict(trace: str, row: Values) -> Verdict:
    result, name = {**row, **mapping(row.get("result"))}, text(row, "name", "annotation_name")
    span, identifier = text(row, "span_id"), text(row, "identifier")
    at = nanoseconds(pick(row, "created_at", "updated_at"))
    mark = text(row, "id") or f"{trace}:{span}:{name}:{identifier}"
    person = text(row, "annotator_kind").upper() == "HUMAN"
    return Verdict(
        trace=trace, key=verdicts.key("phoenix", mark), name=name, number=number(result.get("score")),
        word=text(result, "label"), comment=text(result, "explanation"), person=person, free=name == "note",
        who=text(row, "user_id") or (identifier if person else ""), at=assemble.moment(at) if at else None, span=span,
        extra={
            **mapping(row.get("metadata")),
            **{key: row[key] for key in ("annotator_kind", "identifier", "source") if row.get(key)},
        },
    )  # fmt: skip


register_traces(
    "phoenix", "Arize Phoenix: spans of its API, command line or data frames, and annotations",
    take_apart=take_apart, put_together=put_together, recognises=recognises,
)  # fmt: skip
