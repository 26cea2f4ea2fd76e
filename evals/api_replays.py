"""Replays for programs: ask a stored request again, and read what came of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from drf_spectacular.utils import OpenApiResponse, extend_schema
from msgspec import Meta
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from evals import replay_pages, replays
from evals.api import CURATORS, body_object, caller_of
from evals.models import Replay, ReplayAttempt
from evals.models_replay import MOST_TIMES
from feedback import limits
from feedback.models import Interaction
from feedback.openapi import WHOLE, body_of
from feedback.schema import Identifier, check
from projects.access import Right
from projects.auth import allow
from projects.errors import ApiError, invalid
from projects.models import ApiKey, Project, ProviderConnection
from projects.openapi import ERROR


class ReplayIn(replays.RequestIn, kw_only=True):
    """``POST /api/v1/replays``. What is left out is sent as it was recorded; ``connection`` is a connection's name.
    Without ``checks`` the label's demands decide, or, where there are none, a person."""

    interaction_id: Identifier
    times: Annotated[int, Meta(ge=1, le=MOST_TIMES)] = replays.TIMES
    provider: Literal["openai", "anthropic"] | None = None
    connection: Annotated[str, Meta(max_length=80)] = ""
    model: Annotated[str, Meta(max_length=200)] = ""
    checks: list[dict[str, Any]] | None = None


class Replays(APIView):
    permission_classes = [allow(scope=ApiKey.Scope.WRITE, right=CURATORS)]

    @extend_schema(
        operation_id="replay_start", tags=["Replays"], request={"application/json": body_of(ReplayIn)},
        responses={201: WHOLE, 404: OpenApiResponse(ERROR, "No such interaction")},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Ask a stored request again, up to 50 times: as it was, or with another model, other messages, documents,
        tools or parameters. The attempts are made by workers."""
        caller = caller_of(request)
        given = body_object(request, limits.INTERACTION_BODY)
        parsed = check(given, ReplayIn)
        interaction = _interaction(caller.project, parsed.interaction_id)
        connection = _connection(caller.project, parsed.connection)
        provider = connection.kind if connection else parsed.provider or replays.kind_of(interaction)
        wanted = replays.checks_of_label(replays.current_label(interaction)) if parsed.checks is None else parsed.checks
        made = replays.start(
            interaction, provider=provider, connection=connection, model=parsed.model or interaction.model,
            times=parsed.times, wanted=wanted, actor=caller.user,
            request={name: given[name] for name in replays.PARTS if given.get(name) is not None},
        )  # fmt: skip
        return Response(replay_pages.told(made, replays.found(made)), status=201)


class ReplayDetail(APIView):
    permission_classes = [allow(scope=ApiKey.Scope.READ, right=Right.READ)]

    @extend_schema(operation_id="replay_read", tags=["Replays"], responses={200: WHOLE})
    def get(self, request: Request, pk: int) -> Response:
        """Read a replay: how many attempts fail again, with a 95 % interval, and each attempt with its answer."""
        found = Replay.objects.select_related("interaction", "project", "connection")
        replay = found.filter(project=caller_of(request).project, pk=pk).first()
        if replay is None:
            raise ApiError(404, "not_found", "There is no such replay.")
        attempts = [attempt_body(one) for one in replay.attempts.order_by("number")]
        whole = {"interaction_id": replay.interaction.external_id, "request": replay.request, "checks": replay.checks}
        return Response({**replay_pages.told(replay, replays.found(replay)), **whole, "attempts": attempts})


def attempt_body(attempt: ReplayAttempt) -> dict[str, Any]:
    """One attempt as the API tells it. What stands in ``cost_usd`` before the end is a reservation, and not told."""
    told = ("number", "finished_at", "output", "error", "fails", "checks", "latency_ms", "input_tokens",
            "output_tokens")  # fmt: skip
    cost = attempt.cost_usd if attempt.finished_at else None
    return {**{name: getattr(attempt, name) for name in told}, "cost_usd": cost}


def _interaction(project: Project, external_id: str) -> Interaction:
    found = Interaction.objects.select_related("project").filter(project=project, external_id=external_id).first()
    if found is None:
        raise ApiError(404, "not_found", "There is no such interaction.")
    return found


def _connection(project: Project, name: str) -> ProviderConnection | None:
    if not name:
        return None
    found: ProviderConnection | None = project.connections.filter(name=name).first()
    if found is None:
        raise invalid("/connection", "There is no such connection.")
    return found
