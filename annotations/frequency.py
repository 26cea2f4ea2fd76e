"""How often an item's like came in, as reasons: how many users met it, whether it was looked at, whether it grows.

The first of a cluster, its head, carries these reasons for all; the others keep their tasks and stand behind it. A
single item is no pattern: its cluster says nothing until it has a second member.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from math import log

from django.db.models import Count, Q
from django.db.models.functions import Now

from annotations import sampling
from annotations.bulk import any_of
from annotations.models import ClusterMember
from annotations.priority import Reason

RISING, RECENT = timedelta(hours=6), timedelta(days=3)
MANY = 1000  # so many users are worth all points of the term
TREND = 3  # fewer in three days show no trend
CAP = 30.0  # the highest score of what is like something that has a label
DUPLICATE = "Like what has a label"
# What an item has beyond a complaint like those before: a machine saw harm or an error, or somebody disagrees.
EVIDENCE = frozenset({"severity", "disagreement"})


@dataclass(frozen=True, slots=True)
class Frequency:
    """What a cluster says of one of its members. ``users`` of the last seven days; ``reviewed`` are the members with a
    label; ``last_6h`` and ``last_3d`` are those that joined since then, and are known of heads only."""

    cluster: int
    head: bool
    size: int
    users: int
    reviewed: int
    last_6h: int = 0
    last_3d: int = 0


def facts_of(pks: Collection[int]) -> dict[int, Frequency]:
    """What the clusters say of these interactions; those in no cluster are absent. Two queries."""
    members = ClusterMember.objects.filter(any_of("interaction", pks)).values_list(
        "interaction_id", "cluster_id", "cluster__head_id", "cluster__size", "cluster__users", "cluster__reviewed"
    )
    rows = list(members)
    heads = [cluster for pk, cluster, head, size, *_ in rows if pk == head and size > 1]
    recent = lately(heads) if heads else {}
    return {
        pk: Frequency(cluster, pk == head, size, users, reviewed, *recent.get(cluster, (0, 0)))
        for pk, cluster, head, size, users, reviewed in rows
    }


def lately(clusters: Collection[int]) -> dict[int, tuple[int, int]]:
    """How many joined in the last six hours and in the last three days."""
    recent = ClusterMember.objects.filter(cluster__in=clusters, joined_at__gt=Now() - RECENT)
    hours, days = Count("pk", filter=Q(joined_at__gt=Now() - RISING)), Count("pk")
    rows = recent.values_list("cluster").annotate(hours=hours, days=days)
    return {cluster: (last_6h, last_3d) for cluster, last_6h, last_3d in rows}


def reasons(cluster: Frequency) -> list[Reason]:
    """The terms impact ln(1 + users)/ln(1001), novelty 1/(1 + reviewed) and spike n_6h/(n_3d + 1), each at most 1."""
    if not cluster.head or cluster.size < 2:
        return []
    found = []
    if cluster.users > 1:
        strength = min(1.0, log(1 + cluster.users) / log(1 + MANY))
        title = f"Met by {cluster.users:,} users in seven days; {cluster.size:,} items are nearly the same"
        found.append(Reason("cluster", "impact", strength, "user", f"{cluster.users:,} users", title=title))
    new = sampling.novelty(cluster.reviewed)
    title = "Nothing like it has a label" if not cluster.reviewed else f"{cluster.reviewed:,} like it have a label"
    text = "New pattern" if not cluster.reviewed else f"{cluster.reviewed:,} like it reviewed"
    found.append(Reason("cluster", "novelty", new, "layers", text, title=title))
    if cluster.last_3d >= TREND and cluster.last_6h:
        strength = min(1.0, cluster.last_6h / (cluster.last_3d + 1))
        title = f"{cluster.last_6h:,} in six hours, {cluster.last_3d:,} in three days"
        found.append(Reason("cluster", "spike", strength, "health", "Rising", title=title))
    return found


def capped(cluster: Frequency, evidence: Iterable[Reason]) -> bool:
    """Whether the item may get ``CAP`` points at most: one like it has a label, and it brings no new evidence."""
    return cluster.reviewed > 0 and not any(one.term in EVIDENCE and one.strength > 0 for one in evidence)
