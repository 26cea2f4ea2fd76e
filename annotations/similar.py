"""Items like this one, with what was said of them: those of its cluster first, then those whose text comes nearest.

The text is what the user asked (``near_duplicates``). Nearest are the first texts of clusters that share a band with
it, as alike as ``similarity`` says; under 0.2 two texts have no more in common than any two.
"""

from __future__ import annotations

from dataclasses import dataclass

from annotations.models import ClusterMember, Label
from annotations.near_duplicates import Print, printed, similarity
from feedback.models import Interaction
from projects.models import Project

MOST = 12
LOOKED_AT = 64
LEAST = 0.2


@dataclass(frozen=True, slots=True)
class Like:
    """An item, how alike (0 to 1), its cluster, whether that is the cluster asked about, and its label if any."""

    interaction: Interaction
    alike: float
    cluster: int
    same: bool
    label: Label | None


def items_like(interaction: Interaction, project: Project) -> list[Like]:
    """At most twelve, the nearest first, of one cluster those with a label first. Six queries at most."""
    mine = ClusterMember.objects.filter(interaction=interaction).select_related("cluster").first()
    places: list[tuple[ClusterMember, float]] = []
    if mine is not None:
        others = mine.cluster.memberships.exclude(interaction=interaction).select_related("interaction")
        labelled = Label.objects.filter(superseded_at=None, interaction__cluster_membership__cluster=mine.cluster_id)
        known = set(labelled.values_list("interaction", flat=True)[:LOOKED_AT])
        first = others.filter(interaction__in=known)[:MOST]
        rest = others.exclude(interaction__in=known).order_by("-joined_at", "-pk")[:MOST]
        places = [(place, place.similarity) for place in [*first, *rest]]
    if len(places) < MOST:
        places += _near(interaction, project, mine.cluster_id if mine else 0)
    places = places[:MOST]
    labels = Label.objects.filter(interaction__in=[place.interaction_id for place, _ in places], superseded_at=None)
    by_item = {label.interaction_id: label for label in labels.select_related("primary_category")}
    return [
        Like(place.interaction, alike, place.cluster_id, mine is not None and place.cluster_id == mine.cluster_id,
             by_item.get(place.interaction_id))
        for place, alike in places
    ]  # fmt: skip


def _near(interaction: Interaction, project: Project, besides: int) -> list[tuple[ClusterMember, float]]:
    """First texts of other clusters, the most alike first."""
    text = printed(project.pk, interaction.question, "")
    if text is None:
        return []
    heads = ClusterMember.objects.filter(cluster__project=project, bands__overlap=list(set(text.bands)))
    heads = heads.exclude(cluster=besides).exclude(interaction=interaction).select_related("interaction")
    found = [(head, similarity(text, _print(head))) for head in heads.order_by("-pk")[:LOOKED_AT]]
    return sorted(((head, alike) for head, alike in found if alike >= LEAST), key=lambda one: -one[1])


def _print(head: ClusterMember) -> Print:
    digest, *sketch = head.signature
    return Print(digest, tuple(sketch), ())
