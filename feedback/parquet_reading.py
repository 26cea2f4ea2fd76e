"""A reader of Parquet files, the counterpart of ``evals.parquet``. Pure; bounded by a budget of bytes.

https://parquet.apache.org/docs/file-format/. Read are pages of both versions, plain or with a dictionary, without
compression or with gzip or Snappy, as pandas, DuckDB and ``datasets`` write them unless told otherwise; lists, structs
and maps too. Other compressions are refused by name. Road not taken: pyarrow, which weighs more than the whole server.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

MAGIC = b"PAR1"
BUDGET = 128 * 1024 * 1024  # bytes after decompression, of all pages together
ENTRY = 8  # bytes of the budget that an entry of a column takes, whatever it holds
DEEPEST = 16  # groups within groups
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CODECS = {0: "none", 1: "snappy", 2: "gzip", 3: "lzo", 4: "brotli", 5: "lz4", 6: "zstd", 7: "lz4_raw"}
_SIZES = {1: ("<i", 4), 2: ("<q", 8), 4: ("<f", 4), 5: ("<d", 8)}
_BOOLEAN, _INT96, _BYTES, _FIXED = 0, 3, 6, 7
_REQUIRED, _REPEATED = 0, 2
_PLAIN, _PLAIN_DICTIONARY, _RLE, _RLE_DICTIONARY = 0, 2, 3, 8


class ParquetError(ValueError):
    """What is wrong with the file, as a sentence."""


def rows(data: bytes, most: int, widest: int) -> list[dict[str, Any]]:
    """Every row by column. ParquetError where the file is broken, has more rows than ``most`` or columns than
    ``widest``, or holds what is not read here."""
    file = _opened(data, widest)
    if file.count > most:
        raise ParquetError(f"The file has {file.count:,} rows; at most {most:,} are taken at once.")
    return [row for group in range(file.size) for row in file.read(group)]


def batches(data: bytes | mmap.mmap, widest: int) -> Iterator[list[dict[str, Any]]]:
    """The rows of one group after the other: a file of any size, of which one group is unpacked at a time.
    ParquetError as for ``rows``, where it is met."""
    file = _opened(data, widest)
    for group in range(file.size):
        file.left = BUDGET
        yield file.read(group)


# What reading does where the description says one thing and the bytes another.
_BROKEN = (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError, struct.error, zlib.error)


def _opened(data: bytes | mmap.mmap, widest: int) -> _File:
    try:
        return _File(data, widest)
    except ParquetError:
        raise
    except _BROKEN as error:
        raise ParquetError(f"The Parquet file is broken ({type(error).__name__}).") from None


class _Thrift:
    """Thrift's compact protocol: a struct becomes a dict by field number."""

    def __init__(self, data: bytes | mmap.mmap, place: int) -> None:
        self.data, self.place = data, place

    def struct(self, depth: int = 0) -> dict[int, Any]:
        if depth > 16:
            raise ParquetError("The Parquet file's description is nested too deep.")
        found: dict[int, Any] = {}
        number = 0
        while (head := self.byte()) != 0:
            kind, step = head & 0x0F, head >> 4
            number = number + step if step else self.signed()
            found[number] = kind == 1 if kind in (1, 2) else self.value(kind, depth)
        return found

    def value(self, kind: int, depth: int) -> Any:
        if kind in (1, 2):
            return self.byte() == 1
        if kind == 3:
            return self.byte()
        if kind in (4, 5, 6):
            return self.signed()
        if kind == 7:
            self.place += 8
            return struct.unpack_from("<d", self.data, self.place - 8)[0]
        if kind == 8:
            return self.taken(self.unsigned())
        if kind in (9, 10):
            head = self.byte()
            size = head >> 4 if head >> 4 != 15 else self.unsigned()
            if size > len(self.data):
                raise ParquetError("The Parquet file's description names more parts than the file has bytes.")
            return [self.value(head & 0x0F, depth + 1) for _ in range(size)]
        if kind == 12:
            return self.struct(depth + 1)
        raise ParquetError("The Parquet file's description cannot be read.")

    def byte(self) -> int:
        self.place += 1
        return self.data[self.place - 1]

    def unsigned(self) -> int:
        value = shift = 0
        while (byte := self.byte()) > 0x7F:
            value |= (byte & 0x7F) << shift
            shift += 7
            if shift > 63:
                raise ParquetError("The Parquet file has a number of more than 64 bits.")
        return value | byte << shift

    def signed(self) -> int:
        value = self.unsigned()
        return value >> 1 ^ -(value & 1)

    def taken(self, size: int) -> bytes:
        if not 0 <= size <= len(self.data) - self.place:
            raise ParquetError("The Parquet file ends in the middle.")
        self.place += size
        return self.data[self.place - size : self.place]


@dataclass(slots=True)
class _Node:
    """A column, or a group of them. A value is there from the definition level ``defined`` on; ``repeats`` is the
    repetition level of the nearest list around it. ``first`` is the place of its first column among all."""

    name: str
    kind: int | None
    repeated: bool
    defined: int
    repeats: int
    first: int
    holds: str  # "list", "map", or how a number is to be read
    children: list[_Node]

    @property
    def flat(self) -> bool:
        return not self.children and not self.repeated


@dataclass(slots=True)
class _Column:
    """What the pages of a column hold: the levels of each entry, and the values of those that are there."""

    repeats: list[int]
    levels: list[int]
    values: list[Any]
    at: int = 0
    got: int = 0

    def next(self, defined: int) -> Any:
        there = self.levels[self.at] == defined
        self.at, self.got = self.at + 1, self.got + there
        return self.values[self.got - 1] if there else None


class _File:
    def __init__(self, data: bytes | mmap.mmap, widest: int) -> None:
        if len(data) < 12 or data[-4:] != MAGIC:
            raise ParquetError("The Parquet file is not whole: its last bytes are missing.")
        (size,) = struct.unpack("<I", data[-8:-4])
        if size > len(data) - 12:
            raise ParquetError("The Parquet file is not whole: its description is cut off.")
        self.data, self.left = data, BUDGET
        footer = _Thrift(data[len(data) - 8 - size : -8], 0).struct()
        self.count, self.groups = footer[3], footer.get(4, [])
        self.size, self._seen = len(self.groups), 0
        if not isinstance(self.count, int):
            raise ParquetError("The Parquet file does not say how many rows it has.")
        elements = footer[2]
        if len(elements) > 4 * widest:
            raise ParquetError(f"The file has {len(elements) - 1:,} columns; at most {widest} are read.")
        self._leaves: list[_Node] = []
        self._root = self._node(iter(elements), 0, 0, 0)
        if len(self._leaves) > widest:
            raise ParquetError(f"The file has {len(self._leaves):,} columns; at most {widest} are read.")

    def _node(self, elements: Iterator[dict[int, Any]], depth: int, defined: int, repeats: int) -> _Node:
        """The next element with all below it; the root, at depth 0, counts for no level."""
        if depth > DEEPEST:
            raise ParquetError(f"The Parquet file is nested deeper than {DEEPEST}.")
        told = next(elements, None)
        if told is None:
            raise ParquetError("The Parquet file's description ends in the middle.")
        name, presence = told[4].decode(), told.get(3, _REQUIRED) if depth else _REQUIRED
        defined, repeats = defined + (presence != _REQUIRED), repeats + (presence == _REPEATED)
        kind = None if told.get(5) else told[1]
        found = _Node(name, kind, presence == _REPEATED, defined, repeats, len(self._leaves), _holds(told, name), [])
        if kind is not None:
            self._leaves.append(found)
        found.children = [self._node(elements, depth + 1, defined, repeats) for _ in range(told.get(5) or 0)]
        return found

    def read(self, number: int) -> list[dict[str, Any]]:
        """The rows of a group. Raises ParquetError."""
        try:
            return self._group(self.groups[number])
        except ParquetError:
            raise
        except _BROKEN as error:
            raise ParquetError(f"The Parquet file is broken ({type(error).__name__}).") from None

    def _group(self, group: dict[int, Any]) -> list[dict[str, Any]]:
        count = group[3]
        self._seen += count
        if count < 0 or self._seen > self.count:
            raise ParquetError("The Parquet file has more rows than it says.")
        columns = [self._column(leaf, chunk[3]) for leaf, chunk in zip(self._leaves, group[1], strict=True)]
        found = [self._top(node, columns, count) for node in self._root.children]
        names = [node.name for node in self._root.children]
        return [dict(zip(names, values, strict=True)) for values in zip(*found, strict=True)]

    def _top(self, node: _Node, columns: list[_Column], count: int) -> list[Any]:
        column = columns[node.first]
        if node.flat:
            values = [column.next(node.defined) for _ in column.levels]
        else:
            values = [_value(node, columns) for _ in range(count)]
        if len(values) != count or column.at != len(column.levels):
            raise ParquetError(f"The column {node.name} has {len(values):,} values instead of {count:,}.")
        return values

    def _column(self, leaf: _Node, told: dict[int, Any]) -> _Column:
        """The entries of a column in one group of rows."""
        name = b".".join(told[3]).decode()
        if (codec := told.get(4, 0)) not in (0, 1, 2):
            raise ParquetError(
                f"The column {name} is compressed with {_CODECS.get(codec, codec)}, which is not read here."
                " Write the file with snappy, gzip or no compression."
            )
        if told[1] != leaf.kind:
            raise ParquetError(f"The column {name} is of two types.")
        count = told[5]
        self._spend(count * ENTRY)
        thrift = _Thrift(self.data, min(place for place in (told.get(11), told.get(9)) if place))
        words: list[Any] = []
        found = _Column([], [], [])
        while len(found.levels) < count:
            head = thrift.struct()
            body = thrift.taken(head[3])
            if head[1] == 2:
                words = _plain(self._inflated(body, codec, head[2]), told[1], head[7][1])
            elif head[1] in (0, 3):
                if not 0 <= head[5 if head[1] == 0 else 8][1] <= count - len(found.levels):
                    raise ParquetError(f"A page of the column {name} has more values than the column.")
                page = self._first if head[1] == 0 else self._second
                page(found, leaf, body, codec, head, words)
        found.values = [_read(value, leaf.holds) for value in found.values] if leaf.holds else found.values
        return found

    def _spend(self, size: int) -> None:
        self.left -= size
        if size < 0 or self.left < 0:
            raise ParquetError(f"The file holds more than {BUDGET // 1024 // 1024} MiB once it is unpacked.")

    def _inflated(self, body: bytes, codec: int, size: int) -> bytes:
        self._spend(size)
        if codec == 0:
            return body
        plain = _snappy(body, size) if codec == 1 else zlib.decompressobj(47).decompress(body, size + 1)
        if len(plain) != size:
            raise ParquetError("A page of the Parquet file has another size than it says.")
        return plain

    def _first(
        self, found: _Column, leaf: _Node, body: bytes, codec: int, head: dict[int, Any], words: list[Any]
    ) -> None:
        """A page of the first version: its levels are compressed with it, each kind behind its length."""
        data, told, place = self._inflated(body, codec, head[2]), head[5], 0
        levels: list[list[int]] = []
        for highest in (leaf.repeats, leaf.defined):
            size = 0
            if highest:
                (size,) = struct.unpack_from("<I", data, place)
                place += 4
            levels.append(_levels_up_to(highest, data[place : place + size], told[1]))
            place += size
        _keep(found, leaf, levels, lambda there: _values(data, place, told[2], leaf.kind or 0, there, words))

    def _second(
        self, found: _Column, leaf: _Node, body: bytes, codec: int, head: dict[int, Any], words: list[Any]
    ) -> None:
        """A page of the second version: its levels stand before what is compressed, without their length."""
        told = head[8]
        skipped = told[5] + told[6]
        codec = codec if told.get(7, True) else 0
        data = self._inflated(body[skipped:], codec, head[2] - skipped)
        parts = (leaf.repeats, body[: told[6]]), (leaf.defined, body[told[6] : skipped])
        levels = [_levels_up_to(highest, part, told[1]) for highest, part in parts]
        _keep(found, leaf, levels, lambda there: _values(data, 0, told[4], leaf.kind or 0, there, words))


def _holds(told: dict[int, Any], name: str) -> str:
    """What an element's annotations say of it, in the old words (field 6) or the new ones (field 10)."""
    old, new = told.get(6), told.get(10) or {}
    if told.get(5):
        return "list" if old == 3 or 3 in new else "map" if old in (1, 2) or 2 in new else ""
    if old in (5, 7, 8) or 5 in new or 7 in new:
        raise ParquetError(f"The column {name} holds decimals or times of day. Write it as numbers or as text.")
    if told[1] in (_BYTES, _FIXED):
        return "text"
    if old == 6 or 6 in new:
        return "date"
    old_units, units = {9: "ms", 10: "us"}, {1: "ms", 2: "us", 3: "ns"}
    unit: int = next(iter((new.get(8) or {}).get(2) or {}), 0)
    return old_units.get(old or 0) or units.get(unit, "")


def _read(value: Any, holds: str) -> Any:
    """Bytes as text; days and moments (of UTC) as ISO 8601."""
    if holds == "text":
        return value.decode()
    if holds == "date":
        return (_EPOCH + timedelta(days=value)).date().isoformat()
    step = {"ms": 1000, "us": 1, "ns": 0.001}[holds]
    return (_EPOCH + timedelta(microseconds=int(value * step))).isoformat()


def _value(node: _Node, columns: list[_Column]) -> Any:
    """The next value of a column or group, put together of the levels of its columns (Melnik et al., Dremel, 2010)."""
    first = columns[node.first]
    if first.levels[first.at] < node.defined:
        _skip(node, columns)
        return [] if node.repeated else None
    if not node.repeated:
        return _content(node, columns)
    found = [_content(node, columns)]
    while first.at < len(first.levels) and first.repeats[first.at] >= node.repeats:
        found.append(_content(node, columns))
    return found


def _content(node: _Node, columns: list[_Column]) -> Any:
    if not node.children:
        return columns[node.first].next(node.defined)
    found = {child.name: _value(child, columns) for child in node.children}
    return _unwrapped(node, found) if node.holds else found


def _unwrapped(node: _Node, found: dict[str, Any]) -> Any:
    """Lists and maps without the groups that Parquet needs around their items."""
    (inner,) = node.children
    items = found[inner.name]
    if node.holds == "map":
        key, value = (child.name for child in inner.children)
        return {str(item[key]): item[value] for item in items}
    if len(inner.children) != 1 or inner.name in ("array", f"{node.name}_tuple"):
        return items
    return [item[inner.children[0].name] for item in items]


def _skip(node: _Node, columns: list[_Column]) -> None:
    """A value that is not there has one entry in each of its columns."""
    if node.children:
        for child in node.children:
            _skip(child, columns)
    else:
        columns[node.first].at += 1


def _levels_up_to(highest: int, data: bytes, count: int) -> list[int]:
    return _levels(data, highest.bit_length(), count) if highest else [0] * count


def _keep(found: _Column, leaf: _Node, levels: list[list[int]], read: Callable[[int], list[Any]]) -> None:
    found.repeats += levels[0]
    found.levels += levels[1]
    found.values += read(levels[1].count(leaf.defined))


def _values(data: bytes, place: int, encoding: int, kind: int, count: int, words: list[Any]) -> list[Any]:
    if encoding in (_PLAIN_DICTIONARY, _RLE_DICTIONARY):
        if not count:
            return []
        return [words[each] for each in _levels(data[place + 1 :], data[place], count)]
    if encoding == _RLE and kind == _BOOLEAN:
        return [bool(each) for each in _levels(data[place + 4 :], 1, count)]
    if encoding != _PLAIN:
        raise ParquetError(
            f"A column has encoding {encoding}, which is not read here. Write the file with version 1.0."
        )
    return _plain(data[place:], kind, count)


def _plain(data: bytes, kind: int, count: int) -> list[Any]:
    if kind == _BOOLEAN:
        return [bool(data[each >> 3] >> (each & 7) & 1) for each in range(count)]
    if kind in _SIZES:
        form, size = _SIZES[kind]
        return [struct.unpack_from(form, data, each * size)[0] for each in range(count)]
    if kind != _BYTES:
        raise ParquetError("A column has a type that is not read here (INT96 or fixed length). Write it as text.")
    found, place = [], 0
    for _ in range(count):
        (size,) = struct.unpack_from("<I", data, place)
        if size > len(data) - place - 4:
            raise ParquetError("A text of the Parquet file ends in the middle.")
        found.append(data[place + 4 : place + 4 + size])
        place += 4 + size
    return found


def _levels(data: bytes, width: int, count: int) -> list[int]:
    """Numbers of ``width`` bits in runs of equal ones and in packs of eight."""
    found: list[int] = []
    thrift = _Thrift(data, 0)
    while len(found) < count:
        head = thrift.unsigned()
        if head & 1:
            mask = (1 << width) - 1
            for _ in range(min(head >> 1, (count - len(found) + 7) // 8)):
                bits = int.from_bytes(thrift.taken(width), "little")
                found += [bits >> width * each & mask for each in range(8)]
        else:
            value = int.from_bytes(thrift.taken((width + 7) // 8), "little")
            found += [value] * min(head >> 1, count - len(found))
    return found[:count]


def _snappy(data: bytes, size: int) -> bytes:
    """https://github.com/google/snappy/blob/main/format_description.txt"""
    thrift = _Thrift(data, 0)
    if thrift.unsigned() != size:
        raise ParquetError("A page of the Parquet file has another size than it says.")
    found = bytearray()
    while thrift.place < len(data) and len(found) <= size:
        tag = thrift.byte()
        kind, length = tag & 3, (tag >> 2) + 1
        if kind == 0:
            if length > 60:
                length = int.from_bytes(thrift.taken(length - 60), "little") + 1
            found += thrift.taken(length)
            continue
        if kind == 1:
            length, back = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | thrift.byte()
        else:
            back = int.from_bytes(thrift.taken(2 if kind == 2 else 4), "little")
        if not 0 < back <= len(found):
            raise ParquetError("A page of the Parquet file refers to what is not there.")
        for _ in range(length):  # what is copied may run into what the copy writes
            found.append(found[-back])
    return bytes(found)
