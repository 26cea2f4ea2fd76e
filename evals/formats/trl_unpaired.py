"""Judged answers as Hugging Face TRL reads them without pairs: ``prompt``, ``completion``, ``label``.

https://huggingface.co/docs/trl/dataset_formats (conversational, unpaired preference). The completion is the recorded
answer, the label whether people let it pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from evals.formats import Format, chat, json_lines
from evals.source import Source

UNJUDGED = "no judged answer"


def entries(source: Source) -> Iterator[dict[str, Any]]:
    """One entry for each recorded answer that was judged."""
    for row in source.rows():
        said, verdict = row["metadata"].get("answer") or "", chat.label(row).get("verdict")
        if said and verdict in {"pass", "fail"} and row["input"].get("messages"):
            yield {"prompt": chat.plain(row), "completion": chat.answer(said), "label": verdict == "pass"}
        else:
            source.skip(UNJUDGED)


def write(source: Source) -> Iterator[bytes]:
    """The file in pieces."""
    return json_lines(entries(source))


FORMAT = Format(
    slug="trl-unpaired",
    label="Judged answers for TRL",
    note="For KTOTrainer: every recorded answer, good or bad",
    suffix=".trl-unpaired.jsonl",
    media_type="application/x-ndjson",
    write=write,
    position=23,
    trains=True,
)
