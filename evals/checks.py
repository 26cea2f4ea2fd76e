"""The server's side of the checks: the client's module, and what the server cannot run.

There is one implementation, ``reviewhub_client.checks``; a copy here would sooner or later disagree with the
one on the developer's machine. The light client is to this project what any library is: it imports nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

from reviewhub_client import checks, schema

from projects.errors import invalid

__all__ = ["judge_here", "parse"]


class Answered(Protocol):
    """What an answer is judged by."""

    @property
    def output(self) -> str: ...

    @property
    def latency_ms(self) -> float | None: ...

    @property
    def cost_usd(self) -> Decimal | None: ...


def parse(value: Any) -> list[dict[str, Any]]:
    """The checks that a run asks for; 422 with the reason where one cannot be run."""
    try:
        return checks.validate(value)
    except (checks.BadCheck, schema.BadSchema) as error:
        raise invalid("/checks", f"{error}.") from None


def judge_here(
    example: Mapping[str, Any], item: Answered, wanted: Sequence[Mapping[str, Any]], path: str
) -> checks.Judgement:
    """Judges an answer for which the caller gave no verdict; 422 where the server may not or cannot."""
    if checks.needs_client(wanted):
        raise invalid(f"{path}/passed", "Send passed: these checks ask a model, which only the caller can.")
    cost = None if item.cost_usd is None else float(item.cost_usd)
    try:
        return checks.judge(example, item.output, wanted, spent=checks.Spent(item.latency_ms, cost))
    except checks.BadCheck as error:
        raise invalid(path, f"{error}.") from None
