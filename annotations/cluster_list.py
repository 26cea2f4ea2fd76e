"""What the pages and the API tell of clusters, each in a fixed number of queries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.core.paginator import Page, Paginator
from django.db.models import Count, Q

from annotations import applying, frequency
from annotations.models import Cluster, ClusterMember, Label, Verdict
from feedback.models import Feedback, Interaction
from projects.models import Project
from projects.rendering import WordDiff, word_diff

PAGE, MEMBERS = 50, 50
ORDERS = {"newest": ("-newest_at", "-pk"), "users": ("-users", "-size", "-pk"), "size": ("-size", "-pk")}
COMPARED = 2_000  # characters of a text that are shown with what differs


@dataclass(frozen=True)
class Row:
    """A cluster in the list. ``failing`` is the share of fails among its labels, None without labels; ``rising`` says
    that at least half of the last three days' items came in the last six hours."""

    cluster: Cluster
    last_6h: int
    last_3d: int
    labels: int
    fails: int

    @property
    def failing(self) -> float | None:
        return self.fails / self.labels if self.labels else None

    @property
    def rising(self) -> bool:
        return self.last_3d >= frequency.TREND and 2 * self.last_6h >= self.last_3d


@dataclass(frozen=True)
class Member:
    """A member beside the head: the words that differ, what its user said, and why it keeps apart, if it does."""

    place: ClusterMember
    diff: WordDiff
    complaint: str
    label: Label | None
    apart: str
    same_answer: bool


def listed(project: Project, *, order: str, page: str | int | None) -> tuple[Page[Cluster], list[Row]]:
    """A page of the clusters that have at least two members, and what is known of each. Four queries."""
    clusters = Cluster.objects.filter(project=project, size__gt=1).select_related("head")
    found = Paginator(clusters.order_by(*ORDERS.get(order, ORDERS["newest"])), PAGE).get_page(page)
    return found, rows_of(list(found))


def rows_of(clusters: list[Cluster]) -> list[Row]:
    """What is known of these clusters. Two queries."""
    pks = [cluster.pk for cluster in clusters]
    lately = frequency.lately(pks) if pks else {}
    labels = Label.objects.filter(superseded_at=None, interaction__cluster_membership__cluster__in=pks)
    counted = labels.values_list("interaction__cluster_membership__cluster").annotate(
        labels=Count("pk"), fails=Count("pk", filter=Q(verdict=Verdict.FAIL))
    )
    known = {cluster: (count, fails) for cluster, count, fails in counted}
    return [Row(one, *lately.get(one.pk, (0, 0)), *known.get(one.pk, (0, 0))) for one in clusters]


def members(cluster: Cluster, *, page: str | int | None) -> tuple[Page[ClusterMember], list[Member]]:
    """A page of the members beside the head, newest first. Six queries."""
    places = cluster.memberships.exclude(interaction=cluster.head_id).select_related("interaction")
    found = Paginator(places.order_by("-joined_at", "-pk"), MEMBERS).get_page(page)
    rows = list(found)
    pks = [row.interaction_id for row in rows]
    labels = Label.objects.filter(interaction__in=pks, superseded_at=None).select_related("primary_category")
    by_item = {label.interaction_id: label for label in labels}
    apart, said = applying.apart(pks), complaints([*pks, cluster.head_id])
    head = f"{cluster.head.question[:COMPARED]}"
    return found, [
        Member(
            row, word_diff(head, row.interaction.question[:COMPARED]), said.get(row.interaction_id, ""),
            by_item.get(row.interaction_id), apart.get(row.interaction_id, ""),
            row.interaction.output == cluster.head.output,
        )
        for row in rows
    ]  # fmt: skip


def pattern_of(interaction: int) -> Cluster | None:
    """The cluster in which this interaction is one of several. One query."""
    return Cluster.objects.filter(memberships__interaction=interaction, size__gt=1).first()


def complaints(interactions: Iterable[int]) -> dict[int, str]:
    """The newest words of a complaint or comment on each item."""
    rows = Feedback.objects.filter(interaction__in=list(interactions), superseded_at=None).exclude(comment="")
    spoken = [row for row in rows.order_by("pk") if row.negative or row.kind == Feedback.Kind.COMMENT]
    return {row.interaction_id: row.comment for row in spoken if row.interaction_id}


def keys_of(project: Project, external_ids: Iterable[str]) -> dict[str, int]:
    """The keys of these interactions, by the ids that their application gave them."""
    rows = Interaction.objects.filter(project=project, external_id__in=list(external_ids))
    return dict(rows.values_list("external_id", "pk"))
