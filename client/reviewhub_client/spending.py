"""What an evaluation will take and has taken: an estimate before the first question, and a budget while it runs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from reviewhub_client.answers import Answer, CannotRun
from reviewhub_client.target_models import prompt_of

CHARACTERS_PER_TOKEN = 4  # the rule of thumb for English of https://platform.openai.com/tokenizer
OUTPUT_TOKENS = 200  # where nothing tells how long an answer will be
SECONDS_BEFORE, SECONDS_PER_TOKEN = 0.5, 0.02
MILLION = 1_000_000


class OverBudget(CannotRun):
    """The budget is spent; what was answered is kept."""


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens."""

    input: float
    output: float

    @classmethod
    def parse(cls, text: str) -> Price:
        """``0.15,0.60``; raises CannotRun."""
        try:
            given, got = (float(part) for part in text.split(","))
            if not (0 <= given < MILLION and 0 <= got < MILLION):
                raise ValueError
        except ValueError:
            raise CannotRun(f"--price {text}: write IN,OUT in US dollars for a million tokens") from None
        return cls(given, got)

    def of(self, answer: Answer) -> float | None:
        """What an answer cost in US dollars: the target's own figure, else by its tokens; None where neither is
        known."""
        if answer.cost_usd is not None:
            return answer.cost_usd
        if answer.input_tokens is None or answer.output_tokens is None:
            return None
        return (answer.input_tokens * self.input + answer.output_tokens * self.output) / MILLION


@dataclass(frozen=True, slots=True)
class Estimate:
    """About what it will take: questions, tokens, US dollars (None without a price) and seconds."""

    questions: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    seconds: float

    def __str__(self) -> str:
        cost = "" if self.cost_usd is None else f", about ${self.cost_usd:.2f}"
        return (
            f"{self.questions:,} questions, about {self.input_tokens:,} tokens in and {self.output_tokens:,} out"
            f"{cost}, about {duration(self.seconds)}"
        )


def estimate(work: Iterable[Mapping[str, Any]], *, price: Price | None, concurrency: int) -> Estimate:
    """Four characters a token; answers as long as the desired ones; half a second and 20 ms a token for each.

    Rough on purpose: it tells one dollar from a hundred before anything is spent.
    """
    questions = given = got = 0
    for example in work:
        desired = str((example.get("expected") or {}).get("output") or "")
        questions += 1
        given += len(json.dumps(prompt_of(example), ensure_ascii=False)) // CHARACTERS_PER_TOKEN
        got += len(desired) // CHARACTERS_PER_TOKEN or OUTPUT_TOKENS
    cost = None if price is None else (given * price.input + got * price.output) / MILLION
    seconds = (questions * SECONDS_BEFORE + got * SECONDS_PER_TOKEN) / max(1, concurrency)
    return Estimate(questions, given, got, cost, seconds)


class Purse:
    """Counts what is spent, over all threads. ``budget`` in US dollars; None is no limit. ``judge`` is whoever is paid
    beside the target and counts by itself, in ``spent``."""

    def __init__(self, price: Price | None, budget: float | None, judge: object = None) -> None:
        if budget is not None and price is None:
            raise CannotRun("A budget needs a price: --price IN,OUT in US dollars for a million tokens.")
        self.price, self.budget, self._judge, self._answers = price, budget, judge, 0.0
        self._lock = threading.Lock()

    @property
    def spent(self) -> float:
        """US dollars for answers and for judging them."""
        return self._answers + float(getattr(self._judge, "spent", 0.0))

    @property
    def empty(self) -> bool:
        return self.budget is not None and self.spent >= self.budget

    def check(self) -> None:
        """Raises OverBudget once the budget is spent."""
        if self.empty:
            raise OverBudget(f"The budget of ${self.budget:g} is spent.")

    def pay(self, answer: Answer) -> float | None:
        """Counts an answer; what it cost."""
        cost = self.price.of(answer) if self.price else answer.cost_usd
        with self._lock:
            self._answers += cost or 0.0
        return cost


def duration(seconds: float) -> str:
    """``95`` → ``2 min``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
