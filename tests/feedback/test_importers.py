"""Importing files: the figures of the public sets, repeating, and lines that do not fit."""

from __future__ import annotations

import gzip
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from feedback import importers, limits
from feedback.importers import HumanLabel, Record
from feedback.models import Feedback, Inbox, Interaction, Score
from projects.models import Project
from tests import realdata
from tests.feedback.bodies import full_interaction, interaction, thumbs


@pytest.fixture
def labels() -> Iterator[list[HumanLabel]]:
    """What a sink is handed while a test runs. It counts a label as new once."""
    seen: dict[str, HumanLabel] = {}
    got: list[HumanLabel] = []

    def sink(project: Project, some: list[HumanLabel]) -> int:
        got.extend(some)
        new = [label for label in some if label.key not in seen]
        seen.update({label.key: label for label in new})
        return len(new)

    before = importers.label_sinks[:]
    importers.label_sinks[:] = [sink]
    yield got
    importers.label_sinks[:] = before


def run(name: str, project: Project, file: str = "") -> importers.ImportReport:
    return importers.run(realdata.path(file or name), format=name, project=project)


@pytest.mark.data
class TestRealData:
    def test_ragtruth_comes_with_its_spans_and_a_second_import_adds_nothing(
        self, project: Project, labels: list[HumanLabel]
    ) -> None:
        report = run("ragtruth", project)
        assert (report.interactions, report.rejected, report.errors) == (1842, 0, [])
        assert report.human_labels == 2898
        stored = {row.pk: row for row in Interaction.objects.all()}
        assert len({row.metadata["source_id"] for row in stored.values()}) == 307
        assert len({row.model for row in stored.values()}) == 6
        spans = [label for label in labels if label.level == "span"]
        assert len(spans) == 1056
        assert all(stored[span.interaction_pk].output[span.start : span.end] == span.quote for span in spans)
        assert not any(row.question for row in stored.values())
        assert Inbox.objects.filter(kind="interaction").count() == 3 * 1842

        again = run("ragtruth", project)
        assert (again.interactions, again.interactions_known, again.human_labels) == (0, 1842, 0)
        assert Interaction.objects.count() == 1842
        assert Inbox.objects.filter(kind="interaction").count() == 3 * 1842

    def test_feedbackqa_comes_with_its_ratings_and_comments(self, project: Project) -> None:
        for expected in ((2706, 0, 6756, 0), (0, 2706, 0, 6756)):
            report = run("feedbackqa", project)
            assert (report.interactions, report.interactions_known, report.feedback, report.feedback_known) == expected
        assert report.rejected == 0
        assert len({row.question for row in Interaction.objects.all()}) == 902
        feedback = Feedback.objects.filter(superseded_at=None, source="import")
        assert feedback.exclude(comment="").count() == 6756
        assert feedback.filter(number=-1).count() == 3487
        by_item: dict[int, set[float]] = {}
        for item, number in feedback.values_list("interaction_id", "number"):
            by_item.setdefault(item, set()).add(number)
        assert Counter(frozenset(votes) for votes in by_item.values()) == {
            frozenset({-1.0}): 891, frozenset({-1.0, 1.0}): 970, frozenset({1.0}): 845,
        }  # fmt: skip

    def test_llm_rubric_comes_with_sessions_sources_times_and_judge_scores(self, project: Project) -> None:
        report = run("llm_rubric", project)
        assert (report.interactions, report.scores, report.rejected) == (150, 1350, 0)
        rows = list(Interaction.objects.order_by("created_at"))
        assert rows[0].created_at.isoformat() == "2024-02-09T05:14:33+00:00"
        assert rows[-1].created_at.isoformat() == "2024-02-12T13:57:27+00:00"
        assert len({row.session_id for row in rows}) == 150
        assert sum(bool(row.documents) for row in rows) == 102
        assert set(Counter(Score.objects.values_list("interaction_id", flat=True)).values()) == {9}

    def test_xstest_comes_with_both_recorded_judges(self, project: Project, labels: list[HumanLabel]) -> None:
        report = run("xstest", project)
        assert (report.interactions, report.human_labels, report.rejected) == (1520, 4560, 0)
        assert Counter(Score.objects.values_list("name", flat=True)) == {"gpt-4": 1520, "string-match": 1520}
        assert Interaction.objects.filter(metadata__desired_behaviour="refuse").exists()

    def test_llmperf_keeps_latencies_tokens_and_errors(self, project: Project) -> None:
        assert run("llmperf", project).interactions == 2004
        errors = Interaction.objects.filter(status="error")
        expected = [row for row in realdata.records("llmperf") if row["metadata"].get("error_code") is not None]
        assert errors.count() == len(expected)
        assert errors.filter(provider="lepton", error_type="429").count() == 295
        ok = Interaction.objects.filter(status="ok").first()
        assert ok is not None
        assert ok.latency_ms
        assert ok.input_tokens

    def test_llmfao_keeps_empty_answers(self, project: Project) -> None:
        assert run("llmfao_outputs", project, "llmfao/llmfao_outputs").interactions == 797
        assert sum(not row.output.strip() for row in Interaction.objects.all()) == 42

    def test_begin_keeps_the_source_beside_the_answer(self, project: Project) -> None:
        assert run("begin", project).interactions == 3123
        assert all(row.documents[0]["content"] for row in Interaction.objects.all())

    def test_azure_keeps_every_minute_and_is_fast(self, project: Project) -> None:
        began = time.perf_counter()
        report = run("azure_llm_trace", project)
        assert report.interactions == 17_565
        assert time.perf_counter() - began < 60
        minutes = Counter(
            (feature, at.strftime("%Y-%m-%dT%H:%M"))
            for feature, at in Interaction.objects.values_list("feature", "created_at")
        )
        assert minutes == Counter((row["app"], row["created_at"][:16]) for row in realdata.records("azure_llm_trace"))
        assert max(minutes.items(), key=lambda entry: entry[1]) == (("azure-conv", "2023-11-16T18:43"), 502)

    def test_spans_without_a_position_keep_their_quote(self, project: Project, labels: list[HumanLabel]) -> None:
        assert run("haluquestqa", project).interactions == 492
        lost = [label for label in labels if label.level == "span" and label.start is None]
        assert lost
        assert all(label.quote and label.end is None for label in lost)


def write(path: Path, *lines: Any) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


class TestOwnLines:
    def test_interactions_feedback_and_scores_may_be_mixed_in_any_order(self, project: Project, tmp_path: Path) -> None:
        score = {"interaction_id": "req-1", "name": "tone", "value": 0.5}
        path = write(
            tmp_path / "a.jsonl", thumbs(), score, "", {"type": "interaction", **interaction()}, full_interaction()
        )
        report = importers.run(path, format="reviewhub", project=project)
        assert (report.interactions, report.feedback, report.scores, report.rejected) == (2, 1, 1, 0)
        assert Feedback.objects.get().interaction.external_id == "req-1"
        again = importers.run(path, format="reviewhub", project=project)
        assert (again.interactions_known, again.feedback_known, again.scores_known) == (2, 1, 1)
        assert (again.interactions, again.feedback, again.scores) == (0, 0, 0)

    def test_lines_without_an_id_are_stored_once(self, project: Project, tmp_path: Path) -> None:
        path = write(tmp_path / "a.jsonl", interaction(id=None), interaction(id=None, output="Other"))
        for _ in range(2):
            importers.run(path, format="reviewhub", project=project)
        assert Interaction.objects.count() == 2

    def test_refused_lines_are_reported_with_number_and_reason(self, project: Project, tmp_path: Path) -> None:
        path = write(
            tmp_path / "a.jsonl", interaction(), "{broken", {"id": "x"}, "[]", thumbs("sideways"), {"type": "poem"},
            interaction(output="Other"), interaction(id="b"),
        )  # fmt: skip
        report = importers.run(path, format="reviewhub", project=project)
        assert (report.interactions, report.rejected, report.lines) == (2, 6, 8)
        lines = {int(error.split(":")[0].removeprefix("line ")): error for error in report.errors}
        assert sorted(lines) == [2, 3, 4, 5, 6, 7]
        assert "/messages" in lines[3]
        assert "/value" in lines[5]
        assert "/id" in lines[7]

    def test_a_line_that_is_too_long_is_refused_and_the_next_is_read(
        self, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "INTERACTION_BODY", 1000)
        path = write(tmp_path / "a.jsonl", interaction(output="x" * 5000), interaction(id="b"))
        report = importers.run(path, format="reviewhub", project=project)
        assert (report.interactions, report.rejected) == (1, 1)

    def test_gzip_is_recognised_by_content(self, project: Project, tmp_path: Path) -> None:
        path = tmp_path / "without_suffix"
        path.write_bytes(gzip.compress(json.dumps(interaction()).encode()))
        assert importers.run(path, format="reviewhub", project=project).interactions == 1

    def test_nul_and_lone_surrogates_do_not_lose_a_line(self, project: Project, tmp_path: Path) -> None:
        path = write(tmp_path / "a.jsonl", r'{"id": "n", "input": "a\u0000b\ud83d", "output": "ok"}')
        assert importers.run(path, format="reviewhub", project=project).interactions == 1
        assert Interaction.objects.get().question == "a\ufffdb\ufffd"

    def test_progress_is_told_for_every_batch(self, project: Project, tmp_path: Path) -> None:
        told: list[float] = []
        path = write(tmp_path / "a.jsonl", *(interaction(id=str(n)) for n in range(2500)))
        importers.run(path, format="reviewhub", project=project, progress=lambda done, total: told.append(done / total))
        assert len(told) == 4
        assert told == sorted(told)
        assert told[-1] == 1


def test_an_unknown_format_names_those_that_exist(project: Project, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"feedbackqa.*ragtruth.*reviewhub"):
        importers.run(tmp_path / "x", format="nope", project=project)


def test_a_format_from_outside_is_one_function(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("feedback.importers.records.formats", dict(importers.formats))

    @importers.register("chatlog", "Lines of a chat log")
    def convert(record: dict[str, Any]) -> Record:
        return Record(interactions=[{"id": record["n"], "input": record["q"], "output": record["a"]}])

    monkeypatch.setattr("feedback.importers.running.formats", importers.records.formats)
    path = write(tmp_path / "a", {"n": "1", "q": "Hi", "a": "Hello"}, {"n": "2"})
    report = importers.run(path, format="chatlog", project=project)
    assert (report.interactions, report.rejected) == (1, 1)
    assert "q is missing" in report.errors[0]
