"""Celery tasks of the intake. A message only says that there may be work; the work waits in PostgreSQL."""

from celery import shared_task
from django.conf import settings

from feedback.session_analysis import find_abandoned as mark_abandoned
from feedback.telemetry.assembly import assemble_waiting
from feedback.telemetry.retention import forget_spans as forget


@shared_task(name="feedback.assemble")
def assemble() -> None:
    """Makes interactions of traces that have paused. At least once and idempotent: the same spans, the same end."""
    while assemble_waiting():
        pass


@shared_task(name="feedback.find_abandoned")
def find_abandoned() -> None:
    """Marks the answers at which users gave up. At most once per answer, by the feedback's key."""
    while mark_abandoned():
        pass


@shared_task(name="feedback.forget_spans")
def forget_spans() -> None:
    """Removes spans as they came, some days after the last of their trace. At least once and idempotent."""
    while forget(days=settings.TELEMETRY_DAYS):
        pass
