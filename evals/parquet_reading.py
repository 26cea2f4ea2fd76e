"""A reader of Parquet files of flat columns, the counterpart of ``evals.parquet``. Pure; bounded by a budget of bytes.

https://parquet.apache.org/docs/file-format/. Read are pages of both versions, plain or with a dictionary, without
compression or with gzip or Snappy, as pandas, DuckDB and ``datasets`` write them unless told otherwise. Nested columns
and other compressions are refused by name. Road not taken: pyarrow, which weighs more than the whole server.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

MAGIC = b"PAR1"
BUDGET = 128 * 1024 * 1024  # bytes after decompression, of all pages together
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
    try:
        return _File(data, most, widest).rows()
    except (IndexError, KeyError, struct.error, zlib.error, UnicodeDecodeError, OverflowError, TypeError) as error:
        raise ParquetError(f"The Parquet file is broken ({type(error).__name__}).") from None


class _Thrift:
    """Thrift's compact protocol: a struct becomes a dict by field number."""

    def __init__(self, data: bytes, place: int) -> None:
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
        if size > len(self.data) - self.place:
            raise ParquetError("The Parquet file ends in the middle.")
        self.place += size
        return self.data[self.place - size : self.place]


class _File:
    def __init__(self, data: bytes, most: int, widest: int) -> None:
        if len(data) < 12 or data[-4:] != MAGIC:
            raise ParquetError("The Parquet file is not whole: its last bytes are missing.")
        (size,) = struct.unpack("<I", data[-8:-4])
        if size > len(data) - 12:
            raise ParquetError("The Parquet file is not whole: its description is cut off.")
        self.data, self.left = data, BUDGET
        footer = _Thrift(data[:-8], len(data) - 8 - size).struct()
        self.count, self.groups = footer[3], footer.get(4, [])
        if self.count > most:
            raise ParquetError(f"The file has {self.count:,} rows; at most {most:,} are taken at once.")
        self.columns = _flat(footer[2], widest)

    def rows(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for group in self.groups:
            read = [self._chunk(chunk[3], group[3]) for chunk in group[1]]
            names = [name for name, _ in self.columns]
            found += [dict(zip(names, values, strict=True)) for values in zip(*read, strict=True)]
            if len(found) > self.count:
                raise ParquetError("The Parquet file has more rows than it says.")
        return found

    def _chunk(self, told: dict[int, Any], count: int) -> list[Any]:
        """The values of a column in one group of rows."""
        name = b".".join(told[3]).decode()
        optional = dict(self.columns)[name]
        if (codec := told.get(4, 0)) not in (0, 1, 2):
            raise ParquetError(
                f"The column {name} is compressed with {_CODECS.get(codec, codec)}, which is not read here."
                " Write the file with snappy, gzip or no compression."
            )
        thrift = _Thrift(self.data, min(place for place in (told.get(11), told.get(9)) if place))
        words: list[Any] = []
        values: list[Any] = []
        while len(values) < count:
            head = thrift.struct()
            body = thrift.taken(head[3])
            if head[1] == 2:
                words = _plain(self._inflated(body, codec, head[2]), told[1], head[7][1])
            elif head[1] == 0:
                values += _first(self._inflated(body, codec, head[2]), head[5], told[1], optional, words)
            elif head[1] == 3:
                values += self._second(body, codec, head, told[1], optional, words)
        if len(values) != count:
            raise ParquetError(f"The column {name} has {len(values):,} values instead of {count:,}.")
        return [_text(value) for value in values] if told[1] in (_BYTES, _FIXED) else values

    def _inflated(self, body: bytes, codec: int, size: int) -> bytes:
        self.left -= size
        if size < 0 or self.left < 0:
            raise ParquetError(f"The file holds more than {BUDGET // 1024 // 1024} MiB once it is unpacked.")
        if codec == 0:
            return body
        plain = _snappy(body, size) if codec == 1 else zlib.decompressobj(47).decompress(body, size + 1)
        if len(plain) != size:
            raise ParquetError("A page of the Parquet file has another size than it says.")
        return plain

    def _second(
        self, body: bytes, codec: int, head: dict[int, Any], kind: int, optional: bool, words: list[Any]
    ) -> list[Any]:
        """A page of the second version: its levels stand before what is compressed, without their length."""
        told = head[8]
        skipped = told[5] + told[6]
        codec = codec if told.get(7, True) else 0
        data = self._inflated(body[skipped:], codec, head[2] - skipped)
        levels = _levels(body[told[6] : skipped], 1, told[1]) if optional else [1] * told[1]
        return _spread(levels, lambda there: _values(data, 0, told[4], kind, there, words))


def _flat(elements: list[dict[int, Any]], widest: int) -> list[tuple[str, bool]]:
    """The columns by name, each with whether a value may be missing."""
    if len(elements) - 1 > widest:
        raise ParquetError(f"The file has {len(elements) - 1:,} columns; at most {widest} are read.")
    for element in elements[1:]:
        if element.get(5) or element.get(3) == _REPEATED:
            raise ParquetError(f"The column {element[4].decode()} is nested. Write it as JSON text.")
    return [(element[4].decode(), element.get(3, _REQUIRED) != _REQUIRED) for element in elements[1:]]


def _first(data: bytes, told: dict[int, Any], kind: int, optional: bool, words: list[Any]) -> list[Any]:
    """A page of the first version."""
    place, levels = 0, [1] * told[1]
    if optional:
        (size,) = struct.unpack_from("<I", data)
        levels, place = _levels(data[4 : 4 + size], 1, told[1]), 4 + size
    return _spread(levels, lambda there: _values(data, place, told[2], kind, there, words))


def _spread(levels: list[int], read: Callable[[int], list[Any]]) -> list[Any]:
    values: Iterator[Any] = iter(read(sum(levels)))
    return [next(values) if level else None for level in levels]


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


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()
