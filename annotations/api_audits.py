"""Audits for programs: the list and the figures of one."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from annotations import audits, openapi_audits
from annotations.api import answer
from annotations.models import Audit
from projects.access import Right
from projects.auth import allow, caller_of
from projects.models import ApiKey

MOST = 200


def as_json(found: Audit) -> dict[str, Any]:
    """What was drawn and by whom it was signed."""
    return {
        "id": found.pk, "name": found.name, "since": found.since, "until": found.until, "filters": found.filters,
        "segment_by": found.segment_by or None, "allocation": found.allocation, "size": found.size,
        "population": found.population, "seed": found.seed, "queue": found.queue.slug, "created_at": found.created_at,
        "signed_at": found.signed_at, "signed_by": found.signed_by.email if found.signed_by else None,
        "statement": found.statement or None,
    }  # fmt: skip


def line_as_json(line: audits.Line) -> dict[str, Any]:
    """A segment. Under 30 labels it has an interval and no rate."""
    return {**line.__dict__, "segment": line.segment or None, "value": line.value if line.enough else None}


class AuditView(APIView):
    """Whoever may read the project, and keys with the scope ``read``."""

    permission_classes = [allow(scope=ApiKey.Scope.READ, right=Right.READ)]

    @staticmethod
    def rows(request: Request) -> Any:
        """The project's audits."""
        return Audit.objects.select_related("queue", "signed_by").filter(project=caller_of(request).project)


class Audits(AuditView):
    """``/api/v1/audits``."""

    @extend_schema(operation_id="audit_list", **openapi_audits.LIST)
    def get(self, request: Request) -> HttpResponse:
        """The newest first, at most 200, with how many items have a label."""
        found = list(self.rows(request).order_by("-created_at", "-pk")[:MOST])
        done = audits.labelled([one.pk for one in found])
        return answer({"results": [{**as_json(one), "labelled": done.get(one.pk, 0)} for one in found]})


class OneAudit(AuditView):
    """``/api/v1/audits/{id}``."""

    @extend_schema(operation_id="audit_read", **openapi_audits.READ)
    def get(self, request: Request, pk: int) -> HttpResponse:
        """One audit with its figures: as they are now, or as they were when it was signed; and what was drawn."""
        found = get_object_or_404(self.rows(request), pk=pk)
        figures = audits.result(found)
        items = found.items.order_by("segment", "pk").values_list("interaction__external_id", "segment", "inclusion_p")
        return answer({
            **as_json(found), "labelled": figures.total.labelled, "blind": figures.blind,
            "total": line_as_json(figures.total),
            "segments": [line_as_json(line) for line in figures.lines],
            "categories": figures.as_json()["categories"],
            "items": [
                {"interaction_id": name, "segment": segment or None, "inclusion_p": p} for name, segment, p in items
            ],
        })  # fmt: skip
