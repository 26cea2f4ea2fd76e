"""``reviewhub export``: a frozen version of a golden dataset as a file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from django.core.exceptions import ValidationError

from evals import export
from evals.models import Dataset, DatasetVersion


def handle(arguments: argparse.Namespace) -> int:
    version = find(arguments.dataset, project=arguments.project)
    if arguments.output == "-":
        for piece in export.native_jsonl(version):
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return 0
    target = Path(arguments.output)
    partial = target.with_name(f"{target.name}.partial")  # half a golden set must not look like a whole one
    with partial.open("wb") as handle:
        handle.writelines(export.native_jsonl(version))
    partial.replace(target)
    print(f"Wrote {target}: {version.dataset.slug}@{version.number}", file=sys.stderr)
    return 0


def find(name: str, *, project: str | None) -> DatasetVersion:
    """The frozen version that ``slug@number`` or ``slug@latest`` means; ValidationError says why there is none."""
    slug, at, number = name.partition("@")
    if not at or not (number == "latest" or number.isdecimal()):
        raise ValidationError(f"{name!r} is not DATASET@VERSION: write billing@3 or billing@latest.")
    datasets = Dataset.objects.filter(slug=slug).select_related("project")
    if project:
        datasets = datasets.filter(project__slug=project)
    found = list(datasets[:2])
    if not found:
        raise ValidationError(f"There is no dataset {slug}{f' in {project}' if project else ''}.")
    if len(found) > 1:
        raise ValidationError(f"Several projects have a dataset {slug}. Say which with --project.")
    versions = DatasetVersion.objects.filter(dataset=found[0], frozen_at__isnull=False).order_by("-number")
    version = versions.first() if number == "latest" else versions.filter(number=int(number)).first()
    if version is None:
        raise ValidationError(f"{slug} has no frozen version {number}. Freeze one on its page first.")
    return version
