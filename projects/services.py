"""Every change of projects, members and keys."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import timedelta

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from projects import audit, keys
from projects.models import ApiKey, AuditEntry, Membership, Project, Role, User

# What each app gives a new project (queues, rules, failure modes, …). The apps above add theirs in
# AppConfig.ready, so that this floor names none of them.
project_defaults: list[Callable[[Project], None]] = []


@transaction.atomic
def create_project(
    *, slug: str, name: str, created_by: User | None = None, owner: User | None = None, is_sample: bool = False
) -> Project:
    """A project with the defaults of every app; ``created_by`` becomes its admin."""
    project = Project(slug=slug, name=name, owner=owner, is_sample=is_sample)
    project.full_clean(exclude=["owner", "created_at"])
    project.save(force_insert=True)
    for make in project_defaults:
        make(project)
    if created_by:
        Membership.objects.create(project=project, user=created_by, role=Role.ADMIN)
    audit.record(project, created_by, "project.created", slug)
    return project


@transaction.atomic
def change_project(
    project: Project, *, actor: User, name: str, owner: User | None, masking: list[str], token_policy: str
) -> None:
    """The project's name, its owner, and what holds for what comes in from now on: masking and tokens.

    What is stored already stays as it is.
    """
    project.name, project.owner, project.masking, project.token_policy = name, owner, masking, token_policy
    project.save(update_fields=["name", "owner", "masking", "token_policy"])
    keys.forget()  # callers carry their project with them for a few seconds
    audit.record(
        project, actor, "project.changed", project.slug, owner=str(owner or ""), masking=masking, tokens=token_policy
    )


@transaction.atomic
def remove_project(project: Project, *, actor: User | None) -> None:
    """Deletes a project and all that belongs to it, frozen datasets included. Cannot be undone."""
    audit.record(None, actor, "project.removed", project.slug, by="command")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL reviewhub.removing_project = 'yes'")
    project.delete()


@transaction.atomic
def set_member(
    project: Project, *, email: str, role: str, actor: User | None, name: str = "", password: str = ""
) -> tuple[Membership, str]:
    """Gives a person a role in the project.

    A person who has no account gets one, with ``password`` or one made here; the second result is then that
    first password, shown this once, else "". The last admin cannot be given another role.
    """
    email = email.strip().lower()
    user = User.objects.filter(email=email).first()
    if user is None:
        password = password or _first_password()
        user = User(email=email, name=name)
        user.set_password(password)
        user.full_clean()
        user.save()
    else:
        password = ""
    if role != Role.ADMIN:
        _keep_an_admin(project, user)
    membership, _ = Membership.objects.update_or_create(project=project, user=user, defaults={"role": role})
    keys.forget()  # callers carry their role as well
    audit.record(project, actor, "member.set", email, role=role)
    return membership, password


@transaction.atomic
def remove_member(project: Project, *, user: User, actor: User | None) -> None:
    """Takes a person out of the project; their personal tokens for it end at once, their labels stay."""
    _keep_an_admin(project, user)
    Membership.objects.filter(project=project, user=user).delete()
    ApiKey.objects.filter(project=project, user=user, revoked_at=None).update(revoked_at=Now())
    keys.forget()
    audit.record(project, actor, "member.removed", user.email)


def _keep_an_admin(project: Project, leaving: User) -> None:
    admins = Membership.objects.select_for_update().filter(project=project, role=Role.ADMIN)
    ids = {membership.user_id for membership in admins}
    if ids == {leaving.pk}:
        raise ValidationError("This is the last admin. Make another person admin first.")


def _first_password() -> str:
    return secrets.token_urlsafe(12)


@transaction.atomic
def issue_key(
    project: Project,
    *,
    kind: str,
    name: str,
    actor: User | None,
    scopes: list[str] | None = None,
    origins: list[str] | None = None,
    user: User | None = None,
    expires_in: timedelta | None = None,
) -> tuple[ApiKey, str]:
    """A new key with its full text, shown this once; without ``expires_in`` it lives until it is revoked."""
    key, text = keys.create_key(
        project=project, kind=kind, name=name, scopes=scopes, origins=origins, user=user, created_by=actor,
        expires_in=expires_in,
    )  # fmt: skip
    audit.record(project, actor, "key.created", str(key), kind=kind, scopes=scopes or [], origins=origins or [])
    return key, text


@transaction.atomic
def revoke_key(key: ApiKey, *, actor: User | None) -> None:
    """Ends a key: refused from the next request on (within CACHE_SECONDS in other processes)."""
    if ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=Now()):
        keys.forget()
        audit.record(key.project, actor, "key.revoked", str(key))


def tokens_of(user: User) -> QuerySet[ApiKey]:
    """A person's own live tokens, newest first."""
    return user.tokens.filter(revoked_at=None).select_related("project").order_by("-created_at")


def change_account(user: User, **changes: object) -> None:
    """A person's own name, theme, shortcuts or daily goal."""
    for field, value in changes.items():
        setattr(user, field, value)
    user.save(update_fields=list(changes))


@transaction.atomic
def change_password(user: User, password: str) -> None:
    """A new password; all other sessions of the person end."""
    user.set_password(password)
    user.save(update_fields=["password"])
    audit.record(None, user, "password.changed", user.email)


AUDIT_PAGE = 50


def audit_page(entries: QuerySet[AuditEntry], *, before: int | None) -> list[AuditEntry]:
    """Newest first, older than the entry ``before``; one more than AUDIT_PAGE if there is another page."""
    entries = entries.order_by("-id")
    if before:
        entries = entries.filter(pk__lt=before)
    return list(entries[: AUDIT_PAGE + 1])
