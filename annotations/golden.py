"""Which datasets a reviewer may put an item into. Datasets belong to a later app, which offers them here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from projects.models import Project

Offer = Callable[[Project], Sequence[tuple[str, str]]]
offers: list[Offer] = []


def sets(project: Project) -> list[tuple[str, str]]:
    """Slug and name of each, the usual one first; empty where nobody offers any."""
    return [one for offer in offers for one in offer(project)]
