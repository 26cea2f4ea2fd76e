"""Differences between reviewers: the list, resolving one, asking its reviewers first, and what the guide should say.

A disputed task is held while it is decided, so of two leads one decides and the other is told. What was resolved
stays so: late votes are kept as surplus, no undo reaches it, and nothing sends the same item into the queue again.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.db.models import Count, QuerySet
from django.db.models.functions import Now

from annotations import settlement
from annotations.models import Adjudication, Annotation, Label, Question, Rubric, Task
from annotations.submission import Submission, check_marks
from projects import audit
from projects.errors import ApiError, invalid
from projects.models import Project, User
from projects.strictjson import clean_text

MAX_REASON, MAX_GUIDE_NOTE, MAX_QUESTION = 2_000, 2_000, 2_000
CAUSES = dict(Adjudication.Cause.choices)


@dataclass(frozen=True)
class Decision:
    """Whose vote is taken, or what the lead writes instead (exactly one of the two), why, and why they differed.

    ``guide_note`` is what the guide should say from now on; ``gold_check`` lets the item be served as a known one.
    """

    cause: str
    reason: str
    take: int | None = None
    own: Submission | None = None
    guide_note: str = ""
    gold_check: bool = False


def disputes(project: Project) -> QuerySet[Task]:
    """The tasks whose reviewers differ, the longest waiting first."""
    return (
        Task.objects.filter(project=project, state=Task.State.DISPUTED, purpose__in=settlement.SETTLING)
        .select_related("queue", "interaction", "project")
        .order_by("done_at", "pk")
    )


def question_of(task: Task) -> Question | None:
    """The question that its reviewers are still to answer."""
    return Question.objects.select_related("asked_by").filter(task=task, closed_at=None).first()


def resolve(*, actor: User, task: Task, decision: Decision) -> Label:
    """Settles a disputed task by a lead's decision.

    ApiError 422 with all faults; 409 ``already_resolved`` where somebody was faster, saying who.
    """
    decision = _checked(decision)
    if decision.own:
        check_marks(decision.own, task.interaction)
    with transaction.atomic():
        task = _held(task)
        votes = settlement.counted(task)
        taken = next((vote for vote in votes if vote.pk == decision.take), None)
        if decision.take is not None and taken is None:
            raise invalid("/take", "This is not a vote that counts on this item. Look at it again.")
        label = settlement.make_label(task, taken or _written(task, decision), votes, Label.SettledBy.ADJUDICATED)
        if decision.gold_check:
            Label.objects.filter(pk=label.pk).update(gold_check=True)
            label.gold_check = True
        Adjudication.objects.create(
            task=task, adjudicator=actor, chosen=taken, label=label, cause=decision.cause, reason=decision.reason,
            guide_note=decision.guide_note,
        )  # fmt: skip
        Question.objects.filter(task=task, closed_at=None).update(closed_at=Now())
        audit.record(task.project, actor, "dispute.resolved", task.interaction.external_id, label=label.pk,
                     cause=decision.cause)  # fmt: skip
    return label


def _checked(decision: Decision) -> Decision:
    faults = []
    if (decision.take is None) == (decision.own is None):
        faults.append({"path": "/take", "message": "Take one of the labels, or write your own."})
    if decision.cause not in CAUSES:
        faults.append({"path": "/cause", "message": f"Say why they differ: {', '.join(CAUSES)}."})
    reason, note = clean_text(decision.reason).strip(), clean_text(decision.guide_note).strip()
    if not reason:
        faults.append({"path": "/reason", "message": "Say why, for those who labelled it."})
    for path, text, most in (("/reason", reason, MAX_REASON), ("/guide_note", note, MAX_GUIDE_NOTE)):
        if len(text) > most:
            faults.append({"path": path, "message": f"At most {most:,} characters."})
    if faults:
        raise ApiError(422, "invalid", faults[0]["message"], faults)
    return Decision(decision.cause, reason, decision.take, decision.own, note, decision.gold_check)


def _held(task: Task) -> Task:
    """The task, locked and still disputed; ApiError 409 otherwise."""
    rows = Task.objects.select_for_update(of=("self",)).select_related("queue", "project", "interaction")
    task = rows.get(pk=task.pk)
    if task.state == Task.State.DISPUTED:
        return task
    done = task.adjudications.select_related("adjudicator").order_by("-pk").first()
    who = f"{done.adjudicator} has resolved this already." if done else "This is no longer disputed."
    raise ApiError(409, "already_resolved", f"{who} Nothing was changed.")


def _written(task: Task, decision: Decision) -> Annotation:
    """What the lead wrote, in the shape of a vote. It is none, so it is not stored as one."""
    assert decision.own is not None
    rubric = Rubric.objects.filter(project=task.project).latest("version")
    return Annotation(task=task, rubric=rubric, **settlement.vote_fields(decision.own))


# -- asking those who labelled it ---------------------------------------------------------------------------------


@transaction.atomic
def ask(*, actor: User, task: Task, text: str) -> Question:
    """Asks everybody whose vote counts on a disputed task; ApiError 422 without a question, 409 if one is open."""
    text = clean_text(text).strip()
    if not text:
        raise invalid("/question", "Write what you want to ask.")
    if len(text) > MAX_QUESTION:
        raise invalid("/question", f"At most {MAX_QUESTION:,} characters.")
    task = _held(task)
    if question_of(task):
        raise ApiError(409, "already_asked", "They have been asked and have not all answered yet.")
    people = [vote.reviewer_id for vote in settlement.counted(task)]
    return Question.objects.create(task=task, asked_by=actor, text=text, waiting_for=people)


def questions_for(user: User, project: Project) -> QuerySet[Question]:
    """What this reviewer is asked about their own labels, oldest first."""
    return (
        Question.objects.select_related("asked_by", "task__queue", "task__interaction", "task__project")
        .filter(task__project=project, closed_at=None, waiting_for__contains=[user.pk])
        .order_by("created_at")
    )


def own_vote(user: User, task: Task) -> Annotation | None:
    """The vote of this reviewer that counts on the task."""
    return next((vote for vote in settlement.counted(task) if vote.reviewer_id == user.pk), None)


@transaction.atomic
def answer(*, user: User, question: Question, submission: Submission | None) -> Label | None:
    """A reviewer keeps their vote (None) or sends another one, which supersedes it.

    When the last has answered, the task settles if they now agree, else it is disputed again. Returns the label that
    it settled. ApiError 409 where the question is closed or they have answered it.
    """
    rows = Task.objects.select_for_update(of=("self",)).select_related("queue", "project", "interaction")
    task = rows.get(pk=question.task_id)
    question = Question.objects.get(pk=question.pk)
    vote = own_vote(user, task)
    if question.closed_at or user.pk not in question.waiting_for or vote is None or task.state != Task.State.DISPUTED:
        raise ApiError(409, "already_answered", "This has been answered or resolved. Nothing was changed.")
    if submission is not None:
        check_marks(submission, task.interaction)
        _revise(vote, submission)
    question.waiting_for.remove(user.pk)
    question.save(update_fields=["waiting_for"])
    if question.waiting_for:
        return None
    Question.objects.filter(pk=question.pk).update(closed_at=Now())
    return settlement.settle(task)


def _revise(vote: Annotation, submission: Submission) -> None:
    Annotation.objects.filter(pk=vote.pk).update(
        state=Annotation.State.RETRACTED, reveal=Annotation.Reveal.CHANGED, ended_at=Now()
    )
    Annotation.objects.create(
        project_id=vote.project_id, task_id=vote.task_id, claim_id=vote.claim_id, reviewer_id=vote.reviewer_id,
        rubric=Rubric.objects.filter(project=vote.project_id).latest("version"), supersedes=vote,
        submission_id=submission.submission_id, fingerprint=submission.fingerprint,
        **settlement.vote_fields(submission),
    )  # fmt: skip


# -- what came of it ----------------------------------------------------------------------------------------------


def told(user: User, project: Project) -> QuerySet[Adjudication]:
    """What leads decided where this reviewer had voted, newest first."""
    return (
        Adjudication.objects.select_related("adjudicator", "label__primary_category", "task__interaction", "chosen")
        .filter(task__project=project, task__annotations__reviewer=user, label__superseded_at=None)
        .exclude(adjudicator=user)
        .distinct()
        .order_by("-created_at")
    )


def guide_notes(project: Project) -> QuerySet[Adjudication]:
    """What the guide should say and does not yet, oldest first."""
    return (
        Adjudication.objects.select_related("adjudicator", "task__interaction", "label__primary_category")
        .filter(task__project=project, guide_done_at=None)
        .exclude(guide_note="")
        .order_by("created_at")
    )


def close_guide_note(project: Project, pk: int) -> bool:
    """Takes a note off the list; False if it is not on it."""
    return bool(guide_notes(project).filter(pk=pk).order_by().update(guide_done_at=Now()))


def causes(project: Project) -> dict[str, int]:
    """How often each cause was given, by its words, the most frequent first."""
    rows = Adjudication.objects.filter(task__project=project).values("cause").annotate(n=Count("pk")).order_by("-n")
    return {CAUSES[row["cause"]]: row["n"] for row in rows}
