"""The share of good answers, estimated from people's labels of randomly drawn interactions.

Only tasks that a random rule drew count: a queue of complaints says nothing about the rest. Each weighs 1 / p, the
inverse of the probability with which its interaction was drawn. Those that nobody has labelled yet count as well: they
are taken to be like the labelled ones of the same queue, because what was complained about is looked at sooner; the
queue is where a task was labelled, or waits now. Within a random queue the order is chance alone. docs/statistics.md
says what that assumes, and a simulation how well it holds (``tests/annotations/test_sample_order.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Q

from annotations import failure_modes
from annotations.models import Label, Verdict
from evals import quality_rate as evals_quality
from evals.models import Judge
from monitoring.metrics import Value
from projects.models import Project


@dataclass(frozen=True, slots=True)
class Quality:
    """``rate`` is the share of passes; its value is None while there are too few labels, its n is told all the same.
    ``drawn`` are the sampled interactions of the stretch, labelled or not; ``judge`` is the one whose scores made the
    interval narrower, by the share ``saved``; None where labels spoke alone."""

    rate: Value
    drawn: int
    judge: Judge | None = None
    saved: float = 0.0


def quality_rate(project: Project, since: datetime, until: datetime) -> Quality:
    """The quality rate of the interactions that happened in a stretch of time; at most four queries."""
    told = evals_quality.quality_rate(project, since, until)
    found = told.found.rate
    ends = (found.value, found.low, found.high) if found.enough else (None, None, None)
    helped = told.found.weight != 0
    return Quality(Value(*ends, found.n), told.drawn, told.judge if helped else None, told.found.saved)


@dataclass(frozen=True, slots=True)
class Failures:
    """How many current labels say fail, by failure mode: counts of what was found, never a share of all answers."""

    slug: str
    label: str
    count: int
    before: int

    @property
    def change(self) -> int:
        return self.count - self.before


def failures(project: Project, since: datetime, until: datetime) -> list[Failures]:
    """Failures of the interactions of a stretch and of the stretch of the same length before it, most first."""
    found = Label.objects.filter(
        project=project, superseded_at=None, verdict=Verdict.FAIL, interaction__created_at__lt=until,
        interaction__created_at__gte=since - (until - since),
    )  # fmt: skip
    now = Q(interaction__created_at__gte=since)
    rows = found.values(slug=failure_modes.counted_slug(), name=failure_modes.counted_label()).annotate(
        now=Count("pk", filter=now), before=Count("pk", filter=~now)
    )
    counted = [
        Failures(row["slug"] or "", row["name"] or "No category", row["now"],
                 row["before"])
        for row in rows
    ]  # fmt: skip
    return sorted((one for one in counted if one.count), key=lambda one: (-one.count, one.label))


def failed_labels(
    project: Project, since: datetime | None, until: datetime | None, *, category: str = "", limit: int = 100
) -> list[Label]:
    """The newest current labels that say fail, of interactions in a stretch of time, with their interactions."""
    found = Label.objects.filter(project=project, superseded_at=None, verdict=Verdict.FAIL)
    if since:
        found = found.filter(interaction__created_at__gte=since)
    if until:
        found = found.filter(interaction__created_at__lt=until)
    if category:
        found = found.filter(failure_modes.counts_as(project, [category]))
    return list(found.select_related("interaction", "primary_category").order_by("-settled_at")[:limit])
