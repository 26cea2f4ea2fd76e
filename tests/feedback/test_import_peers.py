"""Exports of peers: what becomes of their traces, spans, scores and annotations."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from feedback import importers
from feedback.importers import ImportReport
from feedback.models import Feedback, Interaction, Score
from projects.models import Project

pytestmark = pytest.mark.django_db
EXPORTS = Path(__file__).parent / "imports"
PEERS = {
    "langfuse": ["langfuse_legacy.jsonl", "langfuse_enriched.jsonl", "langfuse_page.csv", "langfuse_api.json"],
    "langsmith": ["langsmith.jsonl"],
    "phoenix": ["phoenix_frame.jsonl", "phoenix_annotations.jsonl"],
    "opik": ["opik_trace.json"],
    "openinference": ["openinference_sdk.json", "openinference_otlp.jsonl"],
}


def load(project: Project, peer: str, *files: str) -> ImportReport:
    return importers.run([EXPORTS / file for file in files or PEERS[peer]], format=peer, project=project)


def counts(report: ImportReport) -> tuple[int, int, int, int]:
    return report.interactions, report.feedback, report.scores, report.rejected


def shape(interaction: Interaction) -> list[tuple[str, str, str]]:
    """The spans as (id, parent, kind), in order of time."""
    return list(interaction.spans.order_by("started_at", "id").values_list("external_id", "parent_external_id", "kind"))


@pytest.mark.parametrize(
    ("peer", "expected"),
    [("langfuse", (5, 4, 3, 1)), ("langsmith", (2, 3, 1, 0)), ("phoenix", (1, 2, 1, 1)), ("opik", (1, 2, 2, 0)),
     ("openinference", (3, 0, 1, 0))],
)  # fmt: skip
def test_every_peer_is_read_whole_and_a_second_time_adds_nothing(
    project: Project, peer: str, expected: tuple[int, int, int, int]
) -> None:
    assert counts(load(project, peer)) == expected
    again = load(project, peer)
    assert counts(again) == (0, 0, 0, expected[3])
    assert (again.interactions_known, again.feedback_known, again.scores_known) == expected[:3]
    assert not Feedback.objects.filter(interaction=None).exists()
    assert not Score.objects.filter(interaction=None).exists()


class TestLangfuse:
    def test_a_trace_and_its_observations_become_one_interaction(self, project: Project) -> None:
        load(project, "langfuse")
        row = Interaction.objects.get(external_id="lf-trace-1")
        assert row.messages == [
            {"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is the transfer fee?"},
        ]  # fmt: skip
        assert row.output == "It is 4.90."
        assert row.created_at == datetime(2026, 5, 4, 10, tzinfo=UTC)
        assert (row.session_id, row.end_user_id, row.feature) == ("s-1", "u-7", "billing-faq")
        assert (row.environment, row.release, row.tags) == ("production", "2026.5", ["vip"])
        assert (row.model, row.parameters) == ("gpt-4o", {"temperature": 0.2})
        assert (row.prompt_name, row.prompt_version) == ("support", "14")
        assert (row.input_tokens, row.cached_input_tokens, row.output_tokens) == (120, 20, 30)
        assert float(row.cost_usd or 0) == 0.003
        assert (row.latency_ms, row.time_to_first_token_ms) == (2100, 1000)
        assert row.metadata == {"shop": "Leeds", "version": "v3", "bookmarked": True, "imported_from": "langfuse"}
        assert row.documents[0]["id"] == "kb-12"
        assert shape(row) == [
            ("obs-agent", "", "agent"), ("obs-find", "obs-agent", "retriever"), ("obs-gen", "obs-agent", "llm"),
        ]  # fmt: skip

    def test_a_users_vote_is_a_thumb_a_judges_number_a_score_a_persons_word_a_category(self, project: Project) -> None:
        load(project, "langfuse", "langfuse_legacy.jsonl")
        said = {row.kind: row for row in Feedback.objects.all()}
        assert set(said) == {"thumbs", "category", "correction"}
        assert (said["thumbs"].number, said["thumbs"].comment) == (-1, "The fee is wrong")
        assert said["thumbs"].created_at == datetime(2026, 5, 4, 10, 5, tzinfo=UTC)
        assert (said["category"].label, said["category"].end_user_id) == ("tone: too formal", "ann@example.com")
        assert said["category"].metadata["queue_id"] == "q-1"
        assert said["correction"].correction == "It is 3.90."
        score = Score.objects.get()
        assert (score.name, score.value, score.explanation) == ("faithfulness", 0.25, "Not in the documents")
        assert score.source == "import"
        assert score.detail["span_id"] == "obs-gen"

    def test_a_score_of_a_session_is_refused_with_its_line(self, project: Project) -> None:
        report = load(project, "langfuse", "langfuse_legacy.jsonl")
        assert report.rejected == 1
        assert report.errors[0].startswith("line 7: ")
        assert "about no trace" in report.errors[0]

    def test_enriched_observations_carry_their_trace_and_a_cost_of_nothing_is_unknown(self, project: Project) -> None:
        load(project, "langfuse", "langfuse_enriched.jsonl")
        row = Interaction.objects.get()
        assert (row.external_id, row.feature, row.end_user_id) == ("lf-trace-2", "chat-turn", "u-8")
        assert (row.status, row.error_message) == ("error", "rate limited")
        assert row.cost_usd != 0

    def test_a_table_exported_as_csv_keeps_line_breaks_tokens_and_columns_of_scores(self, project: Project) -> None:
        load(project, "langfuse", "langfuse_page.csv")
        row = Interaction.objects.get(external_id="lf-trace-3")
        assert row.question == 'How do I "close" it?'
        assert row.output == "Open Settings,\nthen press Close."
        assert (row.input_tokens, row.output_tokens, row.latency_ms) == (40, 12, 1250)
        assert row.tags == ["a", "b"]
        assert set(Score.objects.values_list("name", "value", "label")) == {
            ("answerRelevance", 0.9, ""), ("mood", None, "calm"),
        }  # fmt: skip
        other = Interaction.objects.get(external_id="lf-trace-4")
        assert (other.question, other.output) == ("And then?", "Wait.")

    def test_parts_of_a_trace_may_lie_in_any_files_in_any_order(self, project: Project, tmp_path: Path) -> None:
        lines = (EXPORTS / "langfuse_legacy.jsonl").read_text().splitlines()
        for number, line in enumerate(reversed(lines)):
            (tmp_path / f"{number}.jsonl").write_text(line)
        importers.run(tmp_path, format="langfuse", project=project)
        again = load(project, "langfuse", "langfuse_legacy.jsonl")
        assert (again.interactions, again.interactions_known, again.feedback_known, again.scores_known) == (0, 1, 3, 1)


class TestLangsmith:
    ROOT = "6a000000-0000-4000-8000-000000000001"

    def test_a_run_and_its_children_become_one_interaction(self, project: Project) -> None:
        load(project, "langsmith")
        row = Interaction.objects.get(external_id=self.ROOT)
        assert [message["content"] for message in row.messages] == ["Use the documents.", "When does the shop open?"]
        assert (row.output, row.model, row.provider) == ("At nine.", "gpt-4o-mini", "openai")
        assert (row.session_id, row.end_user_id, row.release, row.tags) == ("thread-1", "u-5", "rev-9", ["web"])
        assert (row.input_tokens, row.output_tokens, row.latency_ms) == (50, 5, 3000)
        assert row.documents[0]["content"] == "Open from 9 to 18."
        assert [kind for _, _, kind in shape(row)] == ["chain", "retriever", "llm"]
        assert row.spans.get(external_id=self.ROOT).input == {"question": "When does the shop open?", "k": 3}

    def test_an_error_keeps_its_type(self, project: Project) -> None:
        load(project, "langsmith")
        row = Interaction.objects.get(status="error")
        assert row.error_type == "RateLimitError"
        assert row.question == "And on Sunday?"

    def test_feedback_keeps_author_time_scale_and_run(self, project: Project) -> None:
        load(project, "langsmith")
        said = {row.kind: row for row in Feedback.objects.all()}
        assert (said["thumbs"].number, said["thumbs"].end_user_id, said["thumbs"].comment) == (1, "u-5", "Helpful")
        assert (said["rating"].number, said["rating"].scale, said["rating"].end_user_id) == (4, 5, "rev-1")
        assert said["correction"].correction == "At nine, on Sundays at ten."
        assert said["correction"].metadata["author"] == "Rea"
        score = Score.objects.get()
        assert (score.name, score.value, score.interaction.external_id) == ("groundedness", 0.75, self.ROOT)
        assert score.detail["span_id"].endswith("0003")
        assert score.created_at == datetime(2026, 6, 1, 12, 11, tzinfo=UTC)


class TestPhoenix:
    TRACE = "0af7651916cd43dd8448eb211c80319c"

    def test_a_data_frame_with_its_gaps_becomes_an_interaction(self, project: Project) -> None:
        load(project, "phoenix")
        row = Interaction.objects.get(external_id=self.TRACE)
        assert (row.question, row.output, row.model) == ("How long is the warranty?", "Two years.", "gpt-4o")
        assert (row.session_id, row.end_user_id, row.tags) == ("s-77", "u-77", ["beta"])
        assert (row.input_tokens, row.output_tokens, row.parameters) == (70, None, {"temperature": 0.3})
        assert row.metadata["shop"] == "Hull"
        assert row.created_at == datetime(2026, 6, 21, tzinfo=UTC)

    def test_annotations_find_the_trace_of_their_span(self, project: Project) -> None:
        load(project, "phoenix")
        assert (score := Score.objects.get()).label == "incorrect"
        assert score.interaction.external_id == self.TRACE
        assert set(Feedback.objects.values_list("kind", "number", "comment", "end_user_id")) == {
            ("thumbs", -1, "Wrong", "user-77"), ("comment", None, "Ask legal", "VXNlcjox"),
        }  # fmt: skip

    def test_annotations_imported_later_find_the_span_in_the_project(self, project: Project) -> None:
        load(project, "phoenix", "phoenix_frame.jsonl")
        later = load(project, "phoenix", "phoenix_annotations.jsonl")
        assert counts(later) == (0, 2, 1, 1)
        assert later.errors == ["line 4: There is no span ffff000000000000, here or in the project."]


class TestOpik:
    def test_an_exported_trace_keeps_every_authors_score_and_comment(self, project: Project) -> None:
        load(project, "opik")
        row = Interaction.objects.get()
        assert (row.question, row.output, row.session_id) == ("Which platform?", "Platform 4.", "th-1")
        assert (row.end_user_id, row.environment, row.input_tokens) == ("u-3", "production", 30)
        assert [kind for _, _, kind in shape(row)] == ["chain", "llm"]
        assert set(Score.objects.values_list("name", "value", "detail__author")) == {
            ("hallucination", 0, "judge-a"), ("hallucination", 1, "judge-b"),
        }  # fmt: skip
        assert set(Feedback.objects.values_list("kind", "number", "comment", "end_user_id")) == {
            ("thumbs", -1, "It was platform 5", "ada@example.com"),
            ("comment", None, "Platforms changed that day", "ada@example.com"),
        }


class TestOpenInference:
    def test_printed_spans_and_otlp_requests_are_read(self, project: Project) -> None:
        load(project, "openinference")
        first, second, third = Interaction.objects.order_by("-created_at")[::-1][0:3]
        said: dict[str, Any] = {row.question: row for row in (first, second, third)}
        assert said["What is the capital of Peru?"].output == "Lima."
        assert float(said["What is the capital of Peru?"].cost_usd) == 0.00025
        assert said['And of Chile? { [ " \\ '].error_type == "TimeoutError"
        assert said["Deepest lake?"].session_id == "s-9"
        assert Score.objects.get().name == "conciseness"


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("wrong", [*PEERS, "reviewhub"])
def test_a_wrong_format_is_named_before_anything_is_stored(project: Project, peer: str, wrong: str) -> None:
    if wrong == peer:
        return
    for file in PEERS[peer]:
        with pytest.raises(ValidationError, match=f"This looks like {peer}, not {wrong}"):
            load(project, wrong, file)
    assert not Interaction.objects.exists()
