"""Hugging Face: a folder as ``datasets.load_dataset`` reads it, one file a split, with a card that names the types.

https://huggingface.co/docs/hub/datasets-manual-configuration. Types are fixed in the card: a column that is empty in
one split and full in another would else have two.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import partial

from evals.formats import Format, Writer, flat, json_lines
from evals.source import Source

_NAMES = {"train": "train", "dev": "validation", "test": "test"}
_LICENCES = {"apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "odc-by"}
_SIZES = [(1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")]


def _rows(split: str, source: Source) -> Iterator[bytes]:
    return json_lines(flat.columns(row) for row in source.rows(split))


def _card(splits: list[str], source: Source) -> Iterator[bytes]:
    version = source.version
    size = next((name for below, name in _SIZES if (version.count or 0) < below), "1M<n<10M")
    features = "".join(f"  - name: {name}\n    dtype: {kind}\n" for name, kind in flat.COLUMNS.items())
    files = "".join(f"  - split: {_NAMES[split]}\n    path: data/{_NAMES[split]}.jsonl\n" for split in splits)
    title = json.dumps(f"{version.dataset.name}, version {version.number}", ensure_ascii=False)
    # The Hub knows licences by short names; any other has to be called "other".
    short = version.licence.lower() if version.licence.lower() in _LICENCES else "other"
    licence = f"license: {short}\n" if version.licence else ""
    if version.licence and short == "other":
        licence += f"license_name: {json.dumps(version.licence, ensure_ascii=False)}\n"
    text = (
        f"---\npretty_name: {title}\n{licence}size_categories:\n- {size}\n"
        f"configs:\n- config_name: golden\n  default: true\n  data_files:\n{files}"
        f"dataset_info:\n- config_name: golden\n  features:\n{features}---\n\n"
        f"# {' '.join(version.dataset.name.split())}, version {version.number}\n\n"
        f"Golden examples of Review Hub. Columns: `{'`, `'.join(flat.COLUMNS)}`; `input`, `expected`, `provenance`,\n"
        f"`tags` and `metadata` are JSON. Checksum of the version: `{version.checksum}`; see `manifest.json`.\n"
    )
    yield text.encode()


def members(source: Source) -> Iterable[tuple[str, Writer]]:
    """The card and a file for each split that has examples."""
    splits = source.splits()
    data = [(f"data/{_NAMES[split]}.jsonl", partial(_rows, split)) for split in splits]
    return [("README.md", partial(_card, splits)), *data]


FORMAT = Format(
    slug="hf",
    label="Hugging Face dataset",
    note="A folder for load_dataset",
    suffix=".hf.zip",
    media_type="application/zip",
    members=members,
    position=18,
)
