"""Complaints that are nearly the same: the list of them, one of them, and one label for many."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from annotations import applying, cluster_list
from annotations.models import Cluster, Label
from projects.access import ProjectRequest, Right, project_view
from projects.errors import ApiError

MOST_DIGITS = 18
ORDERS = [("newest", "Newest"), ("users", "Most users"), ("size", "Most items")]


def whole_number(text: str) -> int:
    """A key from a form; 400 where it is none."""
    if not (text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS):
        raise BadRequest("Not a number")
    return int(text)


def own_cluster(request: ProjectRequest, pk: int) -> Cluster:
    """The project's cluster; 404 otherwise."""
    return get_object_or_404(Cluster.objects.select_related("head", "project"), pk=pk, project=request.project)


@require_GET
@project_view(Right.READ)
def cluster_list_page(request: ProjectRequest) -> HttpResponse:
    """The clusters of two or more, those that grew last first; ``?order=users`` or ``size`` for the largest."""
    order = request.GET.get("order", "newest")
    order = order if order in cluster_list.ORDERS else "newest"
    page, rows = cluster_list.listed(request.project, order=order, page=request.GET.get("page"))
    context = {"section": "clusters", "page": page, "rows": rows, "order": order, "orders": ORDERS}
    return render(request, "annotations/cluster_list.html", context)


@require_GET
@project_view(Right.READ, Right.REVIEW)
def cluster_detail(request: ProjectRequest, pk: int) -> HttpResponse:
    """The head, the others with the words that differ, and the label that can be given to them."""
    cluster = own_cluster(request, pk)
    page, rows = cluster_list.members(cluster, page=request.GET.get("page"))
    source = applying.source_of(cluster)
    may = source is not None and applying.may_apply(request.user, source)
    context = {
        "section": "clusters",
        "cluster": cluster,
        "row": cluster_list.rows_of([cluster])[0],
        "complaint": cluster_list.complaints([cluster.head_id]).get(cluster.head_id, ""),
        "page": page,
        "rows": rows,
        "source": source,
        "may_apply": may,
        "free": sum(not row.apart for row in rows),
        "given": source.applied_to.filter(superseded_at=None).count() if source else 0,
    }
    return render(request, "annotations/cluster_detail.html", context)


@require_POST
@project_view(Right.REVIEW)
def cluster_apply(request: ProjectRequest, pk: int) -> HttpResponseBase:
    """Gives the label to the members that are ticked, and to those on other pages if that is ticked too."""
    cluster = own_cluster(request, pk)
    taken = {whole_number(text) for text in request.POST.getlist("take")}
    shown = {whole_number(text) for text in request.POST.getlist("shown")}
    members = cluster.memberships.values_list("interaction_id", flat=True)
    leave_out = shown - taken if request.POST.get("rest") else set(members) - taken
    source = applying.source_of(cluster)
    try:
        if source is None:
            raise ApiError(409, "no_label", "Nothing here has a label yet. Label the first one, then apply it.")
        done = applying.apply_label(actor=request.user, cluster=cluster, label=source, leave_out=leave_out)
        messages.success(request, f"{done.applied} got the label, {done.left_out} did not.")
    except ApiError as error:
        messages.error(request, error.message)
    return redirect("annotations:cluster-detail", request.project.slug, cluster.pk)


@require_POST
@project_view(Right.REVIEW)
def cluster_take_back(request: ProjectRequest, pk: int) -> HttpResponseBase:
    """Takes back every label that was applied from this one."""
    cluster = own_cluster(request, pk)
    number = whole_number(request.POST.get("label", ""))
    found = Label.objects.select_related("project").filter(interaction__cluster_membership__cluster=cluster)
    label = get_object_or_404(found, pk=number)
    try:
        count = applying.take_back(actor=request.user, label=label)
        messages.success(request, f"{count} label{'' if count == 1 else 's'} taken back. The items wait again.")
    except ApiError as error:
        messages.error(request, error.message)
    return redirect("annotations:cluster-detail", request.project.slug, cluster.pk)
