"""Celery tasks of triage and review. A message only says that there may be work; the work waits in PostgreSQL."""

from celery import shared_task

from annotations import claims, triage


@shared_task(name="inbox.triage")
def route() -> None:
    """Routes new facts to queues. Exactly once: a fact leaves the inbox in the transaction of its effect."""
    triage.run()


@shared_task(name="annotations.expire_claims")
def expire_claims() -> None:
    """Gives back leases that have run out. Idempotent; claims do the same on their way."""
    claims.expire()
