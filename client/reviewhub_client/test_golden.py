"""A ready test: ``pytest --pyargs reviewhub_client.test_golden --golden golden@3 --golden-target openai:MODEL``."""

from __future__ import annotations

from typing import Any


def test_golden(golden_example: Any, golden_target: Any) -> None:
    """One frozen example, asked of ``--golden-target``."""
    golden_example.ask(golden_target)
