"""From the bytes of a file to its records, each with its place. Which format it is shows in the bytes, not in its name.

Read are JSON lines, a JSON list or an object that holds one, CSV and TSV, Parquet, and promptfoo's
YAML; gzip or not. What is not text in UTF-8 (or UTF-16 with its mark), too large or too wide is refused with its place.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from evals.formats import flat
from evals.formats.jsonl import NAME as NATIVE
from feedback import limits, parquet_reading
from projects import strictjson
from projects.errors import ApiError, invalid

LIMIT = 16 * limits.MIB  # bytes of a file, also after decompression
YAML_LIMIT = 4 * limits.MIB  # of YAML that is not JSON inside: its parser takes a second a MiB
ROWS = 20_000
COLUMNS = 300
GZIP, PARQUET = b"\x1f\x8b", b"PAR1"
_LISTS = ("examples", "tests", "items", "data", "rows", "results", "samples")
_TEST = re.compile(r"\s*- (\{.*\})\s*")
_HOLD = re.compile(r"^'(?=[=+\-@\t\r\n＝＋－＠])")  # what the CSV export puts before a cell that would run
_WORD = re.compile(r"\{\{ *'([^']*)' *\}\}")


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a file: where it stands, what it holds, or why it cannot be read."""

    place: str
    values: dict[str, Any]
    fault: str = ""


@dataclass(slots=True)
class File:
    """A file that has been read. ``native`` records are examples as they are; others need a mapping."""

    format: str
    records: list[Record]
    native: bool = False
    notes: list[str] = field(default_factory=list)


def read(data: bytes, name: str = "") -> File:
    """The file's records. ApiError 413 for one that is too large, 422 for what is no file of examples; ``name`` only
    helps to tell YAML."""
    if len(data) > LIMIT:
        raise too_large()
    if data[:2] == GZIP:
        data = _inflated(data)
    if data[:4] == PARQUET:
        return _parquet(data)
    text = _decoded(data)
    begin = text.lstrip()[:1]
    if not begin:
        raise invalid("/file", "The file is empty.")
    if begin == "[" or (begin == "{" and not _one_a_line(text)):
        found = _document(text)
    elif begin == "{":
        found = _lines(text)
    elif name.lower().endswith((".yaml", ".yml")) or re.search(
        r"^(?:tests:|- (?:vars|assert|description):)", text, re.M
    ):
        found = _yaml(text)
    else:
        found = _table(text)
    if not found.records:
        raise invalid("/file", "There is no example in the file.")
    return found


def too_large() -> ApiError:
    """The refusal of a file beyond LIMIT."""
    return ApiError(413, "too_large", f"A file may have at most {LIMIT // limits.MIB} MiB, also after decompression.")


def _inflated(data: bytes) -> bytes:
    inflate = zlib.decompressobj(47)
    try:
        found = inflate.decompress(data, LIMIT + 1)
    except zlib.error:
        raise invalid("/file", "The file says that it is gzip and is not.") from None
    if len(found) > LIMIT:
        raise too_large()
    if not inflate.eof:
        raise invalid("/file", "The gzip file ends in the middle.")
    return found


def _decoded(data: bytes) -> str:
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise invalid("/file", f"Line {line}: not UTF-8 at byte {error.start:,}. Save the file as UTF-8.") from None


def _counted(records: Iterable[Record]) -> list[Record]:
    found = []
    for record in records:
        found.append(record)
        if len(found) > ROWS:
            raise ApiError(
                413, "too_large", f"{record.place}: at most {ROWS:,} examples are taken at once. Split the file."
            )
    return found


# -- JSON ------------------------------------------------------------------------------------------------------


def _one_a_line(text: str) -> bool:
    """Whether the first line is an object of its own that more may follow, as opposed to one printed over lines."""
    first, _, rest = text.lstrip().partition("\n")
    try:
        value = json.loads(first)
    except (ValueError, RecursionError):
        return bool(rest) and first.rstrip().endswith("}")
    return not (isinstance(value, dict) and not rest.strip() and _list_of(value) is not None)


def _strict(place: str, text: str | bytes) -> Record:
    """A record that the database can hold, or its fault."""
    try:
        value = strictjson.parse(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")).value
    except ApiError as error:
        return Record(place, {}, error.message.removeprefix("The body is "))
    return Record(place, value) if isinstance(value, dict) else Record(place, {}, "not a JSON object")


def _lines(text: str) -> File:
    # Not splitlines: the canonical lines hold U+2028 as it is.
    numbered = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    head = _strict("line 1", numbered[0][1]).values
    if head.get("format") == NATIVE:
        found = File(NATIVE, _counted(_strict(f"line {n}", line) for n, line in numbered[1:]), native=True)
        digest = hashlib.sha256("".join(f"{line}\n" for _, line in numbered[1:]).encode("utf-8", "surrogatepass"))
        if head.get("sha256") and head["sha256"] != digest.hexdigest():
            found.notes.append("The lines do not have the checksum of the first line: the file was changed or cut.")
        return found
    return told(_counted(_strict(f"line {n}", line) for n, line in numbered))


def _document(text: str) -> File:
    """A JSON list, or an object with a list of examples in it."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f"Line {error.lineno}: {error.msg}." if isinstance(error, json.JSONDecodeError) else "Nested too deep."
        raise invalid("/file", f"The file is not JSON. {where}") from None
    return _tests(value) if isinstance(value, dict) and "tests" in value else told(_items(value))


def _list_of(value: dict[str, Any]) -> list[Any] | None:
    return next((value[name] for name in _LISTS if isinstance(value.get(name), list)), None)


def _items(value: Any) -> list[Record]:
    items = _list_of(value) if isinstance(value, dict) else value
    if items is None:  # one example, printed over many lines
        items = [value]
    if not isinstance(items, list):
        raise invalid("/file", "The file is neither a list of examples nor an object that holds one.")
    return _counted(_item(f"item {place}", item) for place, item in enumerate(items, 1))


def _item(place: str, item: Any) -> Record:
    try:
        return _strict(place, json.dumps(item, default=str, allow_nan=False))
    except (ValueError, TypeError, RecursionError):
        return Record(place, {}, "holds what JSON cannot: NaN, a key that is no text, or a circle")


# -- promptfoo -------------------------------------------------------------------------------------------------


def _yaml(text: str) -> File:
    quick = _quick(text)
    if quick is not None:
        return _promptfoo(_counted(quick), {})
    if len(text) > YAML_LIMIT:
        raise ApiError(413, "too_large", f"YAML may have at most {YAML_LIMIT // limits.MIB} MiB. Convert it to JSON.")
    try:
        value = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
        _unfolded(value)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise invalid("/file", f"Line {line}: the file is not YAML ({error.problem}).") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise invalid("/file", f"The file is not YAML that can be read: {error}") from None
    return _tests({"tests": value} if isinstance(value, list) else value)


def _quick(text: str) -> Iterator[Record] | None:
    """The tests of a file in which each is JSON on a line of its own, as our export writes them; else None."""
    before, found, after = text.partition("\ntests:\n")
    tests = [(n, line) for n, line in enumerate(after.split("\n"), before.count("\n") + 3) if line.strip()]
    matched = [(n, _TEST.fullmatch(line)) for n, line in tests]
    if not found or not tests or not all(match for _, match in matched):
        return None
    return (_strict(f"line {n}", match[1]) for n, match in matched if match)


def _unfolded(value: Any) -> None:
    """ValueError where aliases would unfold to far more than the file has: each node is counted as often as named."""
    sizes: dict[int, int] = {}

    def size(node: Any) -> int:
        if not isinstance(node, dict | list):
            return 1
        if id(node) not in sizes:
            sizes[id(node)] = ROWS * COLUMNS  # a circle
            inner = node.values() if isinstance(node, dict) else node
            sizes[id(node)] = 1 + sum(size(each) for each in inner)
        return sizes[id(node)]

    if size(value) >= ROWS * COLUMNS:
        raise ValueError("its aliases unfold to more than is read.")


def _tests(value: Any) -> File:
    """A promptfoo configuration, or a bare list of its tests."""
    tests = value.get("tests") if isinstance(value, dict) else None
    if isinstance(tests, str):
        raise invalid("/file", f"The tests are in another file, {tests[:200]}. Import that one.")
    if not isinstance(tests, list):
        raise invalid("/file", "The file has no list of tests.")
    base = value.get("defaultTest")
    return _promptfoo(_items(tests), base if isinstance(base, dict) else {})


def _promptfoo(records: list[Record], base: dict[str, Any]) -> File:
    found = told([_test(record, base) for record in records])
    if found.format == "promptfoo":
        found.notes.append("Prompts of the configuration are not applied: an example asks what its variables say.")
    return found


def _test(record: Record, base: dict[str, Any]) -> Record:
    values = dict(record.values)
    if isinstance(base.get("vars"), dict):
        values["vars"] = {**base["vars"], **(values.get("vars") or {})}
    if isinstance(base.get("assert"), list):
        values["assert"] = [*base["assert"], *(values.get("assert") or [])]
    return Record(record.place, _rendered(values), record.fault)


def _rendered(value: Any) -> Any:
    """Quoted words in braces are what promptfoo renders them to; our export hides braces in them."""
    if isinstance(value, str):
        return _WORD.sub(lambda match: match[1], value)
    if isinstance(value, list):
        return [_rendered(each) for each in value]
    return {name: _rendered(each) for name, each in value.items()} if isinstance(value, dict) else value


# -- tables ----------------------------------------------------------------------------------------------------


def _table(text: str) -> File:
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    if delimiter not in head and len(head) > limits.NAME:
        raise invalid("/file", "Line 1: this is neither JSON nor YAML nor a table with a line of column names.")
    csv.field_size_limit(limits.INTERACTION_BODY)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = [strictjson.clean_text(name.strip()) for name in next(reader)]
        _widths(names)
        ours = {"recorded_answer", "desired_output", "settled_by"} <= set(names)
        return told(_counted(_cells(reader, names, ours)))
    except csv.Error as error:
        raise invalid("/file", f"Line {reader.line_num}: {error}.") from None


def _widths(names: list[str]) -> None:
    if len(names) > COLUMNS:
        raise invalid("/file", f"Line 1: {len(names):,} columns; at most {COLUMNS} are read.")
    if doubled := next((name for name in names if name and names.count(name) > 1), None):
        raise invalid("/file", f"Line 1: two columns are called {doubled[:100]}.")
    if long := next((name for name in names if len(name) > limits.NAME), None):
        raise invalid("/file", f"Line 1: the name of a column has {len(long):,} characters; at most {limits.NAME}.")


def _cells(reader: Any, names: list[str], ours: bool) -> Iterator[Record]:
    line = reader.line_num + 1
    for row in reader:
        place, line = f"line {line}", reader.line_num + 1
        if len(row) > len(names):
            yield Record(place, {}, f"{len(row)} cells, but there are {len(names)} columns")
        elif any(row):
            cells = {name: cell for name, cell in zip(names, row, strict=False) if name and cell}
            yield Record(place, {name: _cell(cell, ours) for name, cell in cells.items()})


def _cell(text: str, ours: bool) -> str:
    return strictjson.clean_text(_HOLD.sub("", text) if ours else text)


def _parquet(data: bytes) -> File:
    try:
        rows = parquet_reading.rows(data, ROWS, COLUMNS)
    except parquet_reading.ParquetError as error:
        raise invalid("/file", str(error)) from None
    if not rows:
        raise invalid("/file", "There is no example in the file.")
    records = [
        _item(f"row {place}", {n: v for n, v in row.items() if v is not None}) for place, row in enumerate(rows, 1)
    ]
    if set(flat.COLUMNS) <= set(rows[0]):
        return File("reviewhub table", [_whole(record) for record in records], native=True)
    return told(records)


def _whole(record: Record) -> Record:
    """A row of our own tables as the example that it was made of."""
    if record.fault:
        return record
    found: dict[str, Any] = {name: record.values[name] for name in ("id", "split") if name in record.values}
    for name in ("input", "expected", "provenance", "tags", "metadata"):
        try:
            found[name] = strictjson.parse(str(record.values.get(name)).encode()).value
        except ApiError as error:
            return Record(record.place, {}, f"{name}: {error.message}")
    return Record(record.place, found)


# -- what it is ------------------------------------------------------------------------------------------------


def told(records: list[Record]) -> File:
    """The records with the name of their format, which the first readable one shows."""
    first = next((record.values for record in records if record.values), {})
    there = set(first)
    if {"input", "expected"} <= there and isinstance(first["input"], dict) and isinstance(first["expected"], dict):
        return File("reviewhub", records, native=True)
    for name, shows in _SHOWS.items():
        if shows & there and (name != "openai-evals-legacy" or isinstance(first.get("input"), list)):
            return File(name, records)
    return File("table", records)


_SHOWS = {
    "promptfoo": {"vars"}, "langsmith": {"inputs"}, "langfuse": {"expectedOutput", "datasetName", "datasetId"},
    "openai-evals": {"item"}, "openai-evals-legacy": {"ideal"},
}  # fmt: skip
