"""What review knows of one interaction, for its page and for the API: its labels and where it waits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from django.urls import reverse

from annotations import cluster_list, failure_modes, sending
from annotations.models import Cluster, ClusterMember, Label, Task
from feedback.browsing import Cell, Column
from feedback.bulk import Action
from feedback.detail import Event, Section
from feedback.filters import Fact
from feedback.models import Interaction
from feedback.sample_chat import Place
from projects.access import Right
from projects.errors import invalid
from projects.models import Project, User

# A check of one reviewer must not be known as one: it is told nowhere.
LISTED = [Task.Purpose.REVIEW, Task.Purpose.AUDIT]


def labels_of(interaction: Interaction) -> list[dict[str, Any]]:
    """The labels, the current one first; ``current`` is False for those that were replaced or taken back."""
    labels = Label.objects.filter(interaction=interaction).select_related("primary_category__counts_as")
    went = failure_modes.forward(interaction.project)
    return [
        {
            "id": label.pk,
            "current": label.superseded_at is None,
            "verdict": label.verdict,
            "primary_category": mode.slug if (mode := failure_modes.now(label.primary_category)) else None,
            "category_label": mode.label if mode else None,
            "category_given": given.label if (given := label.primary_category) and given != mode else None,
            "categories": failure_modes.mapped(label.categories, went),
            "severity": label.severity,
            "spans": label.spans,
            "desired_output": label.desired_output,
            "note": label.note,
            "assertions": label.assertions,
            "golden": label.golden,
            "settled_by": label.settled_by,
            "reviewers": label.reviewers,
            "blind": label.blind,
            "suggestion_seen": label.suggestion_seen,
            "rubric_version": label.rubric_version,
            "settled_at": label.settled_at,
            "superseded_at": label.superseded_at,
        }
        for label in sorted(labels, key=lambda label: (label.superseded_at is not None, -label.pk))
    ]


def tasks_of(interaction: Interaction) -> list[dict[str, Any]]:
    """The tasks, newest first, with why they are or were there and how they were sampled."""
    tasks = Task.objects.filter(interaction=interaction, purpose__in=LISTED)
    tasks = tasks.select_related("queue", "assigned_to").order_by("-enqueued_at", "-pk")
    return [
        {
            "id": str(task.pk),
            "queue": task.queue.slug,
            "queue_name": task.queue.name,
            "state": task.state,
            "state_in_words": task.get_state_display(),
            "lane": task.lane,
            "score": task.score,
            "terms": task.terms,
            "reasons": task.reasons,
            "enqueued_at": task.enqueued_at,
            "due_at": task.due_at,
            "sampled": task.sampled,
            "inclusion_p": task.inclusion_p,
            "admission_p": task.admission_p,
            "assigned_to": str(task.assigned_to) if task.assigned_to else None,
        }
        for task in tasks
    ]


def cluster_of(interaction: Interaction) -> dict[str, Any] | None:
    """The cluster in which it is one of several; ``id`` is what the list takes as ``cluster``."""
    cluster = cluster_list.pattern_of(interaction.pk)
    return {"id": cluster.pk, "title": cluster.title, "size": cluster.size} if cluster else None


def events_of(interaction: Interaction) -> list[Event]:
    """When it entered a queue and when its labels were settled."""
    tones = {"pass": ("ok", "pass"), "fail": ("bad", "fail"), "unsure": ("unsure", "warn")}
    tasks = Task.objects.filter(interaction=interaction, purpose__in=LISTED).select_related("queue")
    found = [Event(task.enqueued_at, "inbox", f"Entered the queue {task.queue.name}") for task in tasks]
    for label in Label.objects.filter(interaction=interaction).select_related("primary_category"):
        icon, tone = tones[label.verdict]
        title = f"Labelled {label.get_verdict_display().lower()}"
        if label.primary_category:
            title += f", {label.primary_category.label}"
        if label.superseded_at:
            title += " (no longer counts)"
        found.append(Event(label.settled_at, icon, title, label.note, tone))
    return found


def places_of(project: Project, interactions: list[int]) -> dict[int, Place]:
    """The queues in which these interactions wait for a reviewer, for the sample chat."""
    tasks = Task.objects.filter(project=project, interaction__in=interactions, state=Task.State.OPEN)
    return {
        task.interaction_id: Place(task.queue.name, reverse("annotations:task-claim", args=[project.slug, task.pk]))
        for task in tasks.select_related("queue")
    }


LABELS = Section(name="labels", load=labels_of, panel="annotations/interaction_labels.html", events=events_of)
TASKS = Section(name="tasks", load=tasks_of, panel="annotations/interaction_tasks.html")
CLUSTER = Section(name="cluster", load=cluster_of, panel="annotations/interaction_cluster.html")


VERDICTS = {"fail": "Fail", "pass": "Pass", "unsure": "Unsure", "none": "Not reviewed"}
STATES = {
    "open": "Waiting",
    "done": "Done",
    "disputed": "Reviewers differ",
    "dropped": "Dropped",
    "shed": "Not let in",
    "none": "In no queue",
}


def _verdicts(project: Project) -> QuerySet[Any, Any]:
    labels = Label.objects.filter(project=project, superseded_at=None)
    return labels.values_list("interaction_id", "verdict")


def _categories(project: Project) -> QuerySet[Any, Any]:
    labels = Label.objects.filter(project=project, superseded_at=None, primary_category__isnull=False)
    return labels.annotate(now=failure_modes.counted_slug()).values_list("interaction_id", "now")


def _states(project: Project) -> QuerySet[Any, Any]:
    return Task.objects.filter(project=project).values_list("interaction_id", "state")


def _clusters(project: Project) -> QuerySet[Any, Any]:
    """Of all projects: the list asks only about interactions of its own, and the index is by cluster."""
    return ClusterMember.objects.values_list("interaction_id", "cluster_id")


def _cluster_titles(project: Project, keys: Sequence[int]) -> dict[int, str]:
    return dict(Cluster.objects.filter(project=project, pk__in=keys).values_list("pk", "title"))


FACTS = [
    Fact("verdict", "Human verdict", _verdicts, VERDICTS),
    Fact("category", "Failure", _categories),
    Fact("cluster", "Cluster", _clusters, titles=_cluster_titles),
    Fact("task", "Review", _states, STATES),
]


def verdict_cells(pks: list[int]) -> dict[int, Cell]:
    """The settled verdict of each interaction that has one."""
    looks = {"pass": ("ok", "pass"), "fail": ("bad", "fail"), "unsure": ("unsure", "warn")}
    labels = Label.objects.filter(interaction__in=pks, superseded_at=None).order_by("pk")
    return {
        pk: Cell(VERDICTS[verdict], *looks[verdict]) for pk, verdict in labels.values_list("interaction_id", "verdict")
    }


VERDICT = Column("Verdict", verdict_cells)


def queues_of(project: Project) -> list[tuple[str, str]]:
    return list(project.queues.order_by("name").values_list("slug", "name"))


def send(project: Project, user: User, pks: Sequence[int], queue: str) -> str:
    found = project.queues.filter(slug=queue).first()
    if found is None:
        raise invalid("/queue", "Choose a queue.")
    sent, moved = sending.send(project, user, pks, found)
    kept = len(pks) - sent
    told = f"Sent {sent:,} interaction{'' if sent == 1 else 's'} to {found.name}"
    told += f", {moved:,} from another queue." if moved else "."
    return told + (f" {kept:,} had been in it, or somebody has them." if kept else "")


TO_QUEUE = Action("queue", "Send to queue", "inbox", "q", "Queue", (Right.LEAD,), send, queues_of)
