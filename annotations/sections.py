"""What review knows of one interaction, for its page and for the API: its labels and where it waits."""

from __future__ import annotations

from typing import Any

from annotations.models import Label, Task
from feedback.detail import Event, Section
from feedback.models import Interaction
from feedback.sample_chat import Step
from projects.access import Right


def labels_of(interaction: Interaction) -> list[dict[str, Any]]:
    """The labels, the current one first; ``current`` is False for those that were replaced or taken back."""
    labels = Label.objects.filter(interaction=interaction).select_related("primary_category")
    return [
        {
            "id": label.pk,
            "current": label.superseded_at is None,
            "verdict": label.verdict,
            "primary_category": label.primary_category.slug if label.primary_category else None,
            "category_label": label.primary_category.label if label.primary_category else None,
            "categories": label.categories,
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
    tasks = Task.objects.filter(interaction=interaction).select_related("queue").order_by("-enqueued_at", "-pk")
    return [
        {
            "id": str(task.pk),
            "queue": task.queue.slug,
            "queue_name": task.queue.name,
            "state": task.state,
            "lane": task.lane,
            "score": task.score,
            "terms": task.terms,
            "reasons": task.reasons,
            "enqueued_at": task.enqueued_at,
            "due_at": task.due_at,
            "sampled": task.sampled,
            "inclusion_p": task.inclusion_p,
        }
        for task in tasks
    ]


def events_of(interaction: Interaction) -> list[Event]:
    """When it entered a queue and when its labels were settled."""
    tones = {"pass": ("ok", "pass"), "fail": ("bad", "fail"), "unsure": ("unsure", "warn")}
    tasks = Task.objects.filter(interaction=interaction).select_related("queue")
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


LABELS = Section(name="labels", load=labels_of, panel="annotations/interaction_labels.html", events=events_of)
TASKS = Section(name="tasks", load=tasks_of, panel="annotations/interaction_tasks.html")
IN_THE_QUEUE = Step("See it in the queue", "annotations:queue-list", Right.REVIEW)
