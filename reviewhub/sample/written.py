"""From a written pattern to one concrete exchange: figures drawn, quotes found, sources filled in."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date
from random import Random
from string import Template
from typing import Any

from reviewhub.sample import figures
from reviewhub.sample.content import Content, Fault, Pattern, Step


@dataclass(frozen=True, slots=True)
class Opinion:
    """What an expert says about a faulty exchange, in the terms of a submission."""

    category: str
    secondary: list[str]
    severity: int
    note: str
    desired: str
    spans: list[dict[str, Any]]
    assertions: list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step of an agent with its figures filled in."""

    kind: str
    name: str
    share: float
    input: Any
    output: Any
    under: str
    status: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question and its answer with everything around them, before it gets a time and an id."""

    pattern: Pattern
    values: figures.Values
    question: str
    answer: str
    documents: list[dict[str, Any]]
    steps: list[PlannedStep]
    opinion: Opinion | None
    judge: str
    judge_says_fault: bool
    comments: list[str]
    correction: str
    found_late: bool = False
    turns: list[dict[str, str]] = field(default_factory=list)

    @property
    def faulty(self) -> bool:
        return self.opinion is not None


def exchange(
    content: Content, pattern: Pattern, *, rng: Random, today: date, faulty: bool, values: figures.Values | None = None,
    wording: int | None = None, turns: list[dict[str, str]] | None = None,
) -> Exchange:  # fmt: skip
    """Writes the pattern out. ``values`` are given where a conversation goes on about the same figures."""
    fault = pattern.fault if faulty else None
    drawn = values or figures.values(pattern.figures, rng=rng, today=today, language=pattern.language)
    place = rng.randrange(len(pattern.questions)) if wording is None else wording
    answer = _fill(fault.answer if fault else pattern.answer, drawn)
    documents = _documents(content, pattern, fault, drawn, rng)
    return Exchange(
        pattern=pattern, values=drawn, question=_fill(pattern.questions[place % len(pattern.questions)], drawn),
        answer=answer, documents=documents, steps=_steps(pattern, fault, drawn),
        opinion=_opinion(pattern, fault, drawn, answer, documents) if fault else None,
        judge=_fill(fault.judge, drawn) if fault else "", judge_says_fault=bool(fault and not fault.judge_fooled),
        comments=[_fill(text, drawn) for text in (fault.comments if fault else pattern.thanks)],
        correction=_fill(fault.correction, drawn) if fault else "", turns=turns or [],
        found_late=bool(fault and fault.late),
    )  # fmt: skip


def _fill(text: str, values: figures.Values) -> str:
    """The template with its figures; KeyError where a text names a figure that the situation does not draw."""
    return Template(text).substitute(values)


def _json(text: str, values: figures.Values) -> Any:
    return json.loads(_fill(text, values)) if text else None


def _documents(
    content: Content, pattern: Pattern, fault: Fault | None, values: figures.Values, rng: Random
) -> list[dict[str, Any]]:
    ids = pattern.documents if fault is None or fault.documents is None else fault.documents
    score = rng.uniform(0.78, 0.93)
    found = []
    for one in ids:
        document = content.documents[one]
        found.append(
            {
                "id": document.id, "title": _fill(document.title, values), "content": _fill(document.text, values),
                "score": round(score, 2), "metadata": {"section": document.section, "language": document.language},
            }
        )  # fmt: skip
        score -= rng.uniform(0.05, 0.16)
    return found


def _steps(pattern: Pattern, fault: Fault | None, values: figures.Values) -> list[PlannedStep]:
    steps: list[Step] = fault.steps if fault and fault.steps else pattern.steps
    return [
        PlannedStep(
            step.kind, step.name, step.share, _json(step.input, values), _json(step.output, values), step.under,
            step.status,
        )
        for step in steps
    ]  # fmt: skip


def _opinion(
    pattern: Pattern, fault: Fault, values: figures.Values, answer: str, documents: list[dict[str, Any]]
) -> Opinion:
    spans = [_span(answer, _fill(quote, values), "output", None, fault.category) for quote in fault.mark]
    texts = {document["id"]: document["content"] for document in documents}
    spans += [
        _span(texts[ref], _fill(quote, values), "document", ref, fault.category)
        for ref, quote in fault.evidence
        if ref in texts
    ]
    return Opinion(
        category=fault.category, secondary=list(fault.secondary), severity=fault.severity,
        note=_fill(fault.critique, values), desired=_fill(pattern.desired, values), spans=spans,
        assertions=[{"type": "must", "text": _fill(text, values)} for text in fault.must]
        + [{"type": "must_not", "text": _fill(text, values)} for text in fault.must_not],
    )  # fmt: skip


def _span(text: str, quote: str, target: str, ref: str | None, category: str) -> dict[str, Any]:
    """Where the quote stands, in code points; ValueError if it is not there or stands there twice."""
    if text.count(quote) != 1:
        raise ValueError(f"“{quote}” occurs {text.count(quote)} times in {ref or target}")
    start = text.index(quote)
    return {"target": target, "ref": ref, "start": start, "end": start + len(quote), "category": category}
