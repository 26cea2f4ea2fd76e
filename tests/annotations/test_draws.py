"""How rules draw, and that every task keeps all the rules that could have drawn it: what a rate is computed with."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from annotations import claims, labelling, sampling, strata, triage
from annotations.models import Cluster, ClusterMember, Queue, StratumRate, Task, TriageRule
from annotations.submission import parse_submission
from feedback import services
from feedback.models import Interaction
from projects.models import Project, User
from tests.annotations.flow import interaction, routed, thumbs_down, vote

Everything: dict[str, Any] = {"all": []}
Errors: dict[str, Any] = {"field": "status", "op": "is", "value": "error"}


def rule(project: Project, slug: str, queue: str = "random-sample", **fields: Any) -> TriageRule:
    place = Queue.objects.get(project=project, slug=queue)
    values = {"condition": Everything, "sampling": "random", "position": 9, "name": slug.title(), **fields}
    return TriageRule.objects.create(project=project, queue=place, slug=slug, **values)


@pytest.fixture
def bare(project: Project) -> Project:
    """A project without the rules that it came with."""
    TriageRule.objects.filter(project=project).delete()
    return project


def judged(project: Project, name: str, value: float, *, flagged: bool | None = None, judge: str = "tone") -> None:
    body = {"interaction_id": name, "name": judge, "value": value, "flagged": flagged}
    services.record_score(project, body, source="judge")


def found(project: Project) -> dict[str, Task]:
    """All tasks that are part of a sample, by item."""
    tasks = Task.objects.filter(project=project, sampled=True).select_related("interaction")
    return {task.interaction.external_id: task for task in tasks}


def names(count: int) -> list[str]:
    return [f"i-{number}" for number in range(count)]


def taken(slug: str, of: list[str], p: float) -> set[str]:
    return {name for name in of if sampling.drawn(slug, name, p)}


def test_a_stratified_rule_draws_each_group_at_its_own_rate(bare: Project) -> None:
    quota = rule(bare, "quota", sampling="stratified", strata="language", quota_per_week=5, rate=0.2)
    StratumRate.objects.create(rule=quota, stratum="de", rate=0.9)
    of = {name: "de" if number % 4 == 0 else "en" for number, name in enumerate(names(80))}
    for name, language in of.items():
        interaction(bare, name, language=language)
    routed(bare)
    german, english = ([name for name in of if of[name] == one] for one in ("de", "en"))
    assert set(found(bare)) == taken("quota", german, 0.9) | taken("quota", english, 0.2)
    assert {task.inclusion_p for name, task in found(bare).items() if of[name] == "de"} == {0.9}
    assert {round(task.inclusion_p or 0, 9) for name, task in found(bare).items() if of[name] == "en"} == {0.2}


def test_last_weeks_volumes_set_the_rates_so_that_a_small_group_does_not_starve(bare: Project) -> None:
    quota = rule(bare, "quota", sampling="stratified", strata="feature", quota_per_week=3, rate=0.2)
    for number, name in enumerate(names(40)):
        interaction(bare, name, feature="rare" if number < 4 else "common")
    assert strata.measure(bare) == 1
    rates = {row.stratum: (row.rate, row.seen_per_week) for row in StratumRate.objects.filter(rule=quota)}
    assert rates["rare"] == (0.75 + 0.25 * 2 / 34, 4)
    drawn = sum(rate * seen for rate, seen in rates.values())
    assert drawn == pytest.approx(0.2 * 40)
    assert strata.measure(bare) == 0  # they are kept for a day


def test_a_group_that_was_not_seen_for_a_week_takes_the_rate_of_the_rule_again(bare: Project) -> None:
    quota = rule(bare, "quota", sampling="stratified", strata="feature", quota_per_week=3, rate=0.2)
    old = timezone.now() - strata.WEEK
    StratumRate.objects.create(rule=quota, stratum="gone", rate=0.9, set_at=old)
    interaction(bare, "i", feature="here")
    strata.measure(bare)
    assert [row.stratum for row in StratumRate.objects.filter(rule=quota)] == ["here"]


def test_the_groups_of_a_rule_are_those_of_what_meets_it(bare: Project) -> None:
    rule(bare, "quota", sampling="stratified", strata="feature", quota_per_week=1, rate=0.5, condition=Errors)
    interaction(bare, "a", feature="x", status="error", error={"type": "t", "message": "m"})
    interaction(bare, "b", feature="y")
    strata.measure(bare)
    assert [(row.stratum, row.seen_per_week) for row in StratumRate.objects.all()] == [("x", 1)]


@pytest.mark.parametrize(("value", "p"), [(0.5, 0.8), (0.0, 0.08), (1.0, 0.08), (0.75, 0.08 + 0.72 * 0.5)])
def test_uncertainty_draws_more_of_what_a_judge_is_unsure_of(value: float, p: float, bare: Project) -> None:
    rule(bare, "unsure", "flagged", sampling="uncertainty", rate=0.8)
    for name in names(40):
        interaction(bare, name)
    routed(bare)
    assert found(bare) == {}  # no judge has spoken
    for name in names(40):
        judged(bare, name, value)
    routed(bare)
    assert set(found(bare)) == taken("unsure", names(40), p)
    assert {round(task.inclusion_p or 0, 9) for task in found(bare).values()} <= {round(p, 9)}


@pytest.mark.parametrize(("thumb", "flagged", "p"), [("down", False, 0.5), ("up", True, 0.5), ("down", True, 0.05)])
def test_disagreement_draws_more_of_what_user_and_judge_differ_on(
    thumb: str, flagged: bool, p: float, bare: Project
) -> None:
    rule(bare, "differ", "flagged", sampling="disagreement", rate=0.5)
    for name in names(40):
        interaction(bare, name)
        judged(bare, name, 0.5, flagged=flagged)
    routed(bare)
    assert found(bare) == {}  # nobody has contradicted
    for name in names(40):
        services.record_feedback(bare, {"interaction_id": name, "kind": "thumbs", "value": thumb})
    routed(bare)
    assert set(found(bare)) == taken("differ", names(40), p)


def test_novelty_draws_less_of_what_was_seen_often(bare: Project) -> None:
    rule(bare, "new", "flagged", sampling="novelty", rate=0.8)
    for name in names(40):
        interaction(bare, name)
    items = list(Interaction.objects.filter(project=bare).order_by("pk"))
    known = Cluster.objects.create(project=bare, head=items[0], title="x", size=20, reviewed=3)
    ClusterMember.objects.bulk_create(ClusterMember(cluster=known, interaction=item) for item in items[:20])
    routed(bare)
    seen, new = names(40)[:20], names(40)[20:]
    assert set(found(bare)) == taken("new", seen, 0.08 + 0.72 * 0.25) | taken("new", new, 0.8)


def test_a_probability_that_grows_is_the_one_that_is_kept(bare: Project) -> None:
    """With a fixed number an item is drawn over time if that lies below the highest probability it has had."""
    rule(bare, "unsure", "flagged", sampling="uncertainty", rate=1.0)
    for name in names(60):
        interaction(bare, name)
        judged(bare, name, 0.9)
    routed(bare)
    first = set(found(bare))
    for name in names(60):
        judged(bare, name, 0.6, judge="facts")
    routed(bare)
    assert first == taken("unsure", names(60), 0.1 + 0.9 * 0.2)
    assert set(found(bare)) == taken("unsure", names(60), 0.1 + 0.9 * 0.8)
    assert {round(task.inclusion_p or 0, 9) for task in found(bare).values()} == {0.82}
    for name in names(60):
        judged(bare, name, 1.0, judge="facts")
        judged(bare, name, 1.0)
    routed(bare)
    assert {round(task.inclusion_p or 0, 9) for task in found(bare).values()} == {0.82}


def test_every_task_keeps_all_rules_that_could_have_drawn_its_item(bare: Project) -> None:
    rule(bare, "base", rate=0.3)
    rule(bare, "errors", "flagged", rate=0.6, condition=Errors)
    rule(bare, "chat", rate=0.9, condition={"field": "feature", "op": "is", "value": "chat"})
    for number, name in enumerate(names(60)):
        broken: dict[str, Any] = {"status": "error", "error": {"type": "t", "message": "m"}} if number % 2 else {}
        interaction(bare, name, **broken)
    tasks = routed(bare)
    assert {task.interaction.external_id for task in tasks} == (
        taken("base", names(60), 0.3) | taken("errors", names(60)[1::2], 0.6)
    )
    for task in tasks:
        name = task.interaction.external_id
        failed = task.interaction.status == "error"
        expected = {"base": 0.3, "errors": 0.6} if failed else {"base": 0.3}
        assert {draw["rule"]: draw["p"] for draw in task.draws} == expected
        assert {draw["rule"] for draw in task.draws if draw["drawn"]} == {
            slug for slug, p in expected.items() if sampling.drawn(slug, name, p)
        }
        assert all(draw["seed"] == draw["rule"] and draw["counts"] and draw["version"] == 1 for draw in task.draws)
        assert task.inclusion_p == pytest.approx(1 - 0.7 * 0.4 if failed else 0.3)
        assert set(task.seed.split(",")) == {draw["rule"] for draw in task.draws if draw["drawn"]}
        assert (task.lane, task.certain, task.sampled) == (
            "random" if task.queue.kind == "random" else "risk",
            False,
            True,
        )


def test_what_a_rule_always_takes_is_marked_as_certain(project: Project) -> None:
    TriageRule.objects.filter(slug="random-sample").update(rate=1.0)
    interaction(project, "sampled")
    interaction(project, "complaint")
    thumbs_down(project, "complaint")
    tasks = {task.interaction.external_id: task for task in routed(project)}
    assert {name: (task.certain, task.sampled) for name, task in tasks.items()} == {
        "sampled": (False, True), "complaint": (True, True),
    }  # fmt: skip


def test_a_rule_that_could_draw_later_changes_the_probability_of_what_was_drawn_before(bare: Project) -> None:
    rule(bare, "base", rate=0.5)
    rule(bare, "late", "flagged", rate=0.4, condition={"signal": "negative_feedback"})
    for name in names(40):
        interaction(bare, name)
    routed(bare)
    for name in names(40):
        thumbs_down(bare, name)
    routed(bare)
    assert set(found(bare)) == taken("base", names(40), 0.5) | taken("late", names(40), 0.4)
    assert {round(task.inclusion_p or 0, 9) for task in found(bare).values()} == {0.7}


def test_a_label_does_not_end_the_account_of_what_could_have_drawn_its_item(
    bare: Project, people: dict[str, User]
) -> None:
    rule(bare, "base", rate=0.5)
    rule(bare, "late", "flagged", rate=0.4, condition={"signal": "negative_feedback"})
    name = next(name for name in names(99) if sampling.drawn("base", name, 0.5))
    interaction(bare, name)
    [task] = routed(bare)
    claim = claims.claim_task(user=people["reviewer"], task=task)
    assert claim is not None
    submission = parse_submission(bare, vote("pass"))
    labelling.submit(user=people["reviewer"], token=claim.token, submission=submission)
    thumbs_down(bare, name)
    triage.run()
    task.refresh_from_db()
    assert (task.state, round(task.inclusion_p or 0, 9)) == ("done", 0.7)
    assert {draw["rule"] for draw in task.draws} == {"base", "late"}


def test_an_open_task_is_dropped_when_a_rule_comes_to_keep_its_item_out(project: Project) -> None:
    TriageRule.objects.create(
        project=project, slug="jokes", name="Jokes", action="drop", position=0,
        condition={"feedback": {"kind": "category", "value": "joke"}},
    )  # fmt: skip
    interaction(project, "i")
    thumbs_down(project, "i")
    [task] = routed(project)
    services.record_feedback(project, {"interaction_id": "i", "kind": "category", "value": "joke"})
    assert routed(project) == []
    task.refresh_from_db()
    assert task.state == "dropped"


def test_what_a_sample_has_drawn_is_not_dropped_later(project: Project) -> None:
    """It was drawn from everything, and must speak for what is like it."""
    TriageRule.objects.filter(slug="random-sample").update(rate=1.0)
    TriageRule.objects.create(
        project=project, slug="jokes", name="Jokes", action="drop", position=0,
        condition={"feedback": {"kind": "category", "value": "joke"}},
    )  # fmt: skip
    interaction(project, "i")
    routed(project)
    services.record_feedback(project, {"interaction_id": "i", "kind": "category", "value": "joke"})
    [task] = routed(project)
    assert (task.state, task.sampled, task.inclusion_p) == ("open", True, 1.0)


def test_the_order_of_a_random_sample_follows_from_nothing_that_is_known_of_its_items(project: Project) -> None:
    """Flags change the score; their queue is switched off, so that they stay in the sample."""
    TriageRule.objects.exclude(slug="random-sample").delete()
    TriageRule.objects.filter(slug="random-sample").update(rate=1.0)
    for name in names(30):
        interaction(project, name)
    before = {task.interaction.external_id: task.due_at - task.enqueued_at for task in routed(project)}
    for name in names(30)[::2]:
        judged(project, name, 0.1, flagged=True)
        thumbs_down(project, name)
    after = {task.interaction.external_id: task.due_at - task.enqueued_at for task in routed(project)}
    assert after == before
    order = sorted(before, key=lambda name: before[name])
    assert order == sorted(names(30), key=lambda name: sampling.number("random-sample turn", name))


def test_a_severity_a_cap_and_a_force_move_the_score_and_say_so(project: Project) -> None:
    interaction(project, "i")
    thumbs_down(project, "i")
    [task] = routed(project)
    assert task.score == 25
    changes = [
        ({"severity": 0.5}, 35, ["Thumbs-down", "Negative feedback"]),
        ({"action": "force"}, 100, ["Thumbs-down", "Negative feedback", "Negative feedback"]),
    ]
    for fields, points, words in changes:
        TriageRule.objects.filter(slug="negative-feedback").update(**fields)
        services.record_feedback(project, {"interaction_id": "i", "kind": "comment", "comment": str(points)})
        [task] = routed(project)
        assert (task.score, [term["text"] for term in task.terms]) == (points, words)
        assert sum(term["points"] for term in task.terms) == points
    TriageRule.objects.filter(slug="negative-feedback").update(action="queue")
    TriageRule.objects.create(
        project=project, slug="known", name="Known", action="cap", cap=10, condition=Everything, position=9
    )
    services.record_feedback(project, {"interaction_id": "i", "kind": "comment", "comment": "again"})
    [task] = routed(project)
    assert (task.score, task.terms[-1]["text"], task.terms[-1]["points"]) == (10, "Known", -25)
