"""The account of an import: what was new, what was known, what was refused and why."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

ERRORS_KEPT = 100
RECORD_SHOWN = 20_000  # characters of a refused record that the file of refused records repeats


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a record stands, and what it says."""

    path: Path
    line: int
    item: int | None
    record: str

    @property
    def place(self) -> str:
        return f"item {self.item}" if self.item else f"line {self.line}"


@dataclass(slots=True)
class ImportReport:
    """What became of the files. ``…_known`` were stored before; a dry run counts as new what would be accepted.

    ``lines`` counts records: lines, rows or items of an array. ``errors`` names the first refused ones:
    ``line 7: /output: …``; the file ``rejected_file`` has all of them.
    """

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
    dry_run: bool = False
    rejected_file: str = ""
    errors: list[str] = field(default_factory=list)

    @property
    def usable(self) -> bool:
        """Whether anything was stored, now or before."""
        return bool(
            self.interactions + self.interactions_known + self.feedback + self.feedback_known
            + self.scores + self.scores_known
        )  # fmt: skip


class Rejections:
    """Writes the refused records to a file, one JSON object a line; without any there is no file."""

    def __init__(self, report: ImportReport, path: Path | None, *, many: bool) -> None:
        self._report, self._path, self._many = report, path, many
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        if self._path:
            self._path.unlink(missing_ok=True)  # of an earlier run
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._file:
            self._file.close()

    def add(self, origin: Origin, message: str, path: str = "") -> None:
        """``path`` is a JSON pointer into what was made of the record."""
        self._report.rejected += 1
        if len(self._report.errors) < ERRORS_KEPT:
            where = f"{origin.path.name} {origin.place}" if self._many else origin.place
            self._report.errors.append(f"{where}: {path}: {message}" if path else f"{where}: {message}")
        if self._path:
            self._write(origin, {"path": path, "message": message})

    def add_error(self, origin: Origin, error: dict[str, Any]) -> None:
        """The same for an error in the shape of the API."""
        details = error.get("details") or [{}]
        self.add(origin, str(details[0].get("message") or error.get("message")), str(details[0].get("path", "")))

    def _write(self, origin: Origin, fault: dict[str, str]) -> None:
        if self._file is None:
            assert self._path
            self._file = self._path.open("w", encoding="utf-8")
            self._report.rejected_file = str(self._path)
        where: dict[str, Any] = {"file": str(origin.path), "line": origin.line}
        if origin.item:
            where["item"] = origin.item
        self._file.write(json.dumps({**where, **fault, "record": origin.record[:RECORD_SHOWN]}) + "\n")
