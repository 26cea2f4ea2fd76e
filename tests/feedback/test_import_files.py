"""Reading files of any size and form, refusing what does not fit, and going on after a crash."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connection

from feedback import importers, limits
from feedback.importers import reading
from feedback.importers.reading import Files
from feedback.models import Feedback, Inbox, Interaction, Score, Span
from projects.models import Project
from reviewhub import cli
from reviewhub.commands import import_
from tests.factories import ProjectFactory
from tests.feedback.bodies import interaction, thumbs

ROOT = Path(__file__).resolve().parent.parent.parent
TRICKY = [{"id": str(n), "input": 'a "quoted" [ { \\ " } ] é\n' * n, "output": "x"} for n in range(40)]


def read(*paths: Path) -> list[Any]:
    return [reading.parse(raw) for raw in Files(paths)]


FORMS: dict[str, Callable[[list[Any]], str]] = {
    "lines": lambda rows: "".join(json.dumps(row) + "\r\n\n" for row in rows),
    "an array": json.dumps,
    "a printed array": lambda rows: json.dumps(rows, indent=2, ensure_ascii=False),
    "an answer of a list API": lambda rows: json.dumps({"results": rows, "next": None}, indent=1),
    "printed objects": lambda rows: "\n".join(json.dumps(row, indent=4) for row in rows),
    "with a byte order mark": lambda rows: "\ufeff" + json.dumps(rows),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("chunk", [64, 256 * 1024])
def test_records_are_the_same_in_every_form_of_file(
    tmp_path: Path, form: str, packed: bool, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "CHUNK", chunk)
    body = FORMS[form](TRICKY).encode()
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(body) if packed else body)
    assert read(path) == TRICKY


def test_a_folder_is_all_its_files_but_not_those_that_an_import_has_left_there(tmp_path: Path) -> None:
    (tmp_path / "traces").mkdir()
    (tmp_path / "traces" / "1.jsonl").write_text('{"a": 1}')
    (tmp_path / "traces" / "2.json").write_text('[{"a": 2}]')
    (tmp_path / "traces" / "1.jsonl.rejected.jsonl").write_text('{"a": 3}')
    (tmp_path / "traces" / "manifest.db").write_bytes(b"x")
    assert read(tmp_path) == [{"a": 1}, {"a": 2}]


def test_an_item_of_an_array_that_is_too_long_is_refused_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "INTERACTION_BODY", 1000)
    monkeypatch.setattr(reading, "CHUNK", 64)
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"a": 1}, {"a": ["x"] * 5000}, {"a": 2}]))
    raws = list(Files([path]))
    assert [(raw.item, raw.too_long) for raw in raws] == [(1, False), (2, True), (3, False)]
    assert reading.parse(raws[2]) == {"a": 2}


def test_memory_stays_flat_over_a_large_array(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    row = json.dumps({"id": "x", "input": "y" * 5000, "output": "z"})
    with path.open("w") as file:
        file.write("[" + ",".join([row] * 8000) + "]")
    assert path.stat().st_size > 40_000_000
    tracemalloc.start()
    try:
        assert sum(1 for _ in Files([path])) == 8000
        assert tracemalloc.get_traced_memory()[1] < 6_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"PAR1....", "Parquet file is not whole"), (gzip.compress(b'{"id": "1"}\n' * 999)[:-20], "is not whole")],
    ids=["Parquet", "cut gzip"],  # not the bytes: gzip writes the time, and two workers must collect the same tests
)  # fmt: skip
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "export"
    path.write_bytes(content)
    with pytest.raises(ValidationError, match=told):
        read(path)


def test_an_array_that_ends_in_the_middle_is_told(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([interaction(id=str(n)) for n in range(3)])[:-40])
    report = importers.run(path, format="reviewhub", project=project)
    assert (report.interactions, report.rejected) == (2, 1)
    assert report.errors[0].startswith("item 3: ")


@pytest.mark.django_db
class TestTheCommand:
    @pytest.fixture
    def run(self, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
        def call(*words: Any) -> tuple[int, str, str]:
            code = import_.handle(cli.parser().parse_args(["import", *map(str, words)]))
            captured = capsys.readouterr()
            return code, captured.out, captured.err

        return call

    def write(self, path: Path, *rows: Any) -> Path:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    def test_all_taken_is_0_some_refused_1_nothing_usable_2(self, run: Any, project: Project, tmp_path: Path) -> None:
        good = self.write(tmp_path / "good.jsonl", interaction())
        mixed = self.write(tmp_path / "mixed.jsonl", interaction(id="2"), {"id": "3", "input": 5})
        bad = self.write(tmp_path / "bad.jsonl", {"id": "3", "input": 5})
        assert [run(path, "--project", "acme")[0] for path in (good, mixed, bad)] == [0, 1, 2]

    def test_refused_records_are_written_beside_the_file_and_gone_when_all_is_well(
        self, run: Any, project: Project, tmp_path: Path
    ) -> None:
        path = self.write(
            tmp_path / "a.jsonl", interaction(), {"id": "x", "input": 5, "output": "y"}, thumbs("sideways")
        )
        _, _, err = run(path, "--project", "acme")
        left = tmp_path / "a.jsonl.rejected.jsonl"
        rows = [json.loads(line) for line in left.read_text().splitlines()]
        assert [(row["line"], row["path"]) for row in rows] == [(2, "/input"), (3, "/value")]
        assert json.loads(rows[0]["record"])["id"] == "x"
        assert all(row["message"] for row in rows)
        assert "line 2: /input" in err
        assert str(left) in err
        self.write(path, interaction())
        assert run(path, "--project", "acme")[0] == 0
        assert not left.exists()

    def test_a_dry_run_counts_and_stores_nothing(self, run: Any, project: Project, tmp_path: Path) -> None:
        path = self.write(tmp_path / "a.jsonl", interaction(), thumbs(), {"id": "x", "input": 5}, thumbs("sideways"))
        code, out, _ = run(path, "--project", "acme", "--dry-run", "--json")
        report = json.loads(out)
        assert code == 1
        assert (report["interactions"], report["feedback"], report["rejected"]) == (1, 1, 2)
        assert report["dry_run"] is True
        assert not Interaction.objects.exists()
        assert not Feedback.objects.exists()

    def test_what_the_list_api_gives_can_be_checked_but_not_mistaken_for_a_peer(
        self, run: Any, project: Project, tmp_path: Path
    ) -> None:
        path = tmp_path / "page.json"
        path.write_text(json.dumps({"results": [interaction(id="1"), interaction(id="2")], "next": None}))
        assert run(path, "--project", "acme")[0] == 0
        with pytest.raises(ValidationError, match="looks like reviewhub, not opik"):
            run(path, "--project", "acme", "--format", "opik")


TRACES = 2_000


def _observations(path: Path) -> Path:
    """Traces whose spans lie far apart, each with a vote and a judge's score."""
    trace = {"name": "chat", "timestamp": "2026-05-04 10:00:00", "bookmarked": False, "output": "Answer"}
    call = {"type": "GENERATION", "start_time": "2026-05-04 10:00:00", "end_time": "2026-05-04 10:00:01", "input": "Q?"}
    score = {"timestamp": "2026-05-04 10:05:00", "data_type": "BOOLEAN", "value": 0, "source": "API"}
    judged = {"timestamp": "2026-05-04 10:06:00", "data_type": "NUMERIC", "value": 0.5, "source": "EVAL"}
    with path.open("w") as file:
        for row in (call, trace, {**score, "name": "user-feedback"}, {**judged, "name": "tone"}):
            for number in range(TRACES):
                own = {"id": f"{row.get('name', 'call')}-{number}", "trace_id": f"t-{number}"}
                own = {"id": f"t-{number}"} if row is trace else own
                file.write(json.dumps({**row, **own}) + "\n")
    return path


def _state(project: Project) -> list[Any]:
    """All that an import stores, without what tells when and in which order it was stored."""
    mine, facts = {"project": project}, {"interaction__project": project}
    return [
        sorted(Interaction.objects.filter(**mine).values_list("external_id", "fingerprint", "created_at")),
        sorted(Span.objects.filter(**facts).values_list("interaction__external_id", "external_id", "kind")),
        sorted(
            (*row, ended is None)
            for *row, ended in Feedback.objects.filter(**mine).values_list(
                "key", "interaction__external_id", "kind", "number", "created_at", "superseded_at"
            )
        ),
        sorted(Score.objects.filter(**mine).values_list("key", "interaction__external_id", "value", "created_at")),
        sorted(Inbox.objects.filter(project_id=project.pk).values_list("stage", "kind")),
    ]


@pytest.mark.django_db(transaction=True)
def test_a_killed_import_and_a_second_one_store_what_one_undisturbed_import_stores(tmp_path: Path) -> None:
    killed, calm = ProjectFactory(slug="killed"), ProjectFactory(slug="calm")
    path = _observations(tmp_path / "export.jsonl")
    name = connection.settings_dict["NAME"]
    url = urlsplit(settings.DATABASE_URL)._replace(path=f"/{name}").geturl()
    words = [sys.executable, "-m", "reviewhub.cli", "import", str(path), "--format", "langfuse", "--project", "killed"]
    environment = {**os.environ, "DATABASE_URL": url, "PYTHONPATH": f"{ROOT}:{ROOT / 'client'}"}
    process = subprocess.Popen(words, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while not Interaction.objects.filter(project=killed).exists():
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert 0 < Interaction.objects.filter(project=killed).count() < TRACES, "it was to be killed in the middle"

    second = importers.run(path, format="langfuse", project=killed)
    assert second.interactions_known > 0
    assert second.interactions + second.interactions_known == TRACES
    importers.run(path, format="langfuse", project=calm)
    assert _state(killed) == _state(calm)
    assert len(_state(calm)[2]) == len(_state(calm)[3]) == TRACES
