"""The only door to a project: roles, rights, and the decorator that each page view wears."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import wraps
from typing import Any, TypeVar

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase
from django_htmx.middleware import HtmxDetails

from projects.models import Membership, Project, Role, User


class Right(Enum):
    """What a person may do in a project. Views ask for a right, never for a role."""

    REVIEW = "review"  # work queues, see one's own labels
    READ = "read"  # see interactions, metrics, datasets, runs, judges
    LEAD = "lead"  # queues, rules, taxonomy, adjudication
    BUILD = "build"  # datasets, judges, runs, alerts
    ADMIN = "admin"  # members, keys, webhooks, audit


IN_WORDS = {
    Right.REVIEW: "label what waits in the queues",
    Right.READ: "see interactions, datasets, runs and metrics",
    Right.LEAD: "run queues and settle differences",
    Right.BUILD: "change datasets, judges, runs and alerts",
    Right.ADMIN: "manage members, keys and webhooks",
}

RIGHTS: dict[str, frozenset[Right]] = {
    Role.VIEWER: frozenset({Right.READ}),
    Role.REVIEWER: frozenset({Right.REVIEW}),
    Role.LEAD: frozenset({Right.REVIEW, Right.READ, Right.LEAD}),
    Role.ENGINEER: frozenset({Right.REVIEW, Right.READ, Right.BUILD}),
    Role.ADMIN: frozenset(Right),
}


class ProjectRequest(HttpRequest):
    """A request inside a project; what ``project_view`` has added to it."""

    user: User
    htmx: HtmxDetails
    project: Project
    membership: Membership


def membership_of(user: User, slug: str) -> Membership:
    """The membership of this user in the project; a foreign project does not exist (404), read at each request."""
    try:
        return Membership.objects.select_related("project").get(user=user, project__slug=slug)
    except Membership.DoesNotExist:
        raise Http404("No such project") from None


def may(membership: Membership, *rights: Right) -> bool:
    """Whether the member has at least one of these rights."""
    return not RIGHTS[membership.role].isdisjoint(rights)


def roles_with(*rights: Right) -> list[str]:
    """The names of the roles that have one of the rights, for the page that refuses."""
    return [Role(role).label for role, held in RIGHTS.items() if not held.isdisjoint(rights)]


V = TypeVar("V", bound=Callable[..., HttpResponseBase])


def project_view(*rights: Right) -> Callable[[V], Callable[..., HttpResponseBase]]:
    """Guards a page of ``/p/<project>/…``: 404 to outsiders, 403 to members without one of ``rights``."""

    def decorate(view: V) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def guarded(request: ProjectRequest, project: str, *args: Any, **kwargs: Any) -> HttpResponseBase:
            membership = membership_of(request.user, project)
            request.project, request.membership = membership.project, membership
            if not may(membership, *rights):
                raise PermissionDenied(", ".join(roles_with(*rights)))
            return view(request, *args, **kwargs)

        guarded.rights = frozenset(rights)  # type: ignore[attr-defined]  # read by the access matrix test
        return guarded

    return decorate
