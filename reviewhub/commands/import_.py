"""``reviewhub import``: files of interactions, or another product's export, into a project; with ``--dataset``, of
examples.

Exit code 0 if every record was taken, 1 if some were refused, 2 if nothing could be used. Running it again, after
a crash too, adds what is missing and nothing twice.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from pathlib import Path

from django.core.exceptions import ValidationError

from feedback import importers
from feedback.importers import ImportReport
from projects.models import Project
from reviewhub.commands import import_dataset
from reviewhub.commands.progress import progress

ERRORS_SHOWN = 10


def handle(arguments: argparse.Namespace) -> int:
    paths = [Path(file) for file in arguments.files]
    for path in paths:
        if not path.exists():
            raise ValidationError(f"There is no file {path}.")
    project = Project.objects.filter(slug=arguments.project).first()
    if project is None:
        raise ValidationError(f"There is no project {arguments.project}. `reviewhub bootstrap` makes one.")
    if arguments.dataset:
        return import_dataset.handle(arguments, project, paths)
    with progress(f"Importing {_named(paths)}") as tell:
        report = importers.run(
            paths, format=arguments.format, project=project, progress=tell, dry_run=arguments.dry_run,
            rejected=_rejected(paths[0]),
        )  # fmt: skip
    if arguments.json:
        print(json.dumps(dataclasses.asdict(report)))
    else:
        _tell(report, _named(paths))
    return (1 if report.rejected else 0) if report.usable else 2


def _named(paths: list[Path]) -> str:
    return paths[0].name if len(paths) == 1 else f"{paths[0].name} and {len(paths) - 1} more"


def _rejected(path: Path) -> Path | None:
    """Beside the file that is read, else in this folder; None where neither can be written."""
    for folder in (path.absolute().parent, Path.cwd()):
        if os.access(folder, os.W_OK):
            return folder / f"{path.absolute().name}.rejected.jsonl"
    return None


def _tell(report: ImportReport, named: str) -> None:
    counts = dataclasses.asdict(report)
    for name in ("errors", "rejected_file", "dry_run"):
        del counts[name]
    counts["records"] = counts.pop("lines")
    for name, value in counts.items():
        if value or name in {"records", "interactions", "rejected"}:
            print(f"{name.replace('_', ' '):<20} {value}")
    for problem in report.errors[:ERRORS_SHOWN]:
        print(f"  {problem}", file=sys.stderr)
    if report.rejected > ERRORS_SHOWN:
        print("  …", file=sys.stderr)
    if report.rejected_file:
        print(f"All refused records are in {report.rejected_file}.", file=sys.stderr)
    if not report.usable:
        print(f"Nothing in {named} could be used.", file=sys.stderr)
    if report.dry_run:
        print("This was a dry run: nothing was stored.", file=sys.stderr)
