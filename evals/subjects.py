"""Interactions as detectors see them, and the places that detectors name, as marks in the interaction."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Iterable
from math import log
from statistics import median
from typing import Any

from django.db.models.functions import Length

from annotations.marks import ref_of
from evals.detectors.interface import MAX_DOCUMENTS, MAX_OUTPUT, Subject, Usual
from feedback.models import Interaction, text_of

FIELDS = (
    "id", "project_id", "external_id", "messages", "output", "output_messages", "documents", "output_schema",
    "parameters", "status", "language", "feature", "output_tokens", "metadata",
)  # fmt: skip
MAX_EARLIER = 20_000  # characters of what the user said before
RECENT = 1000  # answers of a project whose lengths are looked at
ENOUGH = 100  # of a feature, to say what is usual
KEPT_SECONDS = 60.0
# Where a request says how many tokens its answer may have, and an answer that it was cut.
_LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens", "maxOutputTokens", "num_predict")
_REASONS = ("finish_reason", "stop_reason", "finish_reasons")
_CUT = {"length", "max_tokens", "max_output_tokens", "model_length"}

# How long answers are, by project and feature.
Lengths = dict[tuple[int, str], Usual]


_known: dict[int, tuple[float, Lengths]] = {}


def forget() -> None:
    """Empties what this process remembers of lengths (tests)."""
    _known.clear()


def usual_lengths(project_ids: Collection[int]) -> Lengths:
    """How long the newest answers of each feature are, where there are enough.

    One query for each project, at most once in KEPT_SECONDS: it reads a thousand answers, and the worker asks for
    every few that come in. What is usual does not change in a minute.
    """
    now = time.monotonic()
    found: Lengths = {}
    for project_id in project_ids:
        known = _known.get(project_id)
        if known is None or now - known[0] >= KEPT_SECONDS:
            known = now, _lengths_of(project_id)
            if known[1]:  # a project that has just begun soon has enough
                _known[project_id] = known
        found |= known[1]
    return found


def _lengths_of(project_id: int) -> Lengths:
    found: dict[str, list[int]] = defaultdict(list)
    answered = Interaction.objects.filter(project=project_id, status=Interaction.Status.OK)
    rows = answered.annotate(length=Length("output")).order_by("-happened_at", "-id")
    for feature, length in rows.values_list("feature", "length")[:RECENT]:
        if length:
            found[feature].append(length)
    return {(project_id, name): _usual(lengths) for name, lengths in found.items() if len(lengths) >= ENOUGH}


def _usual(lengths: list[int]) -> Usual:
    logs = [log(length) for length in lengths]
    middle = median(logs)
    return Usual(len(lengths), median(lengths), 1.4826 * median(abs(one - middle) for one in logs))


def subject_of(interaction: Interaction, lengths: Lengths) -> Subject:
    """The plain values that detectors look at, cut to sizes that bound their time."""
    form = (interaction.parameters or {}).get("response_format")
    kind = form.get("type") if isinstance(form, dict) else form
    question, *earlier = _said(interaction) or [""]
    return Subject(
        output=interaction.output[:MAX_OUTPUT],
        question=question,
        documents=tuple(text for _, text in _documents(interaction)),
        output_schema=interaction.output_schema,
        json_requested=kind in ("json_object", "json_schema", "json"),
        acted=any(isinstance(one, dict) and one.get("tool_calls") for one in interaction.output_messages or []),
        failed=interaction.status == Interaction.Status.ERROR,
        earlier=tuple(earlier),
        cut_off=_cut_off(interaction),
        language=interaction.language,
        usual=lengths.get((interaction.project_id, interaction.feature)),
    )


def _said(interaction: Interaction) -> list[str]:
    """What the user said, newest first: the question whole, of what was before it no more than MAX_EARLIER."""
    said: list[str] = []
    left = MAX_EARLIER
    for message in reversed(interaction.messages):
        if isinstance(message, dict) and message.get("role") == "user":
            text = text_of(message.get("content"))
            if said:
                text = text[:left]
                left -= len(text)
            said.append(text)
            if left <= 0:
                break
    return said


def _documents(interaction: Interaction) -> list[tuple[int, str]]:
    """The documents that hold text, with their places, until there is more than MAX_DOCUMENTS."""
    found, left = [], MAX_DOCUMENTS
    for place, document in enumerate(interaction.documents):
        text = text_of(document.get("content"))[: max(0, left)]
        left -= len(text)
        if text:
            found.append((place, text))
    return found


def _cut_off(interaction: Interaction) -> bool:
    """Whether the answer used up its tokens, by what the provider said or by the numbers."""
    last = (interaction.output_messages or [None])[-1]
    for said in (last, interaction.metadata):
        reasons = [said.get(name) for name in _REASONS] if isinstance(said, dict) else []
        if any(one in _CUT for reason in reasons for one in (reason if isinstance(reason, list) else [reason])
               if isinstance(one, str)):  # fmt: skip
            return True
    parameters = interaction.parameters or {}
    allowed = next((parameters[name] for name in _LIMITS if isinstance(parameters.get(name), int)), 0)
    return bool(interaction.output_tokens and 1 < allowed <= interaction.output_tokens)


def marks(spans: Iterable[dict[str, Any]], interaction: Interaction) -> list[dict[str, Any]]:
    """Places that a detector names, as marks: the question as its message, a document by what leads to it alone."""
    found = []
    for span in spans:
        place = {"start": span["start"], "end": span["end"]}
        if span["target"] == "output":
            found.append({"target": "output", **place})
            continue
        target = "message" if span["target"] == "question" else "document"
        ref = ref_of(interaction, target, _place(span, interaction))
        if ref is not None:
            found.append({"target": target, "ref": ref, **place})
    return found


def _place(span: dict[str, Any], interaction: Interaction) -> int:
    if span["target"] == "document":
        return [place for place, _ in _documents(interaction)][int(span["place"])]
    places = [
        place for place, one in enumerate(interaction.messages) if isinstance(one, dict) and one.get("role") == "user"
    ]
    return places[-1]
