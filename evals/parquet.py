"""A writer of Parquet files for flat rows: texts and integers, each of which may be missing. Pure, in constant memory.

https://parquet.apache.org/docs/file-format/. Pages are plain, compressed with gzip; a group of rows is written as soon
as it is full. Road not taken: pyarrow, which weighs more than the whole server and is needed for this alone.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

MAGIC = b"PAR1"
GROUP_ROWS, GROUP_BYTES = 1_000, 4 * 1024 * 1024
_INT32, _INT64, _BYTES = 1, 2, 6  # physical types
_PLAIN, _RLE, _GZIP, _OPTIONAL, _UTF8 = 0, 3, 2, 1, 0
_TYPES = {"string": _BYTES, "int32": _INT32}
# Thrift's compact protocol
_I32, _I64, _BINARY, _LIST, _STRUCT = 5, 6, 8, 9, 12


def written(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str]) -> Iterator[bytes]:
    """The file in pieces. ``columns`` has the type of each by name, ``string`` or ``int32``."""
    yield MAGIC
    place, total, groups = len(MAGIC), 0, []
    held: list[Mapping[str, Any]] = []
    size = 0
    for row in rows:
        held.append(row)
        size += sum(len(value) for value in row.values() if isinstance(value, str))
        if len(held) >= GROUP_ROWS or size >= GROUP_BYTES:
            data, told = _group(held, columns, place)
            yield data
            place, total, held, size = place + len(data), total + len(held), [], 0
            groups.append(told)
    if held:
        data, told = _group(held, columns, place)
        yield data
        total += len(held)
        groups.append(told)
    footer = _struct(
        (1, _I32, 1), (2, _LIST, (_STRUCT, _schema(columns))), (3, _I64, total), (4, _LIST, (_STRUCT, groups)),
        (6, _BINARY, b"Review Hub"),
    )  # fmt: skip
    yield footer + struct.pack("<I", len(footer)) + MAGIC


def _schema(columns: Mapping[str, str]) -> list[bytes]:
    root = _struct((4, _BINARY, b"example"), (5, _I32, len(columns)))
    return [root, *(_column(name, kind) for name, kind in columns.items())]


def _column(name: str, kind: str) -> bytes:
    fields = [(1, _I32, _TYPES[kind]), (3, _I32, _OPTIONAL), (4, _BINARY, name.encode())]
    if kind == "string":
        text = _struct((1, _STRUCT, _struct()))  # the logical type that has taken the place of the converted one
        fields += [(6, _I32, _UTF8), (10, _STRUCT, text)]
    return _struct(*fields)


def _group(rows: list[Mapping[str, Any]], columns: Mapping[str, str], place: int) -> tuple[bytes, bytes]:
    """A group of rows: its pages, and what the footer says of it."""
    data, chunks, raw = bytearray(), [], 0
    for name, kind in columns.items():
        page, plain = _page([row[name] for row in rows], kind)
        told = _struct(
            (1, _I32, _TYPES[kind]), (2, _LIST, (_I32, [_zigzag(_PLAIN), _zigzag(_RLE)])),
            (3, _LIST, (_BINARY, [_text(name.encode())])), (4, _I32, _GZIP), (5, _I64, len(rows)), (6, _I64, plain),
            (7, _I64, len(page)), (9, _I64, place + len(data)),
        )  # fmt: skip
        chunks.append(_struct((2, _I64, place + len(data)), (3, _STRUCT, told)))
        data += page
        raw += plain
    return bytes(data), _struct((1, _LIST, (_STRUCT, chunks)), (2, _I64, raw), (3, _I64, len(rows)))


def _page(values: list[Any], kind: str) -> tuple[bytes, int]:
    """A column's page with its header, and how large both would be without compression."""
    levels = b"".join(
        _varint(len(list(run)) << 1) + bytes([there]) for there, run in groupby(value is not None for value in values)
    )
    if kind == "int32":
        body = b"".join(struct.pack("<i", value) for value in values if value is not None)
    else:
        texts = [value.encode("utf-8", "replace") for value in values if value is not None]
        body = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    plain = struct.pack("<I", len(levels)) + levels + body
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    packed = packer.compress(plain) + packer.flush()
    inner = _struct((1, _I32, len(values)), (2, _I32, _PLAIN), (3, _I32, _RLE), (4, _I32, _RLE))
    header = _struct((1, _I32, 0), (2, _I32, len(plain)), (3, _I32, len(packed)), (5, _STRUCT, inner))
    return header + packed, len(header) + len(plain)


def _struct(*fields: tuple[int, int, Any]) -> bytes:
    """A struct of Thrift's compact protocol: ascending field numbers, each as the step from the one before."""
    found, last = bytearray(), 0
    for number, kind, value in fields:
        found.append((number - last) << 4 | kind)
        found += _value(kind, value)
        last = number
    return bytes(found) + b"\x00"


def _value(kind: int, value: Any) -> bytes:
    if kind in (_I32, _I64):
        return _zigzag(value)
    if kind == _BINARY:
        return _text(value)
    if kind == _LIST:
        inner, items = value
        head = bytes([len(items) << 4 | inner]) if len(items) < 15 else bytes([0xF0 | inner]) + _varint(len(items))
        return head + b"".join(items)
    return bytes(value)


def _text(value: bytes) -> bytes:
    return _varint(len(value)) + value


def _zigzag(value: int) -> bytes:
    return _varint(value << 1 ^ value >> 63)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
