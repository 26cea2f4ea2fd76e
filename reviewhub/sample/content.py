"""The written content of the sample project, read from TOML and checked while it is read.

All of it is fiction: the company, its tariffs, its medicines and its rules. Texts are ``string.Template``
templates; the figures in them come from ``figures``, so that question, sources and answer always agree.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

FOLDER = Path(__file__).parent / "content"


class Text(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Base of everything read from a file: an unknown field is an error, so that a typo cannot hide."""


class Document(Text, frozen=True):
    """One page of the knowledge base."""

    id: str
    title: str
    text: str
    section: str = ""
    language: str = "en"


class Step(Text, frozen=True):
    """One step of an agent. ``share`` is its part of the latency; ``input`` and ``output`` are JSON templates."""

    kind: str
    name: str
    share: float
    input: str = ""
    output: str = ""
    under: str = ""
    status: str = "ok"


class Fault(Text, frozen=True):
    """How an assistant fails at a question, and what an expert says about it.

    ``share`` is how often it fails so, ``share_new`` how often under the newest prompt. ``mark`` are quotes
    from the answer, ``evidence`` pairs of a document and a quote from it. ``judge`` is what the machine judge
    says; ``judge_fooled`` whether it takes the answer for good.
    ``late``: the user finds out hours later, not on reading.
    """

    category: str
    severity: int
    share: float
    answer: str
    critique: str
    judge: str
    share_new: float | None = None
    judge_fooled: bool = False
    desired: str = ""
    secondary: list[str] = []
    mark: list[str] = []
    evidence: list[tuple[str, str]] = []
    must: list[str] = []
    must_not: list[str] = []
    comments: list[str] = []
    correction: str = ""
    late: bool = False
    documents: list[str] | None = None
    steps: list[Step] = []


class Pattern(Text, frozen=True):
    """A question in several wordings, its sources and the good answer; and perhaps the way it goes wrong.

    The good answer is also what an expert wants instead of the faulty one, unless the fault says otherwise.
    ``follows`` names the pattern that comes before it in the same conversation.
    """

    key: str
    assistant: str
    feature: str
    weight: float
    questions: list[str]
    documents: list[str]
    answer: str
    language: str = "en"
    figures: str = ""
    follows: str = ""
    schema: bool = False
    tags: list[str] = []
    thanks: list[str] = []
    steps: list[Step] = []
    fault: Fault | None = None

    @property
    def desired(self) -> str:
        """What should have been said where the assistant fails."""
        return (self.fault.desired if self.fault else "") or self.answer


class Prompt(Text, frozen=True):
    version: str
    since_day: int
    template: str


class Assistant(Text, frozen=True):
    """``share`` is its part of the traffic; ``users`` the first letter of its users' ids."""

    key: str
    name: str
    channel: str
    share: float
    model: str
    users: str
    prompt: list[Prompt]


class Model(Text, frozen=True):
    """Prices are US dollars; the latency is log-normal around the median."""

    name: str
    provider: str
    input_per_million: float
    output_per_million: float
    median_ms: float
    spread: float


class Release(Text, frozen=True):
    name: str
    since_day: int


class Failure(Text, frozen=True):
    """A hard error of the provider."""

    type: str
    message: str
    latency_ms: float


class Form(Text, frozen=True):
    schema: dict[str, Any]


class OpenNote(Text, frozen=True):
    """What a reviewer wrote of a faulty answer of a pattern, and the group into which the lead put it, if any."""

    pattern: str
    text: str
    group: str = ""


class Company(Text, frozen=True):
    project: str
    model: list[Model]
    assistant: list[Assistant]
    release: list[Release]
    failure: list[Failure]
    form: Form


class Content(msgspec.Struct, frozen=True):
    """Everything that was written, ready to look up."""

    company: Company
    documents: dict[str, Document]
    patterns: dict[str, Pattern]
    open_notes: list[OpenNote]

    def assistant(self, key: str) -> Assistant:
        return next(assistant for assistant in self.company.assistant if assistant.key == key)

    def model(self, name: str) -> Model:
        return next(model for model in self.company.model if model.name == name)


@cache
def read() -> Content:
    """All files of the content folder. Raises msgspec.ValidationError where one does not fit."""
    company = msgspec.convert(_toml(FOLDER / "company.toml"), Company)
    documents: dict[str, Document] = {}
    patterns: dict[str, Pattern] = {}
    for path in sorted(FOLDER.glob("*.toml")):
        tables = _toml(path)
        for document in msgspec.convert(tables.get("document", []), list[Document]):
            documents[document.id] = msgspec.structs.replace(document, text=document.text.strip())
        for pattern in msgspec.convert(tables.get("pattern", []), list[Pattern]):
            patterns[pattern.key] = _stripped(pattern)
    notes = msgspec.convert(_toml(FOLDER / "open_notes.toml")["note"], list[OpenNote])
    return Content(company, documents, patterns, notes)


def _toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _stripped(pattern: Pattern) -> Pattern:
    fault = pattern.fault
    if fault is not None:
        fault = msgspec.structs.replace(fault, answer=fault.answer.strip(), desired=fault.desired.strip())
    return msgspec.structs.replace(pattern, answer=pattern.answer.strip(), fault=fault)
