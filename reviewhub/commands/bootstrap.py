"""``reviewhub bootstrap``: a project, its people and keys, for a person or a script."""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction

from projects import services
from projects.models import ApiKey, Membership, Project, Role, User


def handle(arguments: argparse.Namespace) -> int:
    result = bootstrap(
        slug=arguments.project,
        name=arguments.name,
        people=[(arguments.admin, Role.ADMIN), *((email, Role.REVIEWER) for email in arguments.reviewer)],
        password=_given_password(arguments.password_env),
    )
    print(json.dumps(result, indent=None if arguments.json else 2))
    return 0


@transaction.atomic
def bootstrap(*, slug: str, name: str, people: list[tuple[str, Role]], password: str) -> dict[str, Any]:
    """Makes what is missing; an existing project, user or role is left as it is.

    Keys cannot be read back from the database, so each run issues new ones. ``password`` is "" for a random
    one; the answer has None for people who had an account before.
    """
    project = Project.objects.filter(slug=slug).first()
    if project is None:
        project = services.create_project(slug=slug, name=name or slug.replace("-", " ").capitalize())
    users = [_person(project, email.strip().lower(), role, password) for email, role in people]
    return {
        "project": project.slug,
        "url": settings.PUBLIC_URL,
        "secret_key": _key(project, ApiKey.Kind.SECRET, scopes=list(ApiKey.Scope.values)),
        "publishable_key": _key(project, ApiKey.Kind.PUBLISHABLE, origins=[settings.PUBLIC_URL]),
        "users": users,
    }


def _person(project: Project, email: str, role: Role, password: str) -> dict[str, Any]:
    existed = User.objects.filter(email=email).exists()
    membership = Membership.objects.filter(project=project, user__email=email).select_related("user").first()
    first_password = ""
    if membership is None:
        membership, first_password = services.set_member(project, email=email, role=role, actor=None)
    user = membership.user
    if not existed and password:
        validate_password(password, user)
        user.set_password(password)
        user.save(update_fields=["password"])
        first_password = password
    token = _key(project, ApiKey.Kind.PERSONAL, user=user)
    return {"email": user.email, "role": str(membership.role), "password": first_password or None, "token": token}


def _key(project: Project, kind: ApiKey.Kind, **rest: Any) -> str:
    return services.issue_key(project, kind=kind, name="bootstrap", actor=None, **rest)[1]


def _given_password(variable: str | None) -> str:
    if not variable:
        return ""
    password = os.environ.get(variable, "")
    if not password:
        raise ValidationError(f"The variable {variable}, named by --password-env, is empty or not set.")
    return password
