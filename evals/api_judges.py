"""Judges for programs: what they are, what they have done, their dead list, backfills and replays."""

from __future__ import annotations

from typing import Any, cast

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from evals import backfills, batches, judge_reports, judges, judging, openapi_judges
from evals.api_judge_making import MakingJudges
from evals.judge_forms import MAX_BACKFILL
from evals.models import Judge, JudgeBatch, JudgeJob
from feedback import bodies
from projects.access import Right
from projects.auth import allow
from projects.errors import invalid
from projects.keys import Caller
from projects.models import ApiKey, Project

PAGE = 100
READERS = allow(scope=ApiKey.Scope.READ, right=Right.READ)
BUILDERS = allow(scope=ApiKey.Scope.WRITE, right=Right.BUILD)
MAX_BODY = 64 * 1024


def _caller(request: Request) -> Caller:
    return cast(Caller, request.auth)


def _body(request: Request) -> dict[str, Any]:
    value = bodies.one(request._request, MAX_BODY).value
    if not isinstance(value, dict):
        raise invalid("/", "The body is one JSON object.")
    return value


def _judge(project: Project, slug: str, version: Any = None) -> Judge:
    """The version asked for, else the one at work, else the newest; 404 where there is none."""
    found = Judge.objects.filter(project=project, slug=slug).select_related("connection", "project")
    if version is not None:
        if isinstance(version, bool) or not str(version).isdecimal() or len(str(version)) > 6:
            raise invalid("/version", "A version is a number.")
        found = found.filter(version=int(version))
    judge = found.order_by("-enabled", "-version").first()
    if judge is None:
        raise Http404("No such judge")
    return judge


def judge_body(row: judge_reports.JudgeRow) -> dict[str, Any]:
    """A judge as the API tells it: the version at work with its last seven days."""
    judge = row.judge
    return {
        "judge": judge.slug, "name": judge.name, "version": judge.version, "enabled": judge.enabled,
        "model": judge.model, "provider": judge.provider, "threshold": judge.threshold,
        "sample_rate": judge.sample_rate, "needs": row.needs or None, "verdicts": row.verdicts,
        "flagged": row.flagged, "waiting": row.waiting, "failed": row.failed, "last_verdict_at": row.last,
    }  # fmt: skip


def job_body(job: JudgeJob) -> dict[str, Any]:
    """A job of the dead list."""
    return {
        "id": job.pk, "interaction_id": job.interaction.external_id, "error": job.error, "attempts": job.attempts,
        "finished_at": job.finished_at,
    }  # fmt: skip


class Judges(MakingJudges):
    def get_permissions(self) -> list[BasePermission]:
        return [(BUILDERS if self.request.method == "POST" else READERS)()]

    @extend_schema(operation_id="judge_list", **openapi_judges.LIST)
    def get(self, request: Request) -> Response:
        """List the judges, each with the version at work and its last seven days."""
        return Response({"results": [judge_body(row) for row in judge_reports.judge_rows(_caller(request).project)]})


class DeadJobs(APIView):
    permission_classes = [READERS]

    @extend_schema(operation_id="judge_dead_list", **openapi_judges.DEAD)
    def get(self, request: Request, judge: str) -> Response:
        """List the newest 100 jobs of a judge's version that ended without a verdict."""
        shown = _judge(_caller(request).project, judge, request.query_params.get("version"))
        jobs = judge_reports.verdicts(shown, cell=judge_reports.FAILED, limit=PAGE)
        return Response({"version": shown.version, "results": [job_body(job) for job in jobs]})


class Replay(APIView):
    permission_classes = [BUILDERS]

    @extend_schema(operation_id="judge_replay", **openapi_judges.REPLAY)
    def post(self, request: Request, judge: str) -> Response:
        """Give jobs without a verdict another five attempts: all of them, or those in `jobs`."""
        body, caller = _body(request), _caller(request)
        jobs = body.get("jobs")
        if jobs is not None and not (
            isinstance(jobs, list) and len(jobs) <= PAGE and all(type(one) is int and 0 < one <= 2**53 for one in jobs)
        ):
            raise invalid("/jobs", f"A list of at most {PAGE} numbers of jobs.")
        shown = _judge(caller.project, judge, body.get("version"))
        return Response({"replayed": judges.replay(shown, actor=caller.user, only=jobs)})


class Backfill(APIView):
    permission_classes = [BUILDERS]

    @extend_schema(operation_id="judge_backfill", **openapi_judges.BACKFILL)
    def post(self, request: Request, judge: str) -> Response:
        """Judge the newest interactions that the version has not seen; with `preview` only count and cost."""
        body, caller = _body(request), _caller(request)
        limit = body.get("limit")
        if type(limit) is not int or not 1 <= limit <= MAX_BACKFILL:
            raise invalid("/limit", f"A whole number from 1 to {MAX_BACKFILL:,}.")
        for name in ("preview", "batch"):
            if not isinstance(body.get(name, False), bool):
                raise invalid(f"/{name}", "true or false.")
        shown = _judge(caller.project, judge, body.get("version"))
        if not body.get("preview"):
            return Response({"started": _start(shown, limit, caller, batch=body.get("batch", False))}, status=201)
        found = backfills.preview(shown, limit)
        return Response({
            "count": found.count, "input_tokens": found.input_tokens, "output_tokens": found.output_tokens,
            "likely_usd": found.likely_usd, "most_usd": found.most_usd, "left_usd": found.left_usd,
            "batch_offered": found.batch_offered, "batch_likely_usd": found.batch_likely_usd,
            "batch_most_usd": found.batch_most_usd,
            "needs": judging.missing_key(shown) or None,
        })  # fmt: skip


def _start(judge: Judge, limit: int, caller: Caller, *, batch: bool) -> int:
    try:
        return judges.start_backfill(judge, limit=limit, actor=caller.user, batch=batch)
    except batches.NotOffered:
        raise invalid("/batch", "This provider takes no batches at half the price.") from None


def batch_body(batch: JudgeBatch) -> dict[str, Any]:
    """A batch as the API tells it."""
    return {
        "id": batch.pk, "state": batch.state, "provider_batch": batch.name or None, "items": batch.items,
        "answered": batch.done // batches.orders(batch.judge), "created_at": batch.created_at,
        "sent_at": batch.sent_at, "cancelled_at": batch.cancelled_at, "ended_at": batch.ended_at,
        "error": batch.error or None,
    }  # fmt: skip


class Batches(APIView):
    permission_classes = [READERS]

    @extend_schema(operation_id="judge_batch_list", **openapi_judges.BATCHES)
    def get(self, request: Request, judge: str) -> Response:
        """List the newest 100 batches of a judge's version."""
        shown = _judge(_caller(request).project, judge, request.query_params.get("version"))
        found = batches.listed(shown, limit=PAGE)
        return Response({"version": shown.version, "results": [batch_body(one) for one in found]})


class CancelBatches(APIView):
    permission_classes = [BUILDERS]

    @extend_schema(operation_id="judge_batches_cancel", **openapi_judges.CANCEL)
    def post(self, request: Request, judge: str) -> Response:
        """Stop all batches of a judge's version; what they have not judged goes to its dead list."""
        body, caller = _body(request), _caller(request)
        shown = _judge(caller.project, judge, body.get("version"))
        return Response({"items": judges.cancel_batches(shown, actor=caller.user)})
