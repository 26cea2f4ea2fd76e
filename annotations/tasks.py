"""Celery tasks of triage and review. A message only says that there may be work; the work waits in PostgreSQL."""

from celery import shared_task

from annotations import admission, backfill, claims, cluster_counts, routing, strata, triage
from projects import doorbell
from projects.models import Project


@shared_task(name="inbox.triage")
def route() -> None:
    """Routes new facts to queues. Exactly once: a fact leaves the inbox in the transaction of its effect."""
    triage.run()


@shared_task(name="annotations.expire_claims")
def expire_claims() -> None:
    """Gives back leases that have run out, which claims do too, and ends assignments of what is due. Idempotent."""
    claims.expire()
    routing.release_assignments()


@shared_task(name="annotations.measure_queues")
def measure_queues() -> None:
    """Measures what the queues get done, and sets what those that are overloaded let in. Idempotent."""
    for project in Project.objects.order_by("pk"):
        admission.measure(project)


@shared_task(name="annotations.measure_strata")
def measure_strata() -> None:
    """Sets the rates of the groups of stratified rules that are a day old. Idempotent."""
    for project in Project.objects.order_by("pk"):
        strata.measure(project)


@shared_task(name=backfill.TASK)
def apply_to_past() -> None:
    """Applies rules to the past, two seconds at a time. Each batch exactly once: its place is stored with its tasks."""
    if backfill.work():
        doorbell.ring(backfill.TASK)


@shared_task(name="annotations.count_clusters")
def count_clusters() -> None:
    """Counts the clusters that have changed lately and puts their heads in their place. Idempotent."""
    cluster_counts.refresh()


@shared_task(name="annotations.fade_clusters")
def fade_clusters() -> None:
    """The same for all that grew within eight days: users and trends end by themselves. Idempotent."""
    cluster_counts.refresh(window=cluster_counts.WINDOW)
