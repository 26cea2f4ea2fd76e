"""Each export format holds what its consumer reads. What the real consumers said to the same files is in docs."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest

from evals import packing, parquet
from evals.formats import flat, formats, promptfoo
from evals.models import DatasetVersion
from evals.source import Source
from projects.models import Project
from tests.conftest import Api
from tests.evals import rich

PATH = "/api/v1/datasets/golden/versions/1/export"
CONTRACT = {
    "jsonl", "csv", "parquet", "openai-evals", "promptfoo", "deepeval", "inspect", "pytest", "langsmith", "langfuse",
    "openai-sft", "openai-dpo", "trl-preference", "hf",
}  # fmt: skip


@pytest.fixture
def version(project: Project) -> DatasetVersion:
    return rich.frozen(project)


def whole(version: DatasetVersion, slug: str, *, bundle: bool = False, **filters: str) -> bytes:
    return b"".join(packing.stream(Source(version, **filters), formats()[slug], bundle=bundle))


def entries(version: DatasetVersion, slug: str, **filters: str) -> list[Any]:
    return [json.loads(line) for line in whole(version, slug, **filters).decode().split("\n") if line]


def manifest(version: DatasetVersion, slug: str, **filters: str) -> dict[str, Any]:
    return packing.manifest(Source(version, **filters), formats()[slug])


def test_every_format_of_the_contract_is_there() -> None:
    assert set(formats()) >= CONTRACT


@pytest.mark.parametrize("slug", sorted(formats()))
@pytest.mark.parametrize("bundle", [False, True])
def test_the_bytes_are_the_same_each_time_and_the_manifest_tells_them(
    version: DatasetVersion, slug: str, bundle: bool
) -> None:
    first = whole(version, slug, bundle=bundle)
    assert whole(version, slug, bundle=bundle) == first
    told = manifest(version, slug)
    assert told["sha256"] == version.checksum
    assert told["counts"]["selected"] == 7
    assert told["counts"]["written"] + sum(told["counts"]["skipped"].values()) == 7
    if bundle or formats()[slug].members:
        archive = zipfile.ZipFile(io.BytesIO(first))
        assert archive.testzip() is None
        assert json.loads(archive.read("manifest.json")) == told
        found = {name: archive.read(name) for name in archive.namelist() if name != "manifest.json"}
        assert len(found) == len(told["files"])
    else:
        found = {told["files"][0]["name"]: first}
    assert [
        {"name": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in found.items()
    ] == told["files"][: len(found)]


@pytest.mark.parametrize("slug", sorted(formats()))
def test_an_empty_choice_is_an_empty_file_and_not_a_broken_one(version: DatasetVersion, slug: str) -> None:
    data = whole(version, slug, tag="nobody has it")
    assert manifest(version, slug, tag="nobody has it")["counts"]["selected"] == 0
    if slug == "deepeval":
        assert json.loads(data) == []


def test_filters_leave_what_they_say_and_the_native_header_counts_it(version: DatasetVersion) -> None:
    assert {entry["split"] for entry in entries(version, "langsmith", split="dev")} == {"dev"}
    assert [entry["id"] for entry in entries(version, "inspect", tag="vip")] == ["a-fee"]
    assert [entry["id"] for entry in entries(version, "inspect", category="retrieval-miss")] == ["a-fee"]
    head, *lines = whole(version, "jsonl", split="train").splitlines(keepends=True)
    told = json.loads(head)
    assert (told["count"], told["filters"]) == (2, {"split": "train"})
    assert told["sha256"] == hashlib.sha256(b"".join(lines)).hexdigest()
    assert manifest(version, "csv", split="train")["filters"] == {"split": "train"}


def test_fine_tuning_ends_with_the_desired_answer_and_learns_only_that(version: DatasetVersion) -> None:
    found = entries(version, "openai-sft")
    assert [entry["messages"][-1]["role"] for entry in found] == ["assistant"] * 6
    assert found[0]["messages"][0]["content"].startswith("Use these documents:")
    tools = next(entry for entry in found if "tools" in entry)
    assert [message["role"] for message in tools["messages"]] == ["system", "user", "assistant", "tool", "assistant"]
    called = tools["messages"][2]
    assert called["weight"] == 0
    assert json.loads(called["tool_calls"][0]["function"]["arguments"]) == {"account": "{{x}}"}
    assert tools["tools"] == [
        {"type": "function",
         "function": {"name": "balance", "parameters": {"type": "object", "properties": {}}}}
    ]  # fmt: skip
    assert manifest(version, "openai-sft")["counts"]["skipped"] == {"no messages": 1}


def test_training_on_the_test_split_is_warned_of(version: DatasetVersion) -> None:
    assert "test split" in manifest(version, "openai-sft")["warnings"][0]
    assert manifest(version, "openai-sft", split="train")["warnings"] == []
    assert manifest(version, "inspect")["warnings"] == []


def test_preferences_lead_from_the_rejected_answer_to_the_desired_one(version: DatasetVersion) -> None:
    first, second = entries(version, "openai-dpo")
    assert first["preferred_output"][0]["content"].startswith("An instant transfer costs 50 cents.")
    assert first["non_preferred_output"] == [{"role": "assistant", "content": "It is free."}]
    assert second["input"]["messages"] == [{"role": "user", "content": rich.HOSTILE}]
    for mine, theirs in zip(entries(version, "trl-preference"), (first, second), strict=True):
        assert (mine["chosen"], mine["rejected"]) == (theirs["preferred_output"], theirs["non_preferred_output"])
        assert mine["prompt"] == theirs["input"]["messages"]
    assert manifest(version, "openai-dpo")["counts"]["skipped"] == {"no rejected answer beside a desired one": 5}


def test_judged_answers_carry_the_verdict(version: DatasetVersion) -> None:
    assert [entry["label"] for entry in entries(version, "trl-unpaired")] == [False, False, True]


def test_an_eval_item_has_every_field_and_fits_the_schema_beside_it(version: DatasetVersion) -> None:
    from jsonschema import Draft202012Validator

    archive = zipfile.ZipFile(io.BytesIO(whole(version, "openai-evals", bundle=True)))
    schema = json.loads(archive.read("eval.json"))["data_source_config"]["item_schema"]
    for entry in entries(version, "openai-evals"):
        assert set(entry) == {"item"}
        assert set(entry["item"]) == set(schema["properties"])
        Draft202012Validator(schema).validate(entry["item"])
    assert [set(entry) for entry in entries(version, "openai-evals-legacy")] == [{"id", "input", "ideal"}] * 6


def test_promptfoo_renders_no_template_and_opens_no_file_of_a_user() -> None:
    assert promptfoo.defused("{{ env.X }} {% x %} {# y #} {{{ { }") == (
        "{{ '{' }}{ env.X }} {{ '{' }}% x %} {{ '{' }}# y {{ '#' }}} {{ '{' }}{{ '{' }}{ { }"
    )
    assert promptfoo.defused("file:///etc/passwd") == "{{ '' }}file:///etc/passwd"
    assert promptfoo.yaml_safe('"\u2028\x85é"') == '"\\u2028\\u0085é"'


def test_promptfoo_has_the_checks_of_each_example(version: DatasetVersion) -> None:
    text = whole(version, "promptfoo").decode()
    tests = {
        test["description"]: test
        for test in (json.loads(line.removeprefix("  - ")) for line in text.split("\n")[6:] if line)
    }
    assert len(tests) == 7
    assert [(each["type"], each["value"]) for each in tests["a-fee"]["assert"][1:]] == [
        ("icontains", "50 cents"), ("not-icontains", "free"), ("not-equals", "It is free."),
    ]  # fmt: skip
    assert [each["metric"] for each in tests["c-tools"]["assert"]] == ["not empty", "figure"]
    assert [each["metric"] for each in tests["f-plain"]["assert"]] == ["not empty", "must"]
    assert [each["metric"] for each in tests["e-file"]["assert"]] == ["not empty", "similar"]
    assert [each["metric"] for each in tests["d-schema"]["assert"]] == ["not empty", "schema"]
    assert "{{" not in tests["b-hostile"]["vars"]["messages"]
    assert json.loads(tests["b-hostile"]["vars"]["messages"]) == [{"role": "user", "content": rich.HOSTILE}]


def test_deepeval_goldens_are_a_list_of_known_fields(version: DatasetVersion) -> None:
    found = json.loads(whole(version, "deepeval"))
    assert found[0]["input"] == "What does it cost?"
    assert found[0]["context"] == ["Instant transfers cost 50 cents."]
    assert found[0]["comments"] == "must: 50 cents\nmust not: free"
    assert {key for golden in found for key in golden} == {
        "input", "actual_output", "expected_output", "context", "retrieval_context", "name", "comments",
        "additional_metadata",
    }  # fmt: skip


def test_an_inspect_sample_calls_tools_in_its_own_shape(version: DatasetVersion) -> None:
    sample = next(entry for entry in entries(version, "inspect") if entry["id"] == "c-tools")
    assert sample["input"][2]["tool_calls"] == [
        {"id": "call_1", "function": "balance", "arguments": {"account": "{{x}}"}, "type": "function"}
    ]
    assert sample["input"][1]["content"] == "Balance?\nNow."
    assert sample["target"] == "12.30"


def test_langsmith_and_langfuse_ids_stay_so_that_a_second_upload_replaces(version: DatasetVersion) -> None:
    smith, fuse = entries(version, "langsmith"), entries(version, "langfuse")
    assert len({entry["id"] for entry in smith}) == 7
    assert smith == entries(version, "langsmith")
    assert set(smith[0]) == {"id", "inputs", "outputs", "metadata", "split"}
    assert fuse[0]["id"] == "golden:a-fee"
    assert set(fuse[0]) == {"datasetName", "id", "input", "expectedOutput", "metadata", "status"}


def test_the_retrieval_list_says_what_was_wrong_and_what_was_missing(version: DatasetVersion) -> None:
    (found,) = entries(version, "rag-refinement")
    assert (found["id"], found["problem"]) == ("a-fee", "missing and wrong")
    assert found["missing"] == ["A cheque is drawn at Tuesday's exchange rate."]
    assert found["wrong"] == [
        {"id": "kb-12", "title": "Fees", "passages": [{"text": "50 cents", "category": "outdated"}]}
    ]
    assert found["retrieved"][0]["rank"] == 1


def test_the_hugging_face_folder_names_only_the_splits_there_are(version: DatasetVersion) -> None:
    archive = zipfile.ZipFile(io.BytesIO(whole(version, "hf", tag="vip")))
    assert archive.namelist() == ["README.md", "data/test.jsonl", "manifest.json"]
    card = archive.read("README.md").decode()
    assert "path: data/test.jsonl" in card
    assert "data/train.jsonl" not in card
    assert zipfile.ZipFile(io.BytesIO(whole(version, "hf"))).namelist()[1:4] == [
        "data/train.jsonl", "data/validation.jsonl", "data/test.jsonl",
    ]  # fmt: skip


def test_the_pytest_archive_runs_with_the_light_client_alone(version: DatasetVersion, tmp_path: Path) -> None:
    zipfile.ZipFile(io.BytesIO(whole(version, "pytest"))).extractall(tmp_path)
    (tmp_path / "bot.py").write_text(
        "def answer(example):\n    return example['expected']['output'] if example['id'] != 'f-plain' else 'no'\n"
    )
    client = Path(__file__).resolve().parents[2] / "client"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:django", "-p", "no:cacheprovider", "test_golden.py"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{client}:{tmp_path}", "REVIEWHUB_TARGET": "bot:answer"},
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert "2 failed, 5 passed" in done.stdout, done.stdout
    assert "test_golden[f-plain-none-test]" in done.stdout


ROWS = [
    {"name": "first", "count": 1}, {"name": None, "count": None}, {"name": "Ünïcode 🦜", "count": -7},
    {"name": "", "count": 2**31 - 1},
]  # fmt: skip


PARQUET = "e358c247dde9c28ec245cf2bd292ba2bea93c3c0fca733832b8aadf0c282222b"


def _zlib_is_another() -> str:
    """Another zlib packs the same pages to other bytes; then the hash says nothing."""
    return "" if zlib.ZLIB_RUNTIME_VERSION.startswith("1.2") else PARQUET


def test_a_parquet_file_is_what_pyarrow_read_back() -> None:
    """pyarrow 26.0.1 and DuckDB 2.0.0 read these very bytes back as ROWS; the hash holds the writer to them."""
    data = b"".join(parquet.written(ROWS, {"name": "string", "count": "int32"}))
    assert PARQUET in (hashlib.sha256(data).hexdigest(), _zlib_is_another())
    assert data[:4] == data[-4:] == b"PAR1"
    pq = pytest.importorskip("pyarrow.parquet", reason="reads the file where pyarrow is installed")
    assert pq.read_table(io.BytesIO(data)).to_pylist() == ROWS


def test_a_parquet_file_has_many_groups_and_every_column(version: DatasetVersion, monkeypatch: Any) -> None:
    small = whole(version, "parquet")
    monkeypatch.setattr(parquet, "GROUP_ROWS", 3)
    assert len(whole(version, "parquet")) > len(small)
    for name in flat.COLUMNS:
        assert name.encode() in small


def test_the_door_gives_the_zip_and_the_manifest_and_marks_each(version: DatasetVersion, sk: Api) -> None:
    def get(**query: str) -> Any:
        return sk.client.get(PATH, query, headers=sk.headers)

    packed = get(format="openai-sft", package="zip", split="train")
    assert packed["Content-Disposition"] == 'attachment; filename="golden-v1-train.openai-sft.jsonl.zip"'
    names = zipfile.ZipFile(io.BytesIO(packed.getvalue())).namelist()
    assert names == ["golden-v1-train.openai-sft.jsonl", "manifest.json"]
    told = get(format="openai-sft", package="manifest", split="train").json()
    assert told["counts"]["written"] == 2
    marks = {get(**query)["ETag"] for query in ({}, {"format": "csv"}, {"split": "dev"}, {"tag": "vip"},
                                                {"package": "zip"}, {"package": "manifest"})}  # fmt: skip
    assert len(marks) == 6
    assert get(split="all").status_code == get(package="rar").status_code == 422
