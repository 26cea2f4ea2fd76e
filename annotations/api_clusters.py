"""Clusters for programs: what there is, and one label for many."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from annotations import applying, cluster_list, openapi_clusters
from annotations.api import answer
from annotations.api_manage import Managed
from annotations.checking import Settings
from annotations.models import Cluster, Label
from projects.access import Right
from projects.auth import allow, caller_of
from projects.errors import ApiError, invalid
from projects.models import ApiKey

MOST = 1_000


def row_as_json(row: cluster_list.Row) -> dict[str, Any]:
    """A cluster in the list."""
    one = row.cluster
    return {
        "id": one.pk, "title": one.title, "head": one.head.external_id, "size": one.size, "users": one.users,
        "reviewed": row.labels, "failing": row.failing, "last_6h": row.last_6h, "last_3d": row.last_3d,
        "started_at": one.started_at, "newest_at": one.newest_at,
    }  # fmt: skip


class Clusters(APIView):
    """``/api/v1/clusters``."""

    permission_classes = [allow(scope=ApiKey.Scope.READ, right=Right.READ)]

    @extend_schema(operation_id="cluster_list", **openapi_clusters.LIST)
    def get(self, request: Request) -> HttpResponse:
        """The clusters of two or more."""
        order, page = request.GET.get("order", "newest"), request.GET.get("page", "1")
        if order not in cluster_list.ORDERS:
            raise invalid("/order", f"One of {', '.join(cluster_list.ORDERS)}.")
        if not (page.isascii() and page.isdecimal() and 0 < int(page[:9]) == int(page[:10])):
            raise invalid("/page", "A number from 1.")
        found, rows = cluster_list.listed(caller_of(request).project, order=order, page=page)
        past = int(page) > found.paginator.num_pages
        return answer({
            "results": [] if past else [row_as_json(row) for row in rows], "page": int(page),
            "pages": found.paginator.num_pages, "count": found.paginator.count,
        })  # fmt: skip


class ClusterApply(APIView):
    """``/api/v1/clusters/{id}/apply``: leads and keys with the scope ``write``; reviewers what rests on their vote."""

    permission_classes = [allow(scope=ApiKey.Scope.WRITE, right=Right.REVIEW)]

    @extend_schema(operation_id="cluster_apply", **openapi_clusters.APPLY)
    def post(self, request: Request, pk: int) -> HttpResponse:
        """Give the label of a cluster to its other members, up to 1,000; what keeps apart is left alone."""
        caller = caller_of(request)
        cluster, label = self._labelled(request, pk)
        settings = Settings(Managed.body(request))
        settings.know(("leave_out",))
        names: list[str] = settings.take("leave_out", [], _names)
        settings.done()
        keys = cluster_list.keys_of(caller.project, names)
        for number, name in enumerate(names):
            if name not in keys:
                raise invalid(f"/leave_out/{number}", "There is no such interaction.")
        done = applying.apply_label(actor=caller.user, cluster=cluster, label=label, leave_out=keys.values())
        return answer({"applied": done.applied, "left_out": done.left_out, "label": label.pk})

    @extend_schema(operation_id="cluster_take_back", **openapi_clusters.TAKE_BACK)
    def delete(self, request: Request, pk: int) -> HttpResponse:
        """Take back every label that was given in this way."""
        _, label = self._labelled(request, pk)
        return answer({"taken_back": applying.take_back(actor=caller_of(request).user, label=label)})

    def _labelled(self, request: Request, pk: int) -> tuple[Cluster, Label]:
        rows = Cluster.objects.select_related("project", "head")
        cluster = get_object_or_404(rows, pk=pk, project=caller_of(request).project)
        label = applying.source_of(cluster)
        if label is None:
            raise ApiError(409, "no_label", "Nothing in this cluster has a label of its own yet.")
        return cluster, label


def _names(value: Any, path: str) -> list[str]:
    if not isinstance(value, list) or len(value) > MOST:
        raise invalid(path, f"A list of up to {MOST:,} ids of interactions.")
    for number, name in enumerate(value):
        if not isinstance(name, str) or "\0" in name:
            raise invalid(f"{path}/{number}", "The id of an interaction.")
    return value
