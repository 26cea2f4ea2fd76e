"""Resolving what reviewers differ on, asking them first, and what they are asked."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotations import adjudication, labelling
from annotations.models import Annotation, Claim, Question, Task
from annotations.submission import Submission, parse_submission
from annotations.views import differences
from annotations.views.screen import Values, body_of
from projects.access import ProjectRequest, Right, project_view
from projects.errors import ApiError

CONFLICT = 409
SHOWN = 200  # tasks on the list; the page of each leads to the next


@require_GET
@project_view(Right.LEAD)
def dispute_list(request: ProjectRequest) -> HttpResponse:
    """What reviewers differ on, what the guide should say, and why people differed so far."""
    tasks = list(adjudication.disputes(request.project)[:SHOWN])
    asked = Question.objects.filter(task__in=tasks, closed_at=None)
    context = {
        "section": "disputes",
        "rows": [{"task": task, "sides": differences.sides_of(task)} for task in tasks],
        "asked": set(asked.values_list("task_id", flat=True)),
        "notes": adjudication.guide_notes(request.project)[:SHOWN],
        "causes": adjudication.causes(request.project),
    }
    return render(request, "annotations/adjudicate_list.html", context)


def own_task(request: ProjectRequest, pk: int) -> Task:
    """The project's task of this number; 404 otherwise."""
    rows = Task.objects.select_related("queue", "interaction", "project")
    return get_object_or_404(rows, pk=pk, project=request.project)


@require_GET
@project_view(Right.LEAD)
def dispute_detail(request: ProjectRequest, pk: int) -> HttpResponseBase:
    """The votes side by side and the decision. What is no longer disputed leads back to the list."""
    task = own_task(request, pk)
    if task.state != Task.State.DISPUTED:
        messages.warning(request, "This is no longer disputed.")
        return redirect("annotations:dispute-list", request.project.slug)
    return render(request, "annotations/adjudicate.html", differences.context_of(task))


@require_POST
@project_view(Right.LEAD)
def dispute_resolve(request: ProjectRequest, pk: int) -> HttpResponseBase:
    """Stores the decision and goes on to the next. What does not fit comes back with every word in place."""
    task = own_task(request, pk)
    following = _next(request, task)
    body = body_of(request.POST, Claim(task=task))
    entered = differences.Entered(
        take=request.POST.get("take", ""), cause=request.POST.get("cause", ""), reason=request.POST.get("reason", ""),
        guide_note=request.POST.get("guide_note", ""), gold_check="gold_check" in request.POST,
        own=Values.of(body, task.interaction.output),
    )  # fmt: skip
    try:
        adjudication.resolve(actor=request.user, task=task, decision=_decision(request, entered, body))
    except ApiError as error:
        return _sent_back(request, task, entered, error)
    messages.success(request, "Resolved. Those who labelled it see your reason under My labels.")
    if following is None:
        return redirect("annotations:dispute-list", request.project.slug)
    return redirect("annotations:dispute-detail", request.project.slug, following)


def _decision(request: ProjectRequest, entered: differences.Entered, body: dict[str, Any]) -> adjudication.Decision:
    own: Submission | None = parse_submission(request.project, body) if entered.take == "own" else None
    take = int(entered.take) if entered.take.isascii() and entered.take.isdecimal() else None
    return adjudication.Decision(
        cause=entered.cause, reason=entered.reason, take=take, own=own, guide_note=entered.guide_note,
        gold_check=entered.gold_check,
    )  # fmt: skip


def _sent_back(request: ProjectRequest, task: Task, entered: differences.Entered, error: ApiError) -> HttpResponseBase:
    if error.status_code == CONFLICT:
        messages.warning(request, error.message)
        return redirect("annotations:dispute-list", request.project.slug)
    context = differences.context_of(task, entered, _faults(error))
    return render(request, "annotations/adjudicate.html", context, status=error.status_code)


def _faults(error: ApiError) -> dict[str, str]:
    """The faults by the name of their control; one without a place stands under the empty name."""
    return {fault["path"].split("/")[1]: fault["message"] for fault in error.details} or {"": error.message}


def _next(request: ProjectRequest, task: Task) -> int | None:
    """The next difference that does not wait for an answer, from the front again after the last."""
    asked = Question.objects.filter(closed_at=None).values("task")
    waiting = list(adjudication.disputes(request.project).exclude(pk__in=asked).values_list("pk", "done_at"))
    here = (task.done_at, task.pk)
    others = [(done_at, pk) for pk, done_at in waiting if pk != task.pk]
    later = [pk for done_at, pk in others if task.done_at and (done_at, pk) > here]
    return later[0] if later else others[0][1] if others else None


@require_POST
@project_view(Right.LEAD)
def dispute_ask(request: ProjectRequest, pk: int) -> HttpResponseBase:
    """Asks everybody who labelled it; the difference waits on the list until they have answered."""
    task = own_task(request, pk)
    following = _next(request, task)
    try:
        adjudication.ask(actor=request.user, task=task, text=request.POST.get("question", ""))
    except ApiError as error:
        return _sent_back(request, task, differences.Entered(own=Values.of({}, task.interaction.output)), error)
    messages.success(request, "Asked. It comes back to this list unless they agree.")
    if following is None:
        return redirect("annotations:dispute-list", request.project.slug)
    return redirect("annotations:dispute-detail", request.project.slug, following)


@require_POST
@project_view(Right.LEAD)
def guide_note_done(request: ProjectRequest, pk: int) -> HttpResponseBase:
    """Takes a note for the guide off the list."""
    if adjudication.close_guide_note(request.project, pk):
        messages.success(request, "Done. The note is off the list.")
    return redirect("annotations:dispute-list", request.project.slug)


# -- the reviewer's side ----------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
@project_view(Right.REVIEW)
def question_answer(request: ProjectRequest, pk: int) -> HttpResponseBase:
    """The question of a lead about one's own label, with that label in the form: keep it or change it."""
    rows = Question.objects.select_related("asked_by", "task__interaction", "task__project", "task__queue")
    question = get_object_or_404(rows, pk=pk, task__project=request.project, task__annotations__reviewer=request.user)
    vote = adjudication.own_vote(request.user, question.task)
    if question.closed_at or vote is None or request.user.pk not in question.waiting_for:
        messages.warning(request, "This has been answered or resolved.")
        return redirect("annotations:annotation-list", request.project.slug)
    if request.method == "GET":
        return _question_page(request, question, Values.of(labelling.draft_of(vote), question.task.interaction.output))
    posted = body_of(request.POST, Claim(task=question.task))
    try:
        own = None if "keep" in request.POST else parse_submission(request.project, _revised(vote, posted))
        adjudication.answer(user=request.user, question=question, submission=own)
    except ApiError as error:
        return _question_page(request, question, Values.of(posted, question.task.interaction.output), error)
    messages.success(request, f"Thank you. Your label {'is changed' if own else 'stays as it is'}.")
    return redirect("annotations:annotation-list", request.project.slug)


def _revised(vote: Annotation, posted: dict[str, Any]) -> dict[str, Any]:
    """What was posted; what the short form does not show stays as it was."""
    return {
        **posted,
        "spans": vote.spans,
        "assertions": vote.assertions,
        "golden": vote.golden,
        "golden_set": vote.golden_set,
    }


def _question_page(
    request: ProjectRequest, question: Question, values: Values, error: ApiError | None = None
) -> HttpResponse:
    task = question.task
    context = {
        "section": "mine", "question": question, "task": task, "errors": _faults(error) if error else {},
        **differences.item_of(task.interaction), **differences.label_form(request.project, values),
    }  # fmt: skip
    return render(request, "annotations/adjudicate_question.html", context, status=error.status_code if error else 200)


def notices(request: ProjectRequest) -> dict[str, Any]:
    """What a reviewer finds above their labels: what they are asked, and what leads decided where they had voted."""
    return {
        "questions": list(adjudication.questions_for(request.user, request.project)[:20]),
        "told": list(adjudication.told(request.user, request.project)[:5]),
    }
