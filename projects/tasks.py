"""Celery tasks of the floor. A message only says that there may be work; the work waits in PostgreSQL."""

from celery import shared_task

from projects import deliveries


@shared_task(name="projects.deliver")
def deliver() -> None:
    """Sends due webhook messages. At least once: a message whose worker died is sent again, with the same id."""
    deliveries.deliver_all()
