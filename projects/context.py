"""What the page frame needs on every page."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from projects.access import Right, may
from projects.models import Membership


def shell(request: HttpRequest) -> dict[str, Any]:
    """The current project and what this member may open; empty outside a project."""
    membership: Membership | None = getattr(request, "membership", None)
    if membership is None:
        return {"project": None, "rights": {}}
    return {
        "project": membership.project,
        "membership": membership,
        "rights": {right.value: may(membership, right) for right in Right},
    }
