"""Preference pairs as Hugging Face TRL reads them: ``prompt``, ``chosen``, ``rejected``, each a list of messages.

https://huggingface.co/docs/trl/dataset_formats (conversational, explicit prompt).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from evals.formats import Format, chat, json_lines
from evals.formats.openai_dpo import pairs
from evals.source import Source


def entry(row: dict[str, Any]) -> dict[str, Any]:
    """One pair. Only texts, because a column of a data set has one type."""
    return {
        "prompt": chat.plain(row),
        "chosen": chat.answer(chat.desired(row)),
        "rejected": chat.answer(chat.rejected(row)),
    }


def write(source: Source) -> Iterator[bytes]:
    """The file in pieces."""
    return json_lines(map(entry, pairs(source)))


FORMAT = Format(
    slug="trl-preference",
    label="Preference pairs for TRL",
    note="For DPOTrainer and RewardTrainer",
    suffix=".trl-preference.jsonl",
    media_type="application/x-ndjson",
    write=write,
    position=22,
    trains=True,
)
