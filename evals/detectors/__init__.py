"""Detectors: offline checks of every interaction. One file each; a file in this package registers itself.

A package from outside adds its own through the entry-point group ``reviewhub.detectors``; the entry point
leads to a ``Detector`` (docs/detectors.md shows one).
"""

from __future__ import annotations

import importlib
import logging
import pkgutil
from functools import lru_cache
from importlib.metadata import entry_points

from evals.detectors.interface import Detector, Finding, Subject

__all__ = ["GROUP", "Detector", "Finding", "Subject", "detectors"]

log = logging.getLogger("reviewhub.detectors")
GROUP = "reviewhub.detectors"


@lru_cache(maxsize=1)
def detectors() -> tuple[Detector, ...]:
    """Every detector, ours first, each name once; one that cannot be loaded is logged and left out."""
    found: dict[str, Detector] = {}
    for module in pkgutil.iter_modules(__path__):
        detector = getattr(importlib.import_module(f"{__name__}.{module.name}"), "detector", None)
        if isinstance(detector, Detector):
            found[detector.name] = detector
    for entry in entry_points(group=GROUP):
        try:
            detector = entry.load()
        except Exception:  # a stranger's package must not stop the worker
            log.exception("the detector %s of %s could not be loaded", entry.name, entry.value)
            continue
        if not isinstance(detector, Detector):
            log.error("%s is not a Detector", entry.value)
        elif detector.name in found:
            log.error("a detector named %s exists already; %s is left out", detector.name, entry.value)
        else:
            found[detector.name] = detector
    return tuple(found.values())
