"""Reading files in batches, storing each, and keeping account of every record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError

from feedback import facts, limits, rows, services
from feedback.importers import reading
from feedback.importers.reading import Files, Raw
from feedback.importers.records import Format, HumanLabel, Record, formats, label_sinks
from feedback.importers.reporting import ImportReport, Origin, Rejections
from feedback.importers.spool import PIECES, Spool, Trace
from feedback.models import Feedback, Score, Span
from projects.errors import ApiError
from projects.models import Project

BATCH = 1_000
BATCH_BYTES = 16 * limits.MIB
LOOKED_AT = 20  # records, to tell one format from another
BAD_RECORD = (KeyError, TypeError, ValueError, AttributeError, IndexError)

Tell = Callable[[int, int], None]


def run(
    paths: str | Path | Sequence[str | Path], *, format: str, project: Project, progress: Tell | None = None,
    dry_run: bool = False, rejected: Path | None = None,
) -> ImportReport:  # fmt: skip
    """Imports files and reports every record that was refused; ``rejected`` is written with all of them.

    Batches are committed one after the other, and everything is keyed: a second run, or one after a crash,
    adds only what is missing. ``dry_run`` checks everything and writes nothing to the database.
    ``progress(done, total)`` is told how much of the work is done. Raises ValidationError for an unknown format,
    for files that cannot be read, and where the records are clearly of another format.
    """
    chosen = formats.get(format)
    if chosen is None:
        raise ValidationError(f"There is no format {format}. There are: {', '.join(sorted(formats))}.")
    given = [paths] if isinstance(paths, str | Path) else paths
    files = Files(Path(path) for path in given)
    _look(files, chosen)
    report = ImportReport(dry_run=dry_run)
    with Rejections(report, rejected, many=len(files.paths) > 1) as rejections:
        run = _Run(project, chosen, files, report, rejections, progress or _nothing)
        run.traces() if chosen.take_apart else run.records()
    return report


def _nothing(done: int, total: int) -> None:
    pass


def _look(files: Files, chosen: Format) -> None:
    """Refuses files of another format: it may accept some of their records, and would understand none."""
    if chosen.recognises is None:
        return
    for raw, _ in zip(files, range(LOOKED_AT), strict=False):
        try:
            record = reading.parse(raw)
        except (ApiError, TypeError):
            continue
        if _like(chosen, record):
            return
        other = next((other.name for other in formats.values() if other is not chosen and _like(other, record)), None)
        if other:
            raise ValidationError(f"This looks like {other}, not {chosen.name}. Try --format {other}.")


def _like(format: Format, record: dict[str, Any]) -> bool:
    return format.recognises is not None and format.recognises(record)


class _Run:
    """One import: its files, and where it keeps account."""

    def __init__(
        self, project: Project, chosen: Format, files: Files, report: ImportReport, rejections: Rejections, tell: Tell
    ) -> None:
        self.project, self.format, self.files = project, chosen, files
        self.report, self.rejections, self.tell = report, rejections, tell

    def records(self) -> None:
        """Stores records that stand alone."""
        convert = self.format.convert
        assert convert
        for batch in _batches(self._converted(convert)):
            self._store(batch)
            self.tell(self.files.done, self.files.total)
        self.tell(self.files.total, self.files.total)

    def _converted(self, convert: Callable[[dict[str, Any]], Record]) -> Iterator[tuple[Origin, Record, int]]:
        for raw, value in self._read():
            record = self._tried(raw, lambda value=value: convert(value))  # type: ignore[misc]
            if record is not None:
                yield _origin(raw), record, len(raw.body)

    def traces(self) -> None:
        """Stores records that form traces: the files are read once into a spool, then trace by trace."""
        with Spool() as spool:
            self._fill(spool)
            unknown = spool.resolve(self._traces_of_spans, roots=self.format.roots)
            for place, about in unknown:
                self.rejections.add(self._origin_at(place, about), f"There is no span {about}, here or in the project.")
            total, done = spool.count(), 0
            for batch in _batches(self._assembled(spool)):
                self._store(batch)
                done += len(batch)
                self.tell(self.files.total * (total + done), 2 * self.files.total * total)
        self.tell(1, 1)

    def _fill(self, spool: Spool) -> None:
        take_apart = self.format.take_apart
        assert take_apart
        for raw, value in self._read():
            pieces = self._tried(raw, lambda value=value: take_apart(value))  # type: ignore[misc]
            place = f"{self.files.paths.index(raw.path)}:{raw.line}:{raw.item or 0}"
            for piece in pieces or ():
                spool.add(place, piece)
            if self.report.lines % BATCH == 0:
                self.tell(self.files.done, 2 * self.files.total)

    def _assembled(self, spool: Spool) -> Iterator[tuple[Origin, Record, int]]:
        put_together = self.format.put_together
        assert put_together
        for trace in spool.traces():
            origin = self._origin_of(trace)
            if trace.size > PIECES:
                self.rejections.add(origin, f"Trace {trace.id} has {trace.size:,} parts; at most {PIECES:,} are read.")
                continue
            try:
                record = put_together(trace.id, trace.bodies)
            except ApiError as error:
                self.rejections.add_error(origin, error.body()["error"])
            except BAD_RECORD as error:
                self.rejections.add(origin, f"Trace {trace.id}: {_said(error)}")
            else:
                yield origin, record, sum(len(str(body)) for body in trace.bodies)

    def _read(self) -> Iterator[tuple[Raw, dict[str, Any]]]:
        for raw in self.files:
            self.report.lines += 1
            if raw.too_long:
                self.rejections.add(_origin(raw), f"longer than {limits.INTERACTION_BODY:,} bytes")
                continue
            try:
                value = reading.parse(raw)
            except ApiError as error:
                self.rejections.add(_origin(raw), error.message)
            except TypeError as error:
                self.rejections.add(_origin(raw), str(error))
            else:
                yield raw, value

    def _tried(self, raw: Raw, make: Callable[[], Any]) -> Any:
        try:
            return make()
        except ApiError as error:
            self.rejections.add_error(_origin(raw), error.body()["error"])
        except BAD_RECORD as error:
            self.rejections.add(_origin(raw), f"not a record of the format {self.format.name}: {_said(error)}")
        return None

    def _traces_of_spans(self, ids: list[str]) -> dict[str, str]:
        """Spans of earlier imports and of the API."""
        found = Span.objects.filter(interaction__project=self.project, external_id__in=ids)
        return dict(found.values_list("external_id", "interaction__external_id"))

    def _origin_of(self, trace: Trace) -> Origin:
        return self._origin_at(trace.place, str(trace.bodies[0]) if trace.bodies else trace.id)

    def _origin_at(self, place: str, record: str) -> Origin:
        file, line, item = (int(part) for part in place.split(":"))
        return Origin(self.files.paths[file], line, item or None, record)

    def _store(self, batch: list[tuple[Origin, Record]]) -> None:
        report, project = self.report, self.project
        interactions = [(origin, item) for origin, record in batch for item in record.interactions]
        feedback = [(origin, item) for origin, record in batch for item in record.feedback]
        scores = [(origin, item) for origin, record in batch for item in record.scores]
        if report.dry_run:
            report.interactions += self._fitting(interactions, lambda item: rows.interaction(project, item))
            report.feedback += self._fitting(feedback, lambda item: facts.feedback(item))
            report.scores += self._fitting(scores, lambda item: facts.score(item))
            return
        pks: dict[str, int] = {}
        outcomes = services.record_interactions(project, [item for _, item in interactions])
        for (origin, _), outcome in zip(interactions, outcomes, strict=True):
            report.interactions += outcome.status == 201
            report.interactions_known += outcome.status == 200
            if outcome.error:
                self.rejections.add_error(origin, outcome.error)
            elif outcome.external_id is not None and outcome.pk is not None:
                pks[outcome.external_id] = outcome.pk
        stored = services.record_feedback_batch(project, [item for _, item in feedback], source=Feedback.Source.IMPORT)
        new, known = self._account(feedback, stored)
        report.feedback, report.feedback_known = report.feedback + new, report.feedback_known + known
        stored = services.record_scores(project, [item for _, item in scores], source=Score.Source.IMPORT)
        new, known = self._account(scores, stored)
        report.scores, report.scores_known = report.scores + new, report.scores_known + known
        _hand_over(project, [label for _, record in batch for label in record.labels], pks, report)

    def _fitting(self, items: list[tuple[Origin, dict[str, Any]]], check: Callable[[dict[str, Any]], Any]) -> int:
        fitting = 0
        for origin, item in items:
            try:
                check(item)
                fitting += 1
            except ApiError as error:
                self.rejections.add_error(origin, error.body()["error"])
        return fitting

    def _account(
        self, items: list[tuple[Origin, dict[str, Any]]], outcomes: list[services.FactOutcome]
    ) -> tuple[int, int]:
        for (origin, _), outcome in zip(items, outcomes, strict=True):
            if outcome.error:
                self.rejections.add_error(origin, outcome.error)
        return sum(outcome.status == 201 for outcome in outcomes), sum(outcome.status == 200 for outcome in outcomes)


def _batches(records: Iterable[tuple[Origin, Record, int]]) -> Iterator[list[tuple[Origin, Record]]]:
    """By number and by size, so that memory stays flat whatever the records are."""
    batch: list[tuple[Origin, Record]] = []
    size = 0
    for origin, record, weight in records:
        batch.append((origin, record))
        size += weight
        if len(batch) == BATCH or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _origin(raw: Raw) -> Origin:
    return Origin(raw.path, raw.line, raw.item, raw.body.decode("utf-8", "replace"))


def _said(error: Exception) -> str:
    """KeyError's text is only the key."""
    return f"{error.args[0]} is missing" if isinstance(error, KeyError) and error.args else str(error)


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
