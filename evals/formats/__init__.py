"""Export formats: one file each. A module of this package, or of another package by the entry point
``reviewhub.export_formats``, that has a ``FORMAT`` is a format; nothing else has to change."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points

from evals import lines
from evals.source import Source

Writer = Callable[[Source], Iterator[bytes]]
PIECE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Format:
    """How a frozen version is written: ``write`` yields one file's bytes in constant memory, the same each time.

    A format of several files gives ``members`` instead, by name; they are packed into one zip with a manifest.
    ``beside`` are small files that a bundle holds besides what is written. ``trains`` says that a model learns
    from it, so that examples of the test split are a leak worth a warning.
    """

    slug: str
    label: str
    note: str
    suffix: str
    media_type: str
    write: Writer | None = None
    position: int = 100
    members: Callable[[Source], Iterable[tuple[str, Writer]]] | None = None
    trains: bool = False
    beside: Callable[[Source], Iterable[tuple[str, Writer]]] | None = None

    @property
    def ending(self) -> str:
        """The last part of the suffix, for a menu."""
        return f".{self.suffix.rpartition('.')[2]}"


@cache
def formats() -> dict[str, Format]:
    """Every format by its slug, in the order in which a menu shows them."""
    modules = [importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)]
    plugged = [entry.load() for entry in entry_points(group="reviewhub.export_formats")]
    found = [module.FORMAT for module in modules if hasattr(module, "FORMAT")] + plugged
    return {each.slug: each for each in sorted(found, key=lambda each: (each.position, each.slug))}


def pieces(texts: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of about 64 KiB: a write to the network for each line would be slow."""
    piece = bytearray()
    for text in texts:
        piece += text
        if len(piece) >= PIECE:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)


def json_lines(values: Iterable[object]) -> Iterator[bytes]:
    """One canonical JSON value a line."""
    return pieces(lines.compact(value) + b"\n" for value in values)
