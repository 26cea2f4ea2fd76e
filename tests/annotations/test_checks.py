"""Known items and repeats: served unmarked, never one's own, and they settle nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client

from annotations import checks, claims, labelling, settlement
from annotations.checks import Standing
from annotations.models import Annotation, Claim, FailureMode, Label, Queue, Task
from annotations.submission import parse_submission
from projects.errors import ApiError
from projects.models import Project, User
from tests.annotations.flow import complaint, vote
from tests.annotations.test_claims import at_once, queue_of
from tests.annotations.test_settlement import cast


def set_shares(project: Project, *, gold: float = 0, repeat: float = 0) -> Queue:
    Queue.objects.filter(project=project).update(gold_share=gold, repeat_share=repeat)
    return queue_of(project)


def known_item(project: Project, by: User, name: str, verdict: str = "fail", **more: Any) -> Label:
    label = cast(project, by, complaint(project, name), verdict, **more).label
    assert label is not None
    checks.set_known(actor=by, label=label, known=True)
    return label


def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every claim is a check: shares stop at a half."""
    monkeypatch.setattr(checks, "share_of", lambda reviewer, queue, number: 0.0)


def next_of(user: User, queue: Queue) -> Claim:
    claim = claims.claim_next(user=user, queue=queue)
    assert claim is not None
    return claim


def send(project: Project, user: User, claim: Claim, verdict: str, **more: Any) -> labelling.Submitted:
    submission = parse_submission(project, vote(verdict, **more))
    return labelling.submit(user=user, token=claim.token, submission=submission)


def test_a_known_item_is_served_unmarked_and_settles_nothing(
    project: Project, people: dict[str, User], browser_of: Callable[[str], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    label, queue = known_item(project, people["lead"], "known"), set_shares(project, gold=0.5)
    always(monkeypatch)
    claim = next_of(people["reviewer"], queue)
    assert (claim.task.purpose, claim.task.known) == ("gold", label)
    html = browser_of("reviewer").get(f"/p/acme/queues/{queue.slug}/review/").content.decode()
    assert "gold" not in html.replace("golden", "").replace("Golden", "")
    assert "known item" not in html
    done = send(project, people["reviewer"], claim, "pass")
    assert (done.status, done.label) == ("counted", None)
    assert Label.objects.filter(superseded_at=None).get() == label
    claim.task.refresh_from_db()
    assert claim.task.state == "done"
    standing = checks.gold_standing(people["reviewer"], project)
    assert (standing.right, standing.wrong) == (0, 1)
    assert not settlement.independent_votes(project).filter(reviewer=people["reviewer"]).exists()


def test_the_owners_vote_on_a_check_settles_nothing_either(
    project: Project, people: dict[str, User], monkeypatch: pytest.MonkeyPatch
) -> None:
    label, queue = known_item(project, people["lead"], "known"), set_shares(project, gold=0.5)
    project.owner = people["admin"]
    project.save(update_fields=["owner"])
    always(monkeypatch)
    assert send(project, people["admin"], next_of(people["admin"], queue), "pass").label is None
    assert Label.objects.filter(superseded_at=None).get() == label


def test_nobody_is_held_against_a_label_of_their_own_or_twice_against_the_same(
    project: Project, people: dict[str, User], monkeypatch: pytest.MonkeyPatch
) -> None:
    known_item(project, people["lead"], "known")
    queue = set_shares(project, gold=0.5)
    always(monkeypatch)
    assert checks.due(people["lead"], queue) is None
    claim = next_of(people["reviewer"], queue)
    assert checks.due(people["reviewer"], queue) is None  # it is in hand
    send(project, people["reviewer"], claim, "fail")
    assert checks.due(people["reviewer"], queue) is None
    Task.objects.filter(purpose="gold").update(enqueued_at=Now() - timedelta(days=91))
    assert checks.due(people["reviewer"], queue) is not None


def test_ones_own_item_comes_back_after_two_weeks_and_not_before(
    project: Project, people: dict[str, User], monkeypatch: pytest.MonkeyPatch
) -> None:
    me, queue = people["reviewer"], set_shares(project, repeat=0.5)
    first = cast(project, me, complaint(project, "old"), "fail").annotation
    always(monkeypatch)
    assert checks.due(me, queue) is None
    Annotation.objects.filter(pk=first.pk).update(created_at=Now() - timedelta(days=15))
    assert checks.due(people["lead"], queue) is None
    claim = next_of(me, queue)
    assert (claim.task.purpose, claim.task.repeats) == ("repeat", first)
    send(project, me, claim, "fail")
    assert checks.self_consistency(me, project) == Standing(right=1, categories=1, same_category=1)
    assert Label.objects.filter(superseded_at=None).count() == 1


def test_a_check_can_be_undone_and_voted_again(
    project: Project, people: dict[str, User], monkeypatch: pytest.MonkeyPatch
) -> None:
    known_item(project, people["lead"], "known")
    queue = set_shares(project, gold=0.5)
    always(monkeypatch)
    send(project, people["reviewer"], next_of(people["reviewer"], queue), "pass")
    again = labelling.undo(user=people["reviewer"], project=project)
    assert again is not None
    assert Label.objects.filter(superseded_at=None).count() == 1
    send(project, people["reviewer"], again, "fail")
    assert checks.gold_standing(people["reviewer"], project).right == 1


def test_which_claims_are_checks_follows_from_the_number_alone_and_keeps_the_share() -> None:
    drawn = [checks.share_of(7, 3, number) < 0.03 for number in range(20_000)]
    assert drawn == [checks.share_of(7, 3, number) < 0.03 for number in range(20_000)]
    assert 500 < sum(drawn) < 700
    assert drawn != [checks.share_of(8, 3, number) < 0.03 for number in range(20_000)]


def test_a_queue_without_shares_or_with_a_pause_makes_none(
    project: Project, people: dict[str, User], monkeypatch: pytest.MonkeyPatch
) -> None:
    known_item(project, people["lead"], "known")
    always(monkeypatch)
    assert checks.due(people["reviewer"], set_shares(project)) is None
    queue = set_shares(project, gold=0.5)
    Queue.objects.filter(pk=queue.pk).update(paused_at=Now())
    queue.refresh_from_db()
    assert checks.due(people["reviewer"], queue) is None
    Queue.objects.filter(pk=queue.pk).update(paused_at=None, open_to_all=False)
    queue.refresh_from_db()
    assert checks.due(people["reviewer"], queue) is None


def test_only_a_label_that_counts_and_is_sure_can_be_known(project: Project, people: dict[str, User]) -> None:
    unsure = cast(project, people["lead"], complaint(project, "a"), "unsure").label
    gone = cast(project, people["lead"], complaint(project, "b"), "pass").label
    labelling.undo(user=people["lead"], project=project)
    for label in (unsure, gone):
        assert label is not None
        with pytest.raises(ApiError) as caught:
            checks.set_known(actor=people["lead"], label=label, known=True)
        assert caught.value.error_code == "not_fit"
    assert not checks.known_items(project).exists()


def test_a_failure_mode_that_was_merged_is_not_a_mistake(
    project: Project, people: dict[str, User], monkeypatch: pytest.MonkeyPatch
) -> None:
    known_item(project, people["lead"], "known")
    queue = set_shares(project, gold=0.5)
    always(monkeypatch)
    other = FailureMode.objects.filter(project=project).exclude(slug="contradicts-source")[0]
    send(project, people["reviewer"], next_of(people["reviewer"], queue), "fail", primary_category=other.slug)
    assert checks.gold_standing(people["reviewer"], project).same_category == 0
    other.merged_into = FailureMode.objects.get(project=project, slug="contradicts-source")
    FailureMode.objects.filter(pk=other.pk).update(merged_into=other.merged_into, retired_at=Now())
    assert checks.gold_standing(people["reviewer"], project).same_category == 1


@pytest.mark.parametrize(
    ("p", "a", "b", "known"),
    [(0.05, 1, 1, 0.05), (0.05, 11, 1, 0.05 ** (1 / 11)), (0.05, 1, 9, 1 - 0.95 ** (1 / 9)), (0.5, 4, 4, 0.5)],
)
def test_the_lower_bound_is_that_of_the_beta_distribution(p: float, a: int, b: int, known: float) -> None:
    assert checks.beta_quantile(p, a, b) == pytest.approx(known, abs=1e-8)


def test_few_checks_flag_nobody() -> None:
    assert not Standing(right=0, wrong=9).low
    assert Standing(right=4, wrong=6).low
    assert not Standing(right=9, wrong=1).low
    assert Standing(unsure=3).checked == 0


@pytest.mark.django_db(transaction=True)
def test_two_tabs_at_once_get_one_check(
    project: Project, people: dict[str, User], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        known_item(project, people["lead"], f"known-{number}")
    queue = set_shares(project, gold=0.5)
    always(monkeypatch)
    got = at_once(lambda n: next_of(people["reviewer"], queue).pk, 2)
    assert len(set(got)) == 1
    assert Task.objects.filter(purpose="gold").count() == 1


def test_a_lead_makes_a_label_a_known_item_on_the_page_of_its_interaction(
    project: Project, people: dict[str, User], browser_of: Callable[[str], Client]
) -> None:
    label = cast(project, people["reviewer"], complaint(project, "settled"), "fail").label
    assert label is not None
    page, door = f"/p/acme/interactions/{label.interaction_id}/", f"/p/acme/labels/{label.pk}/known/"
    lead = browser_of("lead")
    assert "Make this a known item" in lead.get(page).content.decode()
    assert "nown item" not in browser_of("engineer").get(page).content.decode()
    lead.post(door, {"known": "1"})
    label.refresh_from_db()
    assert label.gold_check
    assert "No longer serve it" in lead.get(page).content.decode()
    assert "nown item" not in browser_of("engineer").get(page).content.decode()
    lead.post(door)
    label.refresh_from_db()
    assert not label.gold_check
    Label.objects.filter(pk=label.pk).update(verdict="unsure")
    assert "Make this" not in lead.get(page).content.decode()
    said = lead.post(door, {"known": "1"}, follow=True).content.decode()
    assert "Only a label that counts" in said
