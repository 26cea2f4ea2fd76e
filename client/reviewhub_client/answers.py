"""What a target is, and what it says: the small interface between an evaluation and whatever answers examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

MAX_OUTPUT = 1_000_000
MAX_ERROR = 500
MOST_MS, MOST_USD = 1e12, 1e6  # what the hub takes


class CannotRun(Exception):
    """The evaluation cannot go on: a wrong option, an unreadable file, a key that the provider refuses."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a target said to one example; ``error`` where it said nothing that can be judged.

    ``cost_usd`` is the target's own figure in US dollars, where it has one.
    """

    output: str = ""
    error: str = ""
    latency_ms: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None


class Target(Protocol):
    """Anything that answers examples. ``describe`` is stored with the run and must hold no secret.

    ``concurrent``: whether it may be asked by several threads at once. ``answer`` raises CannotRun where going on
    makes no sense; whatever else goes wrong with one example is an ``Answer`` with an ``error``.
    """

    name: str
    concurrent: bool

    def describe(self) -> dict[str, Any]: ...

    def answer(self, example: Mapping[str, Any]) -> Answer: ...


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line says about a target: the word after ``--target`` without its prefix, and the options."""

    rest: str
    model: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    timeout: float = 120.0
    retries: int = 5


Make = Callable[[Wish], Target]


def storable(answer: Answer) -> Answer:
    """The answer as the hub can keep it. A text that is no Unicode (half a surrogate pair) becomes an error; a time or
    a cost beyond belief is not known."""
    latency, cost = _below(answer.latency_ms, MOST_MS), _below(answer.cost_usd, MOST_USD)
    error = answer.error.encode("utf-8", "replace").decode()[:MAX_ERROR]
    try:
        answer.output.encode("utf-8")
    except UnicodeEncodeError:
        return replace(answer, output="", error="the answer is no valid Unicode", latency_ms=latency, cost_usd=cost)
    return replace(answer, error=error, latency_ms=latency, cost_usd=cost)


def _below(value: float | None, most: float) -> float | None:
    return value if value is not None and 0 <= value < most else None


def bounded(
    output: str, latency_ms: float | None, input_tokens: int | None = None, output_tokens: int | None = None,
    cost_usd: float | None = None,
) -> Answer:  # fmt: skip
    """An answer, or an error where the text is longer than the hub takes."""
    if len(output) > MAX_OUTPUT:
        return Answer(error=f"the answer has more than {MAX_OUTPUT:,} characters", latency_ms=latency_ms)
    return Answer(output, "", latency_ms, input_tokens, output_tokens, cost_usd)
