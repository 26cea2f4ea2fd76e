"""Single tasks: what waits, what is late, whose it is, what was passed on and what was not let in; and moving them."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_POST

from annotations import admission, claims, queue_form, routing
from annotations.models import Queue, Task, TriageRule
from annotations.sections import LISTED
from annotations.views.review import own_claim
from projects.access import ProjectRequest, Right, project_view
from projects.errors import ApiError

PAGE = 50
WEEK = timedelta(days=7)
OPEN = Q(state=Task.State.OPEN)
# What the page can show: its words, which tasks these are, and in what order.
SHOWS: dict[str, tuple[str, Q, str]] = {
    "waiting": ("Waiting", OPEN, "due_at"),
    "late": ("Past due", OPEN & Q(due_at__lte=Now()), "due_at"),
    "assigned": ("Assigned", OPEN & Q(assigned_to__isnull=False), "due_at"),
    "escalated": ("Passed on", OPEN & Q(lane=Task.Lane.ESCALATED), "due_at"),
    "shed": ("Not let in", Q(state=Task.State.SHED), "-enqueued_at"),
    "recent": ("Last 7 days", Q(), "-enqueued_at"),
}


@require_GET
@project_view(Right.READ)
def task_list(request: ProjectRequest) -> HttpResponse:
    """Tasks with why they are there, narrowed by queue and by rule."""
    shown = request.GET.get("show", "")
    shown = shown if shown in SHOWS else "waiting"
    tasks, queue, rule = _narrowed(request, shown)
    page = Paginator(tasks, PAGE).get_page(request.GET.get("page"))
    rest = f"&queue={queue.slug}" if queue else ""
    context = {
        "section": "queues",
        "page": page,
        "shown": shown,
        "shows": [(name, words) for name, (words, _, _) in SHOWS.items()],
        "queue": queue,
        "rule": rule,
        "rest": rest + (f"&rule={rule.slug}" if rule else ""),
        "people": queue_form.reviewers(request.project) if request.GET.get("assign") else [],
        "assigning": request.GET.get("assign", ""),
    }
    return render(request, "annotations/task_list.html", context)


def _narrowed(request: ProjectRequest, shown: str) -> tuple[QuerySet[Task], Queue | None, TriageRule | None]:
    """The tasks of this page's addresses; a queue or rule that does not exist is 404."""
    _, which, order = SHOWS[shown]
    tasks = Task.objects.filter(which, project=request.project, purpose__in=LISTED)
    queue = rule = None
    if slug := request.GET.get("queue"):
        queue = get_object_or_404(request.project.queues, slug=slug)
        tasks = tasks.filter(queue=queue)
    if slug := request.GET.get("rule"):
        rule = get_object_or_404(request.project.triage_rules, slug=slug)
        tasks = tasks.filter(rule=rule)
    if shown == "recent":
        tasks = tasks.filter(enqueued_at__gt=Now() - WEEK)
    place = "interaction__cluster_membership"
    tasks = tasks.select_related("queue", "assigned_to", "escalated_by", f"{place}__cluster")
    return tasks.defer(f"{place}__bands", f"{place}__signature").order_by(order, "pk"), queue, rule


@require_POST
@project_view(Right.LEAD)
def task_pull_in(request: ProjectRequest, pk: int) -> HttpResponseBase:
    """Lets in what an overloaded queue did not."""
    task = get_object_or_404(Task, pk=pk, project=request.project)
    try:
        admission.pull_in(actor=request.user, task=task)
    except ApiError as error:
        messages.warning(request, error.message)
    else:
        messages.success(request, "It waits in its queue now.")
    return _back(request)


@require_POST
@project_view(Right.LEAD)
def task_assign(request: ProjectRequest, pk: int) -> HttpResponseBase:
    """Gives a task to one person, or to nobody in particular again."""
    task = get_object_or_404(Task, pk=pk, project=request.project, purpose__in=LISTED)
    wanted = request.POST.get("user", "")
    if wanted and not wanted.isdecimal():
        raise BadRequest("No such person")
    user = get_object_or_404(queue_form.reviewers(request.project), pk=int(wanted)) if wanted else None
    try:
        routing.assign(actor=request.user, task=task, user=user)
    except ApiError as error:
        messages.warning(request, error.message)
    else:
        messages.success(request, f"It is for {user} now." if user else "It is for everybody again.")
    return _back(request)


def _back(request: ProjectRequest) -> HttpResponseBase:
    """To the page that the form stood on, if it is one of ours."""
    page = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(page, allowed_hosts={request.get_host()}, require_https=request.is_secure()):
        return redirect(page)
    return redirect("annotations:task-list", request.project.slug)


@require_GET
@project_view(Right.REVIEW)
def aside_list(request: ProjectRequest) -> HttpResponse:
    """What this person skipped, passed on or put off and nobody has finished since, and what is assigned to them."""
    put_aside = claims.put_aside(user=request.user, project=request.project)
    page = Paginator(put_aside, PAGE).get_page(request.GET.get("page"))
    context = {
        "section": "queues",
        "page": page,
        "assigned": claims.assigned(user=request.user, project=request.project)[:PAGE],
        "reasons": {**claims.SKIP_REASONS, claims.ESCALATED: "Passed to those who adjudicate"},
    }
    return render(request, "annotations/aside_list.html", context)


@require_POST
@project_view(Right.REVIEW)
def claim_return(request: ProjectRequest, token: UUID) -> HttpResponseBase:
    """Takes up again what this claim put aside, with its draft."""
    try:
        claim = claims.return_to_skipped(user=request.user, token=own_claim(request, token).token)
    except ApiError as error:
        messages.warning(request, error.message)
        return redirect("annotations:aside-list", request.project.slug)
    if claim is None:
        messages.warning(request, "Somebody else has this item now, or it is done.")
        return redirect("annotations:aside-list", request.project.slug)
    response = redirect("annotations:review", request.project.slug, claim.task.queue.slug)
    response["Location"] += f"?claim={claim.token}"
    return response
