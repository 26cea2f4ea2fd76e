"""Storing spans as they come: durable before the answer, in any order, any number of times.

All spans of one trace in one request are one row. Nothing is looked at: which of two versions of a span counts
is decided when they are read.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import psycopg
from django.db import connection

from feedback import masking
from feedback.telemetry.conventions import loads
from feedback.telemetry.wire import Event, WireSpan
from projects.models import Project

# In order of the trace id, so that two requests with the same traces never wait for each other in a circle. ``b``:
# megabytes are bound as they are; written into the statement they would cost the process and PostgreSQL five times
# as much.
STORE = """
WITH new AS (
  SELECT * FROM unnest(%(traces)b::text[], %(rooted)b::bool[], %(digests)b::bytea[], %(bodies)b::text[])
    AS chunk (trace_id, rooted, digest, body)
),
touched AS (
  INSERT INTO feedback_telemetrytrace AS t (project_id, trace_id, rooted, waiting, forgotten, problem, service, name)
  SELECT %(project)b, trace_id, rooted, true, false, '', '', '' FROM new ORDER BY trace_id
  ON CONFLICT (project_id, trace_id)
  DO UPDATE SET waiting = true, rooted = t.rooted OR excluded.rooted, touched_at = statement_timestamp()
  RETURNING id, trace_id
)
INSERT INTO feedback_telemetrychunk (trace_id, digest, body)
SELECT touched.id, new.digest, new.body FROM touched JOIN new ON new.trace_id = touched.trace_id
ON CONFLICT (trace_id, digest) DO NOTHING
"""


def record_spans(project: Project, spans: Iterable[WireSpan]) -> None:
    """Stores the spans in one statement. Nobody is rung: a trace is ripe once its spans have paused, as the clock sees.

    Personal data of the kinds that the project masks is replaced before that.
    """
    traces: dict[str, list[WireSpan]] = {}
    for span in spans:
        if project.masking:
            mask(span, project.masking)
        traces.setdefault(span.trace_id, []).append(span)
    if not traces:
        return
    bodies = [msgspec.json.encode(of_trace) for of_trace in traces.values()]
    parameters = {
        "project": project.pk,
        "traces": list(traces),
        "rooted": [any(not span.parent_id for span in of_trace) for of_trace in traces.values()],
        "digests": [hashlib.sha256(body).digest() for body in bodies],
        "bodies": [body.decode() for body in bodies],
    }
    with connection.cursor() as cursor, connection.wrap_database_errors:
        psycopg.Cursor(cursor.connection).execute(STORE, parameters)


_SPANS = msgspec.json.Decoder(list[WireSpan])


def merged(bodies: Iterable[str]) -> list[WireSpan]:
    """The spans of stored bodies. Of two versions of one span the one that ended later counts, in any order."""
    found: dict[str, WireSpan] = {}
    for body in bodies:
        for span in _SPANS.decode(body):
            known = found.get(span.span_id)
            if known is None or (known != span and _rank(span) > _rank(known)):
                found[span.span_id] = span
    return list(found.values())


def _rank(span: WireSpan) -> tuple[int, bytes]:
    return span.end_ns, hashlib.sha256(msgspec.json.encode(span, order="sorted")).digest()


def mask(span: WireSpan, kinds: Sequence[str]) -> None:
    """Masks what a span says in place and counts it; ids, models and versions stay, as in other interactions."""
    counts: Counter[str] = Counter()
    (span.name, span.status_message), found = masking.mask_value([span.name, span.status_message], kinds)
    counts.update(found)
    span.attributes = _masked(span.attributes, kinds, counts)
    span.events = [Event(event.name, event.time_ns, _masked(event.attributes, kinds, counts)) for event in span.events]
    span.resource = _masked(span.resource, kinds, Counter())
    span.masked = dict(counts)


def _masked(attributes: dict[str, Any], kinds: Sequence[str], counts: Counter[str]) -> dict[str, Any]:
    result = {}
    for name, value in attributes.items():
        if name.rpartition(".")[2] in masking.KEPT:
            result[name] = value
            continue
        # Conversations come as JSON in a text; masked as a text, a number in it would no longer be JSON.
        inner = loads(value) if isinstance(value, str) and value[:1] in {"{", "["} else None
        masked, found = masking.mask_value(value if inner is None else inner, kinds)
        counts.update(found)
        if inner is None:
            result[name] = masked
        else:
            result[name] = json.dumps(masked, ensure_ascii=False) if found else value
    return result
