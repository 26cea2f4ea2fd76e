"""Queues and rules for programs and leads: the same services as the pages, described in ``openapi_manage``."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.dateparse import parse_datetime
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from annotations import api, backfill, openapi_manage, queries, queue_settings, rules
from annotations.api import answer
from annotations.checking import Settings, flag, maybe, one_of, whole
from annotations.models import Backfill, Queue, TriageRule
from feedback import bodies, limits
from projects.access import Right
from projects.auth import allow, caller_of
from projects.errors import ApiError, invalid
from projects.models import ApiKey

BODY = limits.FEEDBACK_BODY
READ, CHANGE = "GET", allow(scope=ApiKey.Scope.WRITE, right=Right.LEAD)


class Managed(APIView):
    """Whoever may read the project reads; leads, admins and keys with the scope ``write`` change."""

    def get_permissions(self) -> list[BasePermission]:
        if self.request.method == READ:
            return [allow(scope=ApiKey.Scope.READ, right=Right.READ)()]
        return [CHANGE()]

    @staticmethod
    def body(request: Request) -> dict[str, Any]:
        """The JSON object of the body."""
        value = bodies.one(request._request, BODY).value
        if not isinstance(value, dict):
            raise invalid("/", "The body is one JSON object.")
        return value

    @staticmethod
    def queue(request: Request, slug: str) -> Queue:
        """The queue of this name; 404 otherwise."""
        return get_object_or_404(Queue, project=caller_of(request).project, slug=slug)

    @staticmethod
    def rule(request: Request, slug: str) -> TriageRule:
        """The rule of this name; 404 otherwise."""
        rows = TriageRule.objects.select_related("queue", "project")
        return get_object_or_404(rows, project=caller_of(request).project, slug=slug)


def queue_as_json(queue: Queue) -> dict[str, Any]:
    """A queue's settings, with what was measured."""
    measured = {
        "measured_per_day": queue.measured_per_day, "measured_at": queue.measured_at, "admission_p": queue.admission_p
    }  # fmt: skip
    return {"slug": queue.slug, "version": queue.version, **queue_settings.snapshot(queue), **measured}


def rule_as_json(rule: TriageRule) -> dict[str, Any]:
    """A rule with the version that its next tasks will keep."""
    return {"slug": rule.slug, "version": rule.version, "changed_at": rule.changed_at, **rules.snapshot(rule)}


def backfill_as_json(job: Backfill) -> dict[str, Any]:
    """How far a backfill is."""
    return {
        "state": job.state, "rule_version": job.rule_version, "since": job.since, "total": job.total,
        "seen": job.seen, "matched": job.matched, "made": job.made, "reason": job.reason or None,
        "started_at": job.started_at, "ended_at": job.ended_at,
    }  # fmt: skip


class Queues(api.Queues):
    """``/api/v1/queues``: those that the caller may work, and new ones."""

    def get_permissions(self) -> list[BasePermission]:
        if self.request.method == READ:
            return [allow(scope=ApiKey.Scope.READ, right=Right.REVIEW)()]
        return [CHANGE()]

    @extend_schema(operation_id="queue_list", **openapi_manage.QUEUE_LIST)
    def get(self, request: Request) -> HttpResponse:
        """The queues that this person may work; for a secret key all, paused ones too."""
        caller = caller_of(request)
        if caller.user is not None:
            return super().get(request)
        rows = queries.queue_overview(caller.project, None)
        return answer({"results": [api.queue_row(row) for row in rows]})

    @extend_schema(operation_id="queue_create", **openapi_manage.QUEUE_CREATE)
    def post(self, request: Request) -> HttpResponse:
        """Make a queue. Nothing comes into it until a rule names it."""
        caller = caller_of(request)
        fields = Managed.body(request)
        queue = queue_settings.save(project=caller.project, actor=caller.user, queue=None, fields=fields)
        return answer(queue_as_json(queue), 201)


class OneQueue(Managed):
    """``/api/v1/queues/{slug}``: its settings."""

    @extend_schema(operation_id="queue_read", **openapi_manage.QUEUE_READ)
    def get(self, request: Request, queue: str) -> HttpResponse:
        """All settings of a queue, its members included."""
        return answer(queue_as_json(self.queue(request, queue)))

    @extend_schema(operation_id="queue_update", **openapi_manage.QUEUE_UPDATE)
    def patch(self, request: Request, queue: str) -> HttpResponse:
        """Change some settings; absent ones stay. What decides on tasks raises the version."""
        row, caller = self.queue(request, queue), caller_of(request)
        fields = self.body(request)
        saved = queue_settings.save(project=caller.project, actor=caller.user, queue=row, fields=fields)
        return answer(queue_as_json(saved))

    @extend_schema(operation_id="queue_delete", **openapi_manage.QUEUE_DELETE)
    def delete(self, request: Request, queue: str) -> HttpResponse:
        """Delete a queue that no rule fills and that never had a task; 409 says what to do otherwise."""
        queue_settings.remove(actor=caller_of(request).user, queue=self.queue(request, queue))
        return HttpResponse(status=204)


class Rules(Managed):
    """``/api/v1/rules``."""

    @extend_schema(operation_id="rule_list", **openapi_manage.RULE_LIST)
    def get(self, request: Request) -> HttpResponse:
        """The rules in the order in which they are read, those that are switched off included."""
        rows = TriageRule.objects.select_related("queue").filter(project=caller_of(request).project)
        return answer({"results": [rule_as_json(row) for row in rows.order_by("position", "id")]})

    @extend_schema(operation_id="rule_create", **openapi_manage.RULE_CREATE)
    def post(self, request: Request) -> HttpResponse:
        """Make a rule. It applies to what comes from now on; a backfill applies it to the past."""
        caller = caller_of(request)
        fields = self.body(request)
        rule = rules.save(project=caller.project, actor=caller.user, rule=None, fields=fields)
        return answer(rule_as_json(rule), 201)


class OneRule(Managed):
    """``/api/v1/rules/{slug}``."""

    @extend_schema(operation_id="rule_read", **openapi_manage.RULE_READ)
    def get(self, request: Request, slug: str) -> HttpResponse:
        """One rule."""
        return answer(rule_as_json(self.rule(request, slug)))

    @extend_schema(operation_id="rule_update", **openapi_manage.RULE_UPDATE)
    def patch(self, request: Request, slug: str) -> HttpResponse:
        """Change some of a rule; absent fields stay. Every change is a new version."""
        row, caller = self.rule(request, slug), caller_of(request)
        fields = self.body(request)
        saved = rules.save(project=caller.project, actor=caller.user, rule=row, fields=fields)
        return answer(rule_as_json(saved))

    @extend_schema(operation_id="rule_delete", **openapi_manage.RULE_DELETE)
    def delete(self, request: Request, slug: str) -> HttpResponse:
        """Delete a rule. Its tasks stay, with their reasons and draws."""
        rules.remove(actor=caller_of(request).user, rule=self.rule(request, slug))
        return HttpResponse(status=204)


class RulePreview(Managed):
    """``/api/v1/rules/preview``. Changes nothing, but whoever tries rules is one who makes them."""

    @extend_schema(operation_id="rule_preview", **openapi_manage.RULE_PREVIEW)
    def post(self, request: Request) -> HttpResponse:
        """Try a rule, or changes of the one that ``rule`` names, on the newest interactions."""
        fields = self.body(request)
        settings = Settings(fields)
        last = settings.take("last", rules.LAST, whole(1, rules.LAST))
        known = {row.slug: row for row in TriageRule.objects.filter(project=caller_of(request).project)}
        slug = settings.take("rule", None, maybe(one_of(known)))
        settings.done()
        rule = known[slug] if slug is not None else None
        draft = {name: value for name, value in fields.items() if name not in {"last", "rule"}}
        found = rules.preview(caller_of(request).project, draft, last=last, rule=rule)
        return answer({
            "matched": found.matched, "of": found.of, "drawn": found.drawn,
            "newest": [row.external_id for row in found.newest], "faults": found.faults,
        })  # fmt: skip


class RuleBackfill(Managed):
    """``/api/v1/rules/{slug}/backfill``: applying a rule to the past."""

    @extend_schema(operation_id="backfill_read", **openapi_manage.BACKFILL_READ)
    def get(self, request: Request, slug: str) -> HttpResponse:
        """How far the last backfill of this rule is; 404 if there was none."""
        return answer(backfill_as_json(self._last(request, slug)))

    @extend_schema(operation_id="backfill_start", **openapi_manage.BACKFILL_START)
    def post(self, request: Request, slug: str) -> HttpResponse:
        """Apply the rule to what has arrived already; with ``dry_run`` only count."""
        rule = self.rule(request, slug)
        settings = Settings(self.body(request))
        settings.know(("since", "dry_run"))
        since = settings.take("since", None, maybe(_moment))
        dry_run = settings.take("dry_run", False, flag)
        settings.done()
        if dry_run:
            found = backfill.count(rule, since=since)
            return answer({
                "of": found.of, "matched": found.matched, "would_make": found.would_make, "exact": found.exact
            })  # fmt: skip
        job = backfill.start(actor=caller_of(request).user, rule=rule, since=since)
        return answer(backfill_as_json(job), 202)

    @extend_schema(operation_id="backfill_stop", **openapi_manage.BACKFILL_STOP)
    def delete(self, request: Request, slug: str) -> HttpResponse:
        """Stop it. What it has made stays."""
        job = backfill.stop(actor=caller_of(request).user, job=self._last(request, slug))
        return answer(backfill_as_json(job))

    def _last(self, request: Request, slug: str) -> Backfill:
        job = backfill.newest_of(self.rule(request, slug))
        if job is None:
            raise ApiError(404, "not_found", "This rule has not been applied to the past.")
        return job


def _moment(value: Any, path: str) -> datetime:
    """A time with its zone, within the years that are kept."""
    try:
        moment = parse_datetime(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise invalid(path, "A time with its zone, such as 2026-11-20T12:00:00Z.")
    if not limits.FIRST_YEAR < moment.year < limits.LAST_YEAR:
        raise invalid(path, f"A year after {limits.FIRST_YEAR} and before {limits.LAST_YEAR}.")
    return moment
