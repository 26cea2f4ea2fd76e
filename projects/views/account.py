"""Signing in and out, and a person's own settings and tokens."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import authenticate, login, logout, update_session_auth_hash
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from projects import addresses, ratelimit, services
from projects.access import ProjectRequest
from projects.forms import AccountForm, PasswordForm, SignInForm
from projects.models import User

TRIES_PER_ACCOUNT, TRIES_PER_ADDRESS, WINDOW_SECONDS = 10, 60, 900


@login_not_required
@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """E-mail and password. After ten failures an account rests for up to 15 minutes; the answer never tells
    whether the account exists."""
    form = SignInForm(request.POST or None)
    error = ""
    if request.method == "POST" and form.is_valid():
        account = f"sign-in:{form.cleaned_data['username'].lower()}"
        address = f"sign-in-from:{ratelimit.hidden(addresses.visitor(request))}"
        by_account = ratelimit.hit(account, limit=TRIES_PER_ACCOUNT, seconds=WINDOW_SECONDS)
        by_address = ratelimit.hit(address, limit=TRIES_PER_ADDRESS, seconds=WINDOW_SECONDS)
        if by_account.allowed and by_address.allowed:
            user = authenticate(request, **form.cleaned_data)
            if isinstance(user, User):
                ratelimit.forget(account)
                login(request, user)
                return HttpResponseRedirect(_next(request))
            error = f"Email and password do not match. {by_account.left} tries left."
        else:
            minutes = max(by_account.retry_after, by_address.retry_after) // 60 + 1
            error = f"Too many tries. Wait {minutes} minutes, then try again."
    elif request.method == "POST":
        error = "Write your email and your password."
    status = 422 if error else 200
    context = {"form": form, "error": error, "next": request.POST.get("next") or request.GET.get("next", "")}
    return render(request, "projects/sign_in.html", context, status=status)


def _next(request: HttpRequest) -> str:
    wanted = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(wanted, {request.get_host()}, request.is_secure()):
        return wanted
    return resolve_url("home")


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect("projects:sign-in")


@require_http_methods(["GET", "POST"])
def account(request: ProjectRequest) -> HttpResponse:
    """Name, theme, shortcuts, daily goal; tokens are listed below."""
    form = AccountForm(request.POST or None, instance=request.user)
    if request.method == "POST" and form.is_valid():
        services.change_account(request.user, **form.cleaned_data)
        messages.success(request, "Saved.")
        return redirect("projects:account")
    context = {"form": form, "tokens": services.tokens_of(request.user)}
    return render(request, "projects/account.html", context, status=422 if form.errors else 200)


@require_POST
def account_theme(request: ProjectRequest) -> HttpResponse:
    """Light or dark by one key; the page has already switched."""
    theme = request.POST.get("theme", "")
    if theme not in User.Theme.values:
        return HttpResponse(status=422)
    services.change_account(request.user, theme=theme)
    return HttpResponse(status=204)


@require_POST
@sensitive_post_parameters("current", "new")
def account_password(request: ProjectRequest) -> HttpResponse:
    form = PasswordForm(request.POST, user=request.user)
    if form.is_valid():
        services.change_password(request.user, form.cleaned_data["new"])
        update_session_auth_hash(request, request.user)
        messages.success(request, "Your password is changed. You are signed out everywhere else.")
    else:
        for errors in form.errors.values():
            for error in errors:
                messages.error(request, str(error))
    return redirect("projects:account")
