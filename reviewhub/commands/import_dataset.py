"""``reviewhub import --dataset``: files of examples into a dataset's draft. Each file comes in whole or not at all."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from django.core.exceptions import ValidationError

from evals import export
from evals.importing import reading, running
from evals.importing.running import Plan
from evals.models import Dataset
from projects.errors import ApiError
from projects.models import Project

SHOWN = 10


def handle(arguments: argparse.Namespace, project: Project, paths: list[Path]) -> int:
    """Exit code 0 if every record was taken, 1 if some were refused, 2 if a file could not be used."""
    try:
        dataset = export.find_dataset(project, arguments.dataset)
    except ApiError:
        raise ValidationError(f"There is no dataset {arguments.dataset} in {project.slug}.") from None
    codes = [_one(arguments, dataset, path) for path in paths]
    return max(codes)


def _one(arguments: argparse.Namespace, dataset: Dataset, path: Path) -> int:
    if path.is_dir():
        raise ValidationError(f"{path} is a folder. Name the files.")
    try:
        if path.stat().st_size > reading.LIMIT:
            raise reading.too_large()
        opened = running.open_file(path.read_bytes(), path.name, arguments.map)
        plan = (
            running.dry_run(dataset, opened) if arguments.dry_run
            else running.run(dataset, opened, actor=None, approve=arguments.approve)
        )  # fmt: skip
    except ApiError as error:
        print(f"{path.name}: {error.message}", file=sys.stderr)
        for fault in error.details[:SHOWN]:
            print(f"  {fault['path']}: {fault['message']}", file=sys.stderr)
        return 2
    if arguments.json:
        print(json.dumps({"file": str(path), **plan.told(), "mapping": opened.mapping}))
    else:
        _tell(path, plan, opened.mapping)
    return 1 if plan.refused else 0


def _tell(path: Path, plan: Plan, mapping: dict[str, str]) -> None:
    print(f"{path.name}: {plan.format}, {plan.records} records")
    for name in ("new", "changed", "same", "repeated", "refused"):
        print(f"  {name:<9} {getattr(plan, name)}")
    for column, target in mapping.items():
        print(f"  {column} -> {target or 'left out'}", file=sys.stderr)
    for note in plan.notes:
        print(f"  {note}", file=sys.stderr)
    for fault in plan.faults[:SHOWN]:
        print(f"  {fault.place}: {fault.path}: {fault.message}", file=sys.stderr)
    if plan.refused > SHOWN:
        print("  …", file=sys.stderr)
    if plan.dry_run:
        print("This was a dry run: nothing was stored.", file=sys.stderr)
