"""The server's side of the checks: the client's module, and what the server refuses to run.

There is one implementation, ``reviewhub_client.checks``; a copy here would sooner or later disagree with the
one on the developer's machine. The light client is to this project what any library is: it imports nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reviewhub_client import checks, schema

from projects.errors import invalid

__all__ = ["judge_here", "parse"]


def parse(value: Any) -> list[dict[str, Any]]:
    """The checks that a run asks for; 422 with the reason where one cannot be run."""
    try:
        return checks.validate(value)
    except (checks.BadCheck, schema.BadSchema) as error:
        raise invalid("/checks", f"{error}.") from None


def judge_here(
    example: Mapping[str, Any], output: str, wanted: Sequence[Mapping[str, Any]], path: str
) -> checks.Judgement:
    """Judges an answer for which the caller gave no verdict; 422 where the server may not or cannot."""
    if checks.needs_client(wanted):
        raise invalid(f"{path}/passed", "Send passed: patterns run on the caller's machine, not on the server.")
    try:
        return checks.judge(example, output, wanted)
    except checks.BadCheck as error:
        raise invalid(path, f"{error}.") from None
