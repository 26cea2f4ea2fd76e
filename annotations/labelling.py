"""Votes and what they settle.

Everything that ends or reopens a task holds the task's row: two reviewers who send the last two votes at the
same moment settle it exactly once. (Without this lock 29 of 200 such pairs left no label at all, measured on
a prototype.) A vote is never refused because its lease has run out: where the slot is free it is taken back,
else the vote is kept as surplus and does not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Now

from annotations import claims, settlement, storing
from annotations.models import Annotation, Claim, Label, Question, Queue, Rubric, Task
from annotations.submission import (
    MODES,
    Submission,
    check_marks,
    modes_of,
    named,
    parse_submission,
    submission_id_of,
)
from feedback.services.writing import say_prepared
from projects.errors import ApiError
from projects.models import Project, User

UNDO_DEPTH = 10


@dataclass(frozen=True)
class Submitted:
    """``status`` is counted, replayed (the same submission again) or surplus (kept, not counted)."""

    status: str
    annotation: Annotation
    label: Label | None


def submit(*, user: User, token: UUID, submission: Submission, project: Project | None = None) -> Submitted:
    """Stores a vote for the claim and settles the task if it was the last one needed.

    Raises ApiError 404 for a claim that is not the user's (in the project), 422 ``idempotency_mismatch`` where the
    submission id has been used for another vote, 422 with paths where a mark does not fit the text, 409 where the
    claim was already used for another vote.
    """
    if project is None or submission.spans:
        claim = claims.held(user=user, token=token, project=project)
        check_marks(submission, claim.task.interaction)
        project = claim.task.project
    known = {"token": token, "user": user.pk, "project": project.pk, "submission": submission.submission_id}
    return _settled(user, token, submission, _standing(project, say_prepared(STANDING, known)))


def submit_body(*, user: User, token: UUID, body: dict[str, Any], project: Project) -> Submitted:
    """``submit`` for a vote as it was sent: the failure modes that it names are read by the same statement as what
    decides on it. Raises ApiError 422 with all faults of the body besides."""
    found = say_prepared(STANDING_AND_MODES, {
        "token": token, "user": user.pk, "project": project.pk,
        "submission": submission_id_of(body.get("submission_id")), "slugs": named(body),
    })  # fmt: skip
    now = _standing(project, found[:-1])
    submission = parse_submission(project, body, modes_of(found[-1]))
    if submission.spans:  # these are held against the text
        return submit(user=user, token=token, submission=submission, project=project)
    return _settled(user, token, submission, now)


def _settled(user: User, token: UUID, submission: Submission, now: _Standing) -> Submitted:
    project = now.task.project
    try:
        if stored := _ordinary(user, submission, now):
            return stored
        with transaction.atomic():
            return _submit(user, token, project, submission)
    except IntegrityError:
        known = _known(project, user, submission)  # the same submission, a moment earlier
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


OWN = """c.token = %(token)s AND c.reviewer_id = %(user)s AND t.project_id = %(project)s"""
HOLD = f"""
SELECT t.id FROM annotations_claim c JOIN annotations_task t ON t.id = c.task_id
WHERE {OWN} FOR UPDATE OF t"""  # noqa: S608  # names of ours
# In the models' order, as ``from_db`` takes them.
CLAIM, TASK = ("id", "task_id", "reviewer_id", "token", "state"), (
    "id", "project_id", "queue_id", "interaction_id", "state", "lane", "purpose", "needed", "taken",
)  # fmt: skip
_STANDING = f"""
SELECT {", ".join(f"c.{name}" for name in CLAIM)}, {", ".join(f"t.{name}" for name in TASK)}, q.blind, r.id, r.version,
  EXISTS (SELECT FROM annotations_annotation a
          WHERE a.project_id = t.project_id AND a.submission_id = %(submission)s),
  EXISTS (SELECT FROM annotations_annotation a WHERE a.task_id = t.id AND a.state = 'counted'),
  EXISTS (SELECT FROM annotations_annotation a WHERE a.task_id = t.id AND a.reviewer_id = c.reviewer_id){{more}}
FROM annotations_claim c JOIN annotations_task t ON t.id = c.task_id JOIN annotations_queue q ON q.id = t.queue_id
CROSS JOIN LATERAL (SELECT r.id, r.version FROM annotations_rubric r WHERE r.project_id = t.project_id
                    ORDER BY r.version DESC LIMIT 1) AS r
WHERE {OWN}"""  # noqa: S608  # names of ours
STANDING, STANDING_AND_MODES = _STANDING.format(more=""), _STANDING.format(more=f",\n  ({MODES})")
SUBMITTED = """
ended AS (UPDATE annotations_claim SET state = 'submitted', ended_at = statement_timestamp(), draft = NULL
          WHERE id = %(taken)s)"""


@dataclass(frozen=True)
class _Standing:
    """What decides on a vote: its claim and task, and whether the submission is known, others or this person voted."""

    claim: Claim
    task: Task
    rubric: Rubric
    sent_before: bool
    others: bool
    mine: bool


def _standing(project: Project, found: tuple[Any, ...]) -> _Standing:
    if not found:
        raise ApiError(404, "not_found", "There is no such claim of yours.")
    claim = Claim.from_db(connection.alias, CLAIM, found[: len(CLAIM)])
    task = Task.from_db(connection.alias, TASK, found[len(CLAIM) : len(CLAIM) + len(TASK)])
    blind, rubric, version, *flags = found[len(CLAIM) + len(TASK) :]
    task.project = project
    task.queue = Queue.from_db(connection.alias, ("id", "blind"), (task.queue_id, blind))
    rubric = Rubric.from_db(connection.alias, ("id", "project_id", "version"), (rubric, project.pk, version))
    return _Standing(claim, task, rubric, *flags)


def _ordinary(user: User, submission: Submission, now: _Standing) -> Submitted | None:
    """Stores the vote of a live claim that nobody else has voted beside; None where it is not so simple.

    What was found may change before it is stored: the statement that stores it looks again, with the task held.
    """
    live = now.claim.state == Claim.State.LEASED and now.task.state == Task.State.OPEN
    if not live or now.sent_before or now.others or now.mine:
        return None
    annotation = _vote(now, user, submission, Annotation.State.COUNTED)
    label = settlement.store_alone(now.task, annotation)
    return Submitted("counted", annotation, label) if label else None


def _submit(user: User, token: UUID, project: Project, submission: Submission) -> Submitted:
    """Any vote. The task is held first, as every writer does; what decides is read when nobody can change it."""
    parameters = {"token": token, "user": user.pk, "project": project.pk}
    storing.one(HOLD, parameters)
    now = _standing(project, storing.one(STANDING, {**parameters, "submission": submission.submission_id}))
    if now.sent_before and (known := _known(project, user, submission)):
        return known
    task, claim = now.task, now.claim
    taken = _occupy(task, claim)
    annotation = _vote(now, user, submission, Annotation.State.COUNTED if taken else Annotation.State.SURPLUS)
    if taken is None:
        Claim.objects.filter(pk=claim.pk).update(state=Claim.State.SURPLUS, ended_at=Coalesce("ended_at", Now()))
        storing.insert(annotation)
        return Submitted("surplus", annotation, None)
    storing.insert(annotation, beside=SUBMITTED, taken=taken.pk)
    votes = settlement.counted(task) if now.others else [annotation]
    return Submitted("counted", annotation, settlement.settle(task, votes))


def _vote(now: _Standing, user: User, submission: Submission, state: str) -> Annotation:
    return Annotation(
        project=now.task.project,
        task=now.task,
        claim=now.claim,
        reviewer=user,
        rubric=now.rubric,
        submission_id=submission.submission_id,
        fingerprint=submission.fingerprint,
        state=state,
        blind=submission.blind or is_blind(now.task),
        supersedes=_reconsidered(now.task, user) if now.mine else None,
        **settlement.vote_fields(submission),
    )


def is_blind(task: Task) -> bool:
    """Whether nobody may see what others think of it before they have said what they think."""
    checks = {Task.Purpose.GOLD, Task.Purpose.REPEAT}
    return task.queue.blind or task.lane == Task.Lane.CALIBRATION or task.purpose in checks


def _reconsidered(task: Task, user: User) -> Annotation | None:
    """The vote that this person took back when they were shown what others think, or that counted until the item was
    opened again; the new one takes its place."""
    mine = Annotation.objects.filter(task=task, reviewer=user).order_by("-created_at", "-pk").first()
    changed = mine is not None and mine.reveal == Annotation.Reveal.CHANGED
    return mine if mine and (changed or mine.state == Annotation.State.EARLIER) else None


def reveal(*, user: User, project: Project, pk: int, changes: bool) -> tuple[Annotation, Claim | None]:
    """What a reviewer says after a blind vote, once they have seen what others think: kept, or changed.

    Changing takes the vote back and gives its item to them again, with the vote as the draft; the claim is None where
    others have built on the vote since. Raises ApiError 404 for a vote that is not theirs or was not blind, 409 where
    they have said so before.
    """
    vote = Annotation.objects.filter(pk=pk, project=project, reviewer=user, blind=True).first()
    if vote is None:
        raise ApiError(404, "not_found", "There is no such blind vote of yours.")
    said = Annotation.Reveal.CHANGED if changes else Annotation.Reveal.KEPT
    open_question = Annotation.objects.filter(
        pk=pk, state=Annotation.State.COUNTED, reveal__in=[Annotation.Reveal.NONE, Annotation.Reveal.SHOWN]
    )
    with transaction.atomic():
        if not open_question.update(reveal=said):
            raise ApiError(409, "already_said", "You have answered this before.")
        claim = _retract(vote) if changes else None
        if changes and claim is None:
            Annotation.objects.filter(pk=pk).update(reveal=Annotation.Reveal.KEPT)
    return vote, claim


def _occupy(task: Task, claim: Claim) -> Claim | None:
    """The claim that holds a slot for this vote, its row still to be ended; None if the vote does not count."""
    if claim.state in {Claim.State.SUBMITTED, Claim.State.SURPLUS}:
        raise ApiError(409, "already_submitted", "This claim has been used. Undo it to change your vote.")
    if task.state != Task.State.OPEN:  # settled by the owner, or by others, while this vote was being written
        return None
    if claim.state == Claim.State.LEASED:
        return claim
    others = Claim.objects.filter(task=task, reviewer=claim.reviewer_id).exclude(pk=claim.pk)
    if other := others.filter(state=Claim.State.LEASED).first():
        return other  # the lease ran out and the same person has taken the task again: this is that vote
    if task.taken >= task.needed or _voted(task, claim.reviewer_id):
        return None
    others.filter(state__in=claims.ASIDE).update(state=Claim.State.RELEASED)
    Task.objects.filter(pk=task.pk).update(taken=F("taken") + 1)
    return claim


def _voted(task: Task, reviewer_pk: int) -> bool:
    return Annotation.objects.filter(task=task, reviewer=reviewer_pk, state=Annotation.State.COUNTED).exists()


def undo(*, user: User, project: Project) -> Claim | None:
    """Takes back the reviewer's newest vote and gives its task back to them with the vote as the draft.

    Reaches ten votes deep. None if there is nothing to take back: no vote left, or others have voted on the
    task since or a lead has resolved it. The label that the vote settled is superseded; a label before it counts again.
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
    if task.purpose in settlement.SETTLING:
        busy = busy.filter(purpose__in=settlement.SETTLING)  # a check of a reviewer does not stand in the way
    label = settlement.current_label(task)
    if others.exists() or busy.exists() or (label and label.settled_by == Label.SettledBy.ADJUDICATED):
        return None
    if not Annotation.objects.filter(pk=vote.pk, state=Annotation.State.COUNTED).update(
        state=Annotation.State.RETRACTED, ended_at=Now()
    ):
        return None
    settlement.unsettle(task)
    Question.objects.filter(task=task, closed_at=None).update(closed_at=Now())
    freed = Claim.objects.filter(task=task, reviewer=vote.reviewer_id, state=Claim.State.SUBMITTED).update(
        state=Claim.State.RELEASED, draft=draft_of(vote), draft_at=Now()
    )
    Task.objects.filter(pk=task.pk).update(state=Task.State.OPEN, done_at=None, taken=F("taken") - freed)
    return claims.hold(user=vote.reviewer, task=task)


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
        "golden_set": vote.golden_set,
        "suggestion_seen": vote.suggestion_seen,
    }


__all__ = ["Annotation", "Submission", "Submitted", "draft_of", "parse_submission", "submit", "undo"]
