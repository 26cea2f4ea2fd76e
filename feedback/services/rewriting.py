"""Telemetry's interactions are made again when late spans arrive; everything else stays as it was written."""

from __future__ import annotations

from typing import Any

from django.db import connection, transaction

from feedback import inbox, limits, rows, search
from feedback.models import Inbox, Interaction, Span
from feedback.rows import INTERACTION_COLUMNS, SPAN_COLUMNS
from feedback.schema import SpanIn
from feedback.services.writing import copy
from projects.models import Project

# What people may have added meanwhile (PATCH) is kept.
_KEPT = {"project_id", "external_id", "outcome", "tags", "metadata"}


@transaction.atomic
def rewrite_interaction(project: Project, pk: int, body: dict[str, Any]) -> bool:
    """Replaces what telemetry said about an interaction by what it says now; returns whether anything changed.

    Detectors and triage look at it again (an answer, an error may have come to light); it is not measured twice.
    """
    row = rows.interaction(project, body)
    interaction = Interaction.objects.select_for_update().only("fingerprint").get(project=project, pk=pk)
    if bytes(interaction.fingerprint) == row.fingerprint:
        return False
    values = {name: value for name, value in zip(INTERACTION_COLUMNS, row.values, strict=True) if name not in _KEPT}
    assignments = ", ".join(f'"{name}" = %({name})s' for name in values)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE feedback_interaction SET created_at = %(at)s, {assignments} WHERE id = %(pk)s",  # noqa: S608
            {**values, "at": row.created_at, "pk": pk},
        )
    Span.objects.filter(interaction=pk).delete()
    _copy_spans(pk, row.spans)
    search.index([pk])
    for stage in (Inbox.Stage.ANALYSE, Inbox.Stage.TRIAGE):
        Inbox.objects.create(stage=stage, kind=Inbox.Kind.INTERACTION, project_id=project.pk, object_id=pk)
    inbox.ring(Inbox.Kind.INTERACTION)
    return True


@transaction.atomic
def add_spans(project: Project, pk: int, spans: list[dict[str, Any]]) -> int:
    """Adds the spans that the interaction does not have yet, as far as its limit allows; returns how many."""
    row = rows.interaction(project, {"input": "", "output": "", "spans": spans})
    Interaction.objects.select_for_update().only("pk").get(project=project, pk=pk)
    known = set(Span.objects.filter(interaction=pk).values_list("external_id", flat=True))
    new = [span for span in row.spans if span.id not in known][: limits.SPANS - len(known)]
    _copy_spans(pk, new)
    return len(new)


def _copy_spans(pk: int, spans: list[SpanIn]) -> None:
    copy("feedback_span", ("interaction_id", *SPAN_COLUMNS), ((pk, *values) for values in rows.span_values(spans)))
