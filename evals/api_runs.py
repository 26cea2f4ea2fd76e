"""Regression runs for programs. Bodies are described in ``evals.schema``."""

from __future__ import annotations

import uuid
from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from evals import checks, export, runs, schema
from evals.api import body_object, caller_of
from evals.models import DatasetVersion, Result, Run
from evals.schema import OverrideIn, ResultsIn, RunIn
from feedback import limits
from feedback.openapi import LISTED, WHOLE, body_of
from feedback.schema import check
from projects.access import Right
from projects.auth import allow
from projects.errors import ApiError, invalid
from projects.keys import Caller
from projects.models import ApiKey
from projects.openapi import ERROR

CURSOR: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}


def run_body(run: Run) -> dict[str, Any]:
    """A run as the API tells it; after the end with the gate's report."""
    told = ("total", "split", "rules", "plan", "reason", "change", "counts", "flips", "tests", "needed", "categories",
            "flake")  # fmt: skip
    return {
        "id": run.pk, "dataset": run.version.dataset.slug, "version": run.version.number, "candidate": run.candidate,
        "target": run.target, "checks": run.checks, "baseline": run.baseline_id, "state": run.state,
        "verdict": run.verdict or None, "created_at": run.created_at, "finished_at": run.finished_at,
        "approved_at": run.approved_at, "override": _override(run), "gate": _gate(run),
        **{name: run.summary.get(name) for name in told},
    }  # fmt: skip


def result_body(result: Result) -> dict[str, Any]:
    """One answer as the API tells it: what was sent, with the server's verdict where it judged."""
    told = ("repeat", "output", "passed", "checks", "error", "latency_ms", "cost_usd", "score", "created_at")
    return {"example": result.example_key, **{name: getattr(result, name) for name in told}}


def _gate(run: Run) -> str | None:
    """Whether a release may go out: ``open`` on a pass or by a person's decision, otherwise ``closed``; None before
    the end."""
    if run.state != Run.State.FINISHED:
        return None
    return "open" if run.verdict == Run.Verdict.PASS or run.overridden_at else "closed"


def _override(run: Run) -> dict[str, Any] | None:
    if run.overridden_at is None:
        return None
    by = run.overridden_by.email if run.overridden_by else None
    return {"reason": run.override_reason, "by": by, "at": run.overridden_at}


class Runs(APIView):
    permission_classes = [allow(scope=ApiKey.Scope.RUNS, right=Right.BUILD)]

    @extend_schema(
        operation_id="run_start", tags=["Runs"], request={"application/json": body_of(RunIn)},
        responses={201: WHOLE, 200: WHOLE, 404: OpenApiResponse(ERROR, "No such dataset, version or baseline")},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Start a run of a candidate on a frozen version. With an ``id`` of your making, asking again is harmless."""
        caller = caller_of(request)
        parsed = check(body_object(request, schema.RUN_BODY), RunIn)
        version = export.find_version(export.find_dataset(caller.project, parsed.dataset), str(parsed.version))
        wanted = checks.parse(parsed.checks) or runs.EXPECTED
        run, created = runs.start_run(
            caller.project, version=version, candidate=parsed.candidate, target=parsed.target, wanted=wanted,
            baseline=_baseline(caller, parsed.baseline, version, wanted), rules=schema.rules(parsed.rules),
            split=parsed.split, repeats=parsed.repeats, flaky_repeats=parsed.flaky_repeats, run_id=parsed.id,
            actor=caller.user,
        )  # fmt: skip
        return Response(run_body(run), status=201 if created else 200)


def _baseline(caller: Caller, wish: str, version: DatasetVersion, wanted: list[dict[str, Any]]) -> Run | None:
    """The run that the caller wants to compare with; no approved one yet is no fault."""
    if wish == "approved":
        return runs.approved_baseline(version, wanted)
    if wish == "none":
        return None
    try:
        found = Run.objects.select_related("version").filter(project=caller.project, pk=uuid.UUID(wish)).first()
    except ValueError:
        raise invalid("/baseline", "A baseline is approved, none, or the id of a run.") from None
    if found is None:
        raise invalid("/baseline", "There is no such run.")
    return found


def find_run(caller: Caller, run_id: uuid.UUID) -> Run:
    """The project's run of this id, or 404."""
    run = (
        Run.objects.select_related("version__dataset", "project", "baseline", "overridden_by")
        .filter(project=caller.project, pk=run_id)
        .first()
    )
    if run is None:
        raise ApiError(404, "not_found", "There is no such run.")
    return run


class RunDetail(APIView):
    permission_classes = [allow(scope=ApiKey.Scope.READ, right=Right.READ)]

    @extend_schema(operation_id="run_read", tags=["Runs"], responses={200: WHOLE})
    def get(self, request: Request, run_id: uuid.UUID) -> Response:
        """Read a run. While it is running, ``missing`` are the examples that wait for an answer, and ``answered`` the
        repeats that some of these have already."""
        run = find_run(caller_of(request), run_id)
        missing = runs.missing_keys(run) if run.state == Run.State.RUNNING else []
        return Response({**run_body(run), "missing": missing, "answered": runs.answered_repeats(run, missing)})


class Flaky(APIView):
    permission_classes = [allow(scope=ApiKey.Scope.READ, right=Right.READ)]

    @extend_schema(operation_id="flaky_list", tags=["Runs"], responses={200: WHOLE})
    def get(self, request: Request, slug: str, number: str) -> Response:
        """List the examples that passed and failed within one of the last 20 finished runs on the dataset: those that
        a run's `flaky_repeats` asks again."""
        version = export.find_version(export.find_dataset(caller_of(request).project, slug), number)
        return Response({"results": runs.flaky_keys(version)})


class RunResults(APIView):
    """``/api/v1/runs/{id}/results``: send answers, or read what was sent."""

    def get_permissions(self) -> list[BasePermission]:
        if self.request.method == "POST":
            return [allow(scope=ApiKey.Scope.RUNS, right=Right.BUILD)()]
        return [allow(scope=ApiKey.Scope.READ, right=Right.READ)()]

    @extend_schema(
        operation_id="run_results", tags=["Runs"], responses={200: LISTED},
        parameters=[OpenApiParameter("cursor", CURSOR, description="``next`` of the page before")],
    )  # fmt: skip
    def get(self, request: Request, run_id: uuid.UUID) -> Response:
        """Read the answers of a run in the order in which they came, at most 200 and about 4 MB at a time. ``next`` is
        the cursor of the page after this one, or null."""
        cursor = request.query_params.get("cursor", "0")
        if not (cursor.isascii() and cursor.isdecimal() and int(cursor) < 2**63):
            raise invalid("/cursor", "A cursor is the number that a page gave as next.")
        rows, last = runs.results_after(find_run(caller_of(request), run_id), int(cursor))
        return Response({"results": [result_body(row) for row in rows], "next": last and str(last)})

    @extend_schema(
        operation_id="run_add_results", tags=["Runs"], request={"application/json": body_of(ResultsIn)},
        responses={200: WHOLE},
    )  # fmt: skip
    def post(self, request: Request, run_id: uuid.UUID) -> Response:
        """Send answers, up to 500 at a time. All are stored or none; sending them again changes nothing."""
        run = find_run(caller_of(request), run_id)
        added = runs.add_results(run, schema.results(body_object(request, limits.BATCH_BODY)))
        return Response({"stored": added.stored, "replayed": added.replayed, "missing": added.missing})


class RunFinish(APIView):
    permission_classes = [allow(scope=ApiKey.Scope.RUNS, right=Right.BUILD)]

    @extend_schema(operation_id="run_finish", tags=["Runs"], request=None, responses={200: WHOLE})
    def post(self, request: Request, run_id: uuid.UUID) -> Response:
        """Let the gate decide: ``verdict``, ``flips`` and ``tests``. Asking again gives the same answer."""
        return Response(run_body(runs.finish_run(find_run(caller_of(request), run_id))))


class RunOverride(APIView):
    permission_classes = [allow(right=Right.LEAD)]

    @extend_schema(
        operation_id="run_override", tags=["Runs"], request={"application/json": body_of(OverrideIn)},
        responses={200: WHOLE},
    )  # fmt: skip
    def post(self, request: Request, run_id: uuid.UUID) -> Response:
        """Open the gate against its verdict, with a reason. The verdict stays; who did it and why is kept."""
        caller = caller_of(request)
        run = find_run(caller, run_id)
        if caller.user is None:
            raise ApiError(403, "forbidden", "A person has to answer for this: use a personal token.")
        reason = check(body_object(request, limits.FEEDBACK_BODY), OverrideIn).reason
        runs.override(run, reason=reason, actor=caller.user)
        return Response(run_body(find_run(caller, run_id)))
