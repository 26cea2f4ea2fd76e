"""Alerts and the rules that raise them."""

from __future__ import annotations

from datetime import timedelta

from django.contrib import messages
from django.db.models import Count, Exists, OuterRef, Q
from django.db.models.functions import Now
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from monitoring import alerts, wording
from monitoring.forms import AlertRuleForm
from monitoring.models import Alert, AlertRule
from projects.access import ProjectRequest, Right, project_view

CLOSED_SHOWN = 50
FIRED_OVER = timedelta(days=90)


@require_GET
@project_view(Right.READ)
def alert_list(request: ProjectRequest) -> HttpResponse:
    """Open alerts, or with ``?show=closed`` the last closed ones, and all rules."""
    closed = request.GET.get("show") == "closed"
    found = alerts.closed_alerts(request.project, CLOSED_SHOWN) if closed else alerts.open_alerts(request.project)
    rules = AlertRule.objects.filter(project=request.project).annotate(
        fired=Count("alerts", filter=Q(alerts__opened_at__gt=Now() - FIRED_OVER)),
        firing=Exists(Alert.objects.filter(rule=OuterRef("pk"), closed_at=None)),
    )
    context = {
        "section": "alerts",
        "closed": closed,
        "alerts": [
            (one, wording.headline(one), wording.evidence(one), wording.alert_link(request.project, one))
            for one in found
        ],
        "rules": [(rule, f"{wording.label(rule)} {wording.condition(rule)}") for rule in rules.order_by("name")],
    }
    return render(request, "monitoring/alert_list.html", context)


def _alert(request: ProjectRequest, pk: int) -> Alert:
    alerts_of_project = Alert.objects.select_related("rule__project").filter(rule__project=request.project)
    return get_object_or_404(alerts_of_project, pk=pk)


@require_POST
@project_view(Right.BUILD, Right.LEAD)
def alert_take(request: ProjectRequest, pk: int) -> HttpResponse:
    alert = _alert(request, pk)
    if alerts.take(alert, user=request.user):
        messages.success(request, f"You have {alert.rule.name}.")
    else:
        messages.info(request, "Somebody else has it, or it is closed.")
    return redirect("monitoring:alert-list", request.project.slug)


@require_POST
@project_view(Right.BUILD, Right.LEAD)
def alert_close(request: ProjectRequest, pk: int) -> HttpResponse:
    alert = _alert(request, pk)
    if alerts.close(alert, user=request.user):
        messages.success(request, f"{alert.rule.name} is closed. The rule starts afresh from now.")
    else:
        messages.info(request, "It is closed already.")
    return redirect("monitoring:alert-list", request.project.slug)


@require_http_methods(["GET", "POST"])
@project_view(Right.BUILD)
def rule_new(request: ProjectRequest) -> HttpResponse:
    return _rule_form(request, AlertRule(project=request.project))


@require_http_methods(["GET", "POST"])
@project_view(Right.BUILD)
def rule_edit(request: ProjectRequest, pk: int) -> HttpResponse:
    return _rule_form(request, get_object_or_404(AlertRule, pk=pk, project=request.project))


def _rule_form(request: ProjectRequest, rule: AlertRule) -> HttpResponse:
    posted = request.POST if request.method == "POST" else None
    form = AlertRuleForm(posted, instance=rule, project=request.project)
    if posted is not None and form.is_valid():
        alerts.save_rule(form.instance, user=request.user)
        messages.success(request, f"{rule.name} is saved.")
        return redirect("monitoring:alert-list", request.project.slug)
    context = {"section": "alerts", "form": form, "rule": rule}
    return render(request, "monitoring/rule_form.html", context, status=422 if form.errors else 200)
