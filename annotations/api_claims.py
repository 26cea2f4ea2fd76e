"""The claim side of the review API: leases, what is put aside, votes. A claim belongs to the person who made it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from annotations import claims, handout, labelling, openapi, openapi_claims
from annotations.api import answer, person
from annotations.models import Claim, Queue, Task
from feedback import bodies, limits
from projects.access import Right
from projects.auth import allow, caller_of
from projects.errors import ApiError, invalid

BODY = 2 * limits.MIB
STATUS = {"counted": 201, "replayed": 200, "surplus": 202}


class QueueClaim(APIView):
    """Claim the next item of a queue, or resume the one that is held."""

    permission_classes = [allow(right=Right.REVIEW)]

    @extend_schema(operation_id="claim_create", **openapi.said(openapi_claims.CLAIMED))
    def post(self, request: Request, queue: str) -> HttpResponse:
        project, user = caller_of(request).project, person(request)
        found = claims.next_lease_in(user_pk=user.pk, project_pk=project.pk, slug=queue, columns=handout.COLUMNS)
        if found is None:
            raise Http404
        if found.claim is not None:
            return answer(handout.row_as_json(found.columns))
        line = get_object_or_404(Queue, pk=found.queue)
        return answer({"claim": None, "empty": claims.why_empty(user=user, queue=line)})


class ClaimView(APIView):
    """What the verbs of a claim share: the claim belongs to the caller and to the key's project."""

    permission_classes = [allow(right=Right.REVIEW)]

    def own(self, request: Request, token: UUID) -> Claim:
        """The caller's claim; 404 for any other."""
        return claims.held(user=person(request), token=token, project=caller_of(request).project)

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
        **openapi.said(openapi.fields(skipped={"type": "boolean"}), openapi_claims.SKIP, also=openapi.LOST),
    )
    def post(self, request: Request, token: UUID) -> HttpResponse:
        """Pass the item to others, with a reason: not_my_field, unclear, personal_data, too_long, own_answer."""
        self.own(request, token)
        reason = str(self.body(request).get("reason", "unclear")) if request._request.body else "unclear"
        if not claims.skip(user=person(request), token=token, reason=reason):
            raise self.lost()
        return answer({"skipped": True})


class ClaimSnooze(ClaimView):
    @extend_schema(
        operation_id="claim_snooze",
        **openapi.said(openapi.fields(snoozed_until=openapi.MOMENT), openapi_claims.SNOOZE, also=openapi.LOST),
    )
    def post(self, request: Request, token: UUID) -> HttpResponse:
        """Put the item off for yourself; others may take it meanwhile, after that it comes back to you."""
        self.own(request, token)
        seconds = self.body(request).get("seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, int):
            raise invalid("/seconds", "Say for how many seconds, a whole number.")
        claim = claims.snooze(user=person(request), token=token, seconds=seconds)
        if claim is None:
            raise self.lost()
        return answer({"snoozed_until": claim.snoozed_until})


class ClaimEscalate(ClaimView):
    @extend_schema(
        operation_id="claim_escalate",
        **openapi.said(openapi.fields(escalated={"type": "boolean"}), openapi_claims.ESCALATE, also=openapi.LOST),
    )
    def post(self, request: Request, token: UUID) -> HttpResponse:
        """Pass the item to those who adjudicate, with a note that says what they should decide."""
        self.own(request, token)
        note = self.body(request).get("note", "")
        if not isinstance(note, str):
            raise invalid("/note", "This must be text.")
        if not claims.escalate(user=person(request), token=token, note=note):
            raise self.lost()
        return answer({"escalated": True})


class ClaimReturn(ClaimView):
    @extend_schema(operation_id="claim_return", **openapi.said(openapi_claims.LEASED, also=openapi_claims.TAKEN))
    def post(self, request: Request, token: UUID) -> HttpResponse:
        """Take back what this claim put aside, with its draft: a new lease on the same item."""
        self.own(request, token)
        claim = claims.return_to_skipped(user=person(request), token=token)
        if claim is None:
            raise ApiError(409, "taken", "Somebody else has this item now, or it is done.")
        return answer(handout.lease_as_json(claim.pk))


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
        project, user = caller_of(request).project, person(request)
        outcome = labelling.submit_body(user=user, token=token, body=self.body(request), project=project)
        body = {
            "status": outcome.status,
            "annotation_id": outcome.annotation.pk,
            "label": {"id": outcome.label.pk, "verdict": outcome.label.verdict, "settled_by": outcome.label.settled_by}
            if outcome.label
            else None,
        }
        return answer(body, STATUS[outcome.status])


class MyTasks(APIView):
    """What this person has put aside, and what waits for them alone."""

    permission_classes = [allow(right=Right.REVIEW)]

    @extend_schema(operation_id="my_tasks", **openapi.said(openapi_claims.MINE))
    def get(self, request: Request) -> HttpResponse:
        """Skipped and escalated, put off, and assigned: of each at most the first hundred."""
        project, user = caller_of(request).project, person(request)
        aside = list(claims.put_aside(user=user, project=project)[: 2 * MINE])
        return answer({
            "skipped": [_aside(claim) for claim in aside if claim.state == Claim.State.SKIPPED][:MINE],
            "snoozed": [_aside(claim) for claim in aside if claim.state == Claim.State.SNOOZED][:MINE],
            "assigned": [_waiting(task) for task in claims.assigned(user=user, project=project)[:MINE]],
        })  # fmt: skip


MINE = 100


def _waiting(task: Task) -> dict[str, Any]:
    return {
        "id": str(task.pk), "queue": task.queue.slug, "interaction_id": task.interaction.external_id,
        "due_at": task.due_at, "lane": task.lane,
    }  # fmt: skip


def _aside(claim: Claim) -> dict[str, Any]:
    return {
        **_waiting(claim.task), "token": claim.token, "at": claim.ended_at, "reason": claim.skip_reason or None,
        "until": claim.snoozed_until,
    }  # fmt: skip
