"""Making interactions of the traces that have changed; again and again, as late spans arrive."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from feedback import limits, services
from feedback.models import Interaction, TelemetrySpan, TelemetryTrace
from feedback.telemetry import assemble
from feedback.telemetry.intake import span_of
from feedback.telemetry.wire import WireSpan
from projects.errors import ApiError

# Spans of one trace come in batches of seconds; the interaction waits until they have paused.
PAUSE = timedelta(seconds=1)
# After this long without a root, the topmost span stands for it.
QUIET = timedelta(seconds=60)
BATCH = 100
CUT = "… [cut]"
SILENT = "The spans say nothing of what was asked and answered. Let the instrumentation record content."
UP, DOWN = {"thumbs_up", "thumbs-up", "up", "positive"}, {"thumbs_down", "thumbs-down", "down", "negative"}


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
        spans: dict[int, list[WireSpan]] = defaultdict(list)
        for trace, body in TelemetrySpan.objects.filter(trace__in=traces).values_list("trace_id", "body"):
            spans[trace].append(span_of(body))
        for touched in traces:
            _make(touched, spans[touched.pk], quiet=touched.is_quiet)
    return len(traces) == batch


def _make(trace: TelemetryTrace, spans: list[WireSpan], *, quiet: bool) -> None:
    trace.waiting, trace.problem = False, ""
    body = assemble.interaction(spans, quiet=quiet)
    try:
        if body is not None:
            trace.interaction_id = _store(trace, fit(body))
        elif trace.rooted and assemble.silent(spans):
            trace.problem = SILENT
        for verdict in assemble.scores(spans):
            _record_verdict(trace, verdict)
    except ApiError as error:
        # The spans stay; what was wrong with them is listed.
        trace.problem = error.message[:300]
    trace.save(update_fields=["waiting", "problem", "interaction"])


def _store(trace: TelemetryTrace, body: dict[str, Any]) -> int | None:
    if trace.interaction_id is not None:
        services.rewrite_interaction(trace.project, trace.interaction_id, body)
        return trace.interaction_id
    known = Interaction.objects.filter(project=trace.project, external_id=trace.trace_id).values_list("pk", flat=True)
    if known:
        trace.problem = "An interaction with this id was sent by another road; it was left as it is."
        return None
    return services.record_interaction(trace.project, body).pk


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
