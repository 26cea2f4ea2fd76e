"""The lease primitive: a unit of work is a row with a lease and a fence.

Whoever claims a row gets it until ``leased_until`` by the database's clock, together with a fence that
grows with each claim. Every later write names the fence it holds; a write with an old fence changes
nothing, so that a worker that woke up too late cannot overwrite its successor.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TypeVar

from django.db import models, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now


class Leased(models.Model):
    leased_until = models.DateTimeField(null=True, editable=False)
    fence = models.BigIntegerField(default=0, editable=False)
    attempts = models.PositiveSmallIntegerField(default=0)

    class Meta:
        abstract = True


T = TypeVar("T", bound=Leased)


def claim(rows: QuerySet[T], *, limit: int, lease: timedelta) -> list[T]:
    """Leases up to ``limit`` rows of an ordered queryset to the caller and counts the attempt.

    Rows leased by others are skipped, expired leases are free again: expiry is part of the query, so no
    reaper is needed. ``attempts`` is committed before the work begins; work that kills its worker every
    time is therefore seen and can be given up.
    """
    free = rows.filter(Q(leased_until__isnull=True) | Q(leased_until__lte=Now()))
    with transaction.atomic():
        ids = [row.pk for row in free.select_for_update(skip_locked=True, of=("self",))[:limit]]
        rows.model._default_manager.filter(pk__in=ids).update(
            leased_until=Now() + lease, fence=F("fence") + 1, attempts=F("attempts") + 1
        )
    order = {pk: place for place, pk in enumerate(ids)}
    claimed = list(rows.model._default_manager.filter(pk__in=ids))
    return sorted(claimed, key=lambda row: order[row.pk])


def still_held(row: T) -> QuerySet[T]:
    """The queryset of this row as long as its fence is ours: ``still_held(job).update(…)`` returning 0 means stop."""
    return type(row)._default_manager.filter(pk=row.pk, fence=row.fence)
