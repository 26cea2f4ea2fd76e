"""Traces that made no interaction, and why: for the page, the line above the list of interactions, and the API."""

from __future__ import annotations

from django.db import connection
from django.db.models import QuerySet

from feedback.models import TelemetryTrace
from feedback.telemetry.assembly import BROKEN, EMBEDDING, FOREIGN, SILENT, TAKEN
from projects.models import Project

# Counts look at this many of the newest; an application that sends all its traces has millions of others.
LOOK_BACK = 1_000
SHOWN = 100
ADVICE = {
    SILENT: "Instrumentations keep what was said to themselves until a variable allows it; docs/api.md has the table.",
    TAKEN: "Send each answer by one road: by OpenTelemetry or by REST, not both with the same id.",
    FOREIGN: "Nothing to do if this application's other requests are traced too. If it is a model call, instrument "
    "the model's client by one of the packages in docs/api.md.",
    EMBEDDING: "Nothing.",
    BROKEN: "Report it with the trace id.",
}
# What PostgreSQL or the limits of the intake refused.
OTHER = "Correct what the spans say and send the trace again."


def newest(project: Project, *, everything: bool, most: int = LOOK_BACK) -> QuerySet[TelemetryTrace]:
    """The newest traces that are no interaction; those that ask no model anything only with ``everything``."""
    order = ("-touched_at", "-id")
    looked_at = TelemetryTrace.objects.filter(project=project, interaction=None).exclude(problem="").order_by(*order)
    found = TelemetryTrace.objects.filter(pk__in=looked_at.values("pk")[:LOOK_BACK]).order_by(*order)
    return (found if everything else found.exclude(problem__in=[FOREIGN, EMBEDDING]))[:most]


# Every list of interactions asks this, and mostly hears 0; writing it anew was a quarter of drawing the page.
_COUNT = """
SELECT count(*) FROM (
  SELECT problem FROM feedback_telemetrytrace WHERE project_id = %s AND interaction_id IS NULL AND problem <> ''
  ORDER BY touched_at DESC, id DESC LIMIT %s
) AS looked_at WHERE problem <> ALL(%s)"""


def count(project: Project, *, everything: bool = False) -> int:
    """How many there are among the newest LOOK_BACK."""
    with connection.prepared_cursor() as cursor:  # type: ignore[attr-defined]  # our engine's
        cursor.execute(_COUNT, [project.pk, LOOK_BACK, [] if everything else [FOREIGN, EMBEDDING]])
        ((number,),) = cursor.fetchall()
    return int(number)


def advice(trace: TelemetryTrace) -> str:
    """What to do about it."""
    return ADVICE.get(trace.problem, OTHER)
