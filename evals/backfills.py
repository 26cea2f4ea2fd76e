"""Backfills: what one would take and cost before it starts, and how far it has come."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Avg, Count, Min, Q

from evals import batches, judging, spending
from evals.models import Judge, JudgeCall, JudgeJob

# Characters of ordinary text for one token, and tokens of a reply before this version has given any.
CHARACTERS_PER_TOKEN = 4
REPLY_TOKENS = 150
# So many of the items are read for the estimate; the rest is taken to be like them.
READ = 200


def reply_tokens(judge: Judge) -> int:
    """Tokens of the replies to one item, before there has been any."""
    return REPLY_TOKENS * spending.asked_at_most(judge) // spending.ASKED_AT_MOST


@dataclass(frozen=True, slots=True)
class Preview:
    """What a backfill of the newest ``count`` items comes to. Amounts in US dollars are None without a price.

    ``likely`` is an estimate from the lengths of the texts; ``most`` is what can be reserved for it in all. Those in a
    batch are None too where the provider takes none.
    """

    count: int
    input_tokens: int
    output_tokens: int
    likely_usd: Decimal | None
    most_usd: Decimal | None
    left_usd: Decimal | None
    batch_offered: bool = False
    batch_likely_usd: Decimal | None = None
    batch_most_usd: Decimal | None = None

    @property
    def fits(self) -> bool:
        """Whether what is likely fits under the caps of today."""
        return self.left_usd is None or (self.likely_usd is not None and self.likely_usd <= self.left_usd)


def preview(judge: Judge, limit: int) -> Preview:
    """Count and cost of a backfill of at most ``limit`` items; reads up to 200 of them and starts nothing."""
    waiting = judging.not_judged(judge)
    count = waiting[:limit].count()
    read = list(waiting[: min(limit, READ)])
    labels = judging.labels_for(judge, read)
    prompts = [judging.prompt_for(judge, item, labels.get(item.pk)) for item in read]
    told = JudgeCall.objects.filter(judge=judge, output_tokens__isnull=False).aggregate(mean=Avg("output_tokens"))
    reply = round(told["mean"] or reply_tokens(judge))
    scale = count / len(prompts) if prompts else 0.0
    reads = round(sum(one.characters for one in prompts) / CHARACTERS_PER_TOKEN * scale)
    caps = [cap.left_usd for cap in spending.caps(judge)]
    offered = batches.offered(judge)

    def likely(*, batched: bool) -> Decimal | None:
        return spending.cost_usd(judge, reads, reply * count, batched=batched) if count else Decimal(0)

    def most(*, batched: bool) -> Decimal | None:
        each = [spending.most_of(judge, one, batched=batched) for one in prompts]
        return None if None in each else sum((one or Decimal(0) for one in each), Decimal(0)) * Decimal(str(scale))

    return Preview(
        count=count, input_tokens=reads, output_tokens=reply * count, likely_usd=likely(batched=False),
        most_usd=most(batched=False), left_usd=min(caps) if caps else None, batch_offered=offered,
        batch_likely_usd=likely(batched=True) if offered else None,
        batch_most_usd=most(batched=True) if offered else None,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the backfills of a version have come that still have something to do."""

    done: int
    total: int
    since: datetime | None

    @property
    def share(self) -> float:
        return self.done / self.total if self.total else 1.0


def progress(judge: Judge) -> Progress | None:
    """None where no backfill is under way; one query."""
    found = JudgeJob.objects.filter(judge=judge, purpose=JudgeJob.Purpose.BACKFILL).aggregate(
        total=Count("pk"), done=Count("pk", filter=Q(finished_at__isnull=False)), since=Min("created_at")
    )
    return Progress(**found) if found["done"] < found["total"] else None
