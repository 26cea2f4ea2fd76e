"""What can be done to many interactions at once. Apps that know more to do append theirs to ``actions``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from feedback import finding, services
from feedback.filters import Filters
from feedback.models import Interaction
from projects.access import Right
from projects.models import Project, User

MOST = 1_000  # interactions in one act


@dataclass(frozen=True, slots=True)
class Action:
    """An act on up to MOST interactions.

    ``choices`` are what it asks for (value, words), none of them being there means that it is not offered; without
    them it asks for a text. ``run`` returns what to tell the person, and raises ApiError 422 if the choice does not
    fit. Members with one of ``rights`` may do it.
    """

    name: str
    title: str
    icon: str
    key: str
    asks: str
    rights: tuple[Right, ...]
    run: Callable[[Project, User, Sequence[int], str], str]
    choices: Callable[[Project], list[tuple[str, str]]] | None = None


def tag(project: Project, user: User, pks: Sequence[int], choice: str) -> str:
    choice = choice.strip()
    changed = services.tag_interactions(project, user, pks, choice)
    return f"Tagged {changed:,} interaction{'' if changed == 1 else 's'} “{choice}”."


actions: list[Action] = [Action("tag", "Tag", "tag", "t", "Tag", (Right.LEAD, Right.BUILD), tag)]


def chosen(project: Project, wanted: Filters, ticked: Sequence[str], *, everything: bool) -> list[int]:
    """The keys that an act is about: those ticked, or the newest MOST of all that match."""
    if everything:
        return finding.page(project, wanted, size=MOST).pks
    keys = [int(text) for text in ticked[:MOST] if text.isascii() and text.isdigit() and len(text) < 19]
    return list(Interaction.objects.filter(project=project, pk__in=keys).values_list("pk", flat=True))
