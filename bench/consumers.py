"""Loads a folder of exports in the programs that they are for. Run by hand, where those are installed:

    pip install deepeval inspect_ai datasets pyarrow duckdb langsmith langfuse openai together trl
    python bench/consumers.py FOLDER

FOLDER holds one dataset version in every format, under the names that ``reviewhub export`` gives. What is not installed
is skipped. promptfoo is checked with ``promptfoo eval -c FILE -r echo``.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else ".")


def path(suffix: str) -> Path:
    (found,) = FOLDER.glob(f"*{suffix}")
    return found


def lines(suffix: str) -> list[Any]:
    return [json.loads(line) for line in path(suffix).read_text(encoding="utf-8").split("\n") if line]


def native() -> list[Any]:
    (found,) = [each for each in FOLDER.glob("*.jsonl") if each.name.count(".") == 1]
    return [json.loads(line) for line in found.read_text(encoding="utf-8").split("\n")[1:] if line]


def deepeval() -> int:
    from deepeval.dataset import EvaluationDataset

    dataset = EvaluationDataset()
    dataset.add_goldens_from_json_file(str(path(".deepeval.json")))
    assert [golden.name for golden in dataset.goldens] == [example["id"] for example in native()]
    assert [golden.expected_output or "" for golden in dataset.goldens] == [
        example["expected"]["output"] for example in native()
    ]
    return len(dataset.goldens)


def inspect_ai() -> int:
    from inspect_ai.dataset import json_dataset

    samples = json_dataset(str(path(".inspect.jsonl")))
    for sample in samples:
        assert not isinstance(sample.input, str)
        assert sample.input[0].text
    return len(samples)


def datasets() -> int:
    from datasets import load_dataset

    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(path(".hf.zip")).extractall(folder)
        loaded = load_dataset(folder, cache_dir=f"{folder}/cache")
        found = {row["id"]: row for split in loaded.values() for row in split}
    for example in native():
        assert json.loads(found[example["id"]]["input"]) == example["input"]
        assert found[example["id"]]["severity"] == (example["expected"].get("label") or {}).get("severity")
    pairs = load_dataset("json", data_files=str(path(".trl-preference.jsonl")), split="train")
    assert pairs.column_names == ["chosen", "prompt", "rejected"]
    return len(found)


def pyarrow() -> int:
    import pyarrow.parquet

    found = pyarrow.parquet.read_table(path("v1.parquet")).to_pylist()
    assert [json.loads(row["expected"]) for row in found] == [example["expected"] for example in native()]
    return len(found)


def duckdb() -> int:
    import duckdb

    found = duckdb.sql(f"SELECT id, severity FROM '{path('v1.parquet')}' ORDER BY id").fetchall()
    assert [row[0] for row in found] == [example["id"] for example in native()]
    return len(found)


def langsmith() -> int:
    from langsmith.schemas import ExampleCreate

    return len([ExampleCreate(**entry) for entry in lines(".langsmith.jsonl")])


def langfuse() -> int:
    from langfuse.api import CreateDatasetItemRequest
    from langfuse.api.core.pydantic_utilities import parse_obj_as

    found = [parse_obj_as(CreateDatasetItemRequest, entry) for entry in lines(".langfuse.jsonl")]
    assert all(item.expected_output is not None and item.id for item in found)
    return len(found)


def openai() -> int:
    from openai.types.eval_create_params import DataSourceConfigCustom, TestingCriterionTextSimilarity
    from openai.types.evals.create_eval_jsonl_run_data_source_param import SourceFileContentContent
    from pydantic import TypeAdapter

    archive = zipfile.ZipFile(path(".openai-evals.jsonl.zip"))
    body = json.loads(archive.read("eval.json"))
    TypeAdapter(DataSourceConfigCustom).validate_python(body["data_source_config"])
    for criterion in body["testing_criteria"]:
        TypeAdapter(TestingCriterionTextSimilarity).validate_python(criterion)
    for entry in lines(".openai-evals.jsonl"):
        TypeAdapter(SourceFileContentContent).validate_python(entry)
    return len(lines(".openai-evals.jsonl"))


def together() -> int:
    from together.lib.utils import files

    files.MIN_SAMPLES = 1
    for suffix in (".openai-sft.jsonl", ".openai-dpo.jsonl"):
        report = files.check_file(path(suffix))
        assert report["is_check_passed"], report
    return len(lines(".openai-sft.jsonl"))


def trl() -> int:
    from trl.data_utils import is_conversational

    for suffix in (".trl-preference.jsonl", ".trl-unpaired.jsonl"):
        assert all(is_conversational(entry) for entry in lines(suffix))
    return len(lines(".trl-preference.jsonl"))


CHECKS: list[Callable[[], int]] = [
    deepeval, inspect_ai, datasets, pyarrow, duckdb, langsmith, langfuse, openai, together, trl,
]  # fmt: skip


def main() -> int:
    failed = 0
    for check in CHECKS:
        try:
            version = importlib.metadata.version(check.__name__)
        except importlib.metadata.PackageNotFoundError:
            print(f"{check.__name__:<12} not installed")
            continue
        try:
            print(f"{check.__name__:<12} {version:<10} {check()} entries")
        except Exception as error:  # each consumer is to be asked, whatever the one before said
            failed += 1
            print(f"{check.__name__:<12} {version:<10} FAILED: {type(error).__name__}: {str(error)[:500]}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
