"""Forms of the project pages: parse and check, nothing else."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from projects.models import ApiKey, Masking, Project, Role, TokenPolicy, User


class SignInForm(forms.Form):
    username = forms.EmailField(label="Email", max_length=254)
    password = forms.CharField(label="Password", max_length=200, strip=False)


class ProjectForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Project
        fields = ["name", "slug"]


class SettingsForm(forms.Form):
    """The project's name, whose label is authoritative, what is masked, and what tokens are worth."""

    name = forms.CharField(max_length=120)
    owner = forms.ModelChoiceField(User.objects.none(), required=False)
    masking = forms.MultipleChoiceField(choices=Masking.choices, required=False)
    token_policy = forms.ChoiceField(choices=TokenPolicy.choices)

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        owner = self.fields["owner"]
        assert isinstance(owner, forms.ModelChoiceField)
        owner.queryset = User.objects.filter(memberships__project=project).order_by("name", "email")


class MemberForm(forms.Form):
    email = forms.EmailField(label="Email", max_length=254)
    name = forms.CharField(label="Name", max_length=120, required=False)
    role = forms.ChoiceField(label="Role", choices=Role.choices)


class RoleForm(forms.Form):
    role = forms.ChoiceField(choices=Role.choices)


class KeyForm(forms.Form):
    """A secret or publishable key. Origins are exact: scheme, host and port, one a line."""

    name = forms.CharField(label="Name", max_length=80)
    kind = forms.ChoiceField(choices=[(ApiKey.Kind.SECRET, "Secret"), (ApiKey.Kind.PUBLISHABLE, "Publishable")])
    scopes = forms.MultipleChoiceField(choices=ApiKey.Scope.choices, required=False)
    origins = forms.CharField(required=False, max_length=4000)

    def clean_origins(self) -> list[str]:
        return [_origin(line) for line in self.cleaned_data["origins"].split()]

    def clean(self) -> dict[str, object]:
        data = super().clean() or {}
        if data.get("kind") == ApiKey.Kind.SECRET and not data.get("scopes"):
            self.add_error("scopes", "Choose at least one thing that the key may do.")
        if data.get("kind") == ApiKey.Kind.PUBLISHABLE and "origins" in data and not data["origins"]:
            self.add_error("origins", "Name the pages that may send feedback, e.g. https://chat.example.com")
        return data


def _origin(text: str) -> str:
    parts = urlsplit(text.strip().rstrip("/"))
    try:
        port = parts.port
    except ValueError:
        raise ValidationError(f"{text}: the port is not a number.") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path or parts.query or parts.username:
        raise ValidationError(f"{text}: write scheme and host only, e.g. https://chat.example.com")
    return f"{parts.scheme}://{parts.hostname}" + (f":{port}" if port else "")


class TokenForm(forms.Form):
    name = forms.CharField(max_length=80)


class AccountForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = User
        fields = ["name", "theme", "single_keys", "daily_goal"]


class PasswordForm(forms.Form):
    current = forms.CharField(strip=False, max_length=200)
    new = forms.CharField(strip=False, max_length=200)

    def __init__(self, *args: object, user: User, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.user = user

    def clean_current(self) -> str:
        current: str = self.cleaned_data["current"]
        if not self.user.check_password(current):
            raise ValidationError("This is not your current password.")
        return current

    def clean_new(self) -> str:
        new: str = self.cleaned_data["new"]
        validate_password(new, self.user)
        return new
