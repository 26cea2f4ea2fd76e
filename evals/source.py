"""What an export reads: the examples of a frozen version, narrowed if asked, and a tally of what became of them.

Every format reads through here, so that one cannot hold other examples than the next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from evals import lines
from evals.models import DatasetVersion, Example

FILTERS = ("split", "tag", "category")


@dataclass(frozen=True, slots=True)
class Source:
    """A version and what is wanted of it; empty filters want all. ``rows`` counts as it reads, so use one once."""

    version: DatasetVersion
    split: str = ""
    tag: str = ""
    category: str = ""
    splits_read: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)

    @property
    def filters(self) -> dict[str, str]:
        """The filters that are set."""
        return {name: value for name in FILTERS if (value := getattr(self, name))}

    def narrowed(self) -> dict[str, Any]:
        """The filters as the database understands them."""
        found: dict[str, Any] = {"split": self.split} if self.split else {}
        if self.tag:
            found["tags__contains"] = [self.tag]
        if self.category:
            found["expected__label__category"] = self.category
        return found

    def again(self) -> Source:
        """The same, with nothing counted yet."""
        return replace(self, splits_read=Counter(), skipped=Counter())

    def rows(self, split: str = "") -> Iterator[dict[str, Any]]:
        """The examples by key, a thousand at a time in memory; of one ``split`` for formats with a file for each."""
        if split and self.split not in ("", split):
            return
        for row in lines.rows(self.version, **{**self.narrowed(), **({"split": split} if split else {})}):
            self.splits_read[row["split"]] += 1
            yield row

    def skip(self, why: str) -> None:
        """Counts an example that the format cannot carry; the manifest says how many and why."""
        self.skipped[why] += 1

    def splits(self) -> list[str]:
        """The splits that have examples, in the order of Example.Split."""
        approved = Example.objects.filter(version=self.version, approved_at__isnull=False, **self.narrowed())
        there = set(approved.order_by().values_list("split", flat=True).distinct())
        return [split for split in Example.Split.values if split in there]
