"""The intake's API: interactions, feedback and scores. Bodies are described in ``feedback.schema``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import msgspec
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import AllowAny, BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from feedback import bodies, browsers, detail, filters, finding, limits, openapi, schema, services, unlinked
from feedback.models import Feedback, Interaction
from feedback.schema import FeedbackIn, InteractionIn, InteractionPatch, ScoreIn
from projects import addresses
from projects.access import Right
from projects.auth import allow
from projects.errors import ApiError, invalid
from projects.keys import Caller
from projects.models import ApiKey
from projects.strictjson import Parsed

CREATED, OK = 201, 200
REPLAY = {"Idempotent-Replay": "true"}
PREFLIGHT_SECONDS = 7200  # the most that Chromium keeps
UNLINKED = [
    OpenApiParameter("linked", OpenApiTypes.STR, enum=["false"], required=True),
    OpenApiParameter(
        "state", OpenApiTypes.STR, enum=list(unlinked.STATES),
        description=f"`missing` after {unlinked.DAYS} days, `waiting` before; both if absent.",
    ),
    OpenApiParameter("kind", OpenApiTypes.STR, enum=Feedback.Kind.values, many=True, description="May be repeated."),
    *(entry for entry in openapi.FILTERS if entry.name in unlinked.PARAMETERS),
]  # fmt: skip


def answer(status: int, body: Any, headers: dict[str, str] | None = None) -> HttpResponse:
    """JSON by msgspec: a tenth of the time of a renderer, and times as RFC 3339."""
    return HttpResponse(msgspec.json.encode(body), status=status, content_type="application/json", headers=headers)


def _caller(request: Request) -> Caller:
    return cast(Caller, request.auth)


def _django(request: Request) -> HttpRequest:
    return request._request


def _object(parsed: Parsed) -> dict[str, Any]:
    if not isinstance(parsed.value, dict):
        raise invalid("/", "The body is one JSON object.")
    return parsed.value


def _notes(item: dict[str, Any], shape: type[msgspec.Struct], *, sanitized: bool) -> dict[str, Any]:
    """What the sender should know: text that had to be replaced, fields that were not understood."""
    notes: dict[str, Any] = {"sanitized": True} if sanitized else {}
    if ignored := sorted(schema.ignored(item, shape)):
        notes["ignored"] = ignored
    return notes


def _batch(
    request: Request, name: str, record: Callable[[list[dict[str, Any]], set[int]], list[dict[str, Any]]]
) -> HttpResponse:
    """Reads a batch, stores what can be read, and answers for each item in its place."""
    items = bodies.many(_django(request), name)
    good = [index for index, item in enumerate(items) if isinstance(item, Parsed)]
    parsed = [item for item in items if isinstance(item, Parsed)]
    replaced = {place for place, item in enumerate(parsed) if item.sanitized}
    results: dict[int, dict[str, Any]] = {
        index: {"index": index, "status": item.status_code, **item.body()}
        for index, item in enumerate(items) if isinstance(item, ApiError)
    }  # fmt: skip
    for index, result in zip(good, record([item.value for item in parsed], replaced), strict=True):
        results[index] = {"index": index, **result}
    return answer(OK, {"results": [results[index] for index in range(len(items))]})


class Interactions(APIView):
    """``/api/v1/interactions``: store one, or list them."""

    def get_permissions(self) -> list[BasePermission]:
        if self.request.method == "POST":
            return [allow(scope=ApiKey.Scope.INGEST)()]
        return [allow(scope=ApiKey.Scope.READ, right=Right.READ)()]

    @extend_schema(operation_id="interaction_create", tags=["Intake"], **openapi.posting(InteractionIn, openapi.STORED))
    def post(self, request: Request) -> HttpResponse:
        """Store one interaction. The same id and body again is a replay."""
        parsed = bodies.one(_django(request), limits.INTERACTION_BODY)
        item = _object(parsed)
        outcome = services.record_interaction(_caller(request).project, item, sanitized=parsed.sanitized)
        replayed = outcome.status == OK
        body = {"id": outcome.external_id, "replayed": replayed}
        body |= _notes(item, InteractionIn, sanitized=outcome.sanitized)
        return answer(outcome.status, body, REPLAY if replayed else None)

    @extend_schema(
        operation_id="interaction_list", tags=["Intake"], parameters=openapi.FILTERS, responses={200: openapi.LISTED}
    )
    def get(self, request: Request) -> HttpResponse:
        """List interactions, newest first. ``next`` is the cursor of the page after this one, or null."""
        query = {name: request.query_params.getlist(name) for name in request.query_params}
        size = _size(request.query_params.get("limit", str(limits.PAGE_SIZE)))
        cursor = request.query_params.get("cursor", "")
        page = finding.page(_caller(request).project, filters.parse(query), cursor=cursor, size=size)
        rows = finding.rows(page.pks, Interaction.objects.all())
        return answer(OK, {"results": [detail.summary(row) for row in rows], "next": page.next or None})


class InteractionBatch(APIView):
    permission_classes = [allow(scope=ApiKey.Scope.INGEST)]

    @extend_schema(operation_id="interaction_batch", tags=["Intake"], **openapi.batch(InteractionIn, "interactions"))
    def post(self, request: Request) -> HttpResponse:
        """Store up to 1,000 interactions: a JSON array, ``{"interactions": […]}`` or NDJSON; gzip is welcome."""
        project = _caller(request).project

        def record(items: list[dict[str, Any]], sanitized: set[int]) -> list[dict[str, Any]]:
            outcomes = services.record_interactions(project, items, sanitized=sanitized)
            return [_interaction_result(outcome, item) for outcome, item in zip(outcomes, items, strict=True)]

        return _batch(request, "interactions", record)


def _interaction_result(outcome: services.Outcome, item: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {"status": outcome.status}
    if outcome.external_id is not None:
        result["id"] = outcome.external_id
    if outcome.error:
        return {**result, "error": outcome.error}
    if outcome.status == OK:
        result["replayed"] = True
    return result | _notes(item, InteractionIn, sanitized=outcome.sanitized)


class InteractionDetail(APIView):
    """``/api/v1/interactions/{id}``: read everything, or add what became known later."""

    def get_permissions(self) -> list[BasePermission]:
        if self.request.method == "PATCH":
            return [allow(scope=ApiKey.Scope.INGEST)()]
        return [allow(scope=ApiKey.Scope.READ, right=Right.READ)()]

    @extend_schema(operation_id="interaction_read", tags=["Intake"], responses={200: openapi.WHOLE})
    def get(self, request: Request, external_id: str) -> HttpResponse:
        """One interaction with its spans, feedback, scores and labels."""
        _possible(external_id)
        found = Interaction.objects.filter(project=_caller(request).project, external_id=external_id).first()
        if found is None:
            raise Http404
        return answer(OK, detail.whole(found))

    @extend_schema(
        operation_id="interaction_amend", tags=["Intake"],
        **openapi.posting(InteractionPatch, openapi.WHOLE, status=OK),
    )  # fmt: skip
    def patch(self, request: Request, external_id: str) -> HttpResponse:
        """Merge ``outcome`` and ``metadata`` by key, and add ``tags``."""
        _possible(external_id)
        patch = _object(bodies.one(_django(request), limits.FEEDBACK_BODY))
        unknown = sorted(schema.ignored(patch, InteractionPatch))
        if unknown:
            raise invalid(unknown[0], "Only outcome, tags and metadata may be added later.")
        try:
            interaction = services.amend_interaction(_caller(request).project, external_id, patch)
        except Interaction.DoesNotExist:
            raise Http404 from None
        return answer(OK, detail.summary(interaction))


def _possible(external_id: str) -> None:
    """An id that PostgreSQL cannot even be asked for does not exist."""
    if "\0" in external_id:
        raise Http404


class GiveFeedback(BasePermission):
    """Secret keys with the scope ``ingest``; publishable keys from exactly the origins they list."""

    message = "This key may not do that."

    def has_permission(self, request: Request, view: APIView) -> bool:
        caller = _caller(request)
        if caller.kind == ApiKey.Kind.PUBLISHABLE:
            self.message = "This publishable key does not list the origin of this request."
            return request.headers.get("Origin", "") in caller.origins
        return caller.kind == ApiKey.Kind.SECRET and ApiKey.Scope.INGEST in caller.scopes


class FeedbackView(APIView):
    """``/api/v1/feedback``: to send, the one address that pages of other origins may use, with a publishable key."""

    permission_classes = [GiveFeedback]

    def get_authenticators(self) -> list[BaseAuthentication]:
        return [] if self.request is not None and self.request.method == "OPTIONS" else super().get_authenticators()

    def get_permissions(self) -> Sequence[Any]:
        if self.request.method == "GET":
            return [allow(scope=ApiKey.Scope.READ, right=Right.READ)()]
        return [AllowAny()] if self.request.method == "OPTIONS" else super().get_permissions()

    @extend_schema(operation_id="feedback_list", tags=["Intake"], parameters=UNLINKED, responses={200: openapi.LISTED})
    def get(self, request: Request) -> HttpResponse:
        """List feedback whose interaction has not come, newest first; other feedback is read with its interaction."""
        query = {name: request.query_params.getlist(name) for name in request.query_params}
        wanted = unlinked.parse(query)
        if query.get("linked") != ["false"]:
            raise invalid("/linked", "Say linked=false. Linked feedback is read with its interaction.")
        size = _size(request.query_params.get("limit", str(limits.PAGE_SIZE)))
        cursor = request.query_params.get("cursor", "")
        page = unlinked.page(_caller(request).project, wanted, cursor=cursor, size=size)
        return answer(OK, {"results": [detail.feedback(row) for row in page.rows], "next": page.next or None})

    @extend_schema(
        operation_id="feedback_create", tags=["Intake"],
        parameters=[openapi.IDEMPOTENCY_KEY, openapi.INTERACTION_TOKEN],
        **openapi.posting(FeedbackIn, openapi.RECEIVED),
    )  # fmt: skip
    def post(self, request: Request) -> HttpResponse:
        """Store one feedback; its interaction may come later."""
        caller = _caller(request)
        parsed = bodies.one(_django(request), limits.FEEDBACK_BODY)
        item = _with_key(_object(parsed), request.headers.get("Idempotency-Key"))
        if caller.kind == ApiKey.Kind.PUBLISHABLE:
            token = request.headers.get("X-Interaction-Token")
            visitor = addresses.visitor(_django(request))
            outcome = browsers.receive(caller, item, token=token, visitor=visitor, sanitized=parsed.sanitized)
            # says nothing of what is stored: anybody can read this key in the page
            return _received(outcome, {"received": True, "replayed": not outcome.created})
        outcome = services.record_feedback(caller.project, item, sanitized=parsed.sanitized)
        body = {"id": str(outcome.pk), "linked": outcome.linked, "replayed": not outcome.created}
        return _received(outcome, body | _notes(item, FeedbackIn, sanitized=outcome.sanitized))

    @extend_schema(exclude=True)
    def options(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """The preflight. It carries no key, so it is answered for the origins that any key lists."""
        origin = request.headers.get("Origin", "")
        headers = {"Vary": "Origin", "Allow": "GET, POST, OPTIONS"}
        listed = ApiKey.objects.filter(
            kind=ApiKey.Kind.PUBLISHABLE, revoked_at=None, origins__contains=[origin[: limits.IDENTIFIER]]
        )
        if origin and "\0" not in origin and listed.exists():
            headers |= {
                "Access-Control-Allow-Origin": origin,
                "Access-Control-Allow-Methods": "POST",
                "Access-Control-Allow-Headers": "authorization, content-type, idempotency-key, x-interaction-token",
                "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
            }
        return HttpResponse(status=204, headers=headers)

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        patch_vary_headers(response, ["Origin"])
        # Who calls, if that was asked at all: an answer that cannot be given (406) stands before it.
        caller: Caller | None = getattr(request, "_auth", None) if request.method == "POST" else None
        origin = request.headers.get("Origin", "")
        if caller is not None and caller.kind == ApiKey.Kind.PUBLISHABLE and origin in caller.origins:
            response["Access-Control-Allow-Origin"] = origin
            response["Access-Control-Expose-Headers"] = "Retry-After"
        return response


def _received(outcome: services.FeedbackOutcome, body: dict[str, Any]) -> HttpResponse:
    return answer(CREATED if outcome.created else OK, body, None if outcome.created else REPLAY)


def _with_key(item: dict[str, Any], header: str | None) -> dict[str, Any]:
    """``Idempotency-Key`` is another way to say ``key``."""
    if header is None or item.get("key") == header:
        return item
    if item.get("key") is not None:
        raise invalid("/key", "The header Idempotency-Key and the key in the body differ.")
    return {**item, "key": header}


class FeedbackBatch(APIView):
    permission_classes = [allow(scope=ApiKey.Scope.INGEST)]

    @extend_schema(operation_id="feedback_batch", tags=["Intake"], **openapi.batch(FeedbackIn, "feedback"))
    def post(self, request: Request) -> HttpResponse:
        """Store up to 1,000 feedbacks: a JSON array, ``{"feedback": […]}`` or NDJSON."""
        project = _caller(request).project
        return _batch(
            request, "feedback",
            lambda items, sanitized: _fact_results(services.record_feedback_batch(project, items, sanitized=sanitized)),
        )  # fmt: skip


def _fact_results(outcomes: list[services.FactOutcome]) -> list[dict[str, Any]]:
    results = []
    for outcome in outcomes:
        if outcome.error:
            results.append({"status": outcome.status, "error": outcome.error})
        else:
            replayed = {"replayed": True} if outcome.status == OK else {}
            results.append({"status": outcome.status, "id": str(outcome.pk), "linked": outcome.linked, **replayed})
    return results


class Scores(APIView):
    permission_classes = [allow(scope=ApiKey.Scope.INGEST)]

    @extend_schema(operation_id="score_create", tags=["Intake"], parameters=[openapi.IDEMPOTENCY_KEY],
                   **openapi.posting(ScoreIn, openapi.RECEIVED))  # fmt: skip
    def post(self, request: Request) -> HttpResponse:
        """Store the verdict of a machine or a third party on one interaction."""
        parsed = bodies.one(_django(request), limits.FEEDBACK_BODY)
        item = _with_key(_object(parsed), request.headers.get("Idempotency-Key"))
        outcome = services.record_score(_caller(request).project, item)
        body = {"id": str(outcome.score.pk), "linked": outcome.linked, "replayed": not outcome.created}
        body |= _notes(item, ScoreIn, sanitized=parsed.sanitized)
        return answer(CREATED if outcome.created else OK, body, None if outcome.created else REPLAY)


def _size(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 4 or not 1 <= int(text) <= limits.PAGE_SIZE_MAX:
        raise invalid("/limit", f"A number from 1 to {limits.PAGE_SIZE_MAX}.")
    return int(text)
