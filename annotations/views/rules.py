"""Triage rules: in the order in which they are read, one of them as a form with a live preview, and its versions."""

from __future__ import annotations

from datetime import timedelta

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.db.models import Count
from django.db.models.functions import Now
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotations import builder, revisions, rule_form, rules, wording
from annotations.conditions import FIELDS
from annotations.models import Task, TriageRule
from annotations.rule_form import Shown
from projects.access import ProjectRequest, Right, project_view
from projects.errors import ApiError
from projects.models import AuditEntry

WEEK = timedelta(days=7)
TRY, SAVE = "preview", "save"


@require_GET
@project_view(Right.REVIEW, Right.READ)
def rule_list(request: ProjectRequest) -> HttpResponse:
    """All rules from first to last, with what each took in the last seven days."""
    rows = list(TriageRule.objects.filter(project=request.project).select_related("queue").order_by("position", "pk"))
    week = Task.objects.filter(project=request.project, rule__isnull=False, enqueued_at__gt=Now() - WEEK)
    took = dict(week.values_list("rule").annotate(tasks=Count("pk")))
    names = dict(request.project.queues.values_list("slug", "name"))
    shown = [
        {"rule": row, "condition": wording.condition(row.condition), "took": took.get(row.pk, 0),
         "deed": wording.deed(rules.snapshot(row), names)}
        for row in rows
    ]  # fmt: skip
    context = {"section": "queues", "rows": shown, "moved": request.GET.get("moved", "")}
    return render(request, "annotations/rule_list.html", context)


@require_http_methods(["GET", "POST"])
@project_view(Right.LEAD)
def rule_new(request: ProjectRequest) -> HttpResponseBase:
    """A new rule. It applies to what comes from now on."""
    return _edit(request, None)


@require_http_methods(["GET", "POST"])
@project_view(Right.LEAD)
def rule_edit(request: ProjectRequest, slug: str) -> HttpResponseBase:
    """Changes of a rule, each a new version."""
    return _edit(request, _rule(request, slug))


def _edit(request: ProjectRequest, rule: TriageRule | None) -> HttpResponseBase:
    if request.method != "POST":
        return _form(request, rule, rule_form.shown(rule))
    form, deed = rule_form.posted(request.POST), request.POST.get("do", SAVE)
    if deed == TRY:
        return _form(request, rule, form, preview=_preview(request, rule, form))
    if deed != SAVE:
        return _form(request, rule, rule_form.turned(form, deed))
    try:
        fields = rule_form.fields_of(form, rule)
        saved = rules.save(project=request.project, actor=request.user, rule=rule, fields=fields)
    except ApiError as error:
        form.add(error.details or [{"path": "/rule", "message": error.message}])
        return _form(request, rule, form, status=error.status_code)
    messages.success(request, f"{saved.name} is saved as version {saved.version}.")
    return redirect("annotations:rule-edit", request.project.slug, saved.slug)


def _form(
    request: ProjectRequest, rule: TriageRule | None, form: Shown, *, preview: rules.Preview | None = None,
    status: int = 200,
) -> HttpResponse:  # fmt: skip
    """The page; for htmx the rows of the condition alone, with word that the preview should look again."""
    context = {
        "section": "queues", "rule": rule, "form": form, "preview": preview, "whats": builder.WHATS,
        "actions": TriageRule.Action.choices, "samplings": TriageRule.Sampling.choices,
        "queues": request.project.queues.order_by("position", "pk"),
        "strata": [(name, FIELDS[name].label) for name in rules.STRATA],
    }  # fmt: skip
    if request.htmx:
        answer = render(request, "annotations/_rule_condition.html", context)
        answer["HX-Trigger-After-Swap"] = "conditionChanged"
        return answer
    return render(request, "annotations/rule_form.html", context, status=status)


def _preview(request: ProjectRequest, rule: TriageRule | None, form: Shown) -> rules.Preview:
    try:
        return rules.preview(request.project, rule_form.fields_of(form, rule), rule=rule)
    except ApiError as error:
        return rules.Preview(faults=error.details)


@require_POST
@project_view(Right.LEAD)
def rule_preview(request: ProjectRequest) -> HttpResponse:
    """What the form as it stands would have done to the newest interactions."""
    slug = request.POST.get("rule")
    rule = _rule(request, slug) if slug else None
    found = _preview(request, rule, rule_form.posted(request.POST))
    return render(request, "annotations/_rule_preview.html", {"preview": found})


@require_POST
@project_view(Right.LEAD)
def rule_move(request: ProjectRequest, slug: str) -> HttpResponseBase:
    """One place up or down."""
    rule = _rule(request, slug)
    step = {"up": -1, "down": 1}.get(request.POST.get("to", ""))
    if step is None:
        raise BadRequest("up or down")
    last = TriageRule.objects.filter(project=request.project).count()
    return _changed(request, rule, {"position": min(max(rule.position + step, 1), last)})


@require_POST
@project_view(Right.LEAD)
def rule_switch(request: ProjectRequest, slug: str) -> HttpResponseBase:
    """On or off, as ``on`` says."""
    return _changed(request, _rule(request, slug), {"enabled": request.POST.get("on") == "yes"})


def _changed(request: ProjectRequest, rule: TriageRule, fields: dict[str, object]) -> HttpResponseBase:
    try:
        rules.save(project=request.project, actor=request.user, rule=rule, fields=fields)
    except ApiError as error:
        messages.error(request, f"{rule.name}: {error.message}")
    answer = redirect("annotations:rule-list", request.project.slug)
    answer["Location"] += f"?moved={rule.slug}#rule-{rule.slug}"
    return answer


@require_POST
@project_view(Right.LEAD)
def rule_remove(request: ProjectRequest, slug: str) -> HttpResponseBase:
    """Deletes a rule; its tasks stay."""
    rule = _rule(request, slug)
    rules.remove(actor=request.user, rule=rule)
    messages.success(request, f"{rule.name} is removed. Its tasks stay, with their reasons.")
    return redirect("annotations:rule-list", request.project.slug)


@require_GET
@project_view(Right.REVIEW, Right.READ)
def rule_versions(request: ProjectRequest, slug: str) -> HttpResponse:
    """What a rule has been, version by version; of one that was removed what it was last."""
    names = dict(request.project.queues.values_list("slug", "name"))
    rule = TriageRule.objects.filter(project=request.project, slug=slug).first()
    gone = (
        None
        if rule
        else AuditEntry.objects.filter(project=request.project, action="rule.removed", target=slug)
        .order_by("pk")
        .last()
    )
    if rule is None and gone is None:
        raise Http404("No such rule")
    found = revisions.of(rule=rule) if rule else []
    if gone is not None:
        was = gone.detail["was"]
        found = [revisions.Version(gone.detail["version"], gone.actor_name, gone.at, [], was)]
    shown = [
        {"version": one, "condition": wording.condition(one.snapshot["condition"]),
         "deed": wording.deed(one.snapshot, names)}
        for one in found
    ]  # fmt: skip
    context = {"section": "queues", "rule": rule, "name": rule.name if rule else was["name"], "versions": shown}
    return render(request, "annotations/rule_versions.html", context)


def _rule(request: ProjectRequest, slug: str) -> TriageRule:
    rows = TriageRule.objects.select_related("queue", "project")
    return get_object_or_404(rows, project=request.project, slug=slug)
