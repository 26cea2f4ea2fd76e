"""Opening settled items again when the taxonomy can no longer say what their labels mean.

The label stays current until reviewers have said something new, so no dataset, rate or list loses an item meanwhile.
The votes stay as they were cast and stop counting (``earlier``); whoever cast one finds it as their draft, without
the mode that is gone. Where there was one reviewer, the item is theirs again until it is due.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from annotations import failure_modes, labelling, priority, routing
from annotations.models import Annotation, Claim, FailureMode, Label, Task
from annotations.priority import Reason
from annotations.settlement import SETTLING
from annotations.triage import SENT
from projects import audit
from projects.errors import ApiError
from projects.models import Project, User

AT_ONCE = 500  # items that one press opens


def labels_naming(mode: FailureMode) -> QuerySet[Label]:
    """The current labels that name this very mode, whatever it counts as now."""
    named = Q(primary_category=mode) | Q(categories__contains=[mode.slug])
    return Label.objects.filter(named, project=mode.project_id, superseded_at=None)


def settled(mode: FailureMode) -> QuerySet[Task]:
    """The items that can be opened again for this mode, newest label first: settled by reviewers, and waiting nowhere.

    Labels that were imported or given to a whole cluster have no reviewers of their own; they are not among these.
    """
    own = labels_naming(mode).filter(applied_from=None, task=OuterRef("pk"))
    waits = Task.objects.filter(interaction=OuterRef("interaction"), state=Task.State.OPEN, purpose__in=SETTLING)
    tasks = Task.objects.filter(Exists(own), ~Exists(waits), project=mode.project_id, state=Task.State.DONE)
    return tasks.filter(purpose__in=SETTLING).select_related("queue", "interaction").order_by("-done_at", "-pk")


def waiting(mode: FailureMode) -> int:
    """How many items whose label names this mode wait for reviewers already."""
    interactions = labels_naming(mode).values("interaction")
    return Task.objects.filter(interaction__in=interactions, state=Task.State.OPEN, purpose__in=SETTLING).count()


@transaction.atomic
def reopen(*, actor: User | None, mode: FailureMode, limit: int = AT_ONCE) -> int:
    """Opens the items of a retired mode again, up to ``limit``; returns how many. 409 while the mode is in use."""
    if mode.retired_at is None:
        raise ApiError(409, "in_use", "This failure mode is in use: its labels say what they mean.")
    tasks = list(settled(mode).values_list("pk", flat=True)[:limit])
    heirs = ", ".join(mode.split_into.values_list("label", flat=True))
    text = f"“{mode.label}” was split into {heirs}: which is it?" if heirs else f"“{mode.label}” is no longer used"
    mapping = failure_modes.forward(mode.project)

    def draft(vote: Annotation) -> dict[str, Any]:
        said = labelling.draft_of(vote)
        main = [vote.primary_category.slug] if vote.primary_category else []
        named = [slug for slug in (*main, *vote.categories) if slug != mode.slug]
        now = failure_modes.mapped(named, mapping)
        return {**said, "primary_category": now[0] if now else None, "categories": now[1:]}

    count = open_again(mode.project, tasks, text, draft)
    if count:
        audit.record(mode.project, actor, "failure_mode.reopened", mode.slug, by="key", count=count)
    return count


def open_again(
    project: Project, tasks: Collection[int], why: str, draft: Callable[[Annotation], dict[str, Any]]
) -> int:
    """Opens these done tasks again in one transaction, with ``draft`` of each vote for whoever cast it. How many."""
    rows = Task.objects.select_for_update(of=("self",)).select_related("queue").filter(
        pk__in=tasks, project=project, state=Task.State.DONE, purpose__in=SETTLING
    ).order_by("pk")  # fmt: skip
    found = list(rows)
    votes: dict[int, list[Annotation]] = {task.pk: [] for task in found}
    counted = Annotation.objects.filter(task__in=votes, state=Annotation.State.COUNTED)
    for vote in counted.select_related("primary_category", "reviewer").order_by("pk"):
        votes[vote.task_id].append(vote)
    for task in found:
        _open(task, votes[task.pk], why, draft)
    return len(found)


def _open(task: Task, votes: list[Annotation], why: str, draft: Callable[[Annotation], dict[str, Any]]) -> None:
    for vote in votes:
        mine = Claim.objects.filter(task=task, reviewer=vote.reviewer_id)
        last = mine.filter(state=Claim.State.SUBMITTED).order_by("-pk").first()
        if last:
            kept = {"draft": draft(vote), "draft_at": Now()}
            Claim.objects.filter(pk=last.pk).update(state=Claim.State.RELEASED, **kept)
    Claim.objects.filter(task=task, state=Claim.State.SUBMITTED).update(state=Claim.State.RELEASED)
    Annotation.objects.filter(pk__in=[vote.pk for vote in votes]).update(state=Annotation.State.EARLIER)
    reason = priority.as_stored(
        Reason(SENT, "", 0.0, "branch", why, title="Opened again after a change of the failure modes")
    )
    alone = votes[0].reviewer if len(votes) == 1 and routing.may_work(votes[0].reviewer, task.queue) else None
    Task.objects.filter(pk=task.pk).update(
        state=Task.State.OPEN, done_at=None, taken=0, needed=task.queue.overlap, assigned_to=alone,
        reasons=[reason, *(old for old in task.reasons if old.get("title") != reason["title"])],
        due_at=Now() + timedelta(hours=task.queue.sla_max_hours),
    )  # fmt: skip
