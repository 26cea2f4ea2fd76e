"""Rules: what is refused and why, every version kept, and trying them out before they act."""

from __future__ import annotations

from typing import Any

import pytest

from annotations import queue_settings, rules, sampling
from annotations.models import Queue, StratumRate, Task, TriageRevision, TriageRule
from projects.errors import ApiError
from projects.models import AuditEntry, Project, User
from tests.annotations.flow import interaction, routed, thumbs_down

VIP = {"field": "tags", "op": "has", "value": "vip"}
BOT = {"field": "user_id", "op": "starts_with", "value": "probe-"}


@pytest.fixture
def lead(people: dict[str, User]) -> User:
    return people["lead"]


def made(project: Project, actor: User | None = None, **fields: Any) -> TriageRule:
    body = {"name": "Important customers", "condition": VIP, "queue": "negative-feedback", **fields}
    return rules.save(project=project, actor=actor, rule=None, fields=body)


def faults(project: Project, rule: TriageRule | None = None, **fields: Any) -> dict[str, str]:
    with pytest.raises(ApiError) as refusal:
        rules.save(project=project, actor=None, rule=rule, fields=fields)
    assert refusal.value.status_code == 422
    return {fault["path"]: fault["message"] for fault in refusal.value.details}


def draft(**fields: Any) -> dict[str, Any]:
    return {"name": "R", "condition": VIP, "queue": "flagged", **fields}


def test_a_new_rule_is_read_last_and_its_first_version_is_kept(project: Project, lead: User) -> None:
    rule = made(project, lead, severity=0.5)
    assert (rule.slug, rule.version, rule.position) == ("important-customers", 1, 6)
    revision = TriageRevision.objects.get(rule=rule)
    assert (revision.version, revision.changed_by, revision.snapshot) == (1, lead, rules.snapshot(rule))
    entry = AuditEntry.objects.filter(project=project).latest("id")
    assert (entry.action, entry.target, entry.detail["changed"]["severity"]) == ("rule.created", rule.slug, 0.5)


def test_a_change_is_a_new_version_and_no_change_is_none(project: Project, lead: User) -> None:
    rule = made(project)
    assert rules.save(project=project, actor=lead, rule=rule, fields={"queue": "negative-feedback"}).version == 1
    changed = rules.save(project=project, actor=lead, rule=rule, fields={"queue": "flagged"})
    assert (changed.version, changed.condition, changed.queue and changed.queue.slug) == (2, VIP, "flagged")
    assert changed.changed_at > rule.changed_at
    said = dict(TriageRevision.objects.filter(rule=rule).values_list("version", "snapshot"))
    assert {version: was["queue"] for version, was in said.items()} == {1: "negative-feedback", 2: "flagged"}
    entry = AuditEntry.objects.filter(project=project).latest("id")
    assert entry.detail == {"version": 2, "changed": {"queue": "flagged"}}


def test_a_task_keeps_the_version_that_made_it(project: Project) -> None:
    rule = made(project)
    interaction(project, "i-1", tags=["vip"])
    [task] = routed(project)
    rules.save(project=project, actor=None, rule=rule, fields={"name": "Very important customers"})
    task.refresh_from_db()
    assert (task.rule, task.rule_version, task.reasons[0]["rule_version"]) == (rule, 1, 1)


def test_a_rule_that_keeps_items_out_is_read_first(project: Project) -> None:
    rule = made(project, name="Probes", condition=BOT, action="drop", queue=None)
    order = TriageRule.objects.filter(project=project).order_by("position")
    assert [row.slug for row in order][:2] == ["probes", "negative-feedback"]
    assert [row.position for row in order] == [1, 2, 3, 4, 5, 6]
    assert rule.position == 1


def test_moving_a_rule_is_its_version_and_nobody_elses(project: Project) -> None:
    rule = TriageRule.objects.get(project=project, slug="random-sample")
    moved = rules.move(actor=None, rule=rule, to=2)
    order = list(TriageRule.objects.filter(project=project).order_by("position").values_list("slug", "version"))
    assert order[:3] == [("negative-feedback", 1), ("random-sample", 2), ("machine-flag", 1)]
    assert moved.position == 2
    assert faults(project, rule, position=6) == {"/position": "A whole number from 1 to 5."}


def test_a_removed_rule_leaves_its_tasks_and_its_slug_never_comes_back(project: Project, lead: User) -> None:
    rule = made(project)
    interaction(project, "i-1", tags=["vip"])
    routed(project)
    rules.remove(actor=lead, rule=rule)
    task = Task.objects.get(project=project)
    assert (task.rule, task.rule_version, task.reasons[0]["rule"]) == (None, 1, "important-customers")
    assert made(project).slug == "important-customers-2"  # its draws would otherwise be taken for the old one's
    entry = AuditEntry.objects.get(project=project, action="rule.removed")
    assert (entry.actor, entry.detail["was"]["condition"]) == (lead, VIP)
    with pytest.raises(ApiError) as refusal:
        rules.save(project=project, actor=lead, rule=rule, fields={"name": "Back"})
    assert refusal.value.status_code == 404


def test_everything_that_is_wrong_is_said_at_once_with_its_place(project: Project) -> None:
    found = faults(
        project, name=" ", condition={"all": [{"field": "modle", "op": "is", "value": "x"}]}, action="cap",
        queue="nowhere", severity=2, rate=0, sampling="some", enabled="yes", position=0, colour="red",
    )  # fmt: skip
    assert set(found) == {
        "/name", "/condition/all/0/field", "/queue", "/severity", "/rate", "/sampling", "/enabled", "/position",
        "/colour", "/cap",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "place", "words"),
    [
        ({"condition": {"all": [VIP, {"not": VIP}]}}, "/condition", "can ever meet"),
        ({"condition": {"all": [{"field": "model", "op": "is", "value": "a"},
                                {"field": "model", "op": "is", "value": "b"}]}}, "/condition", "can ever meet"),
        ({"condition": {"text": {"matches": "(a"}}}, "/condition/text/matches", "linear time"),
        ({"condition": {"text": {"matches": "(?=a)"}}}, "/condition/text/matches", "linear time"),
        ({"queue": None}, "/queue", "Say in which queue"),
        ({"queue": 7}, "/queue", "no queue"),
        ({"action": "cap", "queue": None}, "/cap", "highest score"),
        ({"action": "cap", "cap": 30}, "/queue", "Only a rule that puts"),
        ({"action": "drop", "queue": None, "sampling": "random"}, "/sampling", "draws a share"),
        ({"cap": 30}, "/cap", "limits the score"),
        ({"rate": 1.5}, "/rate", "above 0 and up to 1"),
        ({"rate": float("nan")}, "/rate", "above 0 and up to 1"),
        ({"sampling": "stratified", "quota_per_week": 5}, "/strata", "grouped"),
        ({"sampling": "stratified", "strata": "feature"}, "/quota_per_week", "how many of each"),
        ({"sampling": "stratified", "strata": "user_id", "quota_per_week": 5}, "/strata", "Groups are"),
        ({"sampling": "stratified", "strata": "cost_usd", "quota_per_week": 5}, "/strata", "Groups are"),
        ({"strata": "feature"}, "/strata", "Only a stratified"),
        ({"quota_per_week": 5}, "/quota_per_week", "Only a stratified"),
    ],
)  # fmt: skip
def test_a_rule_that_makes_no_sense_is_refused(project: Project, fields: Any, place: str, words: str) -> None:
    found = faults(project, **draft(**fields))
    assert words in found[place]
    assert not TriageRule.objects.filter(project=project, name="R").exists()


def test_a_queue_of_another_project_does_not_exist(project: Project, other_project: Project) -> None:
    Queue.objects.create(project=other_project, slug="theirs", name="Theirs")
    assert set(faults(project, **draft(queue="theirs"))) == {"/queue"}


def test_a_queue_that_nobody_works_takes_no_items(project: Project) -> None:
    Queue.objects.filter(project=project, slug="flagged").update(open_to_all=False)
    assert "no members" in faults(project, **draft())["/queue"]


def test_a_rule_below_one_that_keeps_all_its_items_out_is_refused_wherever_it_comes_from(project: Project) -> None:
    drop = made(project, name="Probes", condition=BOT, action="drop", queue=None)
    narrow = {"all": [VIP, BOT]}
    assert "“Probes” above keeps out" in faults(project, **draft(condition=narrow))["/condition"]
    above = rules.save(project=project, actor=None, rule=None, fields=draft(condition=narrow, position=1))
    assert "“Probes” above keeps out" in faults(project, above, position=2)["/position"]
    drop.refresh_from_db()
    assert "“R” below would never act" in faults(project, drop, position=1)["/position"]
    off = rules.save(project=project, actor=None, rule=above, fields={"enabled": False, "position": 2})
    assert "“Probes” above keeps out" in faults(project, off, enabled=True)["/enabled"]


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ({}, {"action": "drop", "queue": None, "position": 7}, "puts them in a queue"),
        ({"action": "drop", "queue": None}, {}, "keeps them out"),
        ({"action": "force"}, {"action": "cap", "cap": 20, "queue": None}, "puts them first of all"),
        ({"action": "cap", "cap": 20, "queue": None}, {"action": "force"}, "limits their score"),
    ],
)
def test_two_rules_that_want_the_opposite_of_the_same_items_are_refused(
    project: Project, first: Any, second: Any, words: str
) -> None:
    made(project, **first)
    same = {"all": [VIP]}  # said otherwise
    assert words in faults(project, **draft(condition=same, **second))["/condition"]


def test_looking_at_a_share_and_keeping_the_rest_out_is_no_contradiction(project: Project) -> None:
    made(project, name="A few probes", condition=BOT, sampling="random", rate=0.05)
    drop = made(project, name="Probes", condition=BOT, action="drop", queue=None, position=7)
    assert drop.position == 7


def test_what_no_longer_applies_goes_when_the_action_changes(project: Project) -> None:
    rule = made(project, severity=0.5, sampling="stratified", strata="feature", quota_per_week=5, rate=0.5)
    StratumRate.objects.create(rule=rule, stratum="billing", rate=0.5)
    capped = rules.save(project=project, actor=None, rule=rule, fields={"action": "cap", "cap": 20})
    assert (capped.queue, capped.severity, capped.sampling, capped.rate, capped.strata) == (None, None, "all", 1.0, "")
    assert not StratumRate.objects.filter(rule=rule).exists()


def test_the_preview_counts_as_the_engine_would_and_stores_nothing(
    project: Project, django_assert_max_num_queries: Any
) -> None:
    made(project, name="Probes", condition=BOT, action="drop", queue=None)
    for number in range(60):
        more: dict[str, Any] = {"tags": ["vip"]} if number % 2 else {}
        interaction(project, f"p-{number}", user_id="probe-1" if number < 10 else "u-1", **more)
    before = Task.objects.count()
    with django_assert_max_num_queries(12):
        found = rules.preview(project, draft(sampling="random", rate=0.5))
    slug = "r"
    expected = [n for n in range(11, 60, 2) if sampling.drawn(slug, f"p-{n}", 0.5)]
    assert (found.matched, found.of, found.drawn, found.faults) == (30, 60, len(expected), [])
    assert [row.external_id for row in found.newest[:2]] == ["p-59", "p-57"]
    assert len(found.newest) == 20
    assert rules.preview(project, draft(), last=10).of == 10
    assert (Task.objects.count(), TriageRule.objects.filter(name="R").exists()) == (before, False)


def test_the_preview_sees_complaints_and_tells_faults_beside_its_figures(project: Project) -> None:
    interaction(project, "i-1")
    thumbs_down(project, "i-1")
    found = rules.preview(project, {"condition": {"signal": "negative_feedback"}, "rate": 3})
    assert (found.matched, found.drawn) == (1, 1)
    assert {fault["path"] for fault in found.faults} == {"/name", "/queue", "/rate"}
    broken = rules.preview(project, draft(condition={"signal": "anger"}))
    assert (broken.of, [fault["path"] for fault in broken.faults]) == (0, ["/condition/signal"])


def test_the_preview_of_a_change_stands_where_the_rule_stands(project: Project) -> None:
    rule = TriageRule.objects.get(project=project, slug="negative-feedback")
    interaction(project, "i-1", tags=["vip"])
    assert rules.preview(project, {"condition": VIP}, rule=rule).drawn == 1


def test_two_hundred_rules_are_enough(project: Project) -> None:
    TriageRule.objects.bulk_create(
        TriageRule(project=project, slug=f"x-{n}", name="x", action="drop", condition=BOT, enabled=False)
        for n in range(rules.MOST - 5)
    )
    with pytest.raises(ApiError, match="at most 200 rules") as refusal:
        made(project)
    assert refusal.value.status_code == 409


def test_the_defaults_have_their_first_version(project: Project) -> None:
    kept = TriageRevision.objects.filter(project=project, version=1)
    assert kept.filter(rule__isnull=False).count() == TriageRule.objects.filter(project=project).count() == 5
    assert kept.filter(queue__isnull=False).count() == Queue.objects.filter(project=project).count() == 3
    for rule in TriageRule.objects.filter(project=project):
        assert kept.get(rule=rule).snapshot == rules.snapshot(rule)
    for queue in Queue.objects.filter(project=project):
        assert kept.get(queue=queue).snapshot == queue_settings.snapshot(queue)
