"""The beat that keeps the counts of clusters true, and the heads' tasks in their place with them."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Now

from annotations import clusters, facts, frequency, ruleset, triage
from annotations.models import Cluster, Label, Task
from projects.models import Project

LATELY = timedelta(minutes=10)  # what grew or was labelled since then is counted at every beat
WINDOW = timedelta(days=8)  # what grew since then is counted by the slow beat: users and trends fade
CHUNK = 200


def refresh(*, window: timedelta = LATELY) -> int:
    """Counts anew what changed within the window and re-weighs the open tasks of the heads; returns how many clusters.

    Where a cluster has a label, its other open tasks are weighed as well: they are duplicates of what is known now.
    A cluster of one says nothing and is not counted.
    """
    labelled = Label.objects.filter(
        Q(superseded_at=None) | Q(superseded_at__gt=Now() - window), settled_at__gt=Now() - window,
        interaction__cluster_membership__cluster=OuterRef("pk"),
    )  # fmt: skip
    changed = Cluster.objects.filter(size__gt=1).filter(Q(newest_at__gt=Now() - window) | Exists(labelled))
    rows = list(changed.order_by("project", "pk").values_list("project", "pk"))
    for project in Project.objects.filter(pk__in={owner for owner, _ in rows}).order_by("pk"):
        pks = [pk for owner, pk in rows if owner == project.pk]
        for first in range(0, len(pks), CHUNK):
            _refresh(project, pks[first : first + CHUNK])
    return len(rows)


@transaction.atomic
def _refresh(project: Project, pks: list[int]) -> None:
    now = triage.locked(project)
    clusters.recount(pks)
    open_tasks = Task.objects.filter(
        interaction__cluster_membership__cluster__in=pks, state=Task.State.OPEN,
        purpose__in=[Task.Purpose.REVIEW, Task.Purpose.AUDIT],
    )  # fmt: skip
    head = Q(interaction=F("interaction__cluster_membership__cluster__head"))
    known = Q(interaction__cluster_membership__cluster__reviewed__gt=0, score__gt=frequency.CAP)
    touched = set(open_tasks.filter(head | known).values_list("interaction_id", flat=True))
    if not touched:
        return
    rules = ruleset.load(project)
    items = facts.load(project, touched, needs=ruleset.needs(rules))
    facts.add_history(items)
    triage.place(project, items.values(), rules, now)
