"""Projects, and who is in them."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from projects import services
from projects.access import IN_WORDS, RIGHTS, ProjectRequest, Right, project_view
from projects.forms import MemberForm, ProjectForm, RoleForm, SettingsForm
from projects.models import Membership, Role


@require_GET
def project_list(request: ProjectRequest) -> HttpResponse:
    """The project switcher: those I belong to, with my role."""
    memberships = Membership.objects.filter(user=request.user).select_related("project").order_by("project__name")
    return render(request, "projects/project_list.html", {"memberships": memberships, "form": ProjectForm()})


@require_POST
def project_new(request: ProjectRequest) -> HttpResponse:
    """Admins of any project may open another one; they become its admin."""
    if not Membership.objects.filter(user=request.user, role=Role.ADMIN).exists():
        messages.error(request, "Only an admin may open a project. Ask one of yours.")
        return redirect("projects:project-list")
    form = ProjectForm(request.POST)
    if not form.is_valid():
        memberships = Membership.objects.filter(user=request.user).select_related("project").order_by("project__name")
        return render(request, "projects/project_list.html", {"memberships": memberships, "form": form}, status=422)
    project = services.create_project(**form.cleaned_data, created_by=request.user)
    return redirect("projects:key-list", project.slug)


@require_http_methods(["GET", "POST"])
@project_view(Right.ADMIN)
def project_settings(request: ProjectRequest) -> HttpResponse:
    """Name, owner, masking, tokens."""
    project = request.project
    known = {
        "name": project.name, "owner": project.owner_id, "masking": project.masking,
        "token_policy": project.token_policy,
    }  # fmt: skip
    form = SettingsForm(request.POST if request.method == "POST" else None, project=project, initial=known)
    if request.method == "POST" and form.is_valid():
        services.change_project(project, actor=request.user, **form.cleaned_data)
        messages.success(request, "Saved.")
        return redirect("projects:settings", project.slug)
    context = {"section": "settings", "form": form}
    return render(request, "projects/project_settings.html", context, status=422 if form.errors else 200)


def _page(request: ProjectRequest, form: MemberForm, status: int = 200, password: str = "") -> HttpResponse:
    context = {
        "section": "members",
        "form": form,
        "password": password,
        "password_for": form.cleaned_data["email"] if password else "",
        "memberships": request.project.memberships.select_related("user").order_by("user__name", "user__email"),
        "roles": [
            (role, Role(role).label, [words for right, words in IN_WORDS.items() if right in RIGHTS[role]])
            for role in Role.values
        ],
    }
    return render(request, "projects/member_list.html", context, status=status)


@require_http_methods(["GET", "POST"])
@project_view(Right.ADMIN)
def member_list(request: ProjectRequest) -> HttpResponse:
    """Who is in the project; POST adds a person and shows a new account's first password this once."""
    form = MemberForm(request.POST if request.method == "POST" else None)
    if request.method == "GET" or not form.is_valid():
        return _page(request, form, 422 if form.errors else 200)
    try:
        membership, password = services.set_member(request.project, actor=request.user, **form.cleaned_data)
    except ValidationError as error:
        form.add_error(None, error)
        return _page(request, form, 422)
    if password:
        return _page(request, form, 201, password)
    messages.success(request, f"{membership.user} is {membership.get_role_display().lower()} here.")
    return redirect("projects:member-list", request.project.slug)


@require_POST
@project_view(Right.ADMIN)
def member_role(request: ProjectRequest, pk: int) -> HttpResponse:
    membership = get_object_or_404(request.project.memberships.select_related("user"), pk=pk)
    form = RoleForm(request.POST)
    if form.is_valid():
        try:
            services.set_member(
                request.project, email=membership.user.email, role=form.cleaned_data["role"], actor=request.user
            )
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
    else:
        messages.error(request, "There is no such role.")
    return redirect("projects:member-list", request.project.slug)


@require_POST
@project_view(Right.ADMIN)
def member_remove(request: ProjectRequest, pk: int) -> HttpResponse:
    membership = get_object_or_404(request.project.memberships.select_related("user"), pk=pk)
    try:
        services.remove_member(request.project, user=membership.user, actor=request.user)
        messages.success(request, f"{membership.user} is no longer in this project. Their labels stay.")
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    return redirect("projects:member-list", request.project.slug)
