"""The review API: queues, claims, votes. For personal tokens; a claim belongs to the person who made it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from annotations import claims, labelling, openapi, queries
from annotations.models import Claim, Queue
from annotations.submission import parse_submission
from feedback import bodies, detail, limits
from projects.access import Right
from projects.auth import allow, caller_of
from projects.errors import ApiError
from projects.models import User

BODY = 2 * limits.MIB
# What would tell a reviewer of a blind queue who gave the answer, or what others think of it.
HIDDEN_WHERE_BLIND = {"model", "provider", "release", "variant", "prompt", "parameters", "outcome", "tags", "metadata"}
STATUS = {"counted": 201, "replayed": 200, "surplus": 202}


def person(request: Request) -> User:
    """The person behind a personal token; the permission lets nobody else in."""
    user = caller_of(request).user
    assert user is not None
    return user


def answer(body: Any, status: int = 200) -> HttpResponse:
    """JSON by msgspec, as everywhere in the API."""
    return HttpResponse(msgspec.json.encode(body), status=status, content_type="application/json")


def claim_as_json(claim: Claim) -> dict[str, Any]:
    """What a reviewer's client needs: the lease, and the item with why it is there. Blind queues do not say why."""
    task = claim.task
    blind = task.queue.blind
    interaction = detail.summary(task.interaction)
    interaction |= {"documents": task.interaction.documents, "tools": task.interaction.tools}
    if blind:
        interaction = {name: value for name, value in interaction.items() if name not in HIDDEN_WHERE_BLIND}
    return {
        "claim": {"token": claim.token, "expires_at": claim.expires_at},
        "task": {
            "id": str(task.pk),
            "queue": task.queue.slug,
            "interaction": interaction,
            "reasons": [] if blind else task.reasons,
            "score": None if blind else task.score,
            "terms": [] if blind else task.terms,
            "due_at": task.due_at,
            "lane": task.lane,
        },
        "draft": claim.draft,
    }


class Queues(APIView):
    """The queues that this person may work."""

    permission_classes = [allow(right=Right.REVIEW)]

    @extend_schema(operation_id="queue_list", **openapi.said(openapi.QUEUES))
    def get(self, request: Request) -> HttpResponse:
        rows = queries.queue_overview(caller_of(request).project, person(request))
        results = [
            {
                "slug": row.queue.slug,
                "name": row.queue.name,
                "open": row.open,
                "oldest_due_at": row.next_due_at,
                "oldest_enqueued_at": row.oldest_enqueued_at,
            }
            for row in rows
            if row.queue.paused_at is None
        ]
        return answer({"results": results})


class QueueClaim(APIView):
    """Claim the next item of a queue, or resume the one that is held."""

    permission_classes = [allow(right=Right.REVIEW)]

    @extend_schema(operation_id="claim_create", **openapi.said(openapi.CLAIMED))
    def post(self, request: Request, queue: str) -> HttpResponse:
        line = get_object_or_404(Queue, project=caller_of(request).project, slug=queue)
        claim = claims.claim_next(user=person(request), queue=line)
        if claim is None:
            return answer({"claim": None, "empty": claims.why_empty(user=person(request), queue=line)})
        return answer(claim_as_json(claim))


class ClaimView(APIView):
    """What the verbs of a claim share: the claim belongs to the caller and to the key's project."""

    permission_classes = [allow(right=Right.REVIEW)]

    def own(self, request: Request, token: UUID) -> Claim:
        """The caller's claim; 404 for any other."""
        claim = claims.held(user=person(request), token=token)
        if claim.task.project_id != caller_of(request).project.pk:
            raise ApiError(404, "not_found", "There is no such claim of yours.")
        return claim

    def body(self, request: Request) -> dict[str, Any]:
        """The JSON object of the body."""
        value = bodies.one(request._request, BODY).value
        if not isinstance(value, dict):
            raise ApiError(422, "invalid", "The body must be an object.", [{"path": "/", "message": "Not an object."}])
        return value

    @staticmethod
    def lost() -> ApiError:
        return ApiError(409, "lease_lost", "Your lease has ended. Nothing is lost: the draft is kept, claim again.")


class ClaimHeartbeat(ClaimView):
    @extend_schema(
        operation_id="claim_heartbeat", **openapi.said(openapi.fields(claim=openapi.LEASE), also=openapi.LOST)
    )
    def post(self, request: Request, token: UUID) -> HttpResponse:
        """Extend the lease by its full length."""
        self.own(request, token)
        claim = claims.heartbeat(user=person(request), token=token)
        if claim is None:
            raise self.lost()
        return answer({"claim": {"token": claim.token, "expires_at": claim.expires_at}})


class ClaimRelease(ClaimView):
    @extend_schema(operation_id="claim_release", **openapi.said(openapi.fields(released={"type": "boolean"})))
    def post(self, request: Request, token: UUID) -> HttpResponse:
        """Give the item back. Releasing what is no longer held changes nothing."""
        self.own(request, token)
        return answer({"released": claims.release(user=person(request), token=token)})


class ClaimSkip(ClaimView):
    @extend_schema(
        operation_id="claim_skip",
        **openapi.said(openapi.fields(skipped={"type": "boolean"}), openapi.SKIP, also=openapi.LOST),
    )
    def post(self, request: Request, token: UUID) -> HttpResponse:
        """Pass the item to others, with a reason: not_my_field, unclear, personal_data, too_long, own_answer."""
        self.own(request, token)
        reason = str(self.body(request).get("reason", "unclear")) if request._request.body else "unclear"
        if not claims.skip(user=person(request), token=token, reason=reason):
            raise self.lost()
        return answer({"skipped": True})


class ClaimDraft(ClaimView):
    @extend_schema(
        operation_id="claim_draft",
        **openapi.said(openapi.fields(saved_at=openapi.MOMENT, expires_at=openapi.MOMENT), openapi.ANYTHING),
    )
    def put(self, request: Request, token: UUID) -> HttpResponse:
        """Keep what has been written so far; also after the lease has ended."""
        self.own(request, token)
        claim = claims.save_draft(user=person(request), token=token, draft=self.body(request))
        if claim is None:
            raise ApiError(409, "already_submitted", "This claim has been submitted; a draft would change nothing.")
        return answer({"saved_at": claim.draft_at, "expires_at": claim.expires_at})


class ClaimSubmit(ClaimView):
    @extend_schema(
        operation_id="claim_submit",
        **openapi.said(openapi.SUBMITTED, openapi.SUBMISSION, also={201: openapi.SUBMITTED, 202: openapi.SUBMITTED}),
    )
    def post(self, request: Request, token: UUID) -> HttpResponse:
        """Submit the vote: 201 counted, 200 the same submission again, 202 kept as surplus."""
        claim = self.own(request, token)
        submission = parse_submission(claim.task.project, self.body(request))
        outcome = labelling.submit(user=person(request), token=token, submission=submission)
        body = {
            "status": outcome.status,
            "annotation_id": outcome.annotation.pk,
            "label": {"id": outcome.label.pk, "verdict": outcome.label.verdict, "settled_by": outcome.label.settled_by}
            if outcome.label
            else None,
        }
        return answer(body, STATUS[outcome.status])
