"""What users say and do after an answer, and how the machine judge words its verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from reviewhub.sample.dice import Dice
from reviewhub.sample.written import Exchange

# Even a good answer disappoints somebody: the law, the price, or the wish for a person.
GRUMBLES = {
    "en": ["I wanted to talk to a person", "too long", "Doesn't help me", "ok but I don't like the rule", "too slow"],
    "de": ["Ich wollte einen Menschen sprechen", "zu lang", "hilft mir nicht weiter", "zu langsam"],
}
PRAISE = {"en": ["thanks", "Great, thank you", "👍", "quick!"], "de": ["Danke!", "super", "Schnell und klar"]}
SUPPORTED = [
    "Each statement can be found in “{title}”.",
    "The answer follows “{title}” and adds nothing to it.",
    "Amounts and periods agree with “{title}”. Supported.",
    "I find every claim in the sources, mainly in “{title}”.",
]
SUPPORTED_WITHOUT_SOURCE = [
    "No claim goes beyond what the tools returned.",
    "The answer repeats what is known and claims nothing else.",
]
FALSE_ALARMS = [
    "“{sentence}” is worded differently in the sources, so I do not count it as supported.",
    "The sources do not contain “{sentence}” as it stands; it is inferred.",
]
# How often a fault that can fool the judge does, and how often it flags a good answer.
FOOLED, FALSE_ALARM = 0.5, 0.018
NOT_FOOLED = "“{quote}” does not follow from what the assistant was given."


@dataclass(frozen=True, slots=True)
class Rates:
    """How often users react, as shares. Faulty answers first, good ones second."""

    down: tuple[float, float] = (0.43, 0.009)
    up: tuple[float, float] = (0.02, 0.1)
    comment: float = 0.72
    stars: float = 0.3  # of the reactions at the counter and the staff desk
    copied: float = 0.055
    abandoned: tuple[float, float] = (0.06, 0.006)
    escalated: tuple[float, float] = (0.05, 0.004)
    report: float = 0.22  # of the thumbs-down on answers that can harm
    second_thoughts: float = 0.06


RATES = Rates()


def feedback(
    rng: Random, dice: Dice, exchange: Exchange, *, ident: str, user: str, seen_at: datetime
) -> list[dict[str, Any]]:
    """The user's reactions to one answer, in order of time, as bodies of the feedback API."""
    place = 0 if exchange.faulty else 1
    if exchange.found_late:
        seen_at += timedelta(hours=rng.uniform(3, 40))
    react = _Reactions(rng, ident, user, seen_at)
    if dice.happens(("down", place), RATES.down[place]):
        _thumbs_down(rng, dice, exchange, react)
    elif dice.happens(("up", place), RATES.up[place]):
        _thumbs_up(rng, exchange, react)
    elif dice.happens(("abandoned", place), RATES.abandoned[place]):
        react.add("implicit", value="abandoned")
    elif not exchange.faulty and rng.random() < RATES.copied:
        react.add("implicit", value="copied")
    return react.said


def _thumbs_down(rng: Random, dice: Dice, exchange: Exchange, react: _Reactions) -> None:
    language = exchange.pattern.language
    said = exchange.comments if exchange.faulty else GRUMBLES[language]
    comment: dict[str, Any] = {"comment": rng.choice(said)} if said and rng.random() < RATES.comment else {}
    if exchange.pattern.assistant in {"leaflet", "staff-desk"} and rng.random() < RATES.stars:
        react.add("rating", value=rng.choice([1, 1, 2]), scale=5, **comment)
    else:
        react.add("thumbs", value="down", **comment)
        if dice.happens("second thoughts", RATES.second_thoughts):
            react.add("thumbs", value="up", pause=200)
    if exchange.correction and dice.happens("correction", 0.6):
        react.add("correction", correction=exchange.correction)
    if exchange.opinion and exchange.opinion.severity == 1 and dice.happens("report", RATES.report):
        react.add("report", value="unsafe", **comment)
    if rng.random() < RATES.escalated[0 if exchange.faulty else 1] * 3:
        react.add("implicit", value="escalated")


def _thumbs_up(rng: Random, exchange: Exchange, react: _Reactions) -> None:
    words = (exchange.comments if not exchange.faulty else []) or PRAISE[exchange.pattern.language]
    comment: dict[str, Any] = {"comment": rng.choice(words)} if rng.random() < 0.25 else {}
    if exchange.pattern.assistant in {"leaflet", "staff-desk"} and rng.random() < RATES.stars:
        react.add("rating", value=rng.choice([4, 5, 5, 5]), scale=5, **comment)
        return
    react.add("thumbs", value="up", **comment)
    if exchange.faulty and rng.random() < 0.5:  # believed it first, found out later
        react.add("thumbs", value="down", pause=7200, comment=rng.choice(exchange.comments or ["not true after all"]))


class _Reactions:
    """Collects one user's reactions to one answer, each a little later than the one before."""

    def __init__(self, rng: Random, ident: str, user: str, seen_at: datetime) -> None:
        self.rng, self.ident, self.user, self.at = rng, ident, user, seen_at
        self.said: list[dict[str, Any]] = []

    def add(self, kind: str, *, pause: float = 20, **fields: Any) -> None:
        self.at += timedelta(seconds=pause * self.rng.uniform(0.5, 1.6))
        self.said.append(
            {"interaction_id": self.ident, "kind": kind, "user_id": self.user, "created_at": self.at, **fields}
        )


def verdict(rng: Random, dice: Dice, exchange: Exchange) -> tuple[float, bool, str]:
    """The machine judge's value, whether it flags the answer, and why.

    It often misses what its question does not ask for (tone, gaps, harm that is in the sources) and at times
    takes a paraphrase for an invention: about six in seven verdicts on reviewed answers agree with the experts.
    """
    if exchange.judge_says_fault:
        return round(rng.uniform(0.04, 0.38), 2), True, exchange.judge
    if exchange.faulty and (not exchange.answer or dice.happens("fooled", FOOLED)):
        return round(rng.uniform(0.72, 0.95), 2), False, exchange.judge
    if exchange.opinion is not None:
        quotes = [
            exchange.answer[one["start"] : one["end"]] for one in exchange.opinion.spans if one["target"] == "output"
        ]
        return round(rng.uniform(0.22, 0.47), 2), True, NOT_FOOLED.format(quote=quotes[0])
    if exchange.documents and dice.happens("false alarm", FALSE_ALARM):
        sentence = exchange.answer.split(". ")[0].strip("*. ")[:120]
        return round(rng.uniform(0.3, 0.47), 2), True, rng.choice(FALSE_ALARMS).format(sentence=sentence)
    value = round(rng.uniform(0.8, 0.99), 2)
    if not exchange.documents:
        return value, False, rng.choice(SUPPORTED_WITHOUT_SOURCE)
    return value, False, rng.choice(SUPPORTED).format(title=exchange.documents[0]["title"])
