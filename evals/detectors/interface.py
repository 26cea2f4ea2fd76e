"""What a detector sees, what it says, and what it is: plain values, no database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

# Beyond these a text is cut for the detectors: it bounds the time that one interaction can take.
MAX_OUTPUT = 100_000
MAX_DOCUMENTS = 400_000


@dataclass(frozen=True, slots=True)
class Subject:
    """The parts of an interaction that detectors look at.

    ``output_schema`` is the JSON schema that the answer was asked to follow, if any; ``json_requested`` says that
    the request's parameters asked for JSON. ``acted`` is True where the answer holds tool calls, so that an empty
    text is no fault.
    """

    output: str
    question: str = ""
    documents: tuple[str, ...] = ()
    output_schema: Any = None
    json_requested: bool = False
    acted: bool = False
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """What one detector says about one answer.

    ``value`` lies in [0, 1] and means what the detector's ``meaning`` says. ``explanation`` holds the evidence in
    words. ``spans`` are places in the output: ``{"target": "output", "start", "end"}`` in code points.
    """

    value: float
    label: str
    explanation: str
    spans: list[dict[str, Any]] = field(default_factory=list)
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Detector:
    """A detector and its own threshold, which a project may change.

    ``detect`` returns None where there is nothing to say: most answers are no refusals, and a row for each of them
    would be most of the disk. ``low_is_bad`` turns the comparison: flagged below the threshold instead of from it.
    """

    name: str
    version: str
    title: str
    meaning: str
    threshold: float
    detect: Callable[[Subject], Finding | None]
    low_is_bad: bool = False

    def flags(self, value: float, threshold: float | None = None) -> bool:
        """Whether a value is a problem, by the project's threshold or else the detector's own."""
        bar = self.threshold if threshold is None else threshold
        return value < bar if self.low_is_bad else value >= bar
