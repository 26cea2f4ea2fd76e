"""Searches with a name: everybody's own, and those that are shared with the project."""

from __future__ import annotations

from urllib.parse import parse_qs, urlencode

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from feedback import browsing, filters, limits
from feedback.models import SavedView
from projects.errors import invalid
from projects.models import Project, User

NAME = 60
MOST = 50  # of one person in a project


def visible(project: Project, user: User) -> QuerySet[SavedView]:
    """Those that this person sees: one's own and the shared ones, by name."""
    return SavedView.objects.filter(Q(owner=user) | Q(shared=True), project=project).order_by("name", "pk")


def create(project: Project, user: User, *, name: str, query: str, shared: bool) -> SavedView:
    """Keeps a search. ApiError 422 for a name that is empty, too long or taken, or a query that does not fit."""
    if SavedView.objects.filter(project=project, owner=user).count() >= MOST:
        raise invalid("/name", f"You have {MOST} views. Delete one first.")
    wanted = filters.parse(parse_qs(query.lstrip("?"), max_num_fields=limits.SEARCH))
    view = SavedView(project=project, owner=user, query=urlencode(browsing.query_of(wanted)))
    return change(view, name=name, shared=shared)


def change(view: SavedView, *, name: str, shared: bool) -> SavedView:
    """Renames a view and shares it or takes it back. ApiError 422 for a name that does not fit."""
    view.name, view.shared = name.strip(), shared
    if not view.name or len(view.name) > NAME or "\0" in view.name:
        raise invalid("/name", f"A name has 1 to {NAME} characters.")
    try:
        with transaction.atomic():
            view.save()
    except IntegrityError:
        raise invalid("/name", "You have a view of this name.") from None
    return view
