"""One label for many: what was settled for one item of a cluster, given to others that are nearly the same.

Nobody has looked at those others. Each gets a label of its own that names the label it was taken from, and no vote:
votes are what reviewers said of what they saw, and agreement is computed from them. What belongs to one answer alone
is left out: marked passages, the desired answer, tests, the golden set.

Left alone is what has a label, what somebody is working on or has voted on, what asks for more than one reviewer, and
what was drawn for the random sample: a rate is known only if everything that counts for it was looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from annotations import clusters, triage
from annotations.models import Annotation, Cluster, ClusterMember, Label, Task
from feedback import inbox
from feedback.models import Inbox, Interaction
from projects import audit, webhooks
from projects.access import RIGHTS, Right
from projects.errors import ApiError
from projects.models import Membership, User

SETTLING = [Task.Purpose.REVIEW, Task.Purpose.AUDIT]  # the other purposes check reviewers
MOST = 1_000  # labels by one action; the next action gives the next thousand
HAS_LABEL, SAMPLED, TAKEN, SEVERAL = (
    "Has a label", "In the random sample: needs a look of its own", "Somebody works on it or has voted",
    "Asks for more than one reviewer",
)  # fmt: skip


@dataclass(frozen=True)
class Applied:
    """How many got the label, and how many of the cluster did not: left out by hand, or for a reason of ``apart``."""

    applied: int
    left_out: int


def source_of(cluster: Cluster) -> Label | None:
    """The label that would be applied: the head's, else the newest of a member that somebody looked at."""
    labels = Label.objects.filter(
        interaction__cluster_membership__cluster=cluster, superseded_at=None, applied_from=None
    ).select_related("primary_category", "interaction")
    return labels.filter(interaction=cluster.head_id).first() or labels.order_by("-settled_at", "-pk").first()


def may_apply(actor: User, label: Label) -> bool:
    """Leads may apply any label; others who review, one that rests on a vote of their own."""
    membership = Membership.objects.filter(project=label.project_id, user=actor).first()
    rights = RIGHTS[membership.role] if membership else frozenset()
    if Right.LEAD in rights:
        return True
    votes = Annotation.objects.filter(pk__in=label.annotation_ids, reviewer=actor, state=Annotation.State.COUNTED)
    return Right.REVIEW in rights and votes.exists()


def apart(interactions: Iterable[int]) -> dict[int, str]:
    """Of these items those that keep to themselves, with the reason in words. Two queries."""
    pks = list(interactions)
    found: dict[int, str] = {}
    tasks = Task.objects.filter(interaction__in=pks, purpose__in=SETTLING)
    for task in tasks.exclude(state__in=[Task.State.DROPPED, Task.State.SHED]):
        if task.sampled:
            found[task.interaction_id] = SAMPLED
        elif task.taken or task.state != Task.State.OPEN:
            found.setdefault(task.interaction_id, TAKEN)
        elif task.needed > 1:
            found.setdefault(task.interaction_id, SEVERAL)
    labelled = Label.objects.filter(interaction__in=pks, superseded_at=None).values_list("interaction_id", flat=True)
    return found | dict.fromkeys(labelled, HAS_LABEL)


def could_take(actor: User, interaction: Interaction) -> tuple[int, int] | None:
    """The cluster of a labelled item and how many of its other members this person could give the label to.

    None where there are none, or where the label is not theirs to give. One query for an item on its own.
    """
    place = ClusterMember.objects.filter(interaction=interaction, cluster__size__gt=1).select_related("cluster").first()
    source = source_of(place.cluster) if place else None
    if place is None or source is None or not may_apply(actor, source):
        return None
    others = set(place.cluster.memberships.values_list("interaction_id", flat=True)) - {interaction.pk}
    free = len(others) - len(apart(others))
    return (place.cluster_id, free) if free else None


@transaction.atomic
def apply_label(*, actor: User | None, cluster: Cluster, label: Label, leave_out: Collection[int] = ()) -> Applied:
    """Gives the label to the cluster's other members, except ``leave_out`` (keys of interactions) and whoever keeps
    apart. ``actor`` is None for a key of the project.

    Their open tasks are done with it. ApiError 403 if the label is not the actor's to apply, 409 if it no longer
    counts or was applied itself, 422 if it is of another cluster.
    """
    triage.locked(cluster.project)
    label = Label.objects.select_for_update(of=("self",)).get(pk=label.pk)
    if label.superseded_at is not None or label.applied_from_id is not None:
        raise ApiError(409, "label_not_current", "This label no longer counts, or was itself taken from another item.")
    if not cluster.memberships.filter(interaction=label.interaction_id).exists():
        raise ApiError(
            422, "invalid", "The label is not of this cluster.", [{"path": "/label", "message": "Elsewhere."}]
        )
    if actor is not None and not may_apply(actor, label):
        raise ApiError(403, "forbidden", "Leads apply any label, reviewers their own.")
    others = cluster.memberships.exclude(interaction=label.interaction_id).exclude(interaction__in=list(leave_out))
    pks = list(others.exclude(interaction__labels__superseded_at=None, interaction__labels__isnull=False)
               .order_by("joined_at", "pk").values_list("interaction_id", flat=True)[:MOST])  # fmt: skip
    # Votes settle labels with the task and the interaction held: whoever comes first decides.
    list(Task.objects.select_for_update().filter(interaction__in=pks).order_by("pk").values_list("pk"))
    list(Interaction.objects.select_for_update(no_key=True).filter(pk__in=pks).order_by("pk").values_list("pk"))
    kept = apart(pks)
    pks = [pk for pk in pks if pk not in kept]
    new = _give(label, pks)
    clusters.recount([cluster.pk])
    if new:
        audit.record(
            cluster.project, actor, "label.applied", cluster.title, by="a key", label=label.pk, cluster=cluster.pk,
            count=len(new),
        )  # fmt: skip
    return Applied(len(new), cluster.memberships.count() - 1 - len(new))


def _give(label: Label, pks: list[int]) -> list[Label]:
    waiting = Task.objects.filter(interaction__in=pks, state=Task.State.OPEN, purpose__in=SETTLING)
    tasks = dict(waiting.values_list("interaction_id", "pk"))
    new = Label.objects.bulk_create(
        Label(
            project_id=label.project_id, interaction_id=pk, task_id=tasks.get(pk), verdict=label.verdict,
            primary_category_id=label.primary_category_id, categories=label.categories, severity=label.severity,
            note=label.note, settled_by=label.settled_by, reviewers=label.reviewers, blind=label.blind,
            rubric_version=label.rubric_version, suggestion_seen=label.suggestion_seen, applied_from=label,
        )
        for pk in pks
    )  # fmt: skip
    Task.objects.filter(pk__in=tasks.values()).update(state=Task.State.DONE, done_at=Now())
    inbox.announce(Inbox.Kind.LABEL, label.project_id, [one.pk for one in new])
    _tell(new)
    return new


def _tell(labels: list[Label]) -> None:
    if not labels or not webhooks.wants(labels[0].project, "label.settled"):
        return
    names = dict(
        Interaction.objects.filter(pk__in=[one.interaction_id for one in labels]).values_list("pk", "external_id")
    )
    for one in labels:
        thin = {"label_id": one.pk, "interaction_id": names[one.interaction_id], "verdict": one.verdict}
        webhooks.emit(one.project, "label.settled", thin)


@transaction.atomic
def take_back(*, actor: User | None, label: Label) -> int:
    """Ends every label that was applied from this one and still counts; their tasks wait again. Returns how many."""
    triage.locked(label.project)
    if actor is not None and not may_apply(actor, label):
        raise ApiError(403, "forbidden", "Leads take back any label, reviewers what they applied.")
    count = withdraw(label)
    if count:
        audit.record(label.project, actor, "label.application_undone", str(label.pk), by="a key", count=count)
    return count


def withdraw(label: Label) -> int:
    """``take_back`` for the label that is itself being taken back. In the caller's transaction."""
    applied = Label.objects.filter(applied_from=label, superseded_at=None)
    rows = list(applied.select_for_update().order_by("pk").values_list("pk", "task_id", "interaction_id"))
    if not rows:
        return 0
    Label.objects.filter(pk__in=[pk for pk, *_ in rows]).update(superseded_at=Now())
    # An item that has come back in another queue since waits there.
    waiting = Task.objects.filter(interaction__in=[pk for *_, pk in rows], state=Task.State.OPEN, purpose__in=SETTLING)
    done = Task.objects.filter(
        pk__in=[task for _, task, _ in rows if task], state=Task.State.DONE, taken__lt=F("needed")
    )
    done.exclude(interaction__in=waiting.values("interaction")).update(state=Task.State.OPEN, done_at=None)
    inbox.announce(Inbox.Kind.LABEL, label.project_id, [pk for pk, *_ in rows])
    touched = Cluster.objects.filter(memberships__interaction__in=[pk for *_, pk in rows]).distinct()
    clusters.recount(list(touched.values_list("pk", flat=True)))
    return len(rows)
