"""Spans come in many requests, in any order, before or after their root, and days apart: the end is the same."""

from __future__ import annotations

import itertools
import json
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from feedback.models import Feedback, Inbox, Interaction, Score, TelemetryChunk, TelemetryTrace
from feedback.telemetry import assemble, assembly
from feedback.telemetry.assembly import BROKEN, assemble_waiting
from feedback.telemetry.intake import record_spans
from feedback.telemetry.wire import Event, WireSpan
from projects.models import Project
from tests.feedback.test_telemetry_assembly import CURRENT, START, TRACE, agent, span

NOW = timedelta(0)


def settle() -> None:
    """All that has come has paused, though not for long."""
    while assemble_waiting(pause=NOW):
        pass


def state(project: Project) -> dict[str, Any]:
    interaction = Interaction.objects.get(project=project)
    fields = (
        "output",
        "messages",
        "model",
        "input_tokens",
        "latency_ms",
        "documents",
        "tags",
        "created_at",
        "metadata",
    )
    result = {name: getattr(interaction, name) for name in fields}
    result["spans"] = list(
        interaction.spans.order_by("external_id").values_list("external_id", "kind", "input", "output")
    )
    return result


def test_a_trace_in_one_request_becomes_an_interaction_with_its_spans(project: Project) -> None:
    record_spans(project, agent())
    settle()
    interaction = Interaction.objects.get(project=project)
    assert (interaction.external_id, interaction.output, interaction.model) == (TRACE, "The fee is 4.90.", "large")
    assert (interaction.input_tokens, interaction.output_tokens) == (110, 20)
    assert interaction.spans.count() == 5
    assert set(Inbox.objects.filter(object_id=interaction.pk).values_list("stage", flat=True)) == {
        "analyse", "triage", "measure",
    }  # fmt: skip


def test_every_order_of_single_spans_ends_in_the_same_state(project: Project) -> None:
    record_spans(project, agent())
    settle()
    expected = state(project)
    for order in itertools.permutations(agent()):
        TelemetryTrace.objects.all().delete()
        Interaction.objects.all().delete()
        for one in order:
            record_spans(project, [one])
            settle()
        assert state(project) == expected


def test_sending_everything_again_changes_nothing(project: Project) -> None:
    record_spans(project, agent())
    settle()
    before = state(project)
    pk = Interaction.objects.get().pk
    Inbox.objects.all().delete()
    record_spans(project, agent())
    settle()
    assert state(project) == before
    assert Interaction.objects.get().pk == pk
    assert not Inbox.objects.exists()


def test_a_late_span_makes_the_interaction_again_and_detectors_and_triage_look_again(project: Project) -> None:
    record_spans(project, agent()[:-1])
    settle()
    Inbox.objects.all().delete()
    record_spans(project, agent()[-1:])
    settle()
    assert Interaction.objects.get().model == "large"
    assert sorted(Inbox.objects.values_list("stage", flat=True)) == ["analyse", "triage"]


def test_without_a_root_nothing_happens_until_the_trace_has_been_quiet(project: Project) -> None:
    record_spans(project, [span(2, 1, attributes=CURRENT)])
    settle()
    assert not Interaction.objects.exists()
    TelemetryTrace.objects.update(touched_at=Now() - timedelta(seconds=61))
    settle()
    assert Interaction.objects.get().output == "Nothing."


def test_of_two_versions_of_a_span_the_one_that_ended_later_stays_in_either_order(project: Project) -> None:
    early, late = span(1, attributes=CURRENT, ms=10), span(1, attributes=CURRENT, ms=20)
    for order in ((early, late), (late, early)):
        TelemetryTrace.objects.all().delete()
        Interaction.objects.all().delete()
        for one in order:
            record_spans(project, [one])
        settle()
        assert Interaction.objects.get().latency_ms == 20


def test_an_interaction_sent_by_rest_is_not_overwritten_by_a_trace_of_its_name(project: Project, sk: Any) -> None:
    from feedback import services

    services.record_interaction(project, {"id": TRACE, "input": "a", "output": "by REST"})
    record_spans(project, [span(1, attributes=CURRENT)])
    settle()
    assert Interaction.objects.get().output == "by REST"
    assert "another road" in TelemetryTrace.objects.get().problem


def test_verdicts_become_scores_and_peoples_annotations_feedback(project: Project) -> None:
    judged: WireSpan = span(
        1,
        attributes=CURRENT
        | {
            "annotations.0.annotation.name": "user",
            "annotations.0.annotation.label": "thumbs-down",
            "annotations.0.annotation.explanation": "wrong fee",
            "annotations.0.annotation.annotator_kind": "HUMAN",
        },
        events=[
            Event(
                "gen_ai.evaluation.result",
                START,
                {"gen_ai.evaluation.name": "faithful", "gen_ai.evaluation.score.value": 0.3},
            )
        ],
    )
    for _ in range(2):
        record_spans(project, [judged])
        settle()
    score = Score.objects.get()
    assert (score.name, score.value, score.source, score.interaction_id) == (
        "faithful",
        0.3,
        "otlp",
        Interaction.objects.get().pk,
    )
    vote = Feedback.objects.get()
    assert (vote.kind, vote.number, vote.comment, vote.source) == ("thumbs", -1, "wrong fee", "otlp")


def test_what_is_too_long_is_cut_and_says_so(project: Project) -> None:
    long = CURRENT | {"gen_ai.output.messages": None, "output.value": "x" * 200_000, "gen_ai.response.model": "m" * 500}
    record_spans(project, [span(1, attributes=long, name="n" * 1000)])
    settle()
    interaction = Interaction.objects.get()
    assert interaction.output.endswith("… [cut]")
    assert len(interaction.output) == 100_000
    assert TelemetryTrace.objects.get().problem == ""


def test_a_trace_of_a_thousand_spans_is_one_interaction(project: Project) -> None:
    many = [span(1, attributes=CURRENT), *(span(n, 1, start=n, attributes={"i": n}) for n in range(2, 1001))]
    record_spans(project, many)
    settle()
    assert Interaction.objects.get().spans.count() == 1000


@pytest.mark.parametrize("key", ["__proto__", "project_id", "is_public", "a.b.c" * 30])
def test_hostile_attribute_keys_are_stored_as_data(key: str, project: Project) -> None:
    record_spans(project, [span(1, attributes=CURRENT | {key: "x"})])
    settle()
    assert Interaction.objects.get().spans.get().attributes[key] == "x"


def test_personal_data_is_masked_before_a_span_is_stored(project: Project) -> None:
    project.masking = ["email", "card"]
    project.save()
    asked = json.dumps(
        [{"role": "user", "parts": [{"type": "text", "content": "I am ann@example.com, card 4111 1111 1111 1111"}]}]
    )
    called = '{"card": 4111111111111111, "to": "ann@example.com"}'
    record_spans(
        project,
        [
            span(1, attributes=CURRENT | {"gen_ai.input.messages": asked, "user.id": "ann@example.com"}),
            span(2, 1, name="mail bob@example.com", attributes={"gen_ai.operation.name": "execute_tool",
                                                               "gen_ai.tool.call.arguments": called}),
        ],
    )  # fmt: skip
    (body,) = TelemetryChunk.objects.values_list("body", flat=True)
    assert body.count("@example.com") == 1, "only the user's id, which identifies"
    settle()
    interaction = Interaction.objects.get()
    assert interaction.messages[-1]["content"] == "I am [email], card [card]"
    assert interaction.end_user_id == "ann@example.com"
    assert interaction.masked == {"email": 3, "card": 1}
    tool = interaction.spans.get(kind="tool")
    assert (tool.name, tool.input["to"]) == ("mail [email]", "[email]")


def test_one_trace_that_cannot_be_read_does_not_hold_up_the_others(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = assemble.interaction

    def stumble(spans: list[WireSpan], *, quiet: bool) -> Any:
        if spans[0].trace_id == TRACE:
            raise KeyError("nobody thought of this")
        return real(spans, quiet=quiet)

    monkeypatch.setattr(assemble, "interaction", stumble)
    other = span(1, attributes=CURRENT)
    other.trace_id = "1" * 32
    record_spans(project, [span(1, attributes=CURRENT), other])
    settle()
    assert Interaction.objects.get().external_id == "1" * 32
    assert TelemetryTrace.objects.get(trace_id=TRACE).problem == BROKEN


def test_traces_beyond_one_transactions_spans_follow_in_the_next(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assembly, "BATCH_SPANS", 2)
    for number in range(5):
        one = span(1, attributes=CURRENT)
        one.trace_id = f"{number + 1:032x}"
        record_spans(project, [one])
    assert assemble_waiting(pause=NOW)
    assert Interaction.objects.count() == 2
    settle()
    assert Interaction.objects.count() == 5
