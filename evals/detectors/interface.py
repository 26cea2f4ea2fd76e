"""What a detector sees, what it says, and what it is: plain values, no database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

# Beyond these a text is cut for the detectors: it bounds the time that one interaction can take.
MAX_OUTPUT = 100_000
MAX_DOCUMENTS = 400_000


@dataclass(frozen=True, slots=True)
class Usual:
    """The lengths of a feature's recent answers: how many, their median in code points, and their spread.

    ``spread`` is a robust standard deviation of the natural logarithm (1.4826 x the median absolute deviation).
    """

    answers: int
    median: float
    spread: float


@dataclass(frozen=True, slots=True)
class Subject:
    """The parts of an interaction that detectors look at.

    ``output_schema`` is the JSON schema that the answer was asked to follow, if any; ``json_requested`` says that
    the request's parameters asked for JSON. ``acted`` is True where the answer holds tool calls, so that an empty
    text is no fault. ``earlier`` are the user's messages before the question, newest first. ``cut_off`` says that
    the answer used up the tokens it was allowed. ``language`` is what the sender stated ("de-AT"). ``usual`` is how
    long the feature's answers are, where there are enough of them.
    """

    output: str
    question: str = ""
    documents: tuple[str, ...] = ()
    output_schema: Any = None
    json_requested: bool = False
    acted: bool = False
    failed: bool = False
    earlier: tuple[str, ...] = ()
    cut_off: bool = False
    language: str = ""
    usual: Usual | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What one detector says about one answer.

    ``value`` lies in [0, 1] and means what the detector's ``meaning`` says. ``explanation`` holds the evidence in
    words. ``spans`` are places in code points: ``{"target", "start", "end"}`` with the target ``output``,
    ``question`` or ``document``, the last with its ``place`` among the documents.
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
    threshold: float | None
    detect: Callable[[Subject], Finding | None]
    low_is_bad: bool = False
    default_on: bool = True

    def flags(self, value: float, threshold: float | None = None) -> bool | None:
        """Whether a value is a problem, by the project's threshold or else the detector's own; None without any."""
        bar = self.threshold if threshold is None else threshold
        if bar is None:
            return None
        return value < bar if self.low_is_bad else value >= bar
