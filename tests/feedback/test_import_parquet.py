"""Interactions from Parquet files. ``parquet/*.parquet`` hold ``row(0)`` to ``row(19)``, written by pyarrow 26.0.1."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from feedback import importers, parquet_reading
from feedback.models import Interaction
from feedback.parquet_reading import ParquetError
from projects.models import Project

FILES = Path(__file__).parent / "parquet"
NAMES = ["v1", "v2-groups"]


def row(n: int) -> dict[str, Any]:
    said: list[dict[str, Any]] = [{"role": "user", "content": f"What does transfer {n} cost?"}]
    more: list[dict[str, Any]] = [{"role": "assistant", "content": None}, {"role": "user", "content": "And?"}]
    return {
        "id": f"req-{n}", "created_at": f"2026-11-01T08:00:{n:02}+00:00", "messages": said + more * (n % 3 == 0),
        "output": f"{n} cents", "documents": None if n % 4 == 0 else [{"id": "kb", "content": "Fees"}] * (n % 4 - 1),
        "metadata": {"plan": "vip", "n": str(n)} if n % 2 else None,
        "usage": {"input_tokens": n, "output_tokens": None} if n % 5 else None,
        "parameters": {"stop": [["a"], [], None, ["b", None]][: n % 5]}, "tags": ["fees", "vip"][: n % 3],
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_lists_structs_and_maps_come_out_as_they_went_in(name: str) -> None:
    data = (FILES / f"{name}.parquet").read_bytes()
    assert parquet_reading.rows(data, 20, 20) == [row(n) for n in range(20)]
    assert [len(group) for group in parquet_reading.batches(data, 20)] == ([20] if name == "v1" else [8, 8, 4])


def test_more_rows_or_columns_than_allowed_are_refused() -> None:
    data = (FILES / "v1.parquet").read_bytes()
    for most, widest, said in ((19, 20, "20 rows; at most 19"), (20, 12, "13 columns; at most 12")):
        with pytest.raises(ParquetError, match=said):
            parquet_reading.rows(data, most, widest)


def test_any_byte_wrong_is_read_or_refused_and_never_breaks() -> None:
    whole = (FILES / "v1.parquet").read_bytes()
    for place in range(4, len(whole), 11):
        for value in (0, 255, whole[place] ^ 1):
            with contextlib.suppress(ParquetError):
                parquet_reading.rows(whole[:place] + bytes([value]) + whole[place + 1 :], 1_000, 100)


def test_a_parquet_file_is_imported_like_any_other(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "export.parquet"
    path.write_bytes((FILES / "v2-groups.parquet").read_bytes())
    for stored in (20, 0):
        report = importers.run(tmp_path, format="reviewhub", project=project)
        assert (report.interactions, report.rejected) == (stored, 0)
    told = Interaction.objects.get(external_id="req-7")
    assert (told.messages, told.output, told.tags) == (row(7)["messages"], "7 cents", ["fees"])
    assert (told.documents[0]["content"], told.input_tokens) == ("Fees", 7)
    assert told.happened_at.isoformat() == row(7)["created_at"]


def test_a_file_that_ends_early_says_how_else_it_can_be_read(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "export.parquet"
    path.write_bytes((FILES / "v1.parquet").read_bytes()[:-9])
    with pytest.raises(ValidationError, match=r"not whole.*DuckDB"):
        importers.run(path, format="reviewhub", project=project)
