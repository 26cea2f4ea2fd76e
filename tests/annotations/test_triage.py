"""New facts become tasks, with reasons, score, deadline and how they were drawn."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from annotations import sampling, triage
from annotations.models import Task, TriageRule
from feedback import services
from feedback.models import Inbox
from projects.models import Project
from tests.annotations.flow import complaint, interaction, routed, thumbs_down
from tests.conftest import Api


def the_task(project: Project) -> Task:
    return Task.objects.get(project=project, state="open")


def flag(project: Project, external_id: str, name: str = "refusal", source: str = "detector") -> None:
    item = {"interaction_id": external_id, "name": name, "value": 0.92, "flagged": True, "label": "refuses"}
    services.record_score(project, item, source=source)


def test_a_thumbs_down_becomes_a_task_that_says_why(project: Project) -> None:
    task = complaint(project, "i-1")
    assert (task.queue.slug, task.lane, task.needed) == ("negative-feedback", "risk", 1)
    assert [(reason["text"], reason["quote"]) for reason in task.reasons] == [("Thumbs-down", "wrong fee")]
    assert (task.reasons[0]["rule"], task.reasons[0]["rule_version"]) == ("negative-feedback", 1)
    assert task.score == sum(term["points"] for term in task.terms) > 0
    queue = task.queue
    hours = queue.sla_max_hours - (queue.sla_max_hours - queue.sla_min_hours) * task.score / 100
    assert task.due_at - task.enqueued_at == timedelta(hours=hours)
    assert not Inbox.objects.filter(stage="triage").exists()


def test_nothing_wrong_makes_no_task(project: Project) -> None:
    interaction(project, "i-0")
    services.record_feedback(project, {"interaction_id": "i-0", "kind": "thumbs", "value": "up"})
    TriageRule.objects.filter(slug="random-sample").update(enabled=False)
    assert routed(project) == []


def test_the_random_rule_draws_its_share_with_its_probability_and_always_the_same(project: Project) -> None:
    TriageRule.objects.filter(project=project, slug="random-sample").update(rate=0.3)
    for number in range(200):
        interaction(project, f"r-{number}")
    tasks = routed(project)
    drawn = {task.interaction.external_id for task in tasks}
    rule = TriageRule.objects.get(project=project, slug="random-sample")
    assert 35 <= len(drawn) <= 85
    assert {(task.queue.slug, task.lane, task.sampled, round(task.inclusion_p or 0, 9)) for task in tasks} == {
        ("random-sample", "random", True, 0.3)
    }
    expected = {f"r-{n}" for n in range(200) if sampling.drawn(tasks[0].seed, f"r-{n}", rule.rate)}
    assert drawn == expected


def test_a_sampled_item_that_is_complained_about_moves_and_still_counts(project: Project) -> None:
    TriageRule.objects.filter(project=project, slug="random-sample").update(rate=1.0)
    interaction(project, "i-1")
    routed(project)
    before = the_task(project)
    thumbs_down(project, "i-1")
    routed(project)
    task = the_task(project)
    assert task.pk == before.pk
    assert task.queue.slug == "negative-feedback"
    assert (task.sampled, task.inclusion_p) == (True, 1.0)
    assert task.due_at < before.due_at
    assert {reason["kind"] for reason in task.reasons} == {"negative_feedback", "random"}


def test_several_signals_are_one_task_with_all_reasons_heaviest_first(project: Project) -> None:
    interaction(project, "i-1", status="error", error={"type": "timeout", "message": "after 30 s"})
    flag(project, "i-1")
    thumbs_down(project, "i-1")
    [task] = routed(project)
    assert {reason["kind"] for reason in task.reasons} == {"negative_feedback", "error", "flagged_score"}
    points = [reason["points"] for reason in task.reasons]
    assert points == sorted(points, reverse=True)
    assert task.reasons[0]["kind"] == "negative_feedback"
    assert task.queue.slug == "negative-feedback"


def test_a_later_signal_brings_an_open_task_forward(project: Project) -> None:
    interaction(project, "i-1")
    flag(project, "i-1")
    [before] = routed(project)
    assert before.queue.slug == "flagged"
    thumbs_down(project, "i-1")
    [after] = routed(project)
    assert (after.pk, after.queue.slug) == (before.pk, "negative-feedback")
    assert after.due_at < before.due_at
    assert after.score > before.score


def test_a_late_signal_over_http_moves_a_waiting_task_up_at_once(project: Project, sk: Api) -> None:
    for name in ("i-1", "i-2"):
        interaction(project, name)
        flag(project, name)
    first, second = routed(project)
    late = second.interaction.external_id
    body = {"interaction_id": late, "kind": "report", "value": "harmful", "comment": "This is dangerous."}
    assert sk.post("/api/v1/feedback", body)[0] == 201
    before = second.due_at
    second, other = routed(project)
    assert (second.interaction.external_id, other.pk) == (late, first.pk)
    assert second.due_at < before


def test_a_vote_taken_back_takes_its_task_away_unless_somebody_has_it(project: Project) -> None:
    task = complaint(project, "i-1")
    services.record_feedback(project, {"interaction_id": "i-1", "kind": "thumbs", "value": None})
    assert routed(project) == []
    task.refresh_from_db()
    assert task.state == "dropped"


def test_feedback_that_nobody_vouches_for_is_told_but_adds_nothing(project: Project) -> None:
    interaction(project, "i-1")
    item = {"interaction_id": "i-1", "kind": "thumbs", "value": "down"}
    services.record_feedback(project, item, source="browser", verified=False)
    [task] = routed(project)
    assert task.score == 0
    assert task.reasons[0]["text"] == "Thumbs-down, not verified"


def test_feedback_before_its_interaction_is_routed_when_the_interaction_arrives(project: Project) -> None:
    thumbs_down(project, "late")
    assert routed(project) == []
    interaction(project, "late")
    [task] = routed(project)
    assert task.queue.slug == "negative-feedback"


def test_the_same_facts_again_change_nothing(project: Project) -> None:
    task = complaint(project, "i-1")
    Inbox.objects.create(stage="triage", kind="interaction", project_id=project.pk, object_id=task.interaction_id)
    [again] = routed(project)
    assert (again.pk, again.due_at, again.reasons) == (task.pk, task.due_at, task.reasons)


def test_facts_of_other_projects_stay_apart(project: Project, other_project: Project) -> None:
    complaint(project, "same-id")
    complaint(other_project, "same-id")
    assert {task.queue.project_id for task in Task.objects.filter(project=other_project)} == {other_project.pk}


@pytest.mark.parametrize("many", [10, 20])
def test_routing_takes_the_same_number_of_queries_for_twice_as_many(
    many: int, project: Project, django_assert_max_num_queries: Any
) -> None:
    for number in range(many):
        interaction(project, f"q-{number}")
        thumbs_down(project, f"q-{number}")
        flag(project, f"q-{number}")
    with django_assert_max_num_queries(26):
        triage.run()
    assert Task.objects.filter(project=project).count() == many


def test_the_share_of_draws_is_the_rate_over_many_items() -> None:
    share = sum(sampling.drawn("seed", f"item-{n}", 0.02) for n in range(20_000)) / 20_000
    assert 0.017 < share < 0.023


def test_inclusion_probabilities_of_independent_draws_combine() -> None:
    assert sampling.inclusion_probability([0.5, 0.5]) == 0.75
    assert sampling.inclusion_probability([0.02]) == pytest.approx(0.02)
    assert sampling.inclusion_probability([]) == 0.0
