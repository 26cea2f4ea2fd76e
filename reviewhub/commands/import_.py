"""``reviewhub import``: a file of interactions into a project. Exit code 1 if any line was refused."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from django.core.exceptions import ValidationError

from feedback import importers
from projects.models import Project
from reviewhub.commands.progress import progress

ERRORS_SHOWN = 20


def handle(arguments: argparse.Namespace) -> int:
    path = Path(arguments.file)
    if not path.exists():
        raise ValidationError(f"There is no file {path}.")
    project = Project.objects.filter(slug=arguments.project).first()
    if project is None:
        raise ValidationError(f"There is no project {arguments.project}. `reviewhub bootstrap` makes one.")
    with progress(f"Importing {path.name}") as tell:
        report = importers.run(path, format=arguments.format, project=project, progress=tell)
    counts = dataclasses.asdict(report)
    if arguments.json:
        print(json.dumps(counts))
        return 1 if report.rejected else 0
    errors = counts.pop("errors")
    for name, value in counts.items():
        print(f"{name.replace('_', ' '):<20} {value}")
    for problem in errors[:ERRORS_SHOWN]:
        print(f"  {problem}", file=sys.stderr)
    if len(errors) > ERRORS_SHOWN:
        print(f"  … --json has {len(errors)} of them", file=sys.stderr)
    return 1 if report.rejected else 0
