"""Getting a frozen version out: which version is meant, and its bytes in the format that was asked for."""

from __future__ import annotations

from collections.abc import Mapping

from evals.formats import Format, formats
from evals.models import Dataset, DatasetVersion, Example
from evals.source import FILTERS, Source
from projects.errors import ApiError, invalid
from projects.models import Project
from projects.strictjson import clean_text

MAX_FILTER = 200


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


def source_of(version: DatasetVersion, wanted: Mapping[str, str]) -> Source:
    """What to export of a version: all of it, or what ``split``, ``tag`` and ``category`` leave; else 422."""
    given = {name: clean_text(wanted.get(name) or "")[:MAX_FILTER] for name in FILTERS}
    if given["split"] and given["split"] not in Example.Split.values:
        raise invalid("/split", f"A split is one of {', '.join(Example.Split.values)}.")
    return Source(version, split=given["split"], tag=given["tag"], category=given["category"])
