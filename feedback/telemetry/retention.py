"""Forgetting spans as they came, once nobody expects more of their trace. Interactions keep their own."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now

from feedback.models import TelemetryChunk, TelemetryTrace

BATCH = 500


def forget_spans(*, days: int, batch: int = BATCH) -> bool:
    """Removes what came of up to ``batch`` traces that have been quiet for ``days``; returns whether there may be more.

    A trace with an interaction is remembered without its spans, so that late ones find their interaction; one
    without is removed as a whole. 0 days keep everything.
    """
    if not days:
        return False
    with transaction.atomic():
        old = TelemetryTrace.objects.filter(
            waiting=False, forgotten=False, touched_at__lte=Now() - timedelta(days=days)
        ).order_by("touched_at")
        traces = list(old.select_for_update(skip_locked=True).values_list("pk", "interaction")[:batch])
        TelemetryChunk.objects.filter(trace__in=[pk for pk, _ in traces]).delete()
        TelemetryTrace.objects.filter(pk__in=[pk for pk, interaction in traces if interaction]).update(forgotten=True)
        TelemetryTrace.objects.filter(pk__in=[pk for pk, interaction in traces if not interaction]).delete()
    return len(traces) == batch
