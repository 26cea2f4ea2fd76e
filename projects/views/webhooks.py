"""Webhooks of a project and the log of their deliveries."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from projects import deliveries, outbound, webhooks
from projects.access import ProjectRequest, Right, project_view
from projects.models import Delivery, Webhook

LOG = 50  # deliveries on the page, newest first


class WebhookForm(forms.Form):
    """Where to and what. The address is parsed by the same code that will send to it."""

    url = forms.CharField(label="Address", max_length=500)
    events = forms.MultipleChoiceField(label="Events", choices=list(webhooks.EVENTS.items()))

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"]
        try:
            outbound.parse(url)
        except outbound.OutboundRefused as refusal:
            raise ValidationError(str(refusal)) from None
        return url


@require_http_methods(["GET", "POST"])
@project_view(Right.ADMIN)
def webhook_list(request: ProjectRequest) -> HttpResponse:
    """All webhooks with the log; POST makes one and shows its secret this once."""
    form = WebhookForm(request.POST if request.method == "POST" else None)
    secret = ""
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        _, secret = webhooks.create(request.project, url=data["url"], events=data["events"], actor=request.user)
    log = Delivery.objects.filter(webhook__project=request.project).select_related("webhook").order_by("-pk")[:LOG]
    context = {
        "section": "webhooks",
        "form": form,
        "secret": secret,
        "webhooks": request.project.webhooks.order_by("pk"),
        "deliveries": log,
        "events": webhooks.EVENTS.items(),
        "tries": deliveries.TRIES,
    }
    status = 422 if form.errors else 201 if secret else 200
    return render(request, "projects/webhook_list.html", context, status=status)


def _webhook(request: ProjectRequest, pk: int) -> Webhook:
    return get_object_or_404(request.project.webhooks.select_related("project"), pk=pk)


@require_POST
@project_view(Right.ADMIN)
def webhook_disable(request: ProjectRequest, pk: int) -> HttpResponse:
    webhooks.disable(_webhook(request, pk), reason="Switched off by hand.", actor=request.user)
    messages.success(request, "The webhook is off. What was still on its way can be sent again from the log.")
    return redirect("projects:webhook-list", request.project.slug)


@require_POST
@project_view(Right.ADMIN)
def webhook_enable(request: ProjectRequest, pk: int) -> HttpResponse:
    webhooks.enable(_webhook(request, pk), actor=request.user)
    messages.success(request, "The webhook is on. It hears what happens from now on.")
    return redirect("projects:webhook-list", request.project.slug)


@require_POST
@project_view(Right.ADMIN)
def webhook_remove(request: ProjectRequest, pk: int) -> HttpResponse:
    webhooks.remove(_webhook(request, pk), actor=request.user)
    messages.success(request, "The webhook and its log are removed.")
    return redirect("projects:webhook-list", request.project.slug)


@require_POST
@project_view(Right.ADMIN)
def webhook_test(request: ProjectRequest, pk: int) -> HttpResponse:
    webhooks.send_test(_webhook(request, pk))
    messages.success(request, "A test message is on its way. The log below shows how it ends.")
    return redirect("projects:webhook-list", request.project.slug)


@require_POST
@project_view(Right.ADMIN)
def delivery_replay(request: ProjectRequest, pk: int) -> HttpResponse:
    delivery = get_object_or_404(Delivery, pk=pk, webhook__project=request.project)
    if deliveries.replay(delivery):
        messages.success(request, "The message is on its way again, with the same id.")
    else:
        messages.info(request, "Nothing was sent: the message is still on its way, or its webhook is off.")
    return redirect("projects:webhook-list", request.project.slug)
