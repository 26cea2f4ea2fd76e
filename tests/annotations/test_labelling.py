"""Votes: counted, replayed or surplus; what they settle; and taking them back."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import pytest
from django.db.models.functions import Now

from annotations import claims, labelling, settlement
from annotations.models import Annotation, Claim, Label, Queue, Task
from annotations.submission import parse_submission
from feedback.models import Inbox
from projects import webhooks
from projects.errors import ApiError
from projects.models import Delivery, Project, User, Webhook
from tests.annotations.flow import complaint, thumbs_down, vote
from tests.annotations.test_claims import at_once, expire_now, queue_of
from tests.factories import UserFactory


def submit(project: Project, user: User, claim: Claim, body: dict[str, Any]) -> labelling.Submitted:
    return labelling.submit(user=user, token=claim.token, submission=parse_submission(project, body))


def take(project: Project, user: User) -> Claim:
    claim = claims.claim_next(user=user, queue=queue_of(project))
    assert claim is not None
    return claim


def test_one_vote_settles_a_task_that_needs_one(project: Project, people: dict[str, User]) -> None:
    task = complaint(project, "a")
    reviewer = people["reviewer"]
    outcome = submit(project, reviewer, take(project, reviewer), vote(desired_output="It is 4.90.", golden=True))
    assert outcome.status == "counted"
    label = Label.objects.get(task=task)
    assert (label.verdict, label.settled_by, label.desired_output) == ("fail", "single", "It is 4.90.")
    assert (label.primary_category.slug, label.severity, label.golden) == ("contradicts-source", 2, True)  # type: ignore[union-attr]
    task.refresh_from_db()
    assert task.state == "done"
    assert set(Inbox.objects.filter(kind="label").values_list("stage", flat=True)) == {"curate", "measure"}


def test_the_owners_vote_settles_at_once(project: Project, people: dict[str, User]) -> None:
    project.owner = people["lead"]
    project.save(update_fields=["owner"])
    Queue.objects.filter(project=project).update(overlap=3)
    complaint(project, "a")
    outcome = submit(project, people["lead"], take(project, people["lead"]), vote())
    assert outcome.label is not None
    assert outcome.label.settled_by == "owner"


def test_two_who_agree_settle_unanimously(project: Project, people: dict[str, User]) -> None:
    Queue.objects.filter(project=project).update(overlap=2)
    complaint(project, "a")
    first = submit(project, people["reviewer"], take(project, people["reviewer"]), vote())
    second = submit(project, people["lead"], take(project, people["lead"]), vote())
    assert first.label is None
    assert second.label is not None
    assert (second.label.settled_by, second.label.reviewers) == ("unanimous", 2)


def test_two_who_differ_get_a_third_and_three_who_differ_are_disputed(
    project: Project, people: dict[str, User]
) -> None:
    Queue.objects.filter(project=project).update(overlap=2)
    task = complaint(project, "a")
    for who, verdict in (("reviewer", "fail"), ("lead", "pass"), ("engineer", "unsure")):
        submit(project, people[who], take(project, people[who]), vote(verdict))
    task.refresh_from_db()
    assert (task.state, task.needed) == ("disputed", 3)
    assert not Label.objects.filter(task=task).exists()


def test_the_same_submission_again_is_a_replay(project: Project, people: dict[str, User]) -> None:
    complaint(project, "a")
    reviewer = people["reviewer"]
    claim, body = take(project, reviewer), vote()
    assert submit(project, reviewer, claim, body).status == "counted"
    assert submit(project, reviewer, claim, body).status == "replayed"
    with pytest.raises(ApiError) as caught:
        submit(project, reviewer, claim, {**body, "note": "something else"})
    assert caught.value.error_code == "idempotency_mismatch"
    assert Annotation.objects.count() == 1


def test_a_late_vote_takes_a_free_slot_back(project: Project, people: dict[str, User]) -> None:
    complaint(project, "a")
    reviewer = people["reviewer"]
    claim = take(project, reviewer)
    expire_now(claim)
    claims.expire()
    assert submit(project, reviewer, claim, vote()).status == "counted"
    assert Task.objects.get().taken == 1


def test_a_vote_whose_slot_was_given_to_another_is_kept_as_surplus(project: Project, people: dict[str, User]) -> None:
    complaint(project, "a")
    slow = take(project, people["reviewer"])
    expire_now(slow)
    fast = take(project, people["lead"])
    assert submit(project, people["lead"], fast, vote("pass")).status == "counted"
    late = submit(project, people["reviewer"], slow, vote(note="typed for ten minutes"))
    assert late.status == "surplus"
    assert Annotation.objects.get(state="surplus").note == "typed for ten minutes"
    assert Label.objects.get().verdict == "pass"


def test_a_late_vote_after_claiming_again_counts_for_the_newer_claim(project: Project, people: dict[str, User]) -> None:
    complaint(project, "a")
    reviewer = people["reviewer"]
    old = take(project, reviewer)
    expire_now(old)
    new = take(project, reviewer)
    assert submit(project, reviewer, old, vote()).status == "counted"
    new.refresh_from_db()
    assert new.state == "submitted"


def test_undo_reopens_the_task_with_the_vote_as_draft_and_supersedes_the_label(
    project: Project, people: dict[str, User]
) -> None:
    task = complaint(project, "a")
    reviewer = people["reviewer"]
    submit(project, reviewer, take(project, reviewer), vote(note="hasty", desired_output="4.90"))
    claim = labelling.undo(user=reviewer, project=project)
    assert claim is not None
    assert claim.draft is not None
    assert (claim.task_id, claim.state) == (task.pk, "leased")
    assert (claim.draft["note"], claim.draft["primary_category"]) == ("hasty", "contradicts-source")
    assert not Label.objects.filter(superseded_at=None).exists()
    assert submit(project, reviewer, claim, vote("pass")).status == "counted"
    assert Label.objects.get(superseded_at=None).verdict == "pass"
    assert Annotation.objects.filter(state="retracted").count() == 1


def test_undo_goes_back_vote_by_vote_and_ends(project: Project, people: dict[str, User]) -> None:
    reviewer = people["reviewer"]
    for name in ("a", "b"):
        complaint(project, name)
        submit(project, reviewer, take(project, reviewer), vote())
    undone = [labelling.undo(user=reviewer, project=project) for _ in range(3)]
    assert [claim.task.interaction.external_id if claim else None for claim in undone] == ["b", "a", None]


def test_a_vote_that_others_have_built_on_cannot_be_undone(project: Project, people: dict[str, User]) -> None:
    Queue.objects.filter(project=project).update(overlap=2)
    complaint(project, "a")
    submit(project, people["reviewer"], take(project, people["reviewer"]), vote())
    submit(project, people["lead"], take(project, people["lead"]), vote())
    assert labelling.undo(user=people["reviewer"], project=project) is None
    assert labelling.undo(user=people["lead"], project=project) is not None


def test_a_new_complaint_after_a_pass_asks_again_and_after_a_fail_does_not(
    project: Project, people: dict[str, User]
) -> None:
    from annotations import triage
    from feedback import services
    from tests.annotations.flow import interaction

    reviewer = people["reviewer"]
    for name, verdict in (("passed", "pass"), ("failed", "fail")):
        interaction(project, name, status="error", error={"type": "timeout", "message": ""}, output="cut")
        triage.run()
        flagged = Queue.objects.get(project=project, slug="flagged")
        claim = claims.claim_next(user=reviewer, queue=flagged)
        assert claim is not None
        submit(project, reviewer, claim, vote(verdict))
        thumbs_down(project, name)
    triage.run()
    assert services
    open_tasks = Task.objects.filter(project=project, state="open")
    assert [task.interaction.external_id for task in open_tasks] == ["passed"]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"verdict": "maybe"}, "/verdict"),
        ({"verdict": None}, "/verdict"),
        ({"primary_category": "made-up"}, "/primary_category"),
        ({"primary_category": None}, "/primary_category"),
        ({"categories": ["made-up"]}, "/categories/0"),
        ({"categories": "x"}, "/categories"),
        ({"severity": 5}, "/severity"),
        ({"severity": True}, "/severity"),
        ({"severity": 1}, "/note"),
        ({"submission_id": "7"}, "/submission_id"),
        ({"note": 7}, "/note"),
        ({"note": "x" * 10_001}, "/note"),
        ({"desired_output": "x" * 100_001}, "/desired_output"),
        ({"spans": [{"target": "moon", "start": 0, "end": 1}]}, "/spans/0"),
        ({"spans": [{"target": "output", "start": 5, "end": 5}]}, "/spans/0"),
        ({"spans": [{"target": "output", "start": "0", "end": 5}]}, "/spans/0"),
        ({"assertions": [{"type": "may", "text": "x"}]}, "/assertions/0"),
        ({"assertions": [{"type": "must", "text": " "}]}, "/assertions/0"),
        ({"assertions": [{"type": ["must"], "text": "x"}]}, "/assertions/0"),
        ({"golden": "yes"}, "/golden"),
        ({"seconds": -1}, "/seconds"),
    ],
)
def test_a_faulty_vote_is_refused_with_the_path(change: dict[str, Any], path: str, project: Project) -> None:
    with pytest.raises(ApiError) as caught:
        parse_submission(project, {**vote(), **change})
    assert caught.value.status_code == 422
    assert path in [detail["path"] for detail in caught.value.details]


@pytest.mark.parametrize(
    ("span", "path"),
    [
        ({"target": "output", "start": 0, "end": 99}, "/spans/0/end"),
        ({"target": "output", "start": 0, "end": 2, "quote": "no"}, "/spans/0/quote"),
        ({"target": "document", "ref": "kb-9", "start": 0, "end": 2}, "/spans/0/ref"),
        ({"target": "message", "ref": "7", "start": 0, "end": 2}, "/spans/0/ref"),
    ],
)
def test_a_mark_outside_of_its_text_is_refused(
    span: dict[str, Any], path: str, project: Project, people: dict[str, User]
) -> None:
    complaint(project, "a")
    reviewer = people["reviewer"]
    claim = take(project, reviewer)
    with pytest.raises(ApiError) as caught:
        submit(project, reviewer, claim, vote(spans=[span]))
    assert caught.value.details[0]["path"] == path
    assert submit(project, reviewer, claim, vote(spans=[{"target": "output", "start": 0, "end": 2, "quote": "It"}]))


def test_a_pass_has_no_failure_modes(project: Project, people: dict[str, User]) -> None:
    complaint(project, "a")
    body = vote("pass", primary_category="contradicts-source", severity=1)
    outcome = submit(project, people["reviewer"], take(project, people["reviewer"]), body)
    assert (outcome.annotation.primary_category, outcome.annotation.severity) == (None, None)


@pytest.mark.django_db(transaction=True)
def test_the_last_two_votes_at_the_same_moment_settle_exactly_once(project: Project) -> None:
    Queue.objects.filter(project=project).update(overlap=2)
    for number in range(10):
        task = complaint(project, f"i-{number}")
        pair = [UserFactory(), UserFactory()]
        held = [claims.claim_next(user=user, queue=queue_of(project)) for user in pair]
        bodies = [vote(), vote()]
        at_once(lambda n, held=held, pair=pair, bodies=bodies: submit(project, pair[n], held[n], bodies[n]), 2)  # type: ignore[misc]
        task.refresh_from_db()
        assert task.state == "done"
        assert Label.objects.filter(task=task).count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_double_click_stores_one_vote(project: Project) -> None:
    complaint(project, "a")
    user = UserFactory()
    claim = claims.claim_next(user=user, queue=queue_of(project))
    assert claim is not None
    body = vote()
    outcomes = at_once(lambda _: submit(project, user, claim, body).status, 6)
    assert sorted(outcomes) == ["counted", *["replayed"] * 5]
    assert Annotation.objects.count() == 1


# -- the ordinary vote, by one statement ----------------------------------------------------------------------------


def rows_of(task: Task) -> tuple[dict[str, Any], ...]:
    """The vote, the label, the claim and the task as they are stored, without what differs from one to the next."""
    rows = [
        Annotation.objects.filter(task=task).values().get(), Label.objects.filter(task=task).values().get(),
        Claim.objects.filter(task=task).values().get(), Task.objects.filter(pk=task.pk).values().get(),
    ]  # fmt: skip
    own = {"id", "task_id", "claim_id", "interaction_id", "token", "submission_id", "annotation_ids", "fingerprint"}
    for row in rows:
        for name, value in row.items():
            if name in own or isinstance(value, datetime):
                row[name] = None if value is None else type(value)
    return tuple(rows)


@pytest.mark.parametrize("who", ["reviewer", "admin"])
def test_the_ordinary_vote_is_stored_as_any_other(
    who: str, project: Project, people: dict[str, User], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = vote(
        desired_output='It is "4.90" \\ or less.', note="ü\t{x}", golden=True, severity=2, categories=["incomplete"],
        assertions=[{"type": "must", "text": "names 4.90"}], seconds=21.5, suggestion_seen=True,
    )  # fmt: skip
    stored = []
    for name, way in (("a", settlement.store_alone), ("b", lambda task, vote: None)):
        monkeypatch.setattr(settlement, "store_alone", way)
        task = complaint(project, name)
        claim = claims.claim_task(user=people[who], task=task)
        assert claim is not None
        outcome = submit(project, people[who], claim, {**said, "submission_id": str(uuid.uuid4())})
        assert outcome.label is not None
        assert Label.objects.get(pk=outcome.label.pk).annotation_ids == [outcome.annotation.pk]
        told = Inbox.objects.filter(object_id=outcome.label.pk, kind="label").values_list("stage", flat=True)
        assert sorted(told) == ["curate", "measure"]
        stored.append(rows_of(task))
    assert stored[0] == stored[1]


@pytest.mark.parametrize(
    "change",
    [{"needed": 2}, {"lane": "calibration"}, {"state": "done"}, {"purpose": "audit"}],
    ids=["one more is needed", "another lane", "done meanwhile", "another purpose"],
)
def test_what_has_changed_since_it_was_read_is_seen_before_the_ordinary_vote_is_stored(
    change: dict[str, Any], project: Project, people: dict[str, User], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = complaint(project, "a")
    claim = take(project, people["reviewer"])
    alone = settlement.store_alone

    def a_moment_later(read: Task, vote: Annotation) -> Label | None:
        done = {"done_at": Now()} if "state" in change else {}
        Task.objects.filter(pk=task.pk).update(**change, **done)
        stored = alone(read, vote)
        assert stored is None
        assert not Annotation.objects.exists()
        return None

    monkeypatch.setattr(settlement, "store_alone", a_moment_later)
    outcome = submit(project, people["reviewer"], claim, vote("pass"))
    task.refresh_from_db()
    if "state" in change:
        assert outcome.status == "surplus"
    else:
        assert outcome.status == "counted"
        assert (outcome.label is None) == ("needed" in change)


def test_with_a_webhook_that_listens_the_label_is_told(project: Project, people: dict[str, User]) -> None:
    Webhook.objects.create(project=project, url="https://a.example", events=["label.settled"], secret_sealed="x")
    webhooks.forget()
    complaint(project, "a")
    submit(project, people["reviewer"], take(project, people["reviewer"]), vote("pass"))
    assert Delivery.objects.get().payload["verdict"] == "pass"
    webhooks.forget()
