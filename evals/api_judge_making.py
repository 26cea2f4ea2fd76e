"""Making judges by programs: the presets, a preview on a real item, and a new judge or version."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from drf_spectacular.utils import extend_schema
from msgspec import UNSET, Meta, Struct, UnsetType
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from evals import (
    few_shot,
    judge_preview,
    judge_variables,
    judges,
    judging,
    openapi_judges,
    rubric_drafts,
    rubric_writing,
)
from evals.api import body_object, caller_of
from evals.judge_forms import MAX_RUBRIC
from evals.judge_presets import PRESETS
from evals.models import Judge
from feedback.openapi import body_of
from feedback.schema import Identifier, check
from projects.access import Right
from projects.auth import allow
from projects.errors import ApiError, invalid
from projects.models import ApiKey, Project, ProviderConnection

READERS = allow(scope=ApiKey.Scope.READ, right=Right.READ)
BUILDERS = allow(scope=ApiKey.Scope.WRITE, right=Right.BUILD)
MAX_BODY = 64 * 1024
Share = Annotated[float, Meta(ge=0, le=1)]
Name = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"\S")]
Preset = Literal[
    "faithfulness", "relevance", "helpfulness", "correctness", "instruction-following", "tone", "safety",
    "refusal-correctness", "assertion-check", "pairwise-preference",
]  # fmt: skip
Rubric = Annotated[str, Meta(min_length=1, max_length=MAX_RUBRIC, pattern=r"\S")]


class AskedIn(Struct):
    """``POST /api/v1/judge-draft``: which model is asked.

    ``connection`` is the name of one of the project's; without it the provider's key of the installation is used.
    """

    model: Annotated[str, Meta(min_length=1, max_length=120, pattern=r"\S")]
    provider: Literal["openai", "anthropic"] = "openai"
    connection: Annotated[str, Meta(min_length=1, max_length=80)] | UnsetType = UNSET


class JudgeIn(AskedIn):
    """``POST /api/v1/judges``. With ``preset`` the rubric, the name and the threshold are its own where not given.

    ``examples`` is how many settled labels of the train part the prompt shows at most, half of them fails.
    """

    name: Name | UnsetType = UNSET
    preset: Preset | UnsetType = UNSET
    criterion: Rubric | UnsetType = UNSET
    threshold: Share | UnsetType = UNSET
    sample_rate: Share = 0.0
    kind: Literal["score", "pairwise"] | UnsetType = UNSET
    examples: Annotated[int, Meta(ge=0, le=few_shot.MOST)] = 0


class PreviewIn(JudgeIn):
    """``POST /api/v1/judge-preview``: a judge that is not saved, and the interaction that it would be shown."""

    interaction_id: Identifier | UnsetType = UNSET


Wish = TypeVar("Wish", bound=AskedIn)
# Without a preset, what it would give is needed.
_RULE = {"anyOf": [{"required": ["preset"]}, {"required": ["name", "criterion"]}]}
JUDGE_BODY = {**body_of(JudgeIn), **_RULE}
PREVIEW_BODY = {**body_of(PreviewIn), **_RULE}


def fields_of(project: Project, wish: JudgeIn) -> dict[str, Any]:
    """What ``judges.create_judge`` wants; 422 with the path of what does not fit."""
    preset = PRESETS[wish.preset] if wish.preset else None
    criterion = wish.criterion or (preset.rubric if preset else "")
    name = wish.name or (preset.name if preset else "")
    for path, value in (("/criterion", criterion), ("/name", name)):
        if not value:
            raise invalid(path, "This is needed where there is no preset.")
    kind = wish.kind or (preset.kind if preset else Judge.Kind.SCORE)
    if preset and not wish.criterion and kind != preset.kind:
        raise _conflict("/kind", f"This preset gives a {preset.kind}.")
    if kind == Judge.Kind.PAIRWISE and wish.examples:
        raise _conflict("/examples", "A comparison takes no examples.")
    if wrong := judge_variables.faults(criterion, compares=kind == Judge.Kind.PAIRWISE):
        raise ApiError(
            422, "invalid", str(wrong[0]), [{"path": "/criterion", "message": str(fault)} for fault in wrong]
        )
    usual = preset.threshold if preset else 0.5
    return {
        **_source(project, wish), "name": name, "criterion": criterion, "sample_rate": wish.sample_rate,
        "examples": wish.examples, "kind": kind, "threshold": usual if wish.threshold is UNSET else wish.threshold,
    }  # fmt: skip


def _source(project: Project, wish: AskedIn) -> dict[str, Any]:
    """Who is asked; 404 where there is no such connection."""
    connection = ProviderConnection.objects.filter(project=project, name=wish.connection or "").first()
    if wish.connection and connection is None:
        raise _not_found("/connection", "There is no connection of this name.")
    return {"provider": wish.provider, "connection": connection, "model": wish.model}


def _wish(request: Request, shape: type[Wish]) -> Wish:
    """The body as ``shape``; 4.0 is a whole number here as it is in JSON Schema."""
    body = body_object(request, MAX_BODY)
    count = body.get("examples")
    return check({**body, "examples": int(count)} if isinstance(count, float) and count.is_integer() else body, shape)


def _not_found(path: str, message: str) -> ApiError:
    return ApiError(404, "not_found", message, [{"path": path, "message": message}])


def _conflict(path: str, message: str) -> ApiError:
    return ApiError(409, "conflict", message, [{"path": path, "message": message}])


def made_body(judge: Judge) -> dict[str, Any]:
    """A judge that was just made."""
    return {
        "judge": judge.slug, "name": judge.name, "version": judge.version, "kind": judge.kind,
        "criterion": judge.criterion, "model": judge.model, "provider": judge.provider, "threshold": judge.threshold,
        "sample_rate": judge.sample_rate,
        "examples": [{"interaction_id": one["interaction_id"], "verdict": one["verdict"]} for one in judge.examples],
        "needs": judging.missing_key(judge) or None,
    }  # fmt: skip


class Presets(APIView):
    permission_classes = [READERS]

    @extend_schema(operation_id="judge_presets", **openapi_judges.PRESETS)
    def get(self, request: Request) -> Response:
        """List the rubrics that a judge can start from, with what each asks and where it comes from."""
        return Response({"results": [
            {"preset": one.slug, "name": one.name, "kind": one.kind, "purpose": one.purpose, "criterion": one.rubric,
             "threshold": one.threshold, "variables": judge_variables.names(one.rubric), "sources": one.sources}
            for one in PRESETS.values()
        ]})  # fmt: skip


class RubricDraft(APIView):
    def get_permissions(self) -> list[BasePermission]:
        return [(BUILDERS if self.request.method == "POST" else READERS)()]

    @extend_schema(operation_id="judge_draft", **openapi_judges.DRAFT)
    def get(self, request: Request) -> Response:
        """Draft a rubric from reviewers' critiques in the train part of the labels; null where there are too few.

        It is text to read, change and send to `POST /api/v1/judges`; nothing is saved.
        """
        found = rubric_drafts.draft(caller_of(request).project)
        if found is None:
            return Response({"criterion": None, "fails": 0, "passes": 0})
        return Response({"criterion": found.rubric, "fails": found.fails, "passes": found.passes})

    @extend_schema(
        operation_id="judge_draft_write", request={"application/json": body_of(AskedIn)}, **openapi_judges.DRAFT_WRITE
    )
    def post(self, request: Request) -> Response:
        """Let a model draft a rubric from the same critiques; takes up to 45 s and draws on the budget of all judges.

        It is text to read, change and send to `POST /api/v1/judges`; nothing is saved. 409 says why there is none.
        """
        caller, wish = caller_of(request), _wish(request, AskedIn)
        asker = judges.draft(
            caller.project, name="Draft", criterion="", threshold=0.5, sample_rate=0, **_source(caller.project, wish)
        )
        try:
            written = rubric_writing.write(asker, actor=caller.user)
        except rubric_writing.NotWritten as reason:
            raise ApiError(409, "not_written", str(reason)) from None
        told = {"criterion": written.draft.rubric, "fails": written.draft.fails, "passes": written.draft.passes}
        return Response({**told, "cost_usd": written.cost_usd})


class Preview(APIView):
    permission_classes = [BUILDERS]

    @extend_schema(operation_id="judge_preview", request={"application/json": PREVIEW_BODY}, **openapi_judges.PREVIEW)
    def post(self, request: Request) -> Response:
        """Show the exact messages that a judge would send about one interaction, and their likely cost. Sends nothing.

        Without ``interaction_id`` it is the newest interaction that the judge can judge.
        """
        wish = _wish(request, PreviewIn)
        project = caller_of(request).project
        found = judge_preview.preview(judges.draft(project, **fields_of(project, wish)), wish.interaction_id or "")
        if found is None:
            raise _not_found(
                "/interaction_id", "There is no such interaction, or none yet that this judge could judge."
            )
        return Response({
            "interaction_id": found.interaction.external_id, "messages": found.messages, "cut": found.prompt.cut,
            "missing": found.prompt.missing, "input_tokens": found.input_tokens, "output_tokens": found.output_tokens,
            "likely_usd": found.likely_usd, "most_usd": found.most_usd,
        })  # fmt: skip


class MakingJudges(APIView):
    """The ``POST`` of ``/api/v1/judges``; ``api_judges.Judges`` adds the list."""

    @extend_schema(operation_id="judge_create", request={"application/json": JUDGE_BODY}, **openapi_judges.CREATE)
    def post(self, request: Request) -> Response:
        """Make a judge, or the next version of the one of this name; the version before it is switched off."""
        caller = caller_of(request)
        wish = _wish(request, JudgeIn)
        judge = judges.create_judge(caller.project, actor=caller.user, **fields_of(caller.project, wish))
        return Response(made_body(judge), status=201)
