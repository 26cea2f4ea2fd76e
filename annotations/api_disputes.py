"""Differences between reviewers for programs: the list, resolving one, asking those who labelled it."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from annotations import adjudication, labelling, openapi_disputes, settlement
from annotations.api import answer, person
from annotations.models import Annotation, Question, Task
from annotations.submission import parse_submission
from feedback import bodies, limits
from projects.access import Right
from projects.auth import allow, caller_of
from projects.errors import ApiError, invalid

BODY = 2 * limits.MIB
MOST = 100


class DisputeView(APIView):
    """Personal tokens of those who may settle differences."""

    permission_classes = [allow(right=Right.LEAD)]

    @staticmethod
    def body(request: Request) -> dict[str, Any]:
        """The JSON object of the body."""
        value = bodies.one(request._request, BODY).value
        if not isinstance(value, dict):
            raise invalid("/", "The body is one JSON object.")
        return value

    @staticmethod
    def task(request: Request, pk: int) -> Task:
        """The project's task of this number; 404 otherwise."""
        rows = Task.objects.select_related("queue", "interaction", "project")
        return get_object_or_404(rows, pk=pk, project=caller_of(request).project)


class Disputes(DisputeView):
    """``/api/v1/disputes``."""

    @extend_schema(operation_id="dispute_list", **openapi_disputes.LIST)
    def get(self, request: Request) -> HttpResponse:
        """What reviewers differ on, the longest waiting first: at most a hundred, and how many there are."""
        rows = adjudication.disputes(caller_of(request).project)
        tasks = list(rows[:MOST])
        questions = {one.task_id: one for one in Question.objects.filter(task__in=tasks, closed_at=None)}
        return answer({
            "count": rows.count(), "results": [dispute_as_json(task, questions.get(task.pk)) for task in tasks]
        })  # fmt: skip


class DisputeResolve(DisputeView):
    """``/api/v1/disputes/{id}/resolve``."""

    @extend_schema(operation_id="dispute_resolve", **openapi_disputes.RESOLVE)
    def post(self, request: Request, pk: int) -> HttpResponse:
        """Settle it: by ``take``, a vote of its, or by ``own``, a label in the shape of a vote."""
        task, body = self.task(request, pk), self.body(request)
        label = adjudication.resolve(actor=person(request), task=task, decision=_decision(task, body))
        return answer({"label": {"id": label.pk, "verdict": label.verdict, "settled_by": label.settled_by}})


class DisputeAsk(DisputeView):
    """``/api/v1/disputes/{id}/ask``."""

    @extend_schema(operation_id="dispute_ask", **openapi_disputes.ASK)
    def post(self, request: Request, pk: int) -> HttpResponse:
        """Ask everybody who labelled it; each keeps or changes their label, then it settles or comes back."""
        task, text = self.task(request, pk), self.body(request).get("question", "")
        if not isinstance(text, str):
            raise invalid("/question", "This must be text.")
        question = adjudication.ask(actor=person(request), task=task, text=text)
        return answer({"id": question.pk, "waiting_for": len(question.waiting_for)}, 201)


def dispute_as_json(task: Task, question: Question | None) -> dict[str, Any]:
    """A disputed task with the votes that count."""
    return {
        "id": task.pk, "queue": task.queue.slug, "interaction_id": task.interaction.external_id,
        "disputed_at": task.done_at,
        "question": {"text": question.text, "waiting_for": len(question.waiting_for)} if question else None,
        "votes": [_vote(vote) for vote in settlement.counted(task)],
    }  # fmt: skip


def _vote(vote: Annotation) -> dict[str, Any]:
    return {
        "id": vote.pk, "reviewer": vote.reviewer.email, "blind": vote.blind, "seconds": vote.seconds,
        "created_at": vote.created_at, **labelling.draft_of(vote),
    }  # fmt: skip


def _decision(task: Task, body: dict[str, Any]) -> adjudication.Decision:
    """The decision in a body; texts of another kind are faults with their paths."""
    faults = []
    for name in ("cause", "reason", "guide_note"):
        if not isinstance(body.get(name, ""), str):
            faults.append({"path": f"/{name}", "message": "This must be text."})
    take, own, gold = body.get("take"), body.get("own"), body.get("gold_check", False)
    if take is not None and (isinstance(take, bool) or not isinstance(take, int)):
        faults.append({"path": "/take", "message": "The number of a vote."})
    if not isinstance(gold, bool):
        faults.append({"path": "/gold_check", "message": "true or false."})
    if faults:
        raise ApiError(422, "invalid", faults[0]["message"], faults)
    return adjudication.Decision(
        cause=body.get("cause", ""), reason=body.get("reason", ""), take=take, own=_own(task, own),
        guide_note=body.get("guide_note", ""), gold_check=gold,
    )  # fmt: skip


def _own(task: Task, own: Any) -> Any:
    if own is None:
        return None
    try:
        return parse_submission(task.project, own)
    except ApiError as error:
        inner = [{**fault, "path": f"/own{fault['path']}"} for fault in error.details]
        raise ApiError(422, "invalid", error.message, inner) from error
