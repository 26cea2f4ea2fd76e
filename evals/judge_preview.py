"""What a judge would send about one real item, and what that would cost, before it is saved."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.db.models import QuerySet

from evals import judging, spending
from evals.backfills import CHARACTERS_PER_TOKEN, reply_tokens
from evals.judge_prompts import Prompt
from evals.models import Judge
from feedback.models import Interaction


@dataclass(frozen=True, slots=True)
class Preview:
    """The messages that would be sent; of a comparison that of the other order stands last. Nothing is sent for it.

    The marker around the material is drawn anew for each call. ``input_tokens`` is an estimate of four characters a
    token, ``most_usd`` what would be reserved. Amounts in US dollars are None without a price.
    """

    interaction: Interaction
    prompt: Prompt
    input_tokens: int
    output_tokens: int
    likely_usd: Decimal | None
    most_usd: Decimal | None

    @property
    def messages(self) -> list[dict[str, str]]:
        swapped = self.prompt.swapped
        told = [{"role": "system", "content": self.prompt.system}, {"role": "user", "content": self.prompt.user}]
        return [*told, {"role": "user", "content": swapped.user}] if swapped else told


def preview(judge: Judge, external_id: str = "") -> Preview | None:
    """The preview of a judge that need not be saved, on this interaction, else the newest that it can judge.

    None where there is none, or none of that id in the judge's project.
    """
    item = _item(judge, external_id)
    if item is None:
        return None
    prompt = judging.prompt_for(judge, item, judging.labels_for(judge, [item]).get(item.pk))
    reads = round(prompt.characters / CHARACTERS_PER_TOKEN)
    writes = reply_tokens(judge)
    return Preview(
        item, prompt, reads, writes, spending.cost_usd(judge, reads, writes),
        spending.most_of(judge, prompt),
    )  # fmt: skip


def _item(judge: Judge, external_id: str) -> Interaction | None:
    items: QuerySet[Interaction] = Interaction.objects.filter(project=judge.project_id)
    if external_id:
        return items.filter(external_id=external_id).first()
    return judging.can_judge(judge).order_by("-created_at", "-id").first()
