"""An export as it leaves: one file, or a zip of several with a manifest that says what is in it.

A manifest tells the schema, the version and its checksum, the filters, how many examples were written, how many were
left out and why, and the size and SHA-256 of each file. All of it is written while it is read, in constant memory.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from datetime import UTC
from typing import Any

from evals.formats import Format, Writer
from evals.source import Source

SCHEMA = "reviewhub.export/1"
MANIFEST = "manifest.json"
LARGE = 10_000  # examples; beyond that a member may pass 2 GiB, which needs the 64-bit form of zip
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest time that zip knows: the bytes must not depend on the clock


class _Pipe(io.RawIOBase):
    """Takes what zipfile writes and gives it away in pieces."""

    def __init__(self) -> None:
        self.held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.held += data
        return len(data)

    def take(self) -> bytes:
        piece = bytes(self.held)
        self.held.clear()
        return piece


def filename(source: Source, chosen: Format, *, bundle: bool = False) -> str:
    """What the file is called on the disk of whoever downloads it."""
    version = source.version
    part = "".join(f"-{value}" for name, value in source.filters.items() if name == "split")
    suffix = f"{chosen.suffix}.zip" if bundle and chosen.write else chosen.suffix
    return f"{version.dataset.slug}-v{version.number}{part}{suffix}"


def stream(source: Source, chosen: Format, *, bundle: bool = False) -> Iterator[bytes]:
    """The export's bytes: the file itself, or the zip where there are several files or ``bundle`` asks for one."""
    if chosen.write is not None and not bundle:
        return chosen.write(source)
    return _zip(source, chosen)


def manifest(source: Source, chosen: Format) -> dict[str, Any]:
    """The manifest alone. It is made by writing everything and keeping nothing."""
    files = [_read(name, writer(source)) for name, writer in _members(source, chosen)]
    return _told(source, chosen, files)


def _members(source: Source, chosen: Format) -> list[tuple[str, Writer]]:
    if chosen.members is not None:
        return list(chosen.members(source))
    assert chosen.write is not None
    return [(filename(source, chosen), chosen.write), *(chosen.beside(source) if chosen.beside else ())]


def _read(name: str, pieces: Iterator[bytes]) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    for piece in pieces:
        digest.update(piece)
        size += len(piece)
    return {"name": name, "bytes": size, "sha256": digest.hexdigest()}


def _zip(source: Source, chosen: Format) -> Iterator[bytes]:
    pipe, files = _Pipe(), []
    large = (source.version.count or 0) > LARGE
    # Level 1: the archive has to keep up with the reader, and text shrinks to a third even so.
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, writer in _members(source, chosen):
            digest, size = hashlib.sha256(), 0
            with archive.open(_entry(name), "w", force_zip64=large) as member:
                for piece in writer(source):
                    digest.update(piece)
                    size += len(piece)
                    member.write(piece)
                    if pipe.held:
                        yield pipe.take()
            files.append({"name": name, "bytes": size, "sha256": digest.hexdigest()})
        archive.writestr(_entry(MANIFEST), dumped(_told(source, chosen, files)))
    yield pipe.take()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    entry.create_system = 3  # else the machine's own
    return entry


def dumped(value: dict[str, Any]) -> bytes:
    """A manifest as it is written: sorted, for people to read."""
    return json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"


def _told(source: Source, chosen: Format, files: list[dict[str, Any]]) -> dict[str, Any]:
    version, read, skipped = source.version, sum(source.splits_read.values()), sum(source.skipped.values())
    frozen_at = version.frozen_at.astimezone(UTC).isoformat().replace("+00:00", "Z") if version.frozen_at else None
    warnings = []
    if chosen.trains and source.splits_read["test"]:
        warnings.append(
            f"{source.splits_read['test']} of these examples are of the test split: a model that learns from them"
            " cannot be tested with them. Export with split=train."
        )
    return {
        "schema": SCHEMA, "format": chosen.slug, "dataset": version.dataset.slug, "kind": version.dataset.kind,
        "version": version.number, "frozen_at": frozen_at, "note": version.note, "sha256": version.checksum,
        "licence": version.licence or None, "consent": version.consent or None,
        "filters": source.filters, "files": files, "warnings": warnings,
        "counts": {
            "version": version.count, "selected": read, "written": read - skipped, "skipped": dict(source.skipped),
            "splits": dict(source.splits_read),
        },
    }  # fmt: skip
