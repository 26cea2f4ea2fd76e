"""``reviewhub import``: a file of interactions into a project."""

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
        print(json.dumps(counts, default=str))
    else:
        for name, value in counts.items():
            if not isinstance(value, (list, dict)):
                print(f"{name.replace('_', ' '):<24} {value}")
        for problem in counts.get("errors", [])[:20]:
            print(f"  {problem}", file=sys.stderr)
    return 0
