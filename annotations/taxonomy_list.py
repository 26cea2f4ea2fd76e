"""What the taxonomy's pages and its API tell of each failure mode, in a fixed number of queries."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from django.db.models import Count, QuerySet

from annotations import failure_modes
from annotations.models import FailureMode, Label, Rubric
from projects.models import Project

SHOWN = 200  # versions of the rubric


@dataclass(slots=True)
class Row:
    """A mode, the parts it was split into, and how many current labels count as it now; ``naming`` name it itself."""

    mode: FailureMode
    labels: int = 0
    naming: int = 0
    parts: list[FailureMode] = field(default_factory=list)

    @property
    def unclear(self) -> bool:
        """Whether labels name it and nobody has said which of its parts they mean."""
        return bool(self.parts and self.naming)


def listed(project: Project) -> list[Row]:
    """All modes, those in use first and in their order. Four queries."""
    modes = FailureMode.objects.filter(project=project).select_related("counts_as", "merged_into")
    rows = {mode.slug: Row(mode) for mode in modes.prefetch_related("split_into").order_by("position", "pk")}
    labels: QuerySet[Label] = Label.objects.filter(project=project, superseded_at=None, primary_category__isnull=False)
    found = labels.order_by().values_list("primary_category__slug", failure_modes.counted_slug())
    for said, now, count in found.annotate(count=Count("pk")):
        rows[said].naming += count
        rows[now].labels += count
    for row in rows.values():
        row.parts = sorted(row.mode.split_into.all(), key=lambda part: (part.position, part.pk))
    in_use = [row for row in rows.values() if row.mode.retired_at is None]
    return [*in_use, *(row for row in rows.values() if row.mode.retired_at is not None)]


def versions(project: Project, numbers: Collection[int] | None = None) -> list[Rubric]:
    """The versions of the rubric, newest first: the last 200, or those of these numbers."""
    rows = Rubric.objects.filter(project=project).select_related("changed_by").order_by("-version")
    return list(rows.filter(version__in=numbers) if numbers is not None else rows[:SHOWN])
