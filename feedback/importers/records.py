"""What a format makes of one record, and the registry of formats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from projects.models import Project


@dataclass(frozen=True, slots=True)
class HumanLabel:
    """A person's label as a file holds it, for apps that keep labels.

    ``level`` is response, span, pair or session. ``start`` and ``end`` count code points of the interaction's
    output (or of ``target``); both are None where a quoted text has no position.
    """

    interaction_id: str
    key: str
    annotator: str
    level: str
    label: str
    category: str = ""
    severity: str = ""
    score: float | None = None
    question: str = ""
    start: int | None = None
    end: int | None = None
    quote: str = ""
    target: str = ""
    comment: str = ""
    preferred_output: str = ""
    interaction_pk: int = 0


@dataclass(slots=True)
class Record:
    """What one line of a file holds, in the shapes of the API."""

    interactions: list[dict[str, Any]] = field(default_factory=list)
    feedback: list[dict[str, Any]] = field(default_factory=list)
    scores: list[dict[str, Any]] = field(default_factory=list)
    labels: list[HumanLabel] = field(default_factory=list)


Convert = Callable[[dict[str, Any]], Record]


@dataclass(frozen=True, slots=True)
class Format:
    name: str
    description: str
    convert: Convert


formats: dict[str, Format] = {}
# Called with the labels of interactions that are stored; returns how many were new. Repeating it must add nothing.
label_sinks: list[Callable[[Project, list[HumanLabel]], int]] = []


def register(name: str, description: str) -> Callable[[Convert], Convert]:
    """Makes a format known under ``name``. It may raise KeyError, TypeError or ValueError for a bad record."""

    def remember(convert: Convert) -> Convert:
        formats[name] = Format(name, description, convert)
        return convert

    return remember
