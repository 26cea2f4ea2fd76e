"""Which items are nearly the same: each new complaint joins the cluster whose first text it is like, or begins one.

An item joins when something speaks against it: a complaint, a flag, an error. Its text is what the user asked and the
newest words of a complaint that somebody vouches for (``near_duplicates``). Only the first text of a cluster is kept
to compare with, so a cluster of ten thousand costs what one of two does, nothing drifts (every member is like the
first, not like its neighbour), and what is told of one may be asked of all.

Items join in the order of their keys within a batch. The order of arrival decides who is first: where B is like A and
like C, and A is not like C, B belongs to whichever came before it. Nothing else depends on it.

Call ``join`` with the project's triage lock held: it decides by what is stored.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import F

from annotations.bulk import any_of
from annotations.facts import Item
from annotations.models import Cluster, ClusterMember
from annotations.near_duplicates import THRESHOLD, Print, printed, similarity
from feedback.models import Interaction, text_of
from feedback.services.writing import copy, new_ids
from projects.models import Project

LOOKED_AT = 64  # first texts that one item is compared with: the oldest that share a band
TITLE = 200
CLUSTERS, MEMBERS = Cluster._meta.db_table, ClusterMember._meta.db_table


@dataclass(slots=True)
class _Head:
    """A cluster with its first text. ``first`` is the item that begins it in this batch; ``came`` counts who joins."""

    print: Print
    cluster: int = 0
    title: str = ""
    first: int = 0
    came: int = 0


def join(project: Project, items: Iterable[Item]) -> int:
    """Gives each item against which something that counts speaks its place in a cluster; returns how many got one.

    What nobody vouches for joins none: a stranger's votes must not make a pattern look larger or more urgent.
    An item that has a place keeps it, unless new words of its user change the text while nobody stands behind it:
    the first of several stays, and so does whoever is in a cluster with a label.
    """
    wanted = {
        item.interaction.pk: item
        for item in items
        if any(reason.strength > 0 for reasons in item.facts.signals.values() for reason in reasons)
    }
    if not wanted:
        return 0
    places = ClusterMember.objects.filter(any_of("interaction", wanted)).select_related("cluster")
    known = {place.interaction_id: place for place in places}
    new = {pk: item for pk, item in wanted.items() if pk not in known or (item.complained and _may_move(known[pk]))}
    texts = _texts(project, new)
    for pk, place in known.items():
        if pk in texts and texts[pk][1].digest == place.signature[0]:
            del texts[pk]
    _leave([known[pk] for pk in texts if pk in known])
    return _place(project, texts)


def _may_move(place: ClusterMember) -> bool:
    alone = place.cluster.head_id != place.interaction_id or place.cluster.size == 1
    return alone and not place.cluster.reviewed


def _leave(places: list[ClusterMember]) -> None:
    """Those who begin a cluster on their own take it with them."""
    Cluster.objects.filter(pk__in=[p.cluster_id for p in places if p.cluster.head_id == p.interaction_id]).delete()
    ClusterMember.objects.filter(pk__in=[place.pk for place in places]).delete()
    for cluster, count in Counter(place.cluster_id for place in places).items():
        Cluster.objects.filter(pk=cluster).update(size=F("size") - count)


def _texts(project: Project, items: dict[int, Item]) -> dict[int, tuple[str, Print]]:
    """What each item's text is, shortened, and its print; those without words are absent. In the order of the keys."""
    read = {pk: item.interaction.messages for pk, item in items.items() if item.interaction.messages is not None}
    absent = [pk for pk in items if pk not in read]
    if absent:
        read |= dict(Interaction.objects.filter(pk__in=absent).values_list("pk", "messages"))
    found = {}
    for pk in sorted(read):
        question, complaint = _question(read[pk]), _complaint(items[pk])
        if kept := printed(project.pk, question, complaint):
            found[pk] = (_title(question, complaint), kept)
    return found


def _question(messages: list[dict[str, Any]]) -> str:
    for message in reversed(messages):
        if message.get("role") == "user":
            return text_of(message.get("content"))
    return ""


def _complaint(item: Item) -> str:
    """The newest words against it; what nobody vouches for cannot move an item among others."""
    said = [one.comment for one in item.facts.voices if one.verified and (one.negative or one.kind == "comment")]
    return next((comment for comment in reversed(said) if comment), "")


def _title(question: str, complaint: str) -> str:
    text = " ".join((question.strip() or complaint)[: 4 * TITLE].split())
    return text if len(text) <= TITLE else text[: TITLE - 1] + "…"


def _place(project: Project, texts: dict[int, tuple[str, Print]]) -> int:
    """Finds the cluster of each text, makes those that are missing, and stores it all."""
    if not texts:
        return 0
    stored = _heads([kept.bands for _, kept in texts.values()])
    fresh: dict[int, list[_Head]] = defaultdict(list)
    new: list[_Head] = []
    members: list[tuple[int, _Head, float]] = []
    for number, (pk, (title, kept)) in enumerate(texts.items()):
        head, alike = _nearest(kept, [*stored.get(number, ()), *_sharing(kept, fresh)])
        if head is None:
            head, alike = _Head(kept, title=title, first=pk), 1.0
            new.append(head)
            for band in set(kept.bands):
                fresh[band].append(head)
        members.append((pk, head, alike))
        head.came += 1
    for head, key in zip(new, new_ids(CLUSTERS, len(new)) if new else [], strict=True):
        head.cluster = key
    texts_of = {pk: kept for pk, (_, kept) in texts.items()}
    copy(
        CLUSTERS, ("id", "project_id", "head_id", "title", "size", "users", "reviewed"),
        ((head.cluster, project.pk, head.first, head.title, head.came, 0, 0) for head in new),
    )  # fmt: skip
    copy(
        MEMBERS, ("cluster_id", "interaction_id", "similarity", "signature", "bands"),
        ((head.cluster, pk, alike, *_kept(texts_of[pk], head.first == pk)) for pk, head, alike in members),
    )  # fmt: skip
    _grow(Counter({head.cluster: head.came for _, head, _ in members if not head.first}))
    return len(members)


def _kept(text: Print, first: bool) -> tuple[str, str]:
    """Of the first text what others are compared with; of the others what tells whether they change."""
    return (_array((text.digest, *text.sketch)), _array(text.bands)) if first else (_array((text.digest,)), "{}")


def _array(numbers: Iterable[int]) -> str:
    return "{" + ",".join(map(str, numbers)) + "}"


def _heads(bands: list[tuple[int, ...]]) -> dict[int, list[_Head]]:
    """For each of these texts, by its number, the first texts with which it shares a band; the oldest few."""
    found: dict[int, list[_Head]] = defaultdict(list)
    known: dict[int, _Head] = {}
    with connection.cursor() as cursor:
        cursor.execute(_SHARING, {"bands": [_array(set(own)) for own in bands], "most": LOOKED_AT})
        rows = cursor.fetchall()
    for number, pk, signature in rows:
        if pk not in known:
            digest, *sketch = map(int, signature[1:-1].split(","))
            known[pk] = _Head(Print(digest, tuple(sketch), ()), cluster=pk)
        found[number - 1].append(known[pk])
    return found


# One look-up for each text: a search for all bands at once asks every row it finds for every one of them. The sum in
# ORDER BY keeps the planner from reading all clusters in their order until it has met enough.
_SHARING = """
SELECT wanted.number, head.cluster_id, head.signature::text
FROM unnest(%(bands)s::text[]) WITH ORDINALITY AS wanted (bands, number)
CROSS JOIN LATERAL (
    SELECT cluster_id, signature FROM annotations_clustermember member
    WHERE member.bands && wanted.bands::bigint[] ORDER BY cluster_id + 0 LIMIT %(most)s
) AS head
"""


def _sharing(text: Print, fresh: dict[int, list[_Head]]) -> list[_Head]:
    """The clusters of this batch with which it shares a band, in the order in which they began."""
    found = {head.first: head for band in text.bands for head in fresh.get(band, ())}
    return [found[first] for first in sorted(found)][:LOOKED_AT]


def _nearest(text: Print, heads: list[_Head]) -> tuple[_Head | None, float]:
    """The first text that this one is most like, the oldest of several; None if it is like none."""
    best, alike = None, 0.0
    for head in heads:  # oldest first
        measured = similarity(text, head.print)
        if measured > alike:
            best, alike = head, measured
    return (best, alike) if alike >= THRESHOLD else (None, 0.0)


def _grow(joined: Counter[int]) -> None:
    if not joined:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE annotations_cluster SET size = size + came.number, newest_at = statement_timestamp()"
            " FROM unnest(%s::bigint[], %s::int[]) AS came(id, number) WHERE annotations_cluster.id = came.id",
            [list(joined), list(joined.values())],
        )


# -- counting anew --------------------------------------------------------------------------------------------------


def recount(pks: Collection[int]) -> None:
    """Counts the members, users of seven days and labels of these clusters.

    A user is who is named; of those who are not, each session is one, and without that each item.
    """
    with connection.cursor() as cursor:
        cursor.execute(_RECOUNT, {"clusters": list(pks)})


_RECOUNT = """
UPDATE annotations_cluster SET size = found.size, users = found.users, reviewed = found.reviewed
FROM (
    SELECT member.cluster_id, count(*) AS size,
        count(DISTINCT CASE
            WHEN member.joined_at <= statement_timestamp() - interval '7 days' THEN NULL
            WHEN item.end_user_id <> '' THEN 'u' || item.end_user_id
            WHEN item.session_id <> '' THEN 's' || item.session_id
            ELSE 'i' || item.id
        END) AS users,
        count(label.id) AS reviewed
    FROM annotations_clustermember member
    JOIN feedback_interaction item ON item.id = member.interaction_id
    LEFT JOIN annotations_label label ON label.interaction_id = item.id AND label.superseded_at IS NULL
    WHERE member.cluster_id = ANY(%(clusters)s)
    GROUP BY member.cluster_id
) AS found
WHERE annotations_cluster.id = found.cluster_id
"""
