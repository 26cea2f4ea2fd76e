"""What an overloaded queue lets in, with its probability; what it sheds can be found and comes back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from annotations import admission, sampling
from annotations.models import Label, Queue, Task, TriageRule
from feedback import services
from projects.errors import ApiError
from projects.models import Project
from tests.annotations.flow import complaint, interaction, routed, thumbs_down
from tests.annotations.test_triage import flag


def overloaded(project: Project, slug: str = "flagged", p: float = 0.3, **fields: Any) -> Queue:
    Queue.objects.filter(project=project, slug=slug).update(admission=True, admission_p=p, **fields)
    return Queue.objects.get(project=project, slug=slug)


def flags(project: Project, count: int) -> dict[str, Task]:
    """So many items that a machine flags, and their tasks."""
    TriageRule.objects.filter(project=project, slug="random-sample").update(enabled=False)
    for number in range(count):
        interaction(project, f"i-{number}")
        flag(project, f"i-{number}")
    routed(project)
    return {task.interaction.external_id: task for task in Task.objects.filter(project=project)}


def test_the_share_and_the_items_that_are_let_in_follow_from_their_numbers(project: Project) -> None:
    queue = overloaded(project)
    tasks = flags(project, 60)
    expected = {name for name in tasks if sampling.drawn(f"flagged:{queue.version}", name, 0.3)}
    assert {name for name, task in tasks.items() if task.state == "open"} == expected
    assert {(task.state, task.admission_p) for task in tasks.values()} == {("open", 0.3), ("shed", 0.3)}
    assert all((task.state == "shed") == (task.done_at is not None) for task in tasks.values())


def test_what_is_severe_is_always_let_in(project: Project) -> None:
    overloaded(project, p=0.01)
    interaction(project, "i", status="error", error={"type": "timeout", "message": "x"})
    flag(project, "i", name="pii_leak")
    flag(project, "i")
    TriageRule.objects.filter(slug="error").update(severity=1.0)
    Queue.objects.filter(slug="flagged").update(admission_below=30)
    [task] = routed(project)
    assert (task.state, task.admission_p) == ("open", None)


def test_what_a_rule_forces_is_always_let_in(project: Project) -> None:
    overloaded(project, p=0.01)
    TriageRule.objects.filter(slug="machine-flag").update(action="force")
    assert {task.state for task in flags(project, 5).values()} == {"open"}


def test_a_random_queue_lets_everything_in(project: Project) -> None:
    overloaded(project, "random-sample", p=0.01)
    TriageRule.objects.filter(slug="random-sample").update(rate=1.0)
    for number in range(5):
        interaction(project, f"i-{number}")
    assert {(task.state, task.inclusion_p) for task in routed(project)} == {("open", 1.0)}


def test_what_a_sample_has_drawn_is_not_thinned_wherever_it_stands(project: Project) -> None:
    overloaded(project, p=0.01)
    TriageRule.objects.filter(slug="random-sample").update(rate=1.0)
    for number in range(5):
        interaction(project, f"i-{number}")
        flag(project, f"i-{number}")
    tasks = routed(project)
    assert {(task.queue.slug, task.state, task.sampled, task.inclusion_p) for task in tasks} == {
        ("flagged", "open", True, 1.0)
    }


def test_draws_for_an_overloaded_queue_are_thinned_and_their_probability_says_so(project: Project) -> None:
    """A rule that draws half of the errors for a queue that lets in a third draws a sixth of them."""
    queue = overloaded(project, p=0.3)
    TriageRule.objects.filter(project=project).update(enabled=False)
    TriageRule.objects.create(
        project=project, queue=queue, slug="half", name="Half", sampling="random", rate=0.5,
        condition={"field": "status", "op": "is", "value": "error"},
    )  # fmt: skip
    names = [f"i-{number}" for number in range(120)]
    for name in names:
        interaction(project, name, status="error", error={"type": "timeout", "message": "x"})
    routed(project)
    found = {task.interaction.external_id: task for task in Task.objects.filter(project=project)}
    assert set(found) == {name for name in names if sampling.drawn("half", name, 0.5)}
    let_in = {name: task for name, task in found.items() if task.state == "open"}
    assert set(let_in) == {name for name in names if sampling.drawn("half", name, 0.5 * 0.3)}
    assert {round(task.inclusion_p or 0, 9) for task in let_in.values()} == {0.15}
    shed = [task for name, task in found.items() if name not in let_in]
    assert {(task.sampled, task.inclusion_p, task.admission_p) for task in shed} == {(False, None, 0.3)}
    assert {draw["admission_p"] for task in found.values() for draw in task.draws} == {0.3}


def test_a_complaint_brings_in_what_was_shed(project: Project) -> None:
    overloaded(project, p=0.01)
    overloaded(project, "negative-feedback", p=0.01)
    tasks = flags(project, 8)
    name = next(name for name, task in tasks.items() if task.state == "shed")
    thumbs_down(project, name)
    task = next(task for task in routed(project) if task.interaction.external_id == name)
    assert (task.queue.slug, task.state) == ("negative-feedback", "open")
    assert {"negative_feedback", "flagged_score"} <= {reason["kind"] for reason in task.reasons}


def test_a_machines_word_changes_nothing_about_what_was_shed(project: Project) -> None:
    overloaded(project, p=0.01)
    tasks = flags(project, 8)
    name = next(name for name, task in tasks.items() if task.state == "shed")
    flag(project, name, name="another")
    routed(project)
    assert [task.state for task in Task.objects.filter(interaction__external_id=name)] == ["shed"]


def test_a_shed_task_can_be_pulled_in_once(project: Project) -> None:
    overloaded(project, p=0.01)
    shed = next(task for task in flags(project, 8).values() if task.state == "shed")
    task = admission.pull_in(actor=None, task=shed)
    assert (task.state, task.done_at, task.sampled, task.admission_p) == ("open", None, False, 0.01)
    with pytest.raises(ApiError) as refused:
        admission.pull_in(actor=None, task=shed)
    assert (refused.value.status_code, refused.value.error_code) == (409, "not_shed")


def test_a_task_is_not_pulled_in_while_its_item_waits_elsewhere(project: Project) -> None:
    overloaded(project, p=0.01)
    tasks = flags(project, 8)
    name, shed = next((name, task) for name, task in tasks.items() if task.state == "shed")
    thumbs_down(project, name)
    routed(project)
    with pytest.raises(ApiError) as refused:
        admission.pull_in(actor=None, task=shed)
    assert refused.value.error_code == "waits_elsewhere"


def busy(project: Project, *, waiting: int, done: int, days: float = 7.0) -> Queue:
    """A queue in which so many wait and so many were done in the last days; all came in that time, evenly."""
    queue = Queue.objects.get(project=project, slug="flagged")
    interaction(project, "seed")
    first = complaint(project, "seed").interaction
    now, total = timezone.now(), waiting + done
    copies = []
    for number in range(total):
        services.record_interaction(project, {"id": f"b-{number}", "input": "x", "output": "y"})
    ids = list(type(first).objects.filter(external_id__startswith="b-").order_by("pk"))
    for number, item in enumerate(ids):
        copies.append(
            Task(
                project=project,
                queue=queue,
                interaction=item,
                lane="risk",
                due_at=now,
                score=10,
                enqueued_at=now - timedelta(days=days * (number + 0.5) / total),
                state="open" if number < waiting else "done",
                done_at=None if number < waiting else now,
            )
        )
    tasks = Task.objects.bulk_create(copies)
    Label.objects.bulk_create(
        Label(
            project=project, interaction=task.interaction, task=task, verdict="pass", settled_by="single",
            rubric_version=1, settled_at=now - timedelta(hours=1),
        )
        for task in tasks
        if task.state == "done"
    )  # fmt: skip
    return queue


def test_a_queue_that_falls_behind_is_measured_and_thinned(project: Project) -> None:
    queue = busy(project, waiting=60, done=35)
    Queue.objects.filter(pk=queue.pk).update(admission=True)
    assert admission.measure(project) == 1
    queue.refresh_from_db()
    assert queue.measured_per_day == pytest.approx(5, rel=0.05)
    assert queue.admission_p == pytest.approx(0.92 * 5 / (95 / 7), rel=0.05)
    assert queue.version == 1


def test_a_queue_without_admission_is_measured_and_never_thinned(project: Project) -> None:
    queue = busy(project, waiting=60, done=35)
    assert admission.measure(project) == 0
    queue.refresh_from_db()
    assert (queue.admission_p, round(queue.measured_per_day or 0)) == (1.0, 5)


def test_a_capacity_that_a_lead_has_set_counts_at_once(project: Project) -> None:
    queue = busy(project, waiting=5, done=0)
    Queue.objects.filter(pk=queue.pk).update(admission=True, capacity_per_day=0.5)
    admission.measure(project)
    queue.refresh_from_db()
    assert queue.admission_p == pytest.approx(0.92 * 0.5 / (5 / 7), rel=0.1)


def test_a_queue_that_nobody_has_begun_sheds_nothing(project: Project) -> None:
    queue = busy(project, waiting=40, done=0)
    Queue.objects.filter(pk=queue.pk).update(admission=True)
    assert admission.measure(project) == 0


@given(st.floats(0, 1e5), st.floats(0, 1e5), st.floats(0.1, 1e5))
def test_the_share_keeps_the_inflow_within_the_capacity(above: float, below: float, capacity: float) -> None:
    p = admission.share(above=above, below=below, capacity=capacity)
    assert admission.LEAST <= p <= 1
    if p > admission.LEAST:
        assert above + p * below <= max(admission.SPARE * capacity, above + 1e-6) * (1 + 1e-9)
    if above + below <= admission.SPARE * capacity:
        assert p == 1
