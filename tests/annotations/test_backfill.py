"""A rule applied to the past: counted before, in batches, exactly once, and honest about probabilities."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from annotations import backfill, labelling, rules, sampling, triage
from annotations.claims import claim_next
from annotations.models import Backfill, Task, TriageRule
from annotations.submission import parse_submission
from feedback.models import Interaction
from projects.errors import ApiError
from projects.models import AuditEntry, Project, User
from tests.annotations.flow import interaction, routed, thumbs_down, vote

VIP = {"field": "tags", "op": "has", "value": "vip"}


@pytest.fixture
def quiet(project: Project) -> Project:
    """A project in which no random rule draws until a test makes one."""
    TriageRule.objects.filter(project=project, slug="random-sample").update(enabled=False)
    return project


def made(project: Project, **fields: Any) -> TriageRule:
    body = {"name": "Important customers", "condition": VIP, "queue": "flagged", **fields}
    return rules.save(project=project, actor=None, rule=None, fields=body)


def arrive(project: Project, many: int, **more: Any) -> None:
    for number in range(many):
        interaction(project, f"b-{number}", tags=["vip"] if number % 2 else [], **more)
    triage.run()


def run(rule: TriageRule, since: datetime | None = None) -> Backfill:
    job = backfill.start(actor=None, rule=rule, since=since)
    while backfill.work(seconds=0):
        pass
    job.refresh_from_db()
    return job


def label(project: Project, user: User, task: Task) -> None:
    claim = claim_next(user=user, queue=task.queue)
    assert claim is not None
    assert claim.task_id == task.pk
    labelling.submit(user=user, token=claim.token, submission=parse_submission(project, vote("pass")))


def test_what_is_counted_is_what_is_made(quiet: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "BATCH", 7)
    arrive(quiet, 40)
    rule = made(quiet)
    assert backfill.count(rule, since=None) == backfill.BackfillCount(of=40, matched=20, would_make=20, exact=True)
    assert not Task.objects.filter(project=quiet).exists()
    job = run(rule)
    assert (job.state, job.seen, job.matched, job.made, job.total) == ("done", 40, 20, 20, 40)
    tasks = Task.objects.filter(project=quiet, state="open")
    assert {(task.queue.slug, task.rule_id, task.rule_version, task.certain) for task in tasks} == {
        ("flagged", rule.pk, 1, True)
    }
    assert tasks.count() == 20
    assert backfill.count(rule, since=None).would_make == 0


def test_running_it_again_makes_nothing_twice(quiet: Project) -> None:
    arrive(quiet, 10)
    rule = made(quiet)
    first, second = run(rule), run(rule)
    assert (first.made, second.made, second.matched) == (5, 0, 5)
    assert AuditEntry.objects.filter(project=quiet, action="rule.backfilled").count() == 2


def test_only_what_happened_since_then_is_looked_at(quiet: Project) -> None:
    interaction(quiet, "old", tags=["vip"], created_at="2026-01-01T00:00:00Z")
    interaction(quiet, "new", tags=["vip"])
    triage.run()
    rule = made(quiet)
    since = datetime.now(UTC) - timedelta(days=7)
    assert backfill.count(rule, since=since).of == 1
    assert run(rule, since).total == 1
    assert [task.interaction.external_id for task in Task.objects.filter(project=quiet)] == ["new"]


def test_beyond_ten_thousand_a_share_is_counted(quiet: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "COUNTED", 20)
    arrive(quiet, 90)
    found = backfill.count(made(quiet, condition={"all": []}), since=None)
    assert found == backfill.BackfillCount(of=90, matched=90, would_make=90, exact=False)


def test_what_has_been_looked_at_is_not_asked_for_again(quiet: Project, people: dict[str, User]) -> None:
    interaction(quiet, "i-1", tags=["vip"])
    thumbs_down(quiet, "i-1")
    [task] = routed(quiet)
    label(quiet, people["reviewer"], task)
    rule = made(quiet)
    assert backfill.count(rule, since=None).would_make == 0
    assert run(rule).made == 0
    assert Task.objects.filter(project=quiet).count() == 1


def test_a_sample_of_the_past_has_the_probability_of_an_arrival(quiet: Project) -> None:
    arrive(quiet, 120)
    rule = made(quiet, condition={"all": []}, queue="random-sample", sampling="random", rate=0.3)
    run(rule)
    drawn = {f"b-{n}" for n in range(120) if sampling.drawn(rule.slug, f"b-{n}", 0.3)}
    tasks = Task.objects.filter(project=quiet)
    assert {task.interaction.external_id for task in tasks} == drawn
    assert {(task.sampled, round(task.inclusion_p or 0, 9), task.lane) for task in tasks} == {(True, 0.3, "random")}


def test_every_sampled_item_ends_with_the_probability_of_being_drawn_by_some_rule(
    project: Project, people: dict[str, User]
) -> None:
    """Some were drawn on arrival, some by the backfill, some are labelled, some only complained about."""
    first = TriageRule.objects.get(project=project, slug="random-sample")
    rules.save(project=project, actor=None, rule=first, fields={"rate": 0.4})
    arrive(project, 100)
    early = {task.interaction.external_id for task in Task.objects.filter(project=project)}
    thumbs_down(project, "b-1")
    thumbs_down(project, "b-2")
    routed(project)
    complained = Task.objects.filter(project=project, queue__slug="negative-feedback").order_by("due_at", "id")
    for task in complained:
        label(project, people["reviewer"], task)
    rules.save(project=project, actor=None, rule=first, fields={"rate": 1.0})  # what it would draw now is beside it
    rule = made(project, condition={"all": []}, queue="flagged", sampling="random", rate=0.5)
    run(rule)
    late = {f"b-{n}" for n in range(100) if sampling.drawn(rule.slug, f"b-{n}", 0.5)}
    sampled = Task.objects.filter(project=project, sampled=True).select_related("interaction")
    assert {task.interaction.external_id for task in sampled} == early | late
    assert {round(task.inclusion_p or 0, 9) for task in sampled} == {1 - 0.6 * 0.5}
    for task in sampled:
        assert {draw["rule"]: draw["p"] for draw in task.draws} == {"random-sample": 0.4, rule.slug: 0.5}
    weights = sum(1 / (task.inclusion_p or 1) for task in sampled)
    assert 75 < weights < 125  # they stand for the hundred that there were


def test_a_rule_that_changes_ends_its_backfill(quiet: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "BATCH", 5)
    arrive(quiet, 20)
    rule = made(quiet)
    job = backfill.start(actor=None, rule=rule, since=None)
    assert backfill.work(seconds=0)
    rules.save(project=quiet, actor=None, rule=rule, fields={"name": "Other"})
    assert not backfill.work(seconds=0)
    job.refresh_from_db()
    assert (job.state, job.seen) == ("stopped", 5)
    assert "has changed" in job.reason


def test_it_can_be_stopped_and_only_one_runs_per_rule(quiet: Project, people: dict[str, User]) -> None:
    arrive(quiet, 4)
    rule = made(quiet)
    job = backfill.start(actor=people["lead"], rule=rule, since=None)
    with pytest.raises(ApiError) as refusal:
        backfill.start(actor=None, rule=rule, since=None)
    assert refusal.value.status_code == 409
    assert backfill.stop(actor=people["lead"], job=job).state == "stopped"
    assert not backfill.work(seconds=0)
    assert backfill.stop(actor=None, job=job).reason == "Stopped by hand."
    assert not Task.objects.filter(project=quiet).exists()
    assert backfill.start(actor=None, rule=rule, since=None).pk != job.pk


def test_what_arrives_meanwhile_meets_the_rule_by_itself(quiet: Project) -> None:
    arrive(quiet, 4)
    job = backfill.start(actor=None, rule=made(quiet), since=None)
    interaction(quiet, "later", tags=["vip"])
    while backfill.work(seconds=0):
        pass
    job.refresh_from_db()
    assert (job.seen, job.total) == (4, 4)
    assert "later" in {task.interaction.external_id for task in routed(quiet)}


def test_a_batch_that_always_fails_is_given_up_and_harms_no_other(
    quiet: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive(quiet, 4)
    broken, fine = made(quiet), made(quiet, name="All", condition={"all": []})
    whole = backfill._apply

    def fails(rule: TriageRule, *rest: Any) -> tuple[int, int]:
        if rule.pk == broken.pk:
            raise RuntimeError("broken")
        return whole(rule, *rest)

    monkeypatch.setattr(backfill, "_apply", fails)
    jobs = [backfill.start(actor=None, rule=rule, since=None) for rule in (broken, fine)]
    turns = 0
    while backfill.work(seconds=0):
        turns += 1
        assert turns < 30
    for job in jobs:
        job.refresh_from_db()
    assert [job.state for job in jobs] == ["failed", "done"]
    assert "failed 5 times" in jobs[0].reason


def test_a_worker_that_woke_up_late_changes_nothing(quiet: Project) -> None:
    arrive(quiet, 4)
    job = backfill.start(actor=None, rule=made(quiet), since=None)
    Backfill.objects.filter(pk=job.pk).update(fence=7)  # another worker has taken over
    assert backfill._batch(job) is False
    job.refresh_from_db()
    assert (job.state, job.seen) == ("running", 0)
    assert not Task.objects.filter(project=quiet).exists()


@pytest.mark.parametrize("change", [{"enabled": False}, {"action": "drop", "queue": None}])
def test_only_a_rule_that_puts_items_somewhere_has_a_past(quiet: Project, change: dict[str, Any]) -> None:
    rule = made(quiet, **change)
    for act in (lambda: backfill.count(rule, since=None), lambda: backfill.start(actor=None, rule=rule, since=None)):
        with pytest.raises(ApiError) as refusal:
            act()
        assert refusal.value.status_code == 422


def test_interactions_of_the_same_moment_are_each_looked_at_once(
    quiet: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "BATCH", 3)
    arrive(quiet, 10, created_at="2026-11-01T12:00:00Z")
    job = run(made(quiet, condition={"all": []}))
    assert (job.seen, job.made) == (10, Interaction.objects.filter(project=quiet).count())
