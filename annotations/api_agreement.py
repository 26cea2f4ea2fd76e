"""Agreement between reviewers for programs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from annotations import agreement_report, openapi_agreement, shared_items
from annotations.agreement import Agreement
from annotations.agreement_report import Mode, Pair, Question, Report
from annotations.api import answer
from feedback import limits
from projects.access import Right
from projects.auth import allow, caller_of
from projects.errors import invalid
from projects.models import ApiKey

USUALLY = timedelta(days=30)


def moment(request: Request, name: str) -> datetime | None:
    """The time of a query parameter, None if it is absent; 422 where it is none."""
    text = request.GET.get(name, "")
    if not text:
        return None
    try:
        found = parse_datetime(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None or not limits.FIRST_YEAR < found.year < limits.LAST_YEAR:
        raise invalid(f"/{name}", "A time with its zone, such as 2026-11-20T12:00:00Z.")
    return found


def figure(found: Agreement) -> dict[str, Any]:
    """A coefficient. Under 30 shared items there is no value, only ``n``."""
    few = found.word == "few"
    return {
        "value": None if few else found.value, "low": None if few else found.low, "high": None if few else found.high,
        "n": found.n, "reading": found.word,
    }  # fmt: skip


def _question(one: Question) -> dict[str, Any]:
    return {
        "question": one.key, "metric": one.metric, "same_answer": figure(one.share),
        "krippendorff_alpha": figure(one.alpha), "gwet": figure(one.gwet), "one_sided": one.one_sided,
    }  # fmt: skip


def _mode(one: Mode) -> dict[str, Any]:
    alpha = figure(one.alpha) if one.enough else figure(Agreement(None, None, None, 0)) | {"n": one.alpha.n}
    return {"category": one.slug, "label": one.label, "named": one.named, "differ": one.differ,
            "krippendorff_alpha": alpha}  # fmt: skip


def _pair(one: Pair) -> dict[str, Any]:
    return {"reviewers": [one.one.email, one.other.email], "same_verdict": one.same, "cohen_kappa": figure(one.kappa)}


def as_json(found: Report) -> dict[str, Any]:
    """The whole report."""
    return {
        "items": found.n, "more": found.shared.more, "summary": found.heading,
        "questions": [_question(one) for one in found.questions],
        "categories": [_mode(one) for one in found.modes],
        "pairs": [_pair(one) for one in found.pairs],
        "median_kappa": found.median_kappa,
        "verdicts": [{"first": a, "second": b, "items": count} for (a, b), count in found.table.items()],
    }  # fmt: skip


class AgreementView(APIView):
    """``/api/v1/agreement``: leads, and keys with the scope ``read``."""

    permission_classes = [allow(scope=ApiKey.Scope.READ, right=Right.LEAD)]

    @extend_schema(operation_id="agreement_read", **openapi_agreement.READ)
    def get(self, request: Request) -> HttpResponse:
        """How far reviewers agree on what two or more labelled independently, of the last 30 days unless said."""
        project, slug = caller_of(request).project, request.GET.get("queue", "")
        queue = get_object_or_404(project.queues, slug=slug) if slug else None
        since, until = moment(request, "since"), moment(request, "until")
        since = since or (until or timezone.now()) - USUALLY
        shared = shared_items.load(project, queue=queue, since=since, until=until)
        return answer(as_json(agreement_report.report(shared)))
