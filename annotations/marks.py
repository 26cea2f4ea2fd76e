"""Marked passages: which texts of an interaction can be marked, marks as the form posts them, and quotes to find.

A mark is a span of a submission: ``target`` (output, document or message) with ``ref``, ``start`` and ``end`` in code
points of the stored text, perhaps a failure mode, and ``kind`` evidence where it is a passage that proves something
rather than one that is wrong.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from annotations.submission import marked_text
from feedback.models import Interaction, text_of
from projects.strictjson import clean_text

EVIDENCE = "evidence"


@dataclass(frozen=True, slots=True)
class Shown:
    """A mark in the list: the value that the form posts, the passage, and what is said of it."""

    number: int
    value: str
    quote: str
    tag: str
    evidence: bool


def ref_of(interaction: Interaction, target: str, place: int) -> str | None:
    """What names this document or message in a mark; None where no name leads to it alone."""
    parts = interaction.documents if target == "document" else interaction.messages
    part = parts[place]
    if not isinstance(part, dict):
        return None
    named = str(part.get("id") or "") if target == "document" else ""
    said = text_of(part.get("content"))
    for ref in filter(None, (named, str(place))):
        if marked_text({"target": target, "ref": ref}, interaction) == said:
            return ref
    return None


def posted(values: list[str], interaction: Interaction) -> list[Any]:
    """The marks of a form, each with its passage. One that cannot be read stays as it is, to be named as a fault."""
    found = []
    for value in values:
        try:
            mark = json.loads(value)
        except ValueError:
            mark = value
        found.append(_with_quote(mark, interaction) if isinstance(mark, dict) else mark)
    return found


def _with_quote(mark: dict[str, Any], interaction: Interaction) -> dict[str, Any]:
    """The passage as it stands in the stored text; the page may show it otherwise."""
    start, end = mark.get("start"), mark.get("end")
    text = marked_text(mark, interaction)
    if text is None or not isinstance(start, int) or not isinstance(end, int) or not 0 <= start < end <= len(text):
        return mark
    return {**mark, "quote": text[start:end]}


def find(quote: str, interaction: Interaction) -> dict[str, Any] | None:
    """The mark of these words where they stand first: in the answer, in a source, in the conversation.

    Signs of Markdown and line breaks between the words do not matter.
    """
    words = clean_text(quote).split()
    if not words:
        return None
    pattern = re.compile(r"[\s*_`~]+".join(re.escape(word) for word in words))
    for target, ref, text in _texts(interaction):
        if found := pattern.search(text):
            place = {"target": target, "ref": ref} if ref else {"target": target}
            return {**place, "start": found.start(), "end": found.end(), "quote": found[0]}
    return None


def _texts(interaction: Interaction) -> list[tuple[str, str, str]]:
    texts = [("output", "", interaction.output)]
    for target, parts in (("document", interaction.documents), ("message", interaction.messages)):
        for place, part in enumerate(parts):
            if (ref := ref_of(interaction, target, place)) is not None:
                texts.append((target, ref, text_of(part.get("content"))))
    return texts


def without_overlap(marks: list[Any]) -> list[Any]:
    """Each passage marked once: a later mark takes its part out of the earlier ones, which may fall into two."""
    result: list[Any] = []
    for new in marks:
        if not _sound(new):
            result.append(new)
            continue
        result = [part for old in result for part in (_cut(old, new) if _sound(old) else [old])]
        result.append(new)
    return result


def _sound(mark: Any) -> bool:
    return (
        isinstance(mark, dict) and type(mark.get("start")) is int and type(mark.get("end")) is int
        and mark["start"] < mark["end"]
    )  # fmt: skip


def _cut(old: dict[str, Any], new: dict[str, Any]) -> list[dict[str, Any]]:
    apart = old["end"] <= new["start"] or new["end"] <= old["start"]
    if apart or (old.get("target"), old.get("ref")) != (new.get("target"), new.get("ref")):
        return [old]
    bounds = [(old["start"], new["start"]), (new["end"], old["end"])]
    pieces = [{**old, "start": start, "end": end} for start, end in bounds if start < end]
    for piece in pieces:
        quote = piece.get("quote")
        if isinstance(quote, str):
            piece["quote"] = quote[piece["start"] - old["start"] : piece["end"] - old["start"]]
    return pieces


def shown(marks: list[Any], labels: dict[str, str]) -> list[Shown]:
    """The marks as the page lists them; ``labels`` names the failure modes by slug."""
    kept = [mark for mark in marks if _sound(mark)]
    return [_shown(number, mark, labels) for number, mark in enumerate(kept, start=1)]


def _shown(number: int, mark: dict[str, Any], labels: dict[str, str]) -> Shown:
    evidence = mark.get("kind") == EVIDENCE
    value = {
        name: mark[name] for name in ("target", "ref", "start", "end", "category", "kind") if mark.get(name) is not None
    }
    category = str(mark.get("category") or "")
    return Shown(
        number=number,
        value=json.dumps(value, separators=(",", ":"), ensure_ascii=False),
        quote=str(mark.get("quote") or "")[:200],
        tag=labels.get(category, category) or ("Evidence" if evidence else ""),
        evidence=evidence,
    )
