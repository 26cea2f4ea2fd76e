"""What peers call scores, feedback and annotations, as our feedback and scores.

A person's thumb, rating, word or comment is feedback; so is a user's vote that an application has sent under one
of the usual names. A machine's verdict is a score, and so is a person's number on a scale that the file does not
tell. Who said it, when, under which name and about which span is kept.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from feedback import limits
from feedback.importers.records import Record

# The names under which peers' own documentation collects a user's thumbs.
THUMBS = {
    "user-feedback", "user_feedback", "user feedback", "feedback", "thumbs", "user-thumbs", "thumbs_up", "user_score",
    "user-score",
}  # fmt: skip
UP = {"thumbs_up", "thumbs-up", "thumbs up", "up", "positive", "👍"}
DOWN = {"thumbs_down", "thumbs-down", "thumbs down", "down", "negative", "👎"}
VOTES: dict[float, str] = {1: "up", 0: "down", -1: "down"}
RATINGS = ("rating", "stars")
STARS = 5


@dataclass(frozen=True, slots=True)
class Verdict:
    """``person`` says whether a human gave it; ``scale`` is the best possible number, where the file tells it."""

    trace: str
    key: str
    name: str
    number: float | None = None
    word: str = ""
    comment: str = ""
    correction: str = ""
    free: bool = False  # the word is free text
    yes_no: bool = False  # the number stands for yes or no
    person: bool = False
    scale: float | None = None
    who: str = ""
    called: str = ""  # the name of who said it, where there is an id too
    at: str | None = None
    span: str = ""
    extra: dict[str, Any] = field(default_factory=dict)


def add(record: Record, verdict: Verdict) -> None:
    """Adds what a verdict says to a record; one that says nothing is a ValueError."""
    if verdict.correction:
        corrected = {"kind": "correction", "correction": verdict.correction[: limits.TEXT]}
        record.feedback.append(_feedback(verdict, corrected, "correction"))
    said = _said(verdict)
    if said is not None:
        record.feedback.append(_feedback(verdict, said))
    elif verdict.number is not None or verdict.word:
        record.scores.append(_score(verdict))
    elif not verdict.correction:
        raise ValueError(f"{verdict.name or 'the verdict'} says nothing: no value, word, comment or correction")


def key(*parts: str) -> str:
    """An idempotency key of these parts, within the limit."""
    whole = ":".join(parts)
    return whole if len(whole) <= limits.KEY else f"{parts[0]}:{hashlib.sha256(whole.encode()).hexdigest()}"


def _said(verdict: Verdict) -> dict[str, Any] | None:
    """The kind of feedback that a verdict is; None for a score."""
    name, word, value = verdict.name.lower(), verdict.word.lower(), verdict.number
    if word in UP | DOWN and (verdict.person or name in THUMBS):
        return {"kind": "thumbs", "value": "up" if word in UP else "down"}
    if name in THUMBS and value in VOTES:
        return {"kind": "thumbs", "value": VOTES[value]}
    if not verdict.person and not (verdict.free and name in THUMBS):
        return {"kind": "comment", "comment": verdict.comment} if _only_comment(verdict) else None
    if verdict.free and verdict.word:
        return {"kind": "comment", "comment": verdict.word[: limits.COMMENT]}
    if verdict.word:
        return {"kind": "category", "value": f"{verdict.name}: {verdict.word}"[: limits.NAME]}
    if verdict.yes_no and value is not None:
        return {"kind": "category", "value": f"{verdict.name}: {'yes' if value else 'no'}"[: limits.NAME]}
    scale = verdict.scale or (STARS if any(rating in name for rating in RATINGS) else None)
    if value is not None and scale and 1 < scale <= 1000 and 0 <= value <= scale and (verdict.scale or value >= 1):
        return {"kind": "rating", "value": value, "scale": scale}
    return {"kind": "comment", "comment": verdict.comment} if _only_comment(verdict) else None


def _only_comment(verdict: Verdict) -> bool:
    return verdict.number is None and not verdict.word and bool(verdict.comment)


def _feedback(verdict: Verdict, said: dict[str, Any], suffix: str = "") -> dict[str, Any]:
    item = {
        "interaction_id": verdict.trace, "key": f"{verdict.key}:{suffix}" if suffix else verdict.key,
        "user_id": verdict.who[: limits.IDENTIFIER], "comment": verdict.comment[: limits.COMMENT],
        "created_at": verdict.at, **said,
    }  # fmt: skip
    metadata = {"name": verdict.name, "author": verdict.called, "span_id": verdict.span, **verdict.extra}
    item["metadata"] = {name: value for name, value in metadata.items() if value not in ("", None, {})}
    return {name: value for name, value in item.items() if value not in ("", None, {})}


def _score(verdict: Verdict) -> dict[str, Any]:
    detail = {"author": verdict.called or verdict.who, "span_id": verdict.span, **verdict.extra}
    detail |= {"person": True} if verdict.person else {}
    item = {
        "interaction_id": verdict.trace, "key": verdict.key, "name": verdict.name[: limits.SHORT_NAME] or "score",
        "value": verdict.number, "label": verdict.word[: limits.NAME], "explanation": verdict.comment[: limits.TEXT],
        "detail": {name: value for name, value in detail.items() if value not in ("", None, {})},
        "created_at": verdict.at,
    }  # fmt: skip
    return {name: value for name, value in item.items() if value not in ("", None, {})}
