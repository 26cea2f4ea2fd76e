"""Export formats: one file each. A module of this package, or of another package by the entry point
``reviewhub.export_formats``, that has a ``FORMAT`` is a format; nothing else has to change."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points

from evals.models import DatasetVersion


@dataclass(frozen=True, slots=True)
class Format:
    """How a frozen version is written: ``write`` yields one file's bytes in constant memory, the same each time."""

    slug: str
    label: str
    note: str
    suffix: str
    media_type: str
    write: Callable[[DatasetVersion], Iterator[bytes]]
    position: int = 100


@cache
def formats() -> dict[str, Format]:
    """Every format by its slug, in the order in which a menu shows them."""
    modules = [importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)]
    plugged = [entry.load() for entry in entry_points(group="reviewhub.export_formats")]
    found = [module.FORMAT for module in modules if hasattr(module, "FORMAT")] + plugged
    return {each.slug: each for each in sorted(found, key=lambda each: (each.position, each.slug))}
