"""Spans as they came are forgotten some days after the last of them; what they said stays in the interaction."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from feedback import tasks
from feedback.models import Interaction, Score, TelemetryChunk, TelemetryTrace
from feedback.telemetry.intake import record_spans
from feedback.telemetry.retention import forget_spans
from feedback.telemetry.wire import Event, WireSpan
from projects.models import Project
from tests.feedback.test_telemetry_assembly import CURRENT, START, agent, span
from tests.feedback.test_telemetry_intake import settle, state


def pass_days(days: float) -> None:
    TelemetryTrace.objects.update(touched_at=Now() - timedelta(days=days))


def test_after_the_last_day_the_interaction_remains_and_the_spans_as_they_came_are_gone(project: Project) -> None:
    record_spans(project, agent())
    settle()
    before = state(project)
    pass_days(6.9)
    tasks.forget_spans()
    assert TelemetryChunk.objects.exists()
    pass_days(7.1)
    tasks.forget_spans()
    assert not TelemetryChunk.objects.exists()
    assert state(project) == before


def test_days_are_counted_from_the_last_span_not_the_first(project: Project) -> None:
    record_spans(project, agent()[:2])
    settle()
    pass_days(7.1)
    record_spans(project, agent()[2:])
    settle()
    assert not forget_spans(days=7)
    assert TelemetryChunk.objects.count() == 2


def test_what_waits_for_its_interaction_is_not_forgotten(project: Project) -> None:
    record_spans(project, agent())
    pass_days(30)
    forget_spans(days=7)
    settle()
    assert Interaction.objects.get().output == "The fee is 4.90."


def test_nothing_is_forgotten_where_the_operator_says_so(project: Project, settings: Any) -> None:
    settings.TELEMETRY_DAYS = 0
    record_spans(project, agent())
    settle()
    pass_days(3000)
    tasks.forget_spans()
    assert TelemetryChunk.objects.exists()


def late() -> list[WireSpan]:
    judged = Event(
        "gen_ai.evaluation.result", START, {"gen_ai.evaluation.name": "kind", "gen_ai.evaluation.score.value": 1}
    )
    return [
        span(7, 1, name="audit", attributes={"openinference.span.kind": "TOOL"}),
        span(8, 7, name="mail", attributes={"openinference.span.kind": "TOOL"}, events=[judged]),
    ]


@pytest.mark.parametrize("order", list(itertools.permutations(range(2))))
def test_spans_that_come_later_still_join_the_tree_in_any_order(order: tuple[int, ...], project: Project) -> None:
    record_spans(project, agent())
    settle()
    before = state(project)
    pass_days(8)
    forget_spans(days=7)
    for place in order:
        record_spans(project, [late()[place]])
        settle()
    after = state(project)
    assert [one[0] for one in after["spans"]] == [f"{n:016x}" for n in (1, 2, 3, 4, 5, 7, 8)]
    assert {name: value for name, value in after.items() if name != "spans"} == {
        name: value for name, value in before.items() if name != "spans"
    }
    assert Score.objects.get().interaction == Interaction.objects.get()
    assert not TelemetryChunk.objects.exists()


def test_a_trace_that_is_sent_again_after_it_was_forgotten_changes_nothing(project: Project) -> None:
    record_spans(project, agent())
    settle()
    before = state(project)
    pass_days(8)
    forget_spans(days=7)
    for one in agent():
        record_spans(project, [one])
        settle()
    assert state(project) == before


def test_a_trace_without_an_interaction_is_removed_as_a_whole(project: Project) -> None:
    record_spans(project, [span(1, attributes={"http.request.method": "GET"})])
    settle()
    pass_days(8)
    forget_spans(days=7)
    assert not TelemetryTrace.objects.exists()


def test_many_traces_are_forgotten_batch_by_batch(project: Project) -> None:
    for number in range(5):
        one = span(1, attributes=CURRENT)
        one.trace_id = f"{number + 1:032x}"
        record_spans(project, [one])
    settle()
    pass_days(8)
    assert forget_spans(days=7, batch=3)
    assert TelemetryChunk.objects.count() == 2
    assert not forget_spans(days=7, batch=3)
    assert Interaction.objects.count() == 5


def test_who_removes_an_interaction_removes_its_words_from_the_spans_too(project: Project) -> None:
    record_spans(project, agent())
    settle()
    Interaction.objects.get().delete()
    assert not TelemetryChunk.objects.exists()
