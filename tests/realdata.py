"""Real data sets with human labels. They are not part of the repository: their texts may not be shipped with it.

They are looked for in ``REVIEWHUB_DATA``, else in ``../shared/data`` beside the checkout.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent


def folder() -> Path:
    return Path(os.environ.get("REVIEWHUB_DATA") or CHECKOUT.parent / "shared" / "data")


def path(name: str) -> Path:
    """The development part of a set, ``"ragtruth"`` or ``"llmfao/llmfao_outputs"``; skips the test if it is absent."""
    group, _, part = name.partition("/")
    found = folder() / group / f"{part or group}.dev.jsonl.gz"
    if not found.exists():
        pytest.skip(f"The data set {name} is not in {folder()}; set REVIEWHUB_DATA to where it is.")
    return found


def records(name: str) -> Iterator[dict[str, Any]]:
    """The records of a set as they are in the file."""
    with gzip.open(path(name), "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
