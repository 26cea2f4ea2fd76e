"""The quality rate: the share of good answers, from the probability lane's labels and a judge's scores.

Only tasks that a random rule drew count, each with the inverse of the probability with which its interaction was
drawn; those that nobody has labelled yet are taken to be like the labelled ones of the same queue. The judge with the
most verdicts of the stretch sharpens it (``evals.prediction``); without one the labels speak alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import (
    Avg,
    Count,
    Exists,
    F,
    FilteredRelation,
    FloatField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
)
from django.db.models.expressions import BaseExpression, Combinable
from django.db.models.functions import TruncDate

from annotations.estimation import Unit
from annotations.models import Task, Verdict
from evals.models import Judge, JudgeJob
from evals.prediction import Scored, Sharpened, sharpen
from projects.models import Project

OUTCOMES = {Verdict.PASS: 1.0, Verdict.FAIL: 0.0}  # whatever nobody could tell is like what nobody has looked at
# By what it can be told apart, and where that stands on an interaction.
SEGMENTS = ("day", "feature", "model", "release", "language", "environment", "prompt_version", "variant")
MOST_SEGMENTS = 100
_FLOAT = FloatField(null=True)


@dataclass(frozen=True, slots=True)
class Quality:
    """The rate of one segment. ``drawn`` are its sampled interactions, labelled or not; ``judge`` helped, if any."""

    segment: str
    found: Sharpened
    drawn: int
    judge: Judge | None


def quality_rate(project: Project, since: datetime, until: datetime) -> Quality:
    """The quality rate of the interactions that happened in a stretch of time; at most three queries."""
    return _rates(project, since, until, "").get("") or Quality("", sharpen([], mean_score=None, judged=0), 0, None)


def quality_by(project: Project, since: datetime, until: datetime, segment: str) -> list[Quality]:
    """The same for each value of a segment (one of SEGMENTS), those with the most sampled interactions first; days in
    order. At most 100."""
    found = list(_rates(project, since, until, segment).values())
    if segment == "day":
        return sorted(found, key=lambda one: one.segment)[-MOST_SEGMENTS:]
    return sorted(found, key=lambda one: (-one.drawn, one.segment))[:MOST_SEGMENTS]


def _of(segment: str) -> BaseExpression | Combinable:
    if not segment:
        return Value("")
    return TruncDate("interaction__created_at") if segment == "day" else F(f"interaction__{segment}")


def _rates(project: Project, since: datetime, until: datetime, segment: str) -> dict[str, Quality]:
    happened = Q(interaction__created_at__gte=since, interaction__created_at__lt=until)
    judge, scores = _judge_of(project, happened, segment)
    parts: dict[str, list[Scored]] = defaultdict(list)
    for part, queue, p, verdict, score, count in _sample(project, happened, judge, segment):
        parts[str(part)].append(Scored(Unit(OUTCOMES.get(verdict), p, str(queue), count), score))
    return {
        part: Quality(
            part, sharpen(rows, mean_score=scores.get(part, (None, 0))[0], judged=scores.get(part, (None, 0))[1]),
            sum(one.unit.count for one in rows), judge,
        )
        for part, rows in parts.items()
    }  # fmt: skip


def _judge_of(project: Project, happened: Q, segment: str) -> tuple[Judge | None, dict[str, tuple[float | None, int]]]:
    """The judge version with the most verdicts, and the mean and number of its scores by segment."""
    told = JudgeJob.objects.filter(happened, project=project, score__value__isnull=False, judge__enabled=True)
    told = told.filter(judge__kind=Judge.Kind.SCORE)  # a preference says nothing of how good
    most = told.order_by().values("judge").annotate(count=Count("pk")).order_by("-count", "judge").first()
    if most is None:
        return None, {}
    # An interaction that was judged live and again in a backfill counts once, by its first job.
    again = JudgeJob.objects.filter(
        judge=OuterRef("judge"), interaction=OuterRef("interaction"), score__value__isnull=False, pk__lt=OuterRef("pk")
    )
    rows = (
        told.filter(~Exists(again), judge=most["judge"])
        .order_by()
        .annotate(part=_of(segment))
        .values("part")
        .annotate(mean=Avg("score__value"), count=Count("pk"))
    )
    scores = {str(row["part"]): (row["mean"], row["count"]) for row in rows}
    return Judge.objects.get(pk=most["judge"]), scores


def _sample(project: Project, happened: Q, judge: Judge | None, segment: str) -> Iterable[tuple[Any, ...]]:
    sampled = Task.objects.filter(project=project, sampled=True)
    # An interaction may have been drawn into two queues; it counts once.
    before = sampled.filter(interaction=OuterRef("interaction"), pk__lt=OuterRef("pk"))
    drawn: QuerySet[Task] = sampled.filter(~Exists(before), happened).annotate(
        label=FilteredRelation("interaction__labels", condition=Q(interaction__labels__superseded_at=None)),
        part=_of(segment),
    )
    columns = ["part", "queue", "inclusion_p", "label__verdict"]
    if judge is None:
        drawn = drawn.annotate(said=Value(None, output_field=_FLOAT))
    else:
        first = JudgeJob.objects.filter(
            judge=judge, interaction=OuterRef("interaction"), score__value__isnull=False
        ).order_by("pk")
        drawn = drawn.annotate(said=Subquery(first.values("score__value")[:1], output_field=_FLOAT))
    return drawn.order_by().values_list(*columns, "said").annotate(count=Count("pk"))
