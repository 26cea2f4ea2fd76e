"""The audit log: who did what. Written in the transaction of the act itself; never holds secrets."""

from __future__ import annotations

from typing import Any

from projects.models import AuditEntry, Project, User


def record(
    project: Project | None, actor: User | None, action: str, target: str = "", *, by: str = "", **detail: Any
) -> None:
    """One entry, e.g. ``record(project, user, "member.added", email, role="lead")``.

    ``by`` names an actor that is no person: a command, a key.
    """
    AuditEntry.objects.create(
        project=project,
        actor=actor,
        actor_name=str(actor) if actor else by or "system",
        action=action,
        target=target[:200],
        detail=detail,
    )
