"""``reviewhub sample load | remove``: the sample project, its sign-ins and keys."""

from __future__ import annotations

import argparse
import json
import secrets
from typing import Any

from django.conf import settings
from django.db import transaction

from projects import services
from projects.models import ApiKey, Membership, Project, Role
from reviewhub.runner.home import home
from reviewhub.sample.load import load, remove


def handle(arguments: argparse.Namespace) -> int:
    kept = home().sample
    if arguments.verb == "remove":
        remove()
        # The note stays, so that the next start does not load it again.
        _keep({"removed": True})
        print("The sample project is removed. `reviewhub sample load` brings it back.")
        return 0
    with transaction.atomic():
        project = load()
        credentials = _credentials(project)
        _keep(credentials)
    print(f"The sample project is loaded: {settings.PUBLIC_URL}/p/{project.slug}/. Its sign-ins are in {kept}.")
    return 0


def _credentials(project: Project) -> dict[str, Any]:
    """A new password for one person of each role, and new keys, so that what is printed does work."""
    users = []
    for role in Role.values:
        member = Membership.objects.filter(project=project, role=role).select_related("user").order_by("pk").first()
        if member is None:
            email = f"{role}@sample.example"
            member, _ = services.set_member(project, email=email, role=role, actor=None, name=Role(role).label)
        user = member.user
        password = f"{role}-{secrets.token_urlsafe(9)}"
        user.set_password(password)
        user.save(update_fields=["password"])
        users.append({"role": role, "email": user.email, "password": password, "hash": user.password})
    for old in ApiKey.objects.filter(project=project, name="sample", revoked_at=None):
        services.revoke_key(old, actor=None)
    secret = services.issue_key(project, kind="sk", name="sample", actor=None, scopes=list(ApiKey.Scope.values))[1]
    public = services.issue_key(project, kind="pk", name="sample", actor=None, origins=[settings.PUBLIC_URL])[1]
    return {"project": project.slug, "users": users, "secret_key": secret, "publishable_key": public}


def _keep(credentials: dict[str, Any]) -> None:
    path = home().sample
    partial = path.with_suffix(".partial")
    partial.touch(mode=0o600)
    partial.write_text(json.dumps(credentials, indent=2))
    partial.replace(path)
