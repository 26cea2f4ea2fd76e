"""What votes settle, and taking back what they settled. Call everything here with the task's row held.

A label is settled by the owner alone, by one reviewer where one is enough, by several whose verdicts are the same, or
by a lead who has resolved a difference (``adjudication``). Where verdicts differ one more reviewer is asked, up to
MAX_OVERLAP; then the task is disputed. The order in which votes arrive decides nothing.

Known items and repeats (``checks``) say something of the reviewer and nothing of the item: they never settle.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from annotations import applying, storing
from annotations.models import Annotation, Label, Task
from annotations.submission import Submission
from feedback import inbox
from feedback.models import Inbox
from feedback.services.writing import STAGES, say_prepared, spread
from projects import webhooks
from projects.models import Project

MAX_OVERLAP = 3
SETTLING = [Task.Purpose.REVIEW, Task.Purpose.AUDIT]
ALONE = "SELECT statement_timestamp() FROM feedback_interaction WHERE id = %(interaction)s FOR NO KEY UPDATE"
REPLACED = """
WITH done AS (
  UPDATE annotations_task SET state = 'done', done_at = statement_timestamp() WHERE id = %(task)s
)
UPDATE annotations_label SET superseded_at = %(moment)s
WHERE interaction_id = %(interaction)s AND superseded_at IS NULL RETURNING id"""
STORE_ALONE = """
SELECT * FROM annotations_store_alone(%(vote)s, %(label)s, %(queue)s, %(lane)s, %(blind)s, %(purpose)s, %(stages)s)"""
TOLD = "label.settled"
ANNOUNCED = f"announced AS ({spread(Inbox.Kind.LABEL, 'stored')})"


def vote_fields(submission: Submission) -> dict[str, Any]:
    """What a vote says, as the fields of an ``Annotation``."""
    return {
        "verdict": submission.verdict,
        "primary_category": submission.primary,
        "categories": list(submission.categories),
        "severity": submission.severity,
        "spans": list(submission.spans),
        "desired_output": submission.desired_output,
        "note": submission.note,
        "assertions": list(submission.assertions),
        "golden": submission.golden,
        "golden_set": submission.golden_set,
        "suggestion_seen": submission.suggestion_seen,
        "suggestion": submission.suggestion,
        "seconds": submission.seconds,
    }


def independent_votes(project: Project) -> QuerySet[Annotation]:
    """What each reviewer said of each item before they knew what others say: for agreement between people.

    A vote that was changed after more was shown counts as it first was; what was taken back does not count, nor do
    known items and repeats. Of an item that was opened again, what people said before they knew is what counts here.
    """
    kept = [Annotation.State.COUNTED, Annotation.State.EARLIER]
    first = Q(state__in=kept) | Q(reveal=Annotation.Reveal.CHANGED)
    return Annotation.objects.filter(first, project=project, supersedes=None, task__purpose__in=SETTLING)


def counted(task: Task) -> list[Annotation]:
    """The votes that count, first come first."""
    votes = Annotation.objects.select_related("primary_category", "rubric", "reviewer")
    return list(votes.filter(task=task, state=Annotation.State.COUNTED).order_by("id"))


def settle(task: Task, votes: list[Annotation] | None = None) -> Label | None:
    """The label, if the votes suffice; else the task waits for one more reviewer, or is disputed.

    ``votes`` are those that count, where the caller knows them already.
    """
    votes = counted(task) if votes is None else votes
    if task.purpose not in SETTLING:
        if len(votes) >= task.needed:
            Task.objects.filter(pk=task.pk).update(state=Task.State.DONE, done_at=Now())
        return None
    owner = next((vote for vote in votes if vote.reviewer_id == task.project.owner_id), None)
    if owner is not None:
        return make_label(task, owner, votes, Label.SettledBy.OWNER)
    if len(votes) < task.needed:
        return None
    if len({vote.verdict for vote in votes}) == 1:
        how = Label.SettledBy.SINGLE if len(votes) == 1 else Label.SettledBy.UNANIMOUS
        # Of those who agree: who wrote an answer; of these the one whose words come first, whoever was faster.
        fullest = min(votes, key=lambda vote: (not vote.desired_output, vote.reviewer_id))
        return make_label(task, fullest, votes, how)
    if task.needed < MAX_OVERLAP:
        Task.objects.filter(pk=task.pk).update(needed=F("needed") + 1, state=Task.State.OPEN, done_at=None)
    else:
        Task.objects.filter(pk=task.pk).update(state=Task.State.DISPUTED, done_at=Now())
    return None


def make_label(task: Task, vote: Annotation, votes: Sequence[Annotation], how: str) -> Label:
    """The new current label, with what ``vote`` says; ``votes`` are those that it rests on. The task is done.

    The label before it ends at the very moment at which this one begins: that is how ``unsettle`` knows which label
    to bring back.
    """
    moment = _alone_with(task.interaction_id)
    storing.one(REPLACED, {"moment": moment, "interaction": task.interaction_id, "task": task.pk})
    label = label_of(task, vote, votes, how)
    label.settled_at = moment
    storing.insert(label, beside=ANNOUNCED, project=task.project_id, **STAGES)
    inbox.ring(Inbox.Kind.LABEL)
    if webhooks.wants(task.project, TOLD):
        thin = {"label_id": label.pk, "interaction_id": task.interaction.external_id, "verdict": label.verdict}
        webhooks.emit(task.project, TOLD, thin)
    return label


def label_of(task: Task, vote: Annotation, votes: Sequence[Annotation], how: str) -> Label:
    """The label that says what ``vote`` says and rests on ``votes``, not stored yet."""
    return Label(
        project=task.project,
        interaction_id=task.interaction_id,
        task=task,
        verdict=vote.verdict,
        primary_category=vote.primary_category,
        categories=vote.categories,
        severity=vote.severity,
        spans=vote.spans,
        desired_output=vote.desired_output,
        note=vote.note,
        assertions=vote.assertions,
        golden=any(one.golden for one in [vote, *votes]),
        golden_set=next((one.golden_set for one in [vote, *votes] if one.golden and one.golden_set), ""),
        settled_by=how,
        annotation_ids=sorted(one.pk for one in votes if one.pk),
        reviewers=len(votes),
        rubric_version=vote.rubric.version,
        blind=all(one.blind for one in votes),
        suggestion_seen=any(one.suggestion_seen for one in votes),
    )


def store_alone(task: Task, vote: Annotation) -> Label | None:
    """Stores the only vote of a task that needs one, with the label that it settles, by one statement.

    None, and nothing has happened, where it is not so simple: then hold the task, store the vote and ``settle``.
    """
    if task.purpose not in SETTLING or task.needed != 1 or webhooks.wants(task.project, TOLD):
        return None
    owner = vote.reviewer_id == task.project.owner_id
    label = label_of(task, vote, [vote], Label.SettledBy.OWNER if owner else Label.SettledBy.SINGLE)
    rows = {"vote": json.dumps(storing.as_row(vote)), "label": json.dumps(storing.as_row(label))}
    known = {"queue": task.queue_id, "lane": task.lane, "blind": task.queue.blind, "purpose": task.purpose}
    vote_pk, label_pk = say_prepared(STORE_ALONE, {**rows, **known, "stages": STAGES["label_stages"]})
    if vote_pk is None:
        return None
    vote.pk, label.pk, label.annotation_ids = vote_pk, label_pk, [vote_pk]
    inbox.ring(Inbox.Kind.LABEL)
    return label


def current_label(task: Task) -> Label | None:
    """The label that this task has settled, while it counts."""
    return Label.objects.filter(task=task, superseded_at=None, applied_from=None).first()


def unsettle(task: Task) -> None:
    """Ends the label that this task has settled, if it counts; the one that it had ended counts again."""
    _alone_with(task.interaction_id)
    label = Label.objects.filter(task=task, superseded_at=None).first()
    if label is None:
        return
    Label.objects.filter(pk=label.pk).update(superseded_at=Now())
    ended_by_it = Label.objects.filter(interaction=task.interaction_id, superseded_at=label.settled_at)
    ended_by_it.exclude(pk=label.pk).update(superseded_at=None)
    applying.withdraw(label)
    inbox.announce(Inbox.Kind.LABEL, task.project_id, [label.pk])


def _alone_with(interaction_id: int) -> datetime:
    """Locks the interaction, so that two tasks of it cannot both make the current label; the database's time."""
    (moment,) = storing.one(ALONE, {"interaction": interaction_id})
    return cast(datetime, moment)
