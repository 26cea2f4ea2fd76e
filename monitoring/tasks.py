"""Celery tasks of monitoring. A message only says that there may be work; the work waits in PostgreSQL."""

from celery import shared_task

from feedback import inbox
from feedback.models import Inbox
from monitoring import alerts, buckets


@shared_task(name="inbox.measure")
def measure() -> None:
    """Folds new facts into the metric buckets. Exactly once: a batch leaves the inbox in its own transaction."""
    inbox.drain(Inbox.Stage.MEASURE, buckets.measure)


@shared_task(name="monitoring.evaluate_alerts")
def evaluate_alerts() -> None:
    """Opens and closes alerts. Repeating it changes nothing: a rule has one open alert, and closing happens once."""
    alerts.evaluate()
