"""Storing spans as they come: durable before the answer, in any order, any number of times."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict

import msgspec
from django.db import connection, transaction

from feedback.telemetry.wire import Event, WireSpan
from projects import doorbell
from projects.models import Project

# In order of the trace id, so that two requests with the same traces never wait for each other in a circle.
TOUCH = """
INSERT INTO feedback_telemetrytrace AS t (project_id, trace_id, rooted, waiting, problem)
SELECT %(project)s, new.trace_id, new.rooted, true, ''
FROM unnest(%(traces)s::text[], %(rooted)s::bool[]) AS new (trace_id, rooted) ORDER BY new.trace_id
ON CONFLICT (project_id, trace_id)
DO UPDATE SET waiting = true, rooted = t.rooted OR excluded.rooted, touched_at = statement_timestamp()
RETURNING trace_id, id
"""
STORE = """
INSERT INTO feedback_telemetryspan AS s (trace_id, span_id, rank, body)
SELECT new.trace, new.span_id, new.rank, new.body::jsonb
FROM unnest(%(trace)s::bigint[], %(span)s::text[], %(rank)s::text[], %(body)s::text[])
  AS new (trace, span_id, rank, body)
ON CONFLICT (trace_id, span_id) DO UPDATE SET rank = excluded.rank, body = excluded.body WHERE excluded.rank > s.rank
"""


def record_spans(project: Project, spans: Iterable[WireSpan]) -> None:
    """Stores the spans in one transaction and rings the worker that makes interactions of them."""
    newest: dict[tuple[str, str], tuple[str, bytes]] = {}
    rooted: dict[str, bool] = {}
    for span in spans:
        rank, body = _ranked(span)
        known = newest.get((span.trace_id, span.span_id))
        if known is None or rank > known[0]:
            newest[span.trace_id, span.span_id] = rank, body
        rooted[span.trace_id] = rooted.get(span.trace_id, False) or not span.parent_id
    if not newest:
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(TOUCH, {"project": project.pk, "traces": list(rooted), "rooted": list(rooted.values())})
        traces = dict(cursor.fetchall())
        cursor.execute(
            STORE,
            {
                "trace": [traces[trace] for trace, _ in newest],
                "span": [span for _, span in newest],
                "rank": [rank for rank, _ in newest.values()],
                "body": [body.decode() for _, body in newest.values()],
            },
        )
        doorbell.ring("feedback.assemble")


def _ranked(span: WireSpan) -> tuple[str, bytes]:
    body = msgspec.json.encode(asdict(span), order="sorted")
    return f"{max(span.end_ns, 0):020d}{hashlib.sha256(body).hexdigest()[:20]}", body


def span_of(body: dict[str, object]) -> WireSpan:
    """The span of a stored body."""
    fields = dict(body)
    events = [Event(**event) for event in fields.pop("events")]  # type: ignore[attr-defined]
    return WireSpan(**fields, events=events)  # type: ignore[arg-type]
