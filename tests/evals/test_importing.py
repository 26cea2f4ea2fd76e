"""Files of other products and tables become examples of a draft: what is read, guessed, refused, and stored."""

from __future__ import annotations

import contextlib
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from evals import datasets, export, lines, packing, schema
from evals.formats import formats
from evals.importing import reading, running
from evals.importing.running import Plan
from evals.models import Dataset, DatasetVersion, Example
from projects.errors import ApiError
from projects.models import Project, User
from tests import realdata
from tests.evals import golden, rich

PARQUET = Path(__file__).parent / "parquet"
ASKED = [{"role": "user", "content": "What does it cost?"}]


def exported(version: DatasetVersion, slug: str) -> bytes:
    return b"".join(packing.stream(export.source_of(version, {}), formats()[slug]))


def target(project: Project) -> Dataset:
    return datasets.create_dataset(project, slug="copy", name="Copy")


def brought(project: Project, data: bytes | str, name: str = "", wanted: tuple[str, ...] = ()) -> Plan:
    """Imports into the dataset ``copy``."""
    dataset = Dataset.objects.filter(project=project, slug="copy").first() or target(project)
    opened = running.open_file(data.encode() if isinstance(data, str) else data, name, wanted)
    return running.run(dataset, opened, actor=None)


def one(project: Project) -> Example:
    return Example.objects.get(version__dataset__project=project)


def fault(data: bytes | str, name: str = "", wanted: tuple[str, ...] = ()) -> str:
    with pytest.raises(ApiError) as refused:
        running.open_file(data.encode() if isinstance(data, str) else data, name, wanted)
    assert refused.value.status_code in (413, 422)
    return refused.value.message


@pytest.mark.parametrize("slug", ["jsonl", "parquet", "langfuse", "langsmith"])
@pytest.mark.parametrize("packed", [False, True])
def test_what_was_exported_comes_in_again_under_the_same_checksum(project: Project, slug: str, packed: bool) -> None:
    through_the_door = [schema.example({"id": each.key, **each.columns()}, "") for each in rich.contents()]
    version = golden.frozen(project, *through_the_door)
    data = exported(version, slug)
    copy = target(project)
    opened = running.open_file(gzip.compress(data) if packed else data)
    plan = running.run(copy, opened, actor=None, approve=True)
    assert (plan.new, plan.refused, plan.faults) == (version.count, 0, [])
    assert datasets.freeze(copy, actor=None).checksum == version.checksum


@pytest.mark.parametrize("slug", ["csv", "promptfoo", "openai-evals", "openai-evals-legacy"])
def test_formats_that_hold_less_give_back_the_question_and_the_desired_answer(project: Project, slug: str) -> None:
    version = golden.frozen(project, *rich.contents())
    plan = brought(project, exported(version, slug))
    skipped = {"csv": 1, "promptfoo": 1, "openai-evals": 1, "openai-evals-legacy": 0}[slug]  # it asks nothing
    assert plan.refused == skipped, plan.faults
    for example in Example.objects.filter(version__dataset__slug="copy"):
        before = version.examples.get(key=example.key)
        assert example.expected["output"] == before.expected["output"], example.key
        assert lines.question_of(example.input["messages"]) == lines.question_of(before.input["messages"])
        if slug in ("csv", "promptfoo"):
            assert example.split == before.split
            assert sorted(map(str, example.expected["assertions"])) == sorted(map(str, before.expected["assertions"]))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("table.csv", "question,answer,tags\nWhat does it cost?,50 cents,fees; vip\n"),
        ("table.tsv", "question\tanswer\ttags\nWhat does it cost?\t50 cents\tfees; vip\n"),
        ("excel.csv", "\ufeffquestion;answer;tags\r\nWhat does it cost?;50 cents;fees, vip\r\n"),
        ("flat.jsonl", '{"question": "What does it cost?", "expected_output": "50 cents", "tags": ["fees", "vip"]}\n'),
        ("langsmith.jsonl", '{"inputs": {"question": "What does it cost?"}, "outputs": {"answer": "50 cents"},'
                            ' "metadata": {"tags": ["fees", "vip"]}, "split": ["base"], "id": "0f"}\n'),
        ("langsmith.json", '[{"inputs": {"messages": [{"type": "human", "content": "What does it cost?"}]},'
                           ' "outputs": {"output": {"type": "ai", "content": "50 cents"}}, "tags": "fees,vip"}]'),
        ("langfuse.json", '{"data": [{"id": "u", "status": "ACTIVE", "datasetName": "d", "input": {"query":'
                          ' "What does it cost?"}, "expectedOutput": {"answer": "50 cents"},'
                          ' "metadata": {"tags": ["fees", "vip"]}}]}'),
        ("promptfoo.yaml", "prompts: ['{{question}}']\ndefaultTest: {vars: {channel: web}}\ntests:\n"
                           "  - vars: {question: What does it cost?, expected: 50 cents}\n"
                           "    metadata: {tags: [fees, vip]}"),
        ("promptfoo.json", '{"prompts": ["{{q}}"], "tests": [{"vars": {"query": "What does it cost?"},'
                           ' "assert": [{"type": "equals", "value": "50 cents"}], "metadata": {"tags": "fees,vip"}}]}'),
        ("evals.jsonl", '{"item": {"input": "What does it cost?", "ideal": "50 cents", "tags": ["fees", "vip"]}}'),
        ("oaieval.jsonl", '{"input": [{"role": "user", "content": "What does it cost?"}], "ideal": ["50 cents"],'
                          ' "tags": "fees,vip"}'),
    ],
)  # fmt: skip
def test_the_usual_shapes_of_each_product_are_understood_without_a_word(project: Project, name: str, text: str) -> None:
    plan = brought(project, text, name)
    assert (plan.new, plan.refused) == (1, 0), plan.faults
    example = one(project)
    assert example.input["messages"] == ASKED
    assert example.expected["output"] == "50 cents"
    assert example.tags == ["fees", "vip"]
    assert example.approved_at is None, "what comes in waits for approval"
    assert example.provenance["imported_from"] == plan.format


def test_a_mapping_overrides_the_guess_and_what_nobody_understands_is_kept_as_metadata(project: Project) -> None:
    text = "frage,soll,quelle,bereich,muss,spalte\nWas kostet es?,50 Cent,Die Gebühr ist 50 Cent.,fees,50\\nCent,7\n"
    assert "Which column is the input?" in fault(text)
    wanted = ("input=frage", "expected=soll", "context=quelle", "category=bereich", "must=muss")
    brought(project, text, wanted=wanted)
    example = one(project)
    assert example.input["messages"][0]["content"] == "Was kostet es?"
    assert example.input["documents"] == [{"id": "1", "content": "Die Gebühr ist 50 Cent."}]
    assert example.expected["label"]["category"] == "fees"
    assert example.expected["assertions"] == [{"type": "must", "text": "50\\nCent"}]
    assert example.metadata == {"spalte": "7"}


def test_refused_lines_are_named_with_their_number_and_path_and_the_rest_comes_in(project: Project) -> None:
    lines = [
        '{"question": "a", "answer": "1"}',
        "",
        "{broken",
        '{"question": "", "answer": "2"}',
        '{"question": "b", "answer": "3", "severity": 9}',
        '{"question": "c", "answer": "4", "severity": "very"}',
        '["no object"]',
        '{"question": "a", "answer": "other"}',
        '{"question": "a", "answer": "1"}',
        '{"question": "d", "answer": "' + "x" * 100_001 + '"}',
    ]
    plan = brought(project, "\n".join(lines))
    assert (plan.records, plan.new, plan.refused, plan.repeated) == (9, 1, 7, 1)
    told = [(each.place, each.path) for each in plan.faults]
    assert told == [
        ("line 3", ""), ("line 4", "/input"), ("line 5", "severity: /expected/label/severity"), ("line 6", "/severity"),
        ("line 7", ""), ("line 8", "/input"), ("line 10", "answer: /expected/output"),
    ]  # fmt: skip
    assert "line 1" in plan.faults[5].message
    assert one(project).expected["output"] == "1"


def test_a_dry_run_tells_what_would_come_and_writes_nothing(project: Project) -> None:
    copy = target(project)
    first = running.open_file(
        b'{"id": "a", "question": "Q", "answer": "1"}\n{"id": "b", "question": "P", "answer": "1"}'
    )
    plan = running.dry_run(copy, first)
    assert (plan.new, plan.changed, plan.same, plan.dry_run) == (2, 0, 0, True)
    assert [(each.place, each.fate, each.question, each.expected) for each in plan.samples] == [
        ("line 1", "new", "Q", "1"), ("line 2", "new", "P", "1"),
    ]  # fmt: skip
    assert not copy.versions.exists()
    running.run(copy, first, actor=None)
    again = running.open_file(
        b'{"id": "a", "question": "Q", "answer": "2"}\n{"id": "b", "question": "P", "answer": "1"}'
    )
    assert (lambda plan: (plan.new, plan.changed, plan.same))(running.dry_run(copy, again)) == (0, 1, 1)


def test_a_changed_example_keeps_its_address_and_waits_for_approval_again(
    project: Project, people: dict[str, User]
) -> None:
    brought(project, '{"id": "a", "question": "Q", "answer": "1"}')
    before = one(project)
    datasets.approve(before, actor=people["lead"])
    brought(project, '{"id": "a", "question": "Q", "answer": "2"}')
    after = one(project)
    assert (after.pk, after.expected["output"], after.approved_at) == (before.pk, "2", None)


def test_a_file_of_which_nothing_fits_leaves_everything_as_it_was(project: Project) -> None:
    with pytest.raises(ApiError) as refused:
        brought(project, '{"question": ""}\n{"question": " "}'.replace('" "', '""'))
    assert refused.value.status_code == 422
    assert [each["path"] for each in refused.value.details] == ["line 1: /input", "line 2: /input"]
    assert not DatasetVersion.objects.filter(dataset__slug="copy").exists()


def test_a_fault_in_the_middle_of_storing_loses_nothing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    brought(project, '{"id": "a", "question": "Q", "answer": "1"}')

    def fails(*args: Any, **options: Any) -> None:
        raise ConnectionError

    monkeypatch.setattr(datasets.audit, "record", fails)
    with pytest.raises(ConnectionError):
        brought(project, '{"id": "a", "question": "Q", "answer": "2"}\n{"id": "b", "question": "R", "answer": "3"}')
    assert one(project).expected["output"] == "1"


def test_who_has_to_be_a_second_person_cannot_bring_in_what_is_approved(
    project: Project, people: dict[str, User]
) -> None:
    datasets.ask_second_person(project, True, actor=people["admin"])
    opened = running.open_file(b'{"question": "Q", "answer": "1"}')
    with pytest.raises(ApiError) as refused:
        running.run(target(project), opened, actor=people["lead"], approve=True)
    assert refused.value.status_code == 409
    running.run(Dataset.objects.get(slug="copy"), opened, actor=people["lead"])
    with pytest.raises(ApiError):
        datasets.approve(one(project), actor=people["lead"])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b" \n ", "empty"),
        (b"\xff\xfe\x00", "not UTF-8"),
        ("question,answer\nGebühr,1\n".encode("latin-1"), "Line 2: not UTF-8 at byte 19"),
        (b"[]", "no example"),
        (b"question,answer\n", "no example"),
        (b'[{"question": 1}', "Line 1"),
        (b"[" * 100_000, "Nested too deep"),
        (b'question,answer\n"open', "Line 2"),
        (b"question,question\na,b", "two columns are called question"),
        (",".join(f"c{n}" for n in range(10_000)).encode() + b"\n1", "10,000 columns; at most 300"),
        (json.dumps({f"c{n}": 1 for n in range(10_000)}).encode(), "more than 300 columns"),
        (b"x" * 300, "neither JSON nor YAML nor a table"),
        (b"\x1f\x8bnot gzip", "says that it is gzip"),
        (gzip.compress(b"question,answer\na,b\n")[:-9], "ends in the middle"),
        (b"PAR1", "not whole"),
        (b"PAR1" + b"\xff" * 20 + b"\x14\x00\x00\x00PAR1", "Parquet file"),
        (b"tests: file://more.yaml", "another file, file://more.yaml"),
        (b"tests:\n  - vars: {a: [}\n", "Line 2: the file is not YAML"),
        (b"tests:\n  - !!python/object/apply:os.system [id]\n", "Line 2: the file is not YAML"),
        (b"tests:\n" + b"a: &a [" + b"x," * 99 + b"]\n" + b"".join(
            f"b{n}: &b{n} [{','.join([f'*{chr(98)}{n - 1}' if n else '*a'] * 50)}]\n".encode() for n in range(5)
        ), "unfold"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_with_the_place(data: bytes, said: str) -> None:
    assert said in fault(data)


def test_a_file_beyond_the_limits_is_refused_before_it_is_unpacked_or_read() -> None:
    assert "16 MiB" in fault(b"{" * (reading.LIMIT + 1))
    assert "16 MiB" in fault(gzip.compress(b"a" * (reading.LIMIT + 1)))
    many = b'{"question": "a"}\n' * (reading.ROWS + 1)
    assert "line 20001: at most 20,000" in fault(many)


def test_hostile_cells_come_in_as_text_and_leave_disarmed(project: Project) -> None:
    cells = ["=HYPERLINK(1)", "@SUM(1)", "<script>x()</script>", "a\x00b", "{{ env.HOME }}"]
    rows = "".join(f"{cell},{cell}\n" for cell in cells)
    plan = brought(project, "question,answer\n" + rows)
    assert plan.new == len(cells)
    kept = Example.objects.values_list("expected__output", flat=True)
    assert set(kept) == {cell.replace("\x00", "\ufffd") for cell in cells}


@pytest.mark.parametrize("pair", ["input", "nothing=question", "input=nowhere", "=question"])
def test_a_mapping_that_cannot_be_is_refused(pair: str) -> None:
    assert fault("question,answer\na,b", wanted=(pair,))


def test_two_columns_cannot_be_the_same_single_thing() -> None:
    assert "Two columns are to be the input" in fault("question,answer\na,b", wanted=("input=question", "input=answer"))


def test_the_checksum_of_a_file_that_was_changed_does_not_fit_and_is_told(project: Project) -> None:
    version = golden.frozen(project, *rich.contents())
    data = exported(version, "jsonl").replace(b"50 cents", b"60 cents")
    assert "changed or cut" in running.open_file(data).file.notes[0]
    assert running.open_file(exported(version, "jsonl")).file.notes == []


def test_one_question_stands_in_one_split_whatever_else_differs(project: Project) -> None:
    rows = "".join(f"{n},What does it cost?,{n}\n" for n in range(12))
    brought(project, "id,question,answer\n" + rows)
    assert Example.objects.values("split").distinct().count() == 1


def test_checks_of_promptfoo_become_assertions_and_those_without_a_counterpart_stay_readable(project: Project) -> None:
    test = {
        "vars": {"question": "What does it cost?"},
        "assert": [
            {"type": "contains", "value": "50"}, {"type": "not-icontains", "value": "free"},
            {"type": "contains-all", "value": ["a", "b"]}, {"type": "llm-rubric", "value": "is polite"},
        ],
    }  # fmt: skip
    brought(project, json.dumps([test]))
    example = one(project)
    assert [(each["type"], each["text"]) for each in example.expected["assertions"]] == [
        ("must", "50"), ("must_not", "free"), ("must", "a"), ("must", "b"),
    ]  # fmt: skip
    assert example.metadata["assertions_elsewhere"] == [{"type": "llm-rubric", "value": "is polite"}]


@pytest.mark.parametrize("name", ["snappy", "snappy-v2", "gzip-v2", "plain"])
def test_parquet_files_that_pyarrow_wrote_are_read(project: Project, name: str) -> None:
    plan = brought(project, (PARQUET / f"{name}.parquet").read_bytes())
    assert (plan.new, plan.refused) == (500, 0)
    last = Example.objects.get(input__messages__0__content="What does transfer 499 cost?")
    assert (last.expected["output"], last.tags) == ("50 cents", ["fees", "vip"])
    assert last.metadata == {"score": 124.75, "seen": False, "number": 499, "small": 499}
    first = Example.objects.get(input__messages__0__content="What does transfer 0 cost?")
    assert (first.tags, first.metadata) == ([], {"score": 0.0, "seen": True, "number": 0})


def test_parquet_that_is_not_read_here_is_refused_by_the_name_of_its_column() -> None:
    assert "The column question is compressed with zstd" in fault((PARQUET / "zstd.parquet").read_bytes())


def test_lists_in_parquet_are_lists(project: Project) -> None:
    brought(project, (PARQUET / "nested.parquet").read_bytes())
    assert one(project).tags == ["x", "y"]


def test_a_parquet_file_with_any_byte_wrong_is_read_or_refused_and_never_breaks() -> None:
    whole = (PARQUET / "snappy.parquet").read_bytes()
    for place in range(4, len(whole), 97):
        for value in (0, 255, whole[place] ^ 1):
            broken = whole[:place] + bytes([value]) + whole[place + 1 :]
            with contextlib.suppress(ApiError):
                reading.read(broken)


@pytest.mark.data
def test_public_attacks_come_in_as_they_are_and_are_expected_to_be_declined(project: Project) -> None:
    data = realdata.path("prompt_injection").read_bytes()
    attacks = datasets.create_dataset(project, slug="attacks", name="Attacks", kind="adversarial")
    opened = running.open_file(data)
    assert {name for name, target in opened.mapping.items() if target == "id"} == {"id"}
    plan = running.run(attacks, opened, actor=None, approve=True)
    assert (plan.refused, plan.new + plan.repeated) == (0, plan.records)
    assert not Example.objects.exclude(expected__refusal=True).exists()
    assert datasets.freeze(attacks, actor=None).count == plan.new


@pytest.mark.data
@pytest.mark.parametrize("name", ["begin", "feedbackqa", "halueval_general", "xstest", "llm_rubric"])
def test_public_sets_are_understood_by_the_names_of_their_columns(project: Project, name: str) -> None:
    plan = running.dry_run(target(project), running.open_file(realdata.path(name).read_bytes()))
    assert (plan.refused, plan.new) == (0, plan.records), plan.faults


def test_what_stands_in_metadata_under_a_common_name_is_no_id_and_no_answer(project: Project) -> None:
    brought(project, '{"question": "Q", "metadata": {"name": "n", "target": "t", "question": "q"}}')
    assert (one(project).key[:2], one(project).expected["output"]) == ("x-", "")
    assert one(project).metadata == {"name": "n", "target": "t", "question": "q"}


def test_documents_of_other_products_keep_their_text_under_our_name(project: Project) -> None:
    documents = [{"page_content": "a"}, {"id": "2", "text": "b"}, {"content": "c"}, "d"]
    brought(project, json.dumps({"question": "Q", "context": documents}))
    assert [each["content"] for each in one(project).input["documents"]] == ["a", "b", "c", "d"]
