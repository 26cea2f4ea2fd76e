"""The curate stage: settled labels that a reviewer marked as golden become proposals, by themselves.

Only the reviewer's own mark proposes. A failure without it is offered on the dataset's page instead: a desired
answer written in passing is often a hint to the author, not a text that every release must be held against.
"""

from __future__ import annotations

from django.db.models import Exists, OuterRef, QuerySet

from annotations.models import Label, Verdict
from evals import datasets
from evals.models import Example
from feedback.models import Inbox
from projects.models import Project


def handle(rows: list[Inbox]) -> None:
    """Reads label facts: proposes what is golden, withdraws proposals whose label was taken back or replaced."""
    ids = [row.object_id for row in rows if row.kind == Inbox.Kind.LABEL]
    labels = Label.objects.filter(pk__in=ids).select_related("project", "interaction", "primary_category__counts_as")
    for label in labels.order_by("pk"):
        if label.superseded_at is None and label.golden and label.verdict != Verdict.UNSURE:
            datasets.propose(label, dataset=datasets.named(label.project, label.golden_set))
    datasets.withdraw(_fallen(ids))


def _fallen(ids: list[int]) -> list[int]:
    """Of these labels and their interactions' earlier ones, those that no longer stand."""
    interactions = Label.objects.filter(pk__in=ids).values("interaction_id")
    fallen = Label.objects.filter(interaction_id__in=interactions, superseded_at__isnull=False)
    return list(fallen.values_list("pk", flat=True))


def settled_failures(project: Project) -> QuerySet[Label]:
    """Failures that stand and are in no dataset, newest first: what could be proposed by hand."""
    return (
        Label.objects.filter(project=project, verdict=Verdict.FAIL, superseded_at=None)
        .filter(~Exists(Example.objects.filter(label=OuterRef("pk"))))
        .select_related("interaction", "primary_category__counts_as")
        .order_by("-settled_at")
    )
