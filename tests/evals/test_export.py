"""What leaves the house: native JSONL, CSV, and the address that streams them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import tracemalloc
from typing import Any

import pytest

from evals import datasets, lines, packing
from evals.formats import Format, formats
from evals.formats.csv import disarm
from evals.formats.jsonl import native_jsonl
from evals.models import DatasetVersion
from evals.source import Source
from projects import downloads
from projects.models import Project
from tests.conftest import Api
from tests.evals import golden

PATH = "/api/v1/datasets/golden/versions"


def whole(version: DatasetVersion, slug: str) -> bytes:
    return b"".join(packing.stream(Source(version), formats()[slug]))


def test_the_first_line_says_what_follows(project: Project) -> None:
    version = golden.frozen(project, golden.content("a"), golden.content("b"))
    first, *rest = b"".join(native_jsonl(Source(version))).splitlines(keepends=True)
    said = json.loads(first)
    assert set(said) == {"format", "dataset", "version", "count", "sha256", "frozen_at"}
    assert (said["format"], said["dataset"], said["version"], said["count"]) == ("reviewhub.golden/1", "golden", 1, 2)
    assert said["sha256"] == hashlib.sha256(b"".join(rest)).hexdigest() == version.checksum
    assert said["frozen_at"].endswith("Z")


def test_each_line_is_one_example_in_canonical_form(project: Project) -> None:
    text = "Ünïcode “quotes”\nand \u2028 lines"
    version = golden.frozen(project, golden.content("a", tags=["vip"], metadata={"z": 1, "a": text}))
    line = b"".join(native_jsonl(Source(version))).split(b"\n")[1]
    told = json.loads(line)
    assert set(told) == {"id", "split", "input", "expected", "provenance", "tags", "metadata"}
    assert told["metadata"]["a"] == text
    assert line == json.dumps(told, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def test_the_bytes_are_the_same_each_time(project: Project) -> None:
    version = golden.frozen(project, *(golden.content(f"k{n}") for n in range(50)))
    for chosen in formats().values():
        assert whole(version, chosen.slug) == whole(version, chosen.slug)


def test_every_number_is_written_as_python_writes_it(project: Project) -> None:
    numbers = [0, -1, 2**63, 2**64, -(2**70), 1e16, 1e15, 1e-4, 1e-5, 5e-324, 1.7e308, 0.1, -0.0, 12345678901234.567]
    kept = golden.content("a", metadata={str(place): number for place, number in enumerate(numbers)})
    version = golden.frozen(project, kept, golden.content("b"))
    for row, line in zip(lines.rows(version), native_jsonl(Source(version)), strict=False):
        assert lines.line(row) == lines.canonical(lines.native(row)) + b"\n"
        assert line.split(b"\n")[1] + b"\n" == lines.line(row)


def test_a_large_export_takes_no_more_memory_than_a_small_one(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "CHUNK", 100)
    text = "x" * 5_000
    version = golden.frozen(project, *(golden.content(f"{n:04}", metadata={"text": text}) for n in range(2_000)))
    pieces = native_jsonl(Source(version))
    next(pieces)
    tracemalloc.start()
    size = sum(len(piece) for piece in pieces)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size > 10_000_000
    assert peak < 4_000_000


def test_a_spreadsheet_runs_nothing(project: Project) -> None:
    version = golden.frozen(
        project,
        golden.content(
            "a",
            input={"messages": [{"role": "user", "content": "=cmd|' /C calc'!A0"}], "documents": []},
            expected={
                "output": '+1, "quoted"\r\nline',
                "assertions": [{"type": "must", "text": "@SUM(1)"}],
                "label": {},
            },
        ),
    )
    text = whole(version, "csv").decode("utf-8-sig")
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert (row["question"], row["must"]) == ("'=cmd|' /C calc'!A0", "'@SUM(1)")
    assert row["desired_output"] == '\'+1, "quoted"\r\nline'


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝"])
def test_every_start_of_a_formula_is_disarmed(start: str) -> None:
    assert disarm(f"{start}1") == f"'{start}1"
    assert disarm(f"1{start}") == f"1{start}"


def test_a_format_from_another_package_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from evals import formats as package

    foreign = Format("keys", "Keys", "", ".txt", "text/plain", lambda version: iter([b"k"]))

    class Entry:
        def load(self) -> Format:
            return foreign

    monkeypatch.setattr(package, "entry_points", lambda group: [Entry()] if group == "reviewhub.export_formats" else [])
    package.formats.cache_clear()
    try:
        assert list(package.formats())[:2] == ["jsonl", "csv"]
        assert list(package.formats())[-1] == "keys"
    finally:
        package.formats.cache_clear()


@pytest.mark.parametrize("streamed", [False, True], ids=["small", "large"])
def test_the_address_gives_the_file_with_the_checksum_as_etag(
    project: Project, sk: Api, monkeypatch: pytest.MonkeyPatch, streamed: bool
) -> None:
    if streamed:
        monkeypatch.setattr(downloads, "WHOLE", 100)
    version = golden.frozen(project, golden.content("a"))
    asked = {**sk.headers, "Accept": "application/x-ndjson"}
    response = sk.client.get(f"{PATH}/1/export", {"format": "jsonl"}, headers=asked)
    assert response.streaming is streamed
    assert response["ETag"] == f'"{version.checksum}"'
    assert response["Content-Disposition"] == 'attachment; filename="golden-v1.jsonl"'
    assert response.getvalue() == b"".join(native_jsonl(Source(version)))
    for sent in (response["ETag"], f"W/{response['ETag']}", f'"other", {response["ETag"]}'):
        again = sk.client.get(f"{PATH}/latest/export", headers={**sk.headers, "If-None-Match": sent})
        assert (again.status_code, again.content) == (304, b"")
    assert sk.get(f"{PATH}/latest/export?format=csv", **{"If-None-Match": response["ETag"]})[0] == 200


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/v1/datasets/none/versions/1/export", 404, "not_found"),
        (f"{PATH}/9/export", 404, "not_found"),
        (f"{PATH}/2/export", 409, "not_frozen"),
        (f"{PATH}/-1/export", 404, "not_found"),
        (f"{PATH}/{'9' * 30}/export", 404, "not_found"),
        (f"{PATH}/1/export?format=exe", 422, "invalid"),
    ],
)
def test_what_cannot_be_exported(project: Project, sk: Api, path: str, status: int, code: str) -> None:
    golden.frozen(project, golden.content("a"))
    datasets.draft_of(golden.dataset(project))
    answer: tuple[int, Any] = sk.get(path)
    assert (answer[0], answer[1]["error"]["code"]) == (status, code)


def test_latest_of_nothing_is_not_found(project: Project, sk: Api) -> None:
    assert sk.get(f"{PATH}/latest/export")[0] == 404


def test_another_projects_dataset_does_not_exist(project: Project, other_project: Project, sk: Api) -> None:
    golden.frozen(other_project, golden.content("a"))
    assert sk.get(f"{PATH}/1/export")[0] == 404
