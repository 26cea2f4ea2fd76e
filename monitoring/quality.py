"""The share of good answers, estimated from people's labels of randomly drawn interactions.

Only tasks that a random rule drew count: a queue of complaints says nothing about the rest. Each label weighs
1 / p, the inverse of the probability with which its interaction was drawn.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from django.db.models import Count, Q

from annotations.models import Label, Task, Verdict
from monitoring.metrics import Value, wilson
from projects.models import Project

LEAST_LABELS = 30  # below it no rate is shown at all


def hajek(sample: Iterable[tuple[bool, float]]) -> Value:
    """The weighted share of hits among ``(hit, probability of being drawn)``, with a 95 % interval.

    The estimator is Hájek's ratio sum(w y) / sum(w), w = 1/p (J. Hájek, comment in Godambe and Sprott, Foundations
    of Statistical Inference, 1971). The interval is Wilson's with Kish's effective number of observations
    sum(w)² / sum(w²) (L. Kish, Survey Sampling, 1965, 11.2), which is n where all weights are equal. ``n`` is the
    number of labels.
    """
    pairs = [(hit, 1 / p) for hit, p in sample]
    weight = sum(w for _, w in pairs)
    if not pairs or weight <= 0:
        return Value(None, None, None, 0)
    share = sum(w for hit, w in pairs if hit) / weight
    effective = weight**2 / sum(w * w for _, w in pairs)
    return Value(share, *wilson(share * effective, effective), len(pairs))


@dataclass(frozen=True, slots=True)
class Quality:
    """``rate`` is of passes among pass and fail; its value is None under LEAST_LABELS, its n is told all the same.
    ``drawn`` are the sampled tasks of the stretch, labelled or not."""

    rate: Value
    drawn: int


def quality_rate(project: Project, since: datetime, until: datetime) -> Quality:
    """The quality rate of the interactions that happened in a stretch of time; two queries."""
    drawn = Task.objects.filter(
        project=project, sampled=True, interaction__created_at__gte=since, interaction__created_at__lt=until
    )
    labelled = drawn.filter(
        interaction__labels__superseded_at=None, interaction__labels__verdict__in=[Verdict.PASS, Verdict.FAIL]
    ).values_list("interaction_id", "interaction__labels__verdict", "inclusion_p")
    # An interaction may have been drawn into two queues; it counts once.
    verdicts = {pk: (verdict == Verdict.PASS, p) for pk, verdict, p in labelled if p}
    rate = hajek(verdicts.values())
    if rate.n < LEAST_LABELS:
        rate = replace(rate, value=None, low=None, high=None)
    return Quality(rate, drawn.count())


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
    rows = found.values("primary_category__slug", "primary_category__label").annotate(
        now=Count("pk", filter=now), before=Count("pk", filter=~now)
    )
    counted = [
        Failures(row["primary_category__slug"] or "", row["primary_category__label"] or "No category", row["now"],
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
        found = found.filter(primary_category__slug=category)
    return list(found.select_related("interaction", "primary_category").order_by("-settled_at")[:limit])
