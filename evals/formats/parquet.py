"""Parquet for pandas, DuckDB and the like: the same columns as the Hugging Face folder."""

from __future__ import annotations

from collections.abc import Iterator

from evals.formats import Format, flat
from evals.parquet import written
from evals.source import Source


def write(source: Source) -> Iterator[bytes]:
    """The file, a group of rows at a time."""
    return written((flat.columns(row) for row in source.rows()), flat.COLUMNS)


FORMAT = Format(
    slug="parquet",
    label="Parquet",
    note="For pandas or DuckDB",
    suffix=".parquet",
    media_type="application/vnd.apache.parquet",
    write=write,
    position=3,
)
