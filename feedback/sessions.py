"""What a user's next message says about the answer before it. Pure rules on plain values, each with a version.

The rules prefer silence to a wrong complaint: a false one costs a reviewer's time, a missed one costs nothing,
because the random sample sees the answer anyway. They read English and German.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Any

# A question asked again later than this is a new one.
SOON = timedelta(minutes=10)
# Two calls closer together than this are one program's (a fan-out, a retry after a timeout), not a person's.
HUMAN = timedelta(seconds=2)
# A failed answer after which nothing comes for so long is where the user gave up.
ABANDONED = timedelta(minutes=30)
# Twice the content words that two questions share, over the content words of both. Where the later one lacks a word
# of the earlier, something was left out or exchanged ("to Austria" for "to Germany"), and only a long question can
# still be the same.
SIMILAR, SIMILAR_WITH_LESS = 0.7, 0.86


@dataclass(frozen=True, slots=True)
class Turn:
    """One interaction of a session. ``asked``: the user spoke last in it, so it begins a turn of the talk."""

    external_id: str
    at: datetime
    question: str
    asked: bool = True
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Signal:
    """That the user was not content with the answer of the turn ``about``."""

    rule: str
    version: str
    value: str  # one of the implicit kinds of feedback
    about: Turn
    at: datetime
    evidence: dict[str, Any] = field(default_factory=dict)


def signals(turns: Sequence[Turn]) -> list[Signal]:
    """What the turns of one user in one session say about each other; at most one signal for each answer.

    A function of the set: the order of arrival does not matter.
    """
    talk = sorted(turns, key=lambda turn: (turn.at, turn.external_id))
    found = []
    for earlier, later in pairwise(talk):
        signal = _between(earlier, later)
        if signal is not None:
            found.append(signal)
    return found


def abandoned(turn: Turn, following: datetime | None, now: datetime) -> Signal | None:
    """``abandoned/1``: the last answer failed or was refused, and nothing came for half an hour."""
    if not turn.failed or now - turn.at < ABANDONED or (following is not None and following - turn.at < ABANDONED):
        return None
    evidence = {"minutes": round(ABANDONED.total_seconds() / 60)}
    return Signal("abandoned", "1", "abandoned", turn, turn.at + ABANDONED, evidence)


def _between(earlier: Turn, later: Turn) -> Signal | None:
    gap = later.at - earlier.at
    if not later.asked or not HUMAN <= gap <= SOON:
        return None
    evidence = {"follow_up": later.external_id, "seconds": round(gap.total_seconds(), 1)}
    if same(earlier.question, later.question, failed=earlier.failed):
        return Signal("retried", "1", "regenerated", earlier, later.at, evidence)
    if pattern := frustration(later.question):
        # There is no kind of its own for it; who protests asks for another answer, as one who rephrases does.
        return Signal("frustrated", "1", "rephrased", earlier, later.at, evidence | {"pattern": pattern})
    likeness = similarity(earlier.question, later.question)
    if likeness is not None:
        return Signal("rephrased", "1", "rephrased", earlier, later.at, evidence | {"similarity": round(likeness, 2)})
    return None


# -- retried -------------------------------------------------------------------------------------------------


def same(earlier: str, later: str, *, failed: bool = False) -> bool:
    """Whether the same is asked again, up to case, spaces and punctuation.

    "Yes" and "go on" are said again and again; fewer than three words count only after a failure.
    """
    words = _words(later)
    return bool(words) and words == _words(earlier) and (failed or len(words) >= 3)


# -- rephrased -----------------------------------------------------------------------------------------------

_FILLER_WORDS = """
    a an and any are as at be been but by can could did do does for from get had has have hello hey hi how i if in
    into is it its just kindly know let like may me might mine my need now of on or our out please shall should so
    some tell than thank thanks that the their them then there these they this those to us want was way we well were
    what when where which who whom why will with would you your
    aber alle allen als am an auch auf aus bei beim bin bis bitte bist da dann das dass dein deine dem den denn der des
    die dies diese diesem diesen dieser dir doch du ein eine einem einen einer eines er es etwas für gern gerne gibt
    habe haben hallo hast hat hier ich ihm ihn ihnen ihr ihre im in ins ist ja jetzt kann kannst können könnte könnten
    machen man mein meine meinem meinen meiner meines mich mir mit
    möchte muss müssen nach noch nun oder sein seine sich sie
    sind so soll sollte über um und uns unser unsere vom von vor wann war warum was welche welcher welches wenn wer
    werden wie wieso will wir wird wo wollen würde würden zu zum zur"""
_FILLERS = frozenset(_FILLER_WORDS.split())
# So begins a message that goes on from an answer, not one that asks again.
_GOES_ON = re.compile(
    r"\W*(?:and|also|ok|okay|thanks?|thank you|great|perfect|what about|how about|yes|sure|cool|then|"
    r"und|auch|danke|vielen dank|super|prima|was ist mit|wie ist es mit|wie sieht es mit|ja|gut|dann)\b"
)


def similarity(earlier: str, later: str) -> float | None:
    """How much two questions have in common, from 0 to 1; None where the later one is a question of its own."""
    if _GOES_ON.match(_plain(later)):
        return None
    first, second = _content(earlier), _content(later)
    if {word for word in first if word.isdigit()} != {word for word in second if word.isdigit()}:
        return None  # another order, another amount
    left = list(second)
    matched = 0
    for word in first:
        found = next((other for other in left if _alike(word, other)), None)
        if found is not None:
            left.remove(found)
            matched += 1
    if matched < 2:
        return None
    likeness = 2 * matched / (len(first) + len(second))
    needed = SIMILAR if matched == len(first) else SIMILAR_WITH_LESS
    return likeness if likeness >= needed else None


def _alike(one: str, other: str) -> bool:
    """The same word, another form of it, or a slip of the finger."""
    if one == other:
        return True
    shorter = min(len(one), len(other))
    if shorter < 4:
        return False
    start = next((place for place in range(shorter) if one[place] != other[place]), shorter)
    if start >= max(4, 0.6 * shorter):
        return True
    return shorter > 4 and one[0] == other[0] and SequenceMatcher(None, one, other, autojunk=False).ratio() >= 0.8


_LONGEST = 60  # words; what is longer was pasted


def _content(text: str) -> list[str]:
    return list(dict.fromkeys(word for word in _words(text) if word not in _FILLERS))[:_LONGEST]


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", _plain(text).replace("'", ""))


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text[:4000]).casefold().replace("’", "'").strip()


# -- frustrated ----------------------------------------------------------------------------------------------

# The whole list. Each stands at the beginning of the message, after a word like "no" at most, so that a question
# about what is wrong is none. Names go into the evidence.
_BEFORE = r"(?:(?:no|nope|sorry|but|hm+|wait|well|nein|nee|doch|aber|moment|also|leider)\b[\s,.!:…-]*){0,2}"
_THIS = r"(?:that|this|it|what you (?:said|wrote))(?:'s| is| was)"
_VERY = r"(?:\s(?:just|simply|completely|totally|plain|still|clearly|also|definitely))?"
PATTERNS: dict[str, str] = {
    "wrong": rf"(?:{_THIS}{_VERY} (?:wrong|incorrect|false|nonsense|rubbish|not (?:true|right|correct|helpful))|"
    rf"{_THIS}n't (?:true|right|correct|helpful)|you(?:'re| are){_VERY} wrong|wrong answer)\b",
    "not what I asked": r"(?:that|this)(?:'s| is| was)(?:n't| not) "
    r"(?:what i (?:asked|meant|said|wanted)|my question)\b",
    "no answer": r"you (?:did not|didn't|haven't|have not|still haven't|don't|are not|aren't) "
    r"(?:answer|answered|answering)\b",
    "no help": r"(?:that|this) (?:did not|didn't|does not|doesn't) (?:help|answer|make (?:any )?sense)\b",
    "asked before": r"i(?:'ve| have)? (?:already|just) (?:asked|told you|said)\b",
    "falsch": r"(?:das|dies|es|deine antwort|ihre antwort) (?:ist|war)"
    r"(?: (?:leider|so|doch|aber|einfach|völlig|immer noch))?"
    r" (?:falsch|unsinn|quatsch|nicht (?:richtig|korrekt|wahr|hilfreich))\b|falsche antwort\b",
    "stimmt nicht": r"(?:das|dies|es) stimmt (?:so |doch |aber |leider |einfach )?(?:gar |überhaupt )?nicht\b|"
    r"stimmt nicht\b",
    "nicht gefragt": r"(?:das|danach) "
    r"(?:hab(?:e|') ich (?:gar |doch )?nicht (?:gefragt|gemeint|gesagt)|war nicht meine frage)\b",
    "keine Antwort": r"(?:du hast|sie haben) (?:meine frage|mir) nicht (?:beantwortet|geantwortet)\b",
    "hilft nicht": r"(?:das |dies )?(?:hilft|half) (?:mir )?(?:leider )?(?:gar |überhaupt )?nicht\b|"
    r"das ergibt keinen sinn\b",
}  # fmt: skip
_COMPILED = {name: re.compile(rf"{_BEFORE}(?:{pattern})") for name, pattern in PATTERNS.items()}


def frustration(message: str) -> str:
    """The name of the pattern with which the message protests; empty where it does not."""
    plain = _plain(message)
    for name, pattern in _COMPILED.items():
        match = pattern.match(plain)
        # "That's wrong?" wonders.
        if match and not re.match(r"[^.!?\n]*\?", plain[match.end() :]):
            return name
    return ""
