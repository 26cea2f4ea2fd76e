"""Making interactions of the traces that have changed; again and again, as late spans arrive."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import Any, TypeVar

import msgspec
from django.db import DataError, connection, transaction
from django.db.models import Q
from django.db.models.functions import Now

from feedback import limits, services
from feedback.models import Interaction, TelemetryChunk, TelemetryTrace
from feedback.telemetry import assemble
from feedback.telemetry.intake import merged
from feedback.telemetry.wire import WireSpan
from projects.errors import ApiError

log = logging.getLogger("reviewhub.telemetry")

# Spans of one trace come in batches of seconds; the interaction waits until they have paused.
PAUSE = timedelta(seconds=1)
# After this long without a root, the topmost span stands for it.
QUIET = timedelta(seconds=60)
# At most so many traces in one transaction, and no further trace after so many spans: exporters that send more of
# the same traces wait for it.
BATCH, BATCH_SPANS = 100, 2_000
CUT = "… [cut]"
SILENT = "The spans say nothing of what was asked and answered. Let the instrumentation record content."
TAKEN = "An interaction with this id was sent by another road; it was left as it is."
FOREIGN = "No span is a model call in a convention that is understood."
EMBEDDING = "Texts were turned into vectors; there is no answer to review."
BROKEN = "The spans could not be read. The worker's log says why; please report it."
UP, DOWN = {"thumbs_up", "thumbs-up", "up", "positive"}, {"thumbs_down", "thumbs-down", "down", "negative"}

Trace = TypeVar("Trace", bound=TelemetryTrace)


@dataclass(slots=True)
class Made:
    """A trace and what its spans say: ``body`` is its interaction, None while there is none."""

    trace: TelemetryTrace
    spans: list[WireSpan]
    body: dict[str, Any] | None


def assemble_waiting(*, pause: timedelta = PAUSE, quiet: timedelta = QUIET, batch: int = BATCH) -> bool:
    """Makes the interactions of up to ``batch`` traces that have paused; returns whether there may be more.

    One transaction, traces locked: a trace whose spans arrive meanwhile stays waiting and is made again.
    """
    with transaction.atomic():
        traces = list(
            TelemetryTrace.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("project")
            .annotate(is_quiet=Q(touched_at__lte=Now() - quiet))
            .filter(Q(rooted=True, touched_at__lte=Now() - pause) | Q(touched_at__lte=Now() - quiet), waiting=True)
            .order_by("touched_at")[:batch]
        )
        made = [_make(trace, spans, quiet=trace.is_quiet) for trace, spans in _read(traces)]
        _store(made)
        for one in made:
            _finish(one)
        _save([one.trace for one in made])
    return len(made) < len(traces) or len(traces) == batch


def waits(longer_than: timedelta) -> bool:
    """Whether a trace with its root has been ripe for longer; costs the same however many there are."""
    ripe = TelemetryTrace.objects.filter(waiting=True, rooted=True, touched_at__lte=Now() - PAUSE - longer_than)
    return ripe.exists()


def _read(traces: Sequence[Trace]) -> Iterator[tuple[Trace, list[WireSpan]]]:
    by_key = {trace.pk: trace for trace in traces}
    chunks = TelemetryChunk.objects.filter(trace__in=traces).order_by("trace_id").values_list("trace_id", "body")
    count = 0
    for key, of_trace in groupby(chunks.iterator(chunk_size=BATCH), lambda row: row[0]):
        spans = merged(body for _, body in of_trace)
        yield by_key[key], spans
        count += len(spans)
        if count >= BATCH_SPANS:
            break


def _make(trace: TelemetryTrace, spans: list[WireSpan], *, quiet: bool) -> Made:
    trace.problem = ""
    top = assemble.topmost(spans)
    trace.name, trace.service = top.name[:200], str(top.resource.get("service.name", ""))[:200]
    made = Made(trace, spans, None)
    if trace.forgotten:
        return made
    try:
        body = assemble.interaction(spans, quiet=quiet)
        made.body = body and fit(body)
    except Exception:  # one trace that nobody thought of must not hold up all others
        log.exception("trace %s cannot be read", trace.trace_id)
        trace.problem = BROKEN
        return made
    if body is None and (trace.rooted or quiet):
        trace.problem = _why_not(spans)
    return made


def _why_not(spans: list[WireSpan]) -> str:
    if not assemble.speaks_of_models(spans):
        return FOREIGN
    return EMBEDDING if assemble.only_embeds(spans) else SILENT


def _store(made: list[Made]) -> None:
    """New interactions together, by COPY; those that are known one by one."""
    fresh: dict[int, list[Made]] = {}
    for one in made:
        if one.trace.forgotten:
            _add_late_spans(one)
        elif one.body is not None and one.trace.interaction_id is not None:
            _rewrite(one)
        elif one.body is not None:
            fresh.setdefault(one.trace.project_id, []).append(one)
    for ones in fresh.values():
        _store_new(ones)


def _store_new(ones: list[Made]) -> None:
    project = ones[0].trace.project
    ids = [one.trace.trace_id for one in ones]
    taken = set(Interaction.objects.filter(project=project, external_id__in=ids).values_list("external_id", flat=True))
    for one in ones:
        if one.trace.trace_id in taken:
            one.trace.problem = TAKEN
    new = [one for one in ones if not one.trace.problem]
    outcomes = services.record_interactions(project, [one.body for one in new if one.body is not None])
    for one, outcome in zip(new, outcomes, strict=True):
        if outcome.error is not None:
            # The spans stay; what was wrong with them is listed.
            one.trace.problem = str(outcome.error["message"])[:300]
        else:
            one.trace.interaction_id = outcome.pk


def _rewrite(one: Made) -> None:
    assert one.body is not None
    assert one.trace.interaction_id is not None
    try:
        services.rewrite_interaction(one.trace.project, one.trace.interaction_id, one.body)
    except ApiError as error:
        one.trace.problem = error.message[:300]
    except DataError as error:  # a value that our checks let through and PostgreSQL does not take
        one.trace.problem = f"The interaction cannot be stored: {error.__cause__}"[:300]


def _add_late_spans(one: Made) -> None:
    """What comes after the spans were forgotten is added to the tree; the rest of the interaction stays."""
    assert one.trace.interaction_id is not None
    spans = fit({"messages": [], "output": "", "spans": assemble.steps(one.spans)})["spans"]
    services.add_spans(one.trace.project, one.trace.interaction_id, spans)
    one.trace.chunks.all().delete()


def _finish(one: Made) -> None:
    """Verdicts, and how much was masked when the spans came."""
    for verdict in assemble.scores(one.spans):
        try:
            _record_verdict(one.trace, verdict)
        except ApiError as error:
            one.trace.problem = error.message[:300]
    masked: Counter[str] = sum((Counter(span.masked) for span in one.spans if span.masked), Counter())
    if masked and one.trace.interaction_id is not None and not one.trace.forgotten:
        Interaction.objects.filter(pk=one.trace.interaction_id).update(masked=masked)


# bulk_update takes a hundred times as long.
SAVE = """
UPDATE feedback_telemetrytrace AS trace
SET waiting = false, problem = new.problem, interaction_id = new.interaction_id, service = new.service, name = new.name
FROM json_to_recordset(%(traces)s::json)
  AS new (id bigint, problem text, interaction_id bigint, service text, name text)
WHERE trace.id = new.id
"""


def _save(traces: list[TelemetryTrace]) -> None:
    fields = ("id", "problem", "interaction_id", "service", "name")
    rows = [{name: getattr(trace, name) for name in fields} for trace in traces]
    with connection.cursor() as cursor:
        cursor.execute(SAVE, {"traces": msgspec.json.encode(rows).decode()})


def _record_verdict(trace: TelemetryTrace, verdict: dict[str, Any]) -> None:
    item = {name: value for name, value in verdict.items() if name != "person" and value not in (None, "")}
    if not verdict["person"]:
        services.record_score(trace.project, item, source="otlp")
        return
    label = str(verdict["label"]).lower()
    vote = {"interaction_id": verdict["interaction_id"], "key": verdict["key"]}
    if label in UP | DOWN:
        vote |= {"kind": "thumbs", "value": 1 if label in UP else -1}
    elif label:
        vote |= {"kind": "category", "value": f"{verdict['name']}: {label}"[: limits.NAME]}
    else:
        vote |= {"kind": "category", "value": f"{verdict['name']}: {verdict['value']:g}"[: limits.NAME]}
    if verdict["explanation"]:
        vote["comment"] = verdict["explanation"][: limits.COMMENT]
    services.record_feedback(trace.project, vote, source="otlp")


def fit(body: dict[str, Any]) -> dict[str, Any]:
    """The interaction within the limits of the intake. What is cut says so: nobody reads telemetry's 422."""
    counts = {"spans": limits.SPANS, "documents": limits.DOCUMENTS, "tools": limits.TOOLS, "tags": limits.TAGS}
    cut = {name: body[name][:most] for name, most in counts.items() if len(body.get(name, ())) > most}
    messages = body["messages"]
    if len(messages) > limits.MESSAGES:  # the newest say what was asked
        cut["messages"] = messages = messages[-limits.MESSAGES :]
    result = {**body, **cut, "output": _cut(body["output"])}
    result["messages"] = [{**message, "content": _cut(message.get("content", ""))} for message in messages]
    if "documents" in result:
        result["documents"] = [
            {**document, "content": _cut(document["content"]), "id": document["id"][: limits.NAME],
             "title": document["title"][:1000]}
            for document in result["documents"]
        ]  # fmt: skip
    result["spans"] = [{**span, "name": span["name"][:300]} for span in result.get("spans", [])]
    for name in ("session_id", "user_id", "feature", "release", "model"):
        if name in result:
            result[name] = result[name][: limits.IDENTIFIER]
    for name in ("environment", "variant", "provider"):
        if name in result:
            result[name] = result[name][: limits.SHORT_NAME]
    if cut:
        result["metadata"] = {**result.get("metadata", {}), "cut": sorted(cut)}
    return result


def _cut(text: Any) -> Any:
    return text if not isinstance(text, str) or len(text) <= limits.TEXT else text[: limits.TEXT - len(CUT)] + CUT
