"""How a dataset compares with production: by segment with what came in, by failure mode with what was drawn at random.

Shares of segments are counts of the newest RECENT interactions, all of them, so they have no interval. How often
production fails in a mode is not known of all: it is estimated from randomly drawn tasks alone, each weighed by the
probability with which it was drawn, and told only where there are enough labels.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection
from django.db.models import Count, Exists, FilteredRelation, OuterRef, Q
from django.db.models.functions import Coalesce, Now

from annotations.estimation import NOTHING, Estimate, Unit, rate
from annotations.models import FailureMode, Task, Verdict
from evals.models import DatasetVersion
from projects.models import Project

RECENT = 10_000  # interactions
DAYS = 90  # of randomly drawn tasks
SEGMENTS = {"feature": "Feature", "language": "Language", "model": "Model", "environment": "Environment"}
MOST = 8  # values of a segment that are shown


@dataclass(frozen=True, slots=True)
class Share:
    """A value of a segment: how much of production and of the dataset it is, 0 to 1."""

    segment: str
    value: str
    production: float
    dataset: float
    inside: int

    @property
    def missing(self) -> bool:
        """Whether production has it and the dataset has none."""
        return not self.inside


@dataclass(frozen=True, slots=True)
class ModeShare:
    """A failure mode: how many examples have it, and how much of production fails with it."""

    slug: str
    label: str
    inside: int
    found: Estimate

    @property
    def missing(self) -> bool:
        """Whether production certainly has it and the dataset has none."""
        return not self.inside and self.found.enough and bool(self.found.low)


def segments(version: DatasetVersion) -> list[Share]:
    """The values of each segment that production had lately, the most frequent first. Two queries."""
    came, held = _came(version.dataset.project), _held(version)
    found = []
    for segment in SEGMENTS:
        total, inside = sum(came[segment].values()), sum(held[segment].values())
        for value, count in came[segment].most_common(MOST):
            there = held[segment][value]
            found.append(Share(segment, value, count / total, there / inside if inside else 0.0, there))
    return found


def _came(project: Project) -> dict[str, Counter[str]]:
    """How many of the newest interactions have each value, by segment."""
    names = ", ".join(SEGMENTS)
    sets = ", ".join(f"({name})" for name in SEGMENTS)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {names}, count(*) FROM (SELECT {names} FROM feedback_interaction WHERE project_id = %s"  # noqa: S608
            f" ORDER BY happened_at DESC, id DESC LIMIT %s) recent GROUP BY GROUPING SETS ({sets})",
            [project.pk, RECENT],
        )
        return _counted(cursor.fetchall())


def _held(version: DatasetVersion) -> dict[str, Counter[str]]:
    names = ", ".join(f"coalesce(metadata->>'{name}', '') AS {name}" for name in SEGMENTS)
    sets = ", ".join(f"({name})" for name in SEGMENTS)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {', '.join(SEGMENTS)}, count(*) FROM (SELECT {names} FROM evals_example WHERE version_id = %s)"  # noqa: S608
            f" held GROUP BY GROUPING SETS ({sets})",
            [version.pk],
        )
        return _counted(cursor.fetchall())


def _counted(rows: list[tuple[object, ...]]) -> dict[str, Counter[str]]:
    """In a row of a grouping set all columns but its own are NULL; what nobody said is no value."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for *values, count in rows:
        for segment, value in zip(SEGMENTS, values, strict=True):
            if value:
                found[segment][str(value)] += int(str(count))
    return found


def modes(version: DatasetVersion) -> list[ModeShare]:
    """The failure modes that production or the dataset has, the most frequent in production first. Three queries."""
    held = Counter(
        dict(
            version.examples.filter(expected__label__category__isnull=False)
            .order_by()
            .values_list("expected__label__category")
            .annotate(count=Count("pk"))
        )
    )
    drawn = _drawn(version.dataset.project)
    known = FailureMode.objects.filter(project=version.dataset.project, counts_as=None).values_list("slug", "label")
    seen = {mode for _, _, verdict, mode, _ in drawn if verdict == Verdict.FAIL and mode}
    found = [
        ModeShare(slug, label, held[slug], _failing(drawn, slug)) for slug, label in known if slug in seen or held[slug]
    ]
    return sorted(found, key=lambda each: (-(each.found.value or 0), -each.inside, each.label))


Drawn = list[tuple[int, float, str | None, str | None, int]]


def _drawn(project: Project) -> Drawn:
    """Queue, probability, verdict and failure mode of the tasks that a random rule drew, with how many are alike."""
    sampled = Task.objects.filter(project=project, sampled=True)
    # An interaction may have been drawn into two queues; it counts once.
    before = sampled.filter(interaction=OuterRef("interaction"), pk__lt=OuterRef("pk"))
    rows = (
        sampled.filter(~Exists(before), interaction__created_at__gte=Now() - timedelta(days=DAYS))
        .annotate(label=FilteredRelation("interaction__labels", condition=Q(interaction__labels__superseded_at=None)))
        .annotate(mode=Coalesce("label__primary_category__counts_as__slug", "label__primary_category__slug"))
        .order_by()
        .values_list("queue", "inclusion_p", "label__verdict", "mode")
        .annotate(count=Count("pk"))
    )
    return list(rows)


def _failing(drawn: Drawn, slug: str) -> Estimate:
    if not drawn:
        return NOTHING
    return rate(
        Unit(
            None if verdict not in (Verdict.PASS, Verdict.FAIL) else float(verdict == Verdict.FAIL and mode == slug),
            p, str(queue), count,
        )
        for queue, p, verdict, mode, count in drawn
    )  # fmt: skip
