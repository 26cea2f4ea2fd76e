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
Recognise = Callable[[dict[str, Any]], bool]


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a trace, as a file holds it: a span, the trace's own row, a verdict.

    ``trace`` is the trace that it belongs to, ``span`` the id of the span that it is. A piece that names no trace
    belongs to that of the span ``about``, wherever in the files or in the database that span is.
    """

    body: dict[str, Any]
    trace: str = ""
    span: str = ""
    about: str = ""


# Takes one record of a file apart, and makes of all pieces of one trace, in the order of the files, what to store.
TakeApart = Callable[[dict[str, Any]], list[Piece]]
PutTogether = Callable[[str, list[dict[str, Any]]], Record]


@dataclass(frozen=True, slots=True)
class Format:
    """Either ``convert`` (each record stands alone) or ``take_apart`` and ``put_together`` (records form traces).

    ``recognises`` says whether a record looks like one of this format; without it nothing is known.
    ``roots`` says that what is about an unknown span is about the trace of that id.
    """

    name: str
    description: str
    convert: Convert | None = None
    take_apart: TakeApart | None = None
    put_together: PutTogether | None = None
    recognises: Recognise | None = None
    roots: bool = False


formats: dict[str, Format] = {}
# Called with the labels of interactions that are stored; returns how many were new. Repeating it must add nothing.
label_sinks: list[Callable[[Project, list[HumanLabel]], int]] = []


def register(
    name: str, description: str, *, recognises: Recognise | None = None
) -> Callable[[Convert], Convert]:  # fmt: skip
    """Makes a format known under ``name``. It may raise KeyError, TypeError or ValueError for a bad record."""

    def remember(convert: Convert) -> Convert:
        formats[name] = Format(name, description, convert=convert, recognises=recognises)
        return convert

    return remember


def register_traces(
    name: str, description: str, *, take_apart: TakeApart, put_together: PutTogether, recognises: Recognise,
    roots: bool = False,
) -> None:  # fmt: skip
    """Makes a format known whose records are parts of traces, scattered over a file or over many.

    Both functions may raise KeyError, TypeError or ValueError.
    """
    formats[name] = Format(
        name, description, take_apart=take_apart, put_together=put_together, recognises=recognises, roots=roots
    )
