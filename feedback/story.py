"""An interaction as it is read: the turns of its conversation, its sources, and what happened afterwards."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from feedback import browsing, detail
from feedback.detail import Event
from feedback.models import Feedback, Interaction, Score, text_of
from projects.rendering import show_unseen

TITLE = 120
RECENT_TURNS = 8
EARLIER_TURNS = 50  # that are fetched at once
PASSAGES, PASSAGE = 3, 160  # of a score that are shown, and how long each may be
SPEAKERS = {
    "user": ("User", "user"), "assistant": ("Assistant", "bot"), "system": ("Instructions", "doc"),
    "developer": ("Instructions", "doc"), "tool": ("Tool", "tool"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Turn:
    """One message. ``folded`` ones (instructions, tool results) are read on demand."""

    kind: str  # user, answer or context
    name: str
    icon: str
    text: str
    calls: list[str]
    folded: bool


@dataclass(frozen=True, slots=True)
class Source:
    """A document the answer was to be based on."""

    title: str
    place: str  # its id, where that is not the title already
    text: str
    score: float | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A score as the page shows it. ``share`` is its place on a bar from 0 to 1, None where it has no such scale.

    ``passages`` are those that the score points at, as they stand in the interaction, with where that is.
    """

    score: Score
    icon: str
    share: float | None
    passages: list[tuple[str, str]]


def title(interaction: Interaction) -> str:
    """The question in one line; else the answer; else the id."""
    text = interaction.question or interaction.output or interaction.external_id
    line = " ".join(text.split())
    return line if len(line) <= TITLE else line[: TITLE - 1].rstrip() + "…"


@dataclass(frozen=True, slots=True)
class Conversation:
    """The newest messages, how many are left before them, and what to ask for to see some of those as well."""

    turns: list[Turn]
    left: int
    wanted: int

    @property
    def next(self) -> int:
        return min(self.left, EARLIER_TURNS)


def conversation(interaction: Interaction, wanted: int = RECENT_TURNS, *, only_added: bool = False) -> Conversation:
    """The last ``wanted`` messages and the answer; or of these only what the last step back added.

    Long conversations are read from their end. Hundreds of texts as HTML take longer than all else on the page.
    """
    count = len(interaction.messages)
    wanted = min(max(wanted, RECENT_TURNS), max(count, RECENT_TURNS))
    begin = max(count - wanted, 0)
    if only_added:
        shown, answer = interaction.messages[begin : max(count - _before(wanted), 0)], []
    else:
        shown, answer = interaction.messages[begin:], _answer(interaction)
    return Conversation([_turn(message) for message in shown] + answer, begin, wanted + min(begin, EARLIER_TURNS))


def _before(wanted: int) -> int:
    """How many messages were shown before some more were asked for."""
    steps = -(-(wanted - RECENT_TURNS) // EARLIER_TURNS)
    return RECENT_TURNS + max(steps - 1, 0) * EARLIER_TURNS


def _answer(interaction: Interaction) -> list[Turn]:
    if interaction.output_messages:
        return [_turn(message, last=True) for message in interaction.output_messages]
    return [Turn("answer", "Assistant", "bot", interaction.output, [], False)]


def _turn(message: Any, *, last: bool = False) -> Turn:
    if not isinstance(message, dict):
        return Turn("context", "Message", "comment", str(message), [], True)
    role = str(message.get("role") or "")
    name, icon = SPEAKERS.get(role, (role or "Message", "comment"))
    kind = "user" if role == "user" else "answer" if role == "assistant" and last else "context"
    if role == "tool" and message.get("name"):
        name = f"Tool {message['name']}"
    return Turn(
        kind, name, icon, text_of(message.get("content")), _calls(message), role in {"system", "developer", "tool"}
    )


def _calls(message: dict[str, Any]) -> list[str]:
    calls = message.get("tool_calls")
    return (
        [pretty(call.get("function", call)) for call in calls if isinstance(call, dict)]
        if isinstance(calls, list)
        else []
    )


def sources(interaction: Interaction) -> list[Source]:
    found = []
    for document in interaction.documents:
        name, place = str(document.get("title") or ""), str(document.get("id") or "")
        found.append(
            Source(
                name or place or "Untitled", place if name else "", document.get("content") or "", document.get("score")
            )
        )
    return found


def pretty(value: Any) -> str:
    """JSON for reading; a text as it is."""
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def as_json(value: Any) -> str:
    """JSON to read and to copy: what cannot be seen, or turns the direction of writing, stands as its escape."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    hidden = {one for one in set(text) if one != "\n" and (not one.isprintable() or show_unseen(one) != one)}
    return text.translate({ord(one): json.dumps(one)[1:-1] for one in hidden})


def verdicts(interaction: Interaction, scores: list[Score]) -> list[Verdict]:
    icons = {Score.Source.DETECTOR: "shield", Score.Source.JUDGE: "gauge"}
    return [
        Verdict(
            score, icons.get(Score.Source(score.source), "download"),
            score.value if score.value is not None and 0 <= score.value <= 1 else None, _passages(interaction, score),
        )
        for score in scores
    ]  # fmt: skip


def _passages(interaction: Interaction, score: Score) -> list[tuple[str, str]]:
    """What a flagged score points at; a score from outside may hold anything there."""
    spans = score.detail.get("spans") if score.flagged and isinstance(score.detail, dict) else None
    found = []
    for span in spans[:PASSAGES] if isinstance(spans, list) else ():
        if not isinstance(span, dict):
            continue
        where, text = _marked(interaction, span)
        start, end = span.get("start"), span.get("end")
        if isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= len(text):
            found.append((where, text[start : min(end, start + PASSAGE)] + ("…" if end > start + PASSAGE else "")))
    return found


def _marked(interaction: Interaction, span: dict[str, Any]) -> tuple[str, str]:
    """What a mark's target is called, and its text; empty where there is none."""
    ref, target = str(span.get("ref") or ""), span.get("target")
    if target == "output":
        return "answer", interaction.output
    parts = interaction.documents if target == "document" else interaction.messages if target == "message" else []
    at = parts[int(ref)] if re.fullmatch("[0-9]{1,4}", ref) and int(ref) < len(parts) else None
    named = (part for part in parts if target == "document" and isinstance(part, dict) and str(part.get("id")) == ref)
    part = next(named, at)
    where = "source" if target == "document" else "message"
    return where, text_of(part.get("content")) if isinstance(part, dict) else ""


def events(interaction: Interaction, feedback: list[Feedback]) -> list[Event]:
    """What happened, in order: the answer, the users' words and deeds, and what other apps add."""
    happened = [Event(interaction.created_at, "comment", "Answered")]
    if interaction.status == Interaction.Status.ERROR:
        happened = [Event(interaction.created_at, "bad", "Failed", interaction.error_type, "fail")]
    happened += [_heard(row) for row in feedback]
    for section in detail.sections:
        if section.events:
            happened += section.events(interaction)
    return sorted(happened, key=lambda event: event.at)


def _heard(row: Feedback) -> Event:
    cell = browsing.spoken(row)[1]
    names = {"Down": "Thumbs-down", "Up": "Thumbs-up", "Neutral": "Thumbs, neutral"}
    notes = []
    if row.superseded_at is not None:
        notes.append("replaced by a later vote")
    if not row.verified:
        notes.append("not verified")
    heading = names.get(cell.text, cell.text) + (f" ({', '.join(notes)})" if notes else "")
    said = row.comment or row.correction or (row.label if row.kind == Feedback.Kind.REPORT else "")
    return Event(row.created_at, cell.icon, heading, said, cell.tone)


def after(begin: datetime, at: datetime) -> timedelta | None:
    """How long after the answer something happened, if it was within a day; else None."""
    passed = at - begin
    return passed if timedelta(0) < passed < timedelta(days=1) else None
