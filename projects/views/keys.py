"""Keys of a project, personal tokens, and the audit log."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from projects import services
from projects.access import ProjectRequest, Right, project_view
from projects.filters import AuditFilter
from projects.forms import KeyForm, TokenForm
from projects.models import ApiKey, AuditEntry


@require_http_methods(["GET", "POST"])
@project_view(Right.ADMIN)
def key_list(request: ProjectRequest) -> HttpResponse:
    """The project's keys; POST makes one and shows it this once."""
    form = KeyForm(request.POST if request.method == "POST" else None)
    text = ""
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        publishable = data["kind"] == ApiKey.Kind.PUBLISHABLE
        _, text = services.issue_key(
            request.project,
            kind=data["kind"],
            name=data["name"],
            actor=request.user,
            scopes=[] if publishable else data["scopes"],
            origins=data["origins"] if publishable else [],
        )
    keys = request.project.api_keys.select_related("user").order_by("revoked_at", "-created_at")
    context = {
        "section": "keys",
        "form": KeyForm() if text else form,
        "keys": keys,
        "new_key": text,
        "example": _example(form) if text else "",
        "hub": request.build_absolute_uri("/").rstrip("/"),
        "scopes": ApiKey.Scope.choices,
    }
    return render(request, "projects/key_list.html", context, status=422 if form.errors else 201 if text else 200)


def _example(form: KeyForm) -> str:
    """The kind of key to show an example of; none for a secret key that cannot send."""
    data = form.cleaned_data
    return data["kind"] if data["kind"] == ApiKey.Kind.PUBLISHABLE or ApiKey.Scope.INGEST in data["scopes"] else ""


@require_POST
@project_view(Right.ADMIN)
def key_revoke(request: ProjectRequest, pk: int) -> HttpResponse:
    key = get_object_or_404(request.project.api_keys.all(), pk=pk)
    services.revoke_key(key, actor=request.user)
    messages.success(request, f"{key.name} is revoked: it is refused from now on.")
    return redirect("projects:key-list", request.project.slug)


@require_http_methods(["GET", "POST"])
@project_view(*Right)
def token_new(request: ProjectRequest) -> HttpResponse:
    """A personal token for the API: acts as me, in this project, with my rights."""
    form = TokenForm(request.POST if request.method == "POST" else None)
    text = ""
    if request.method == "POST" and form.is_valid():
        _, text = services.issue_key(
            request.project, kind="pat", name=form.cleaned_data["name"], actor=request.user, user=request.user
        )
    context = {"form": form, "new_key": text}
    return render(request, "projects/token_new.html", context, status=422 if form.errors else 201 if text else 200)


@require_POST
def token_revoke(request: ProjectRequest, pk: int) -> HttpResponse:
    key = get_object_or_404(request.user.tokens.select_related("project"), pk=pk)
    services.revoke_key(key, actor=request.user)
    messages.success(request, f"{key.name} is revoked.")
    return redirect("projects:account")


@require_GET
@project_view(Right.ADMIN)
def audit_list(request: ProjectRequest) -> HttpResponse:
    """Who did what, newest first, narrowed by AuditFilter; ``?before=`` pages on."""
    wanted = AuditFilter(request.GET, AuditEntry.objects.filter(project=request.project))
    before = request.GET.get("before", "")
    found = wanted.qs if wanted.is_valid() else AuditEntry.objects.none()
    entries = services.audit_page(
        found, before=int(before) if before.isascii() and before.isdecimal() and len(before) < 19 else None
    )
    more = entries[-2].pk if len(entries) > services.AUDIT_PAGE else None
    asked = request.GET.copy()
    asked.pop("before", None)
    context = {
        "section": "audit",
        "entries": entries[: services.AUDIT_PAGE],
        "more": more,
        "form": wanted.form,
        "query": asked.urlencode(),
    }
    return render(request, "projects/audit_list.html", context, status=200 if wanted.is_valid() else 422)
