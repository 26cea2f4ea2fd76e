"""Labels over time: who settles, what an undo brings back, and votes that meet."""

from __future__ import annotations

from typing import Any

import pytest
from django.db.models.functions import Now

from annotations import claims, labelling, settlement, triage
from annotations.models import Annotation, Claim, FailureMode, Label, Queue, Task
from annotations.submission import parse_submission
from feedback.models import Inbox
from projects import webhooks
from projects.errors import ApiError
from projects.models import Delivery, Membership, Project, User
from tests.annotations.flow import complaint, interaction, thumbs_down, vote
from tests.annotations.test_claims import at_once, expire_now
from tests.factories import UserFactory


def newcomer(project: Project) -> User:
    user: User = UserFactory()
    Membership.objects.create(project=project, user=user, role="reviewer")
    return user


def take(user: User, task: Task) -> Claim:
    claim = claims.claim_task(user=user, task=task)
    assert claim is not None
    return claim


def cast(project: Project, user: User, task: Task, verdict: str = "fail", **more: Any) -> labelling.Submitted:
    return send(project, user, take(user, task), verdict, **more)


def send(project: Project, user: User, claim: Claim, verdict: str = "fail", **more: Any) -> labelling.Submitted:
    submission = parse_submission(project, vote(verdict, **more))
    return labelling.submit(user=user, token=claim.token, submission=submission)


def second_task(project: Project, task: Task, slug: str = "flagged") -> Task:
    """Another task of the same interaction, in another queue."""
    queue = Queue.objects.get(project=project, slug=slug)
    return Task.objects.create(
        project=project, queue=queue, interaction_id=task.interaction_id, lane="risk", due_at=Now()
    )


def current(task: Task) -> Label | None:
    return Label.objects.filter(interaction=task.interaction_id, superseded_at=None).first()


def test_what_the_owner_has_settled_is_not_settled_again_by_leases_that_are_out(
    project: Project, people: dict[str, User]
) -> None:
    project.owner = people["lead"]
    project.save(update_fields=["owner"])
    Queue.objects.filter(project=project).update(overlap=2)
    task = complaint(project, "i")
    slow = take(people["reviewer"], task)
    settled = cast(project, people["lead"], task, "pass").label
    late = send(project, people["reviewer"], slow, "fail", note="took my time")
    assert (late.status, late.annotation.note) == ("surplus", "took my time")
    assert current(task) == settled
    assert Label.objects.count() == 1
    assert claims.claim_next(user=people["reviewer"], queue=task.queue) is None


def test_a_later_label_ends_the_earlier_one_and_its_undo_brings_it_back(
    project: Project, people: dict[str, User]
) -> None:
    first = complaint(project, "i")
    earlier = cast(project, people["lead"], first, "pass").label
    later = cast(project, people["reviewer"], second_task(project, first)).label
    assert current(first) == later
    assert labelling.undo(user=people["reviewer"], project=project) is not None
    assert current(first) == earlier
    assert Label.objects.filter(superseded_at=None).count() == 1


def test_an_undo_brings_back_nothing_that_was_undone_before(project: Project, people: dict[str, User]) -> None:
    first = complaint(project, "i")
    cast(project, people["lead"], first, "pass")
    assert labelling.undo(user=people["lead"], project=project)
    Claim.objects.filter(state="leased").update(state="released", ended_at=Now())
    Task.objects.filter(pk=first.pk).update(state="dropped", done_at=Now(), taken=0)
    cast(project, people["reviewer"], second_task(project, first))
    assert labelling.undo(user=people["reviewer"], project=project)
    assert current(first) is None


def test_undo_while_another_task_of_the_interaction_is_open_changes_nothing(
    project: Project, people: dict[str, User]
) -> None:
    first = complaint(project, "i")
    label = cast(project, people["reviewer"], first, "pass").label
    second_task(project, first)
    assert labelling.undo(user=people["reviewer"], project=project) is None
    assert current(first) == label
    assert Annotation.objects.get().state == "counted"


def test_undo_reaches_ten_votes_deep(project: Project, people: dict[str, User]) -> None:
    me = people["reviewer"]
    for number in range(12):
        cast(project, me, complaint(project, f"i-{number}"), "pass")
    undone = []
    while (claim := labelling.undo(user=me, project=project)) is not None:
        undone.append(claim.task.interaction.external_id)
        assert len(undone) < 20
    assert undone == [f"i-{number}" for number in range(11, 1, -1)]


def test_an_undone_disputed_task_is_open_again(project: Project, people: dict[str, User]) -> None:
    Queue.objects.filter(project=project).update(overlap=3)
    task = complaint(project, "i")
    for who, verdict in (("reviewer", "fail"), ("lead", "pass"), ("engineer", "unsure")):
        cast(project, people[who], task, verdict)
    task.refresh_from_db()
    assert task.state == "disputed"
    claim = labelling.undo(user=people["engineer"], project=project)
    task.refresh_from_db()
    assert claim is not None
    assert (task.state, task.taken) == ("open", 3)


def test_of_those_who_agree_the_desired_answer_is_kept(project: Project, people: dict[str, User]) -> None:
    Queue.objects.filter(project=project).update(overlap=2)
    task = complaint(project, "i")
    cast(project, people["reviewer"], task)
    label = cast(project, people["lead"], task, desired_output="It is 4.90.", golden=True).label
    assert label is not None
    assert (label.desired_output, label.golden, label.reviewers) == ("It is 4.90.", True, 2)
    assert sorted(label.annotation_ids) == sorted(Annotation.objects.values_list("pk", flat=True))


def test_a_settled_label_is_announced_once_and_told_without_words(project: Project, people: dict[str, User]) -> None:
    webhooks.create(project, url="https://hooks.example.com/", events=["label.settled"], actor=None)
    webhooks.forget()
    label = cast(project, people["reviewer"], complaint(project, "i"), note="private words").label
    assert label is not None
    assert Inbox.objects.filter(kind="label", object_id=label.pk, stage="curate").count() == 1
    told = Delivery.objects.get(event="label.settled")
    assert told.payload == {"label_id": label.pk, "interaction_id": "i", "verdict": "fail"}
    webhooks.forget()


def test_another_persons_submission_id_is_not_a_replay(project: Project, people: dict[str, User]) -> None:
    one, two = complaint(project, "a"), complaint(project, "b")
    body = vote()
    submission = parse_submission(project, body)
    labelling.submit(user=people["reviewer"], token=take(people["reviewer"], one).token, submission=submission)
    theirs = take(people["lead"], two)
    with pytest.raises(ApiError) as caught:
        labelling.submit(user=people["lead"], token=theirs.token, submission=submission)
    assert caught.value.error_code == "idempotency_mismatch"
    theirs.refresh_from_db()
    assert theirs.state == "leased"


def test_how_long_it_took_does_not_make_a_replay_another_vote(project: Project, people: dict[str, User]) -> None:
    claim = take(people["reviewer"], complaint(project, "a"))
    body = vote(seconds=3)
    for seconds, status in ((3, "counted"), (9, "replayed")):
        submission = parse_submission(project, {**body, "seconds": seconds})
        assert labelling.submit(user=people["reviewer"], token=claim.token, submission=submission).status == status


@pytest.mark.parametrize(
    ("sent", "severity"), [({}, 1), ({"severity": 3}, 3), ({"severity": 1, "note": "leaks a card number"}, 1)]
)
def test_severity_is_that_of_the_failure_mode_unless_said(
    sent: dict[str, Any], severity: int, project: Project, people: dict[str, User]
) -> None:
    task = complaint(project, "i")
    done = cast(project, people["reviewer"], task, primary_category="safety-or-privacy", **sent)
    assert done.annotation.severity == severity


def test_a_note_alone_says_what_no_failure_mode_does(project: Project, people: dict[str, User]) -> None:
    task = complaint(project, "i")
    done = cast(project, people["reviewer"], task, primary_category=None, note="Cites a law that was repealed")
    assert (done.annotation.primary_category, done.status) == (None, "counted")


def test_a_retired_failure_mode_is_no_longer_chosen_and_old_labels_keep_it(
    project: Project, people: dict[str, User]
) -> None:
    label = cast(project, people["reviewer"], complaint(project, "i")).label
    FailureMode.objects.filter(project=project, slug="contradicts-source").update(retired_at=Now())
    with pytest.raises(ApiError):
        parse_submission(project, vote())
    assert label is not None
    label.refresh_from_db()
    assert label.primary_category is not None
    assert label.primary_category.slug == "contradicts-source"


@pytest.mark.parametrize(
    ("span", "text"),
    [
        ({"target": "output", "start": 0, "end": 2}, "It"),
        ({"target": "output", "start": 6, "end": 8}, "😀\u0301"),  # code points, as Python counts them
        ({"target": "document", "ref": "kb-1", "start": 4, "end": 7}, "fee"),
        ({"target": "document", "ref": 1, "start": 0, "end": 2}, "No"),
        ({"target": "message", "ref": "0", "start": 0, "end": 4}, "Fee?"),
    ],
)
def test_marks_are_measured_on_the_stored_text(
    span: dict[str, Any], text: str, project: Project, people: dict[str, User]
) -> None:
    documents = [{"id": "kb-1", "content": "The fee is 4.90."}, {"title": "without id", "content": "No fee."}]
    interaction(project, "i", output="It is 😀\u0301.", documents=documents)
    task = complaint_of(project, "i")
    done = cast(project, people["reviewer"], task, spans=[{**span, "quote": text}])
    assert done.annotation.spans[0]["quote"] == text


def complaint_of(project: Project, external_id: str) -> Task:
    thumbs_down(project, external_id)
    triage.run()
    return Task.objects.get(interaction__external_id=external_id, state="open")


@pytest.mark.django_db(transaction=True)
def test_two_tasks_of_one_interaction_settled_at_one_moment_leave_one_current_label(project: Project) -> None:
    for number in range(8):
        first = complaint(project, f"i-{number}")
        one, two = newcomer(project), newcomer(project)
        held = [take(one, first)]
        Task.objects.filter(pk=first.pk).update(state="disputed", done_at=Now())  # makes room for a second open task
        second = second_task(project, first)
        held.append(take(two, second))
        Task.objects.filter(pk=second.pk).update(state="disputed", done_at=Now())
        Task.objects.filter(pk=first.pk).update(state="open", done_at=None)

        def settle(
            n: int, held: list[Claim] = held, pair: tuple[User, User] = (one, two), tasks: Any = (first, second)
        ) -> None:
            with labelling.transaction.atomic():
                task = Task.objects.select_for_update(of=("self",)).select_related("project").get(pk=tasks[n].pk)
                rubric = project.rubrics.get()
                one_vote = Annotation.objects.create(
                    project=project, task=task, claim=held[n], reviewer=pair[n], rubric=rubric, verdict="pass",
                    submission_id=held[n].token, fingerprint=b"x",
                )  # fmt: skip
                settlement.make_label(task, one_vote, [one_vote], "single")

        at_once(settle, 2)
        assert Label.objects.filter(interaction=first.interaction_id).count() == 2
        assert Label.objects.filter(interaction=first.interaction_id, superseded_at=None).count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_lease_that_runs_out_while_typing_loses_no_word_and_overwrites_none(project: Project) -> None:
    """The first reviewer submits late, the second at the same moment: one counts, one is kept, on every run."""
    for number in range(12):
        task = complaint(project, f"i-{number}")
        slow, fast = newcomer(project), newcomer(project)
        late = take(slow, task)
        expire_now(late)
        held = [late, take(fast, task)]
        pair = [slow, fast]
        at_once(lambda n, h=held, p=pair: send(project, p[n], h[n], "pass", note=f"words of {n}"), 2)  # type: ignore[misc]
        votes = Annotation.objects.filter(task=task)
        assert sorted(votes.values_list("note", flat=True)) == ["words of 0", "words of 1"]
        assert votes.get(state="counted").reviewer == fast
        assert votes.get(state="surplus").reviewer == slow
        assert Label.objects.filter(task=task).count() == 1
