"""Getting a frozen version out: which version is meant, and its bytes in the format that was asked for."""

from __future__ import annotations

from evals.formats import Format, formats
from evals.formats.jsonl import native_jsonl
from evals.models import Dataset, DatasetVersion
from projects.errors import ApiError, invalid
from projects.models import Project

__all__ = ["filename", "find_dataset", "find_version", "format_named", "native_jsonl"]


def find_dataset(project: Project, slug: str) -> Dataset:
    """The project's dataset of this slug, or 404."""
    dataset = Dataset.objects.filter(project=project, slug=slug).first()
    if dataset is None:
        raise ApiError(404, "not_found", "There is no such dataset.")
    return dataset


def find_version(dataset: Dataset, number: str) -> DatasetVersion:
    """The frozen version of this number, or the newest for ``latest``; 404 if there is none, 409 for a draft."""
    versions = dataset.versions.select_related("dataset").filter(frozen_at__isnull=False).order_by("-number")
    if number == "latest":
        version = versions.first()
        if version is None:
            raise ApiError(404, "not_found", f"{dataset.slug} has no frozen version yet.")
        return version
    if not number.isdecimal() or len(number) > 9:
        raise ApiError(404, "not_found", "A version is a number, or latest.")
    version = versions.filter(number=int(number)).first()
    if version is None and dataset.versions.filter(number=int(number)).exists():
        raise ApiError(409, "not_frozen", f"Version {number} is still a draft. Freeze it first.")
    if version is None:
        raise ApiError(404, "not_found", f"{dataset.slug} has no version {number}.")
    return version


def format_named(slug: str) -> Format:
    """The export format of this name, or 422 with the names there are."""
    found = formats().get(slug)
    if found is None:
        raise invalid("/format", f"No such format; there are {', '.join(formats())}.")
    return found


def filename(version: DatasetVersion, chosen: Format) -> str:
    """What the file is called on the disk of whoever downloads it."""
    return f"{version.dataset.slug}-v{version.number}{chosen.suffix}"
