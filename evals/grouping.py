"""What a split must not tear apart: one session, one cluster of complaints, one question.

Each example has a group, the session or else the question, and the cluster of its complaint where there is one. The
split is a hash of the group. An example that belongs with others by its cluster takes their group and so their split;
where it joins groups that were apart, all take that of the most examples.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Count, Q
from django.db.models.fields.json import KeyTextTransform

from evals.models import DatasetVersion, Example
from evals.snapshot import Content


@dataclass(frozen=True, slots=True)
class Torn:
    """A group that stands in several splits: its keys, and the split of the most of them."""

    group: str
    keys: list[str]
    split: str


def beside(draft: DatasetVersion, content: Content) -> Content:
    """The content in the group and split of those it belongs with; groups that it joins become one in the draft."""
    group, cluster = content.provenance.get("group"), content.provenance.get("cluster")
    related = Q(provenance__group=group)
    if cluster is not None:
        related |= Q(provenance__cluster=cluster)
    found = draft.examples.filter(related).exclude(key=content.key)
    there = Counter(found.values_list("provenance__group", "split"))
    if not there:
        return content
    (chosen, split), _ = min(there.items(), key=lambda entry: (-entry[1], str(entry[0])))
    joined = {each for each, _ in there} - {chosen}
    for example in draft.examples.filter(provenance__group__in=joined):
        move(example, group=chosen, split=split)
    return replace(content, split=split, provenance={**content.provenance, "group": chosen})


def move(example: Example, *, group: str, split: str) -> None:
    """Puts an example of a draft into a group and its split. What is expected stays, and so does its approval."""
    example.split, example.provenance = split, {**example.provenance, "group": group}
    example.save(update_fields=["split", "provenance"])


def torn(version: DatasetVersion) -> list[Torn]:
    """The groups of approved examples that stand in more than one split, the largest first."""
    grouped = (
        version.examples.filter(approved_at__isnull=False, provenance__group__isnull=False)
        .annotate(group=KeyTextTransform("group", "provenance"))
        .order_by()
        .values("group")
        .annotate(splits=Count("split", distinct=True), keys=ArrayAgg("key", order_by="key"), all=ArrayAgg("split"))
        .filter(splits__gt=1)
    )
    found = [Torn(row["group"], row["keys"], _most(row["all"])) for row in grouped]
    return sorted(found, key=lambda each: (-len(each.keys), each.group))


def _most(splits: list[str]) -> str:
    counted = Counter(splits)
    return min(counted, key=lambda split: (-counted[split], split))
