"""From files to records, with constant memory: JSON lines, JSON arrays, objects over many lines, CSV, Parquet; gzip
or not, of Parquet one group of rows at a time.

What a file is shows in its first bytes, not in its name. Of a record no more than the limit is kept in memory,
whatever the size of the file.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import mmap
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import msgspec
from django.core.exceptions import ValidationError

from feedback import limits, parquet_reading
from projects import strictjson

CHUNK = 256 * limits.KIB
GZIP_MAGIC, PARQUET_MAGIC = b"\x1f\x8b", b"PAR1"
SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".json.gz", ".jsonl.gz", ".ndjson.gz", ".csv.gz", ".parquet")
COLUMNS = 1_000  # of a Parquet file
ADVICE = "DuckDB writes it as JSON lines: COPY (SELECT * FROM '{path}') TO 'export.jsonl' (FORMAT json)."


@dataclass(frozen=True, slots=True)
class Raw:
    """One record as the file holds it. ``line`` is where it begins, counted from 1; of an array, ``item`` too."""

    path: Path
    line: int
    body: bytes
    item: int | None = None
    cells: dict[str, Any] | None = None  # of a CSV or Parquet file, where there is nothing left to parse
    too_long: bool = False

    @property
    def place(self) -> str:
        return f"item {self.item}" if self.item else f"line {self.line}"


class Files:
    """The records of these files and of the files in these folders, and how far the reading is, in bytes."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self.paths = list(dict.fromkeys(file for path in paths for file in _files(path)))
        self.total = sum(path.stat().st_size for path in self.paths)
        self._before = 0
        self._file: io.BufferedReader[Any] | None = None

    @property
    def done(self) -> int:
        """Bytes on disk that have been read; of a gzip file the packed ones."""
        return self._before + (self._file.tell() if self._file else 0)

    def __iter__(self) -> Iterator[Raw]:
        self._before = 0
        for path in self.paths:
            with io.BufferedReader(path.open("rb", buffering=0), CHUNK) as file:
                self._file = file
                yield from _records(path, file)
                self._file = None
            self._before += path.stat().st_size


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(
        file for file in path.rglob("*")
        if file.is_file() and file.name.endswith(SUFFIXES) and ".rejected." not in file.name
    )  # fmt: skip


def _records(path: Path, file: io.BufferedReader[Any]) -> Iterator[Raw]:
    head = file.peek(4)[:4]
    if head == PARQUET_MAGIC:
        yield from _table(path, file)
        return
    if head[:2] != GZIP_MAGIC:
        yield from _split(path, file)
        return
    try:
        with gzip.open(file) as unpacked:
            yield from _split(path, io.BufferedReader(cast("io.RawIOBase", unpacked), CHUNK))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValidationError(f"{path} is not whole: {error}") from None


def _split(path: Path, source: io.BufferedReader[Any]) -> Iterator[Raw]:
    head = source.peek(CHUNK)[:CHUNK]
    if head.startswith(b"\xef\xbb\xbf"):
        source.read(3)
        head = head[3:]
    begin = head.lstrip()[:1]
    if begin == b"[" or _WRAPPER.match(head):
        return _values(path, source, array=True)
    if _printed(head):
        return _values(path, source, array=False)
    if begin != b"{" and _csv_header(head):
        return _rows(path, source)
    return _lines(path, source)


# Answers of list APIs: the records are in the one array of an object.
_WRAPPER = re.compile(rb'\s*\{\s*"(?:data|results|content|interactions|feedback|scores|runs|spans|traces)"\s*:\s*\[')


def _printed(head: bytes) -> bool:
    """Whether an object begins that is printed over many lines, and not JSON lines."""
    return head.lstrip().partition(b"\n")[0].strip() == b"{"


def _csv_header(head: bytes) -> bool:
    names = head.split(b"\n", 1)[0].decode("utf-8", "replace")
    return "," in names and any(name.strip('"\r ') in {"id", "trace_id", "traceId"} for name in names.split(","))


# -- JSON lines ------------------------------------------------------------------------------------------------


def _lines(path: Path, source: io.BufferedReader[Any]) -> Iterator[Raw]:
    number = 0
    while line := source.readline(limits.INTERACTION_BODY + 1):
        number += 1
        too_long = len(line) > limits.INTERACTION_BODY
        rest = line
        while not rest.endswith(b"\n") and (rest := source.readline(io.DEFAULT_BUFFER_SIZE)):
            pass
        body = line.strip()
        if body:
            yield Raw(path, number, body, too_long=too_long)


# -- arrays, and objects printed over many lines ---------------------------------------------------------------

_STRING = 8 * limits.INTERACTION_BODY
# A string that is whole, the beginning of one that is not, or what opens and closes.
_TOKENS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|"|[\[\]{}]', re.DOTALL)


def _values(path: Path, source: io.BufferedReader[Any], *, array: bool) -> Iterator[Raw]:
    """The objects of an array, or objects one after the other, cut out without looking at what they say."""
    pending, line, item, position = b"", 1, 0, 0
    if array:
        head = source.peek(CHUNK)
        wrapper = _WRAPPER.match(head)
        skipped = source.read(wrapper.end() if wrapper else head.index(b"[") + 1)
        line += skipped.count(b"\n")
    depth, start, overlong = 0, 0, False
    while chunk := source.read(CHUNK):
        pending += chunk
        ended = False
        for token in _TOKENS.finditer(pending, position):
            mark = pending[token.start() : token.start() + 1]
            if token.group() == b'"':  # the rest of the string is in the next chunk
                position = token.start()
                break
            position = token.end()
            if mark in b"[{":
                if depth == 0:
                    start = token.start()
                depth += 1
            elif mark in b"]}":
                depth -= 1
                if depth < 0:
                    ended = array
                    break
                if depth == 0:
                    item += 1
                    at = line + pending.count(b"\n", 0, start)
                    body = pending[start : token.end()]
                    too_long = overlong or len(body) > limits.INTERACTION_BODY
                    yield Raw(path, at, body[: limits.INTERACTION_BODY], item if array else None, too_long=too_long)
                    overlong = False
        if ended:
            if array and _WRAPPER.search(pending[position:] + source.read(CHUNK)):
                raise ValidationError(f"{path} holds several pages of answers. Write one page to a file.")
            return
        if len(pending) - position > _STRING:
            raise ValidationError(f"{path} has a text of more than {_STRING:,} bytes after line {line}.")
        keep = start if depth else position
        if depth and len(pending) - start > limits.INTERACTION_BODY:  # go on counting, without keeping
            overlong, keep = True, position
            start = 0
        line += pending.count(b"\n", 0, keep)
        pending, position, start = pending[keep:], position - keep, max(start - keep, 0)
    if depth > 0 or pending.strip(b" \t\r\n,]}"):
        yield Raw(path, line, pending.strip()[: limits.INTERACTION_BODY], item + 1 if array else None)


# -- CSV -------------------------------------------------------------------------------------------------------


def _rows(path: Path, source: io.BufferedReader[Any]) -> Iterator[Raw]:
    csv.field_size_limit(limits.INTERACTION_BODY)
    reader = csv.DictReader(io.TextIOWrapper(source, encoding="utf-8", errors="replace", newline=""))
    line = 2
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Raw(path, line, str(error).encode(), too_long="limit" in str(error))
            line = reader.line_num + 1
            continue
        cells = {name: _cell(cell) for name, cell in row.items() if isinstance(cell, str) and cell != "" and name}
        yield Raw(path, line, json.dumps(row, ensure_ascii=False).encode(), cells=cells)
        line = reader.line_num + 1


# -- Parquet ---------------------------------------------------------------------------------------------------


def _table(path: Path, file: io.BufferedReader[Any]) -> Iterator[Raw]:
    number = 0
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            for rows in parquet_reading.batches(data, COLUMNS):
                for row in rows:
                    number += 1
                    cells = {name: _cell(value) for name, value in row.items() if _says(value)}
                    body = json.dumps(row, ensure_ascii=False).encode("utf-8", "replace")
                    yield Raw(path, number, body, number, cells=cells, too_long=len(body) > limits.INTERACTION_BODY)
        except parquet_reading.ParquetError as error:
            raise ValidationError(f"{path}: {error} {ADVICE.format(path=path)}") from None


def _says(value: Any) -> bool:
    """Gaps of a table say nothing: null, an empty text, and NaN, which pandas writes for them."""
    return value is not None and value != "" and value == value


def _cell(text: Any) -> Any:
    """A cell may hold JSON: an object, a list, a quoted text. All else is text, numbers too."""
    if isinstance(text, str) and text[:1] in {"{", "[", '"'}:
        try:
            return msgspec.json.decode(text)
        except (msgspec.MsgspecError, RecursionError):
            return text
    return text


# -- one record ------------------------------------------------------------------------------------------------


def parse(raw: Raw) -> dict[str, Any]:
    """The object that a record holds; ApiError or TypeError with what is wrong.

    pandas writes NaN where a table has a gap; there it means: nothing.
    """
    if raw.cells is not None:
        return raw.cells
    try:
        value = msgspec.json.decode(raw.body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        value = _parse_closely(raw.body)
    if not isinstance(value, dict):
        raise TypeError("not a JSON object")
    return value


def _parse_closely(body: bytes) -> Any:
    if b"NaN" in body or b"Infinity" in body:
        try:
            return json.loads(body, parse_constant=lambda word: None)
        except (ValueError, RecursionError):
            pass
    return strictjson.parse(body).value
