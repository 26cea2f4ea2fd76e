"""``reviewhub export``: a frozen version of a golden dataset as a file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from django.core.exceptions import ValidationError

from evals import export, packing
from evals.models import Dataset, DatasetVersion
from projects.errors import ApiError


def handle(arguments: argparse.Namespace) -> int:
    try:
        version = find(arguments.dataset, project=arguments.project)
        chosen = export.format_named(arguments.format)
        source = export.source_of(version, vars(arguments))
    except ApiError as error:
        raise ValidationError(error.message) from error
    if arguments.manifest:
        sys.stdout.buffer.write(packing.dumped(packing.manifest(source, chosen)))
        return 0
    if arguments.output == "-":
        sys.stdout.buffer.writelines(packing.stream(source, chosen, bundle=arguments.zip))
        sys.stdout.buffer.flush()
        return 0
    target = Path(arguments.output or packing.filename(source, chosen, bundle=arguments.zip))
    partial = target.with_name(f"{target.name}.partial")  # half a golden set must not look like a whole one
    with partial.open("wb") as handle:
        handle.writelines(packing.stream(source, chosen, bundle=arguments.zip))
    partial.replace(target)
    read, skipped = sum(source.splits_read.values()), sum(source.skipped.values())
    print(f"Wrote {target}: {version}, {read - skipped} examples, sha256 {version.checksum}", file=sys.stderr)
    for why, count in sorted(source.skipped.items()):
        print(f"  left out: {count} ({why})", file=sys.stderr)
    return 0


def find(name: str, *, project: str | None) -> DatasetVersion:
    """The frozen version that ``slug@number`` or ``slug@latest`` means.

    Raises ValidationError or ApiError, which say why there is none.
    """
    slug, at, number = name.partition("@")
    if not at:
        raise ValidationError(f"{name!r} is not DATASET@VERSION: write billing@3 or billing@latest.")
    datasets = Dataset.objects.filter(slug=slug)
    if project:
        datasets = datasets.filter(project__slug=project)
    found = list(datasets[:2])
    if not found:
        raise ValidationError(f"There is no dataset {slug}{f' in {project}' if project else ''}.")
    if len(found) > 1:
        raise ValidationError(f"Several projects have a dataset {slug}. Say which with --project.")
    return export.find_version(found[0], number)
