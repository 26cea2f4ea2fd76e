"""Reading a file in batches, storing each, and keeping account of every line."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, cast

from django.core.exceptions import ValidationError

from feedback import limits, services
from feedback.importers.records import Format, HumanLabel, Record, formats, label_sinks
from feedback.models import Feedback, Score
from projects import strictjson
from projects.errors import ApiError
from projects.models import Project

BATCH = 1_000
ERRORS_KEPT = 1_000
GZIP_MAGIC = b"\x1f\x8b"


@dataclass(slots=True)
class ImportReport:
    """What became of a file. ``…_known`` were stored before; ``errors`` names refused lines: ``line 7: /output: …``."""

    lines: int = 0
    interactions: int = 0
    interactions_known: int = 0
    feedback: int = 0
    feedback_known: int = 0
    scores: int = 0
    scores_known: int = 0
    human_labels: int = 0
    human_labels_known: int = 0
    rejected: int = 0
    errors: list[str] = field(default_factory=list)

    def reject(self, line: int, reason: str) -> None:
        self.rejected += 1
        if len(self.errors) < ERRORS_KEPT:
            self.errors.append(f"line {line}: {reason}")


class _NoProgress:
    def __call__(self, done: int, total: int | None = None) -> None:
        pass


def run(
    path: str | Path, *, format: str, project: Project, progress: Callable[..., None] | None = None
) -> ImportReport:  # fmt: skip
    """Imports a file of JSON lines (gzip is recognised) and reports every line that was refused.

    Batches are committed one after the other, and everything is keyed: a second run, or one after a crash,
    adds only what is missing. ``progress(done)`` is told the number of lines. Raises ValidationError if there
    is no such format.
    """
    chosen = formats.get(format)
    if chosen is None:
        raise ValidationError(f"There is no format {format}. There are: {', '.join(sorted(formats))}.")
    report, tell = ImportReport(), progress or _NoProgress()
    batch: list[tuple[int, Record]] = []
    with _opened(Path(path)) as file:
        for number, line in _lines(file):
            report.lines = number
            record = _record(chosen, number, line, report)
            if record is not None:
                batch.append((number, record))
            if len(batch) == BATCH:
                _store(project, batch, report)
                tell(number)
                batch = []
    _store(project, batch, report)
    tell(report.lines)
    return report


def _opened(path: Path) -> IO[bytes]:
    file = path.open("rb")
    if file.peek(2)[:2] == GZIP_MAGIC:
        return cast("IO[bytes]", gzip.open(file))
    return file


def _lines(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Numbered lines; of one that is too long no more than the limit is kept in memory."""
    number = 0
    while line := file.readline(limits.INTERACTION_BODY + 1):
        number += 1
        rest = line
        while not rest.endswith(b"\n") and (rest := file.readline(io.DEFAULT_BUFFER_SIZE)):
            pass
        yield number, line


def _record(chosen: Format, number: int, line: bytes, report: ImportReport) -> Record | None:
    if not line.strip():
        return None
    if len(line) > limits.INTERACTION_BODY:
        report.reject(number, f"longer than {limits.INTERACTION_BODY:,} bytes")
        return None
    try:
        value = strictjson.parse(line.strip()).value
        if not isinstance(value, dict):
            raise TypeError("not a JSON object")
        return chosen.convert(value)
    except ApiError as error:
        report.reject(number, error.message)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        report.reject(number, f"not a record of the format {chosen.name}: {type(error).__name__} {error}")
    return None


def _store(project: Project, batch: list[tuple[int, Record]], report: ImportReport) -> None:
    interactions = [(number, item) for number, record in batch for item in record.interactions]
    outcomes = services.record_interactions(project, [item for _, item in interactions])
    pks: dict[str, int] = {}
    for (number, _), outcome in zip(interactions, outcomes, strict=True):
        report.interactions += outcome.status == 201
        report.interactions_known += outcome.status == 200
        if outcome.error:
            report.reject(number, _reason(outcome.error))
        elif outcome.external_id is not None and outcome.pk is not None:
            pks[outcome.external_id] = outcome.pk
    feedback = [(number, item) for number, record in batch for item in record.feedback]
    stored = services.record_feedback_batch(project, [item for _, item in feedback], source=Feedback.Source.IMPORT)
    new, known = _account(report, feedback, stored)
    report.feedback, report.feedback_known = report.feedback + new, report.feedback_known + known
    scores = [(number, item) for number, record in batch for item in record.scores]
    stored = services.record_scores(project, [item for _, item in scores], source=Score.Source.IMPORT)
    new, known = _account(report, scores, stored)
    report.scores, report.scores_known = report.scores + new, report.scores_known + known
    _hand_over(project, [label for _, record in batch for label in record.labels], pks, report)


def _account(
    report: ImportReport, items: list[tuple[int, dict[str, Any]]], outcomes: list[services.FactOutcome]
) -> tuple[int, int]:
    for (number, _), outcome in zip(items, outcomes, strict=True):
        if outcome.error:
            report.reject(number, _reason(outcome.error))
    return sum(outcome.status == 201 for outcome in outcomes), sum(outcome.status == 200 for outcome in outcomes)


def _hand_over(project: Project, labels: list[HumanLabel], pks: dict[str, int], report: ImportReport) -> None:
    found = [
        replace(label, interaction_pk=pks[label.interaction_id]) for label in labels if label.interaction_id in pks
    ]
    if not found:
        return
    for sink in label_sinks:
        new = sink(project, found)
        report.human_labels += new
        report.human_labels_known += len(found) - new


def _reason(error: dict[str, Any]) -> str:
    details = error.get("details") or []
    return "; ".join(f"{detail['path']}: {detail['message']}" for detail in details) or str(error.get("message"))
