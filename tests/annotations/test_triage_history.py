"""What triage makes of an interaction that it has met before."""

from __future__ import annotations

from typing import Any

import pytest

from annotations import claims, labelling, sampling, triage
from annotations.models import Queue, Task, TriageRule
from annotations.submission import parse_submission
from feedback import services
from feedback.models import Inbox
from projects.models import Project, User
from tests.annotations.flow import complaint, interaction, routed, thumbs_down, vote


def take_back(project: Project, external_id: str, user_id: str = "") -> None:
    body = {"interaction_id": external_id, "kind": "thumbs", "value": None, "user_id": user_id}
    services.record_feedback(project, body)


def score(project: Project, external_id: str, name: str = "faithfulness", *, flagged: bool, source: str) -> None:
    body = {"interaction_id": external_id, "name": name, "value": 0.31, "flagged": flagged}
    services.record_score(project, body, source=source)


def settle(project: Project, user: User, task: Task, verdict: str) -> None:
    claim = claims.claim_task(user=user, task=task)
    assert claim is not None
    submission = parse_submission(project, vote(verdict))
    labelling.submit(user=user, token=claim.token, submission=submission)


def places(project: Project) -> list[tuple[str, str]]:
    tasks = Task.objects.filter(project=project).select_related("queue").order_by("pk")
    return [(task.queue.slug, task.state) for task in tasks]


def test_a_complaint_that_is_taken_back_and_made_again_waits_again(project: Project) -> None:
    first = complaint(project, "i")
    take_back(project, "i")
    assert routed(project) == []
    thumbs_down(project, "i", comment="still wrong")
    [again] = routed(project)
    assert again.pk == first.pk
    assert again.enqueued_at > first.enqueued_at
    assert again.reasons[0]["quote"] == "still wrong"


def test_a_task_stays_where_it_is_if_its_place_elsewhere_is_taken(project: Project) -> None:
    complaint(project, "i")
    take_back(project, "i")
    routed(project)
    score(project, "i", flagged=True, source="judge")
    routed(project)
    thumbs_down(project, "i")
    [task] = routed(project)
    assert places(project) == [("negative-feedback", "dropped"), ("flagged", "open")]
    assert {reason["kind"] for reason in task.reasons} == {"negative_feedback", "flagged_score"}
    assert task.score == 40


def test_a_task_that_somebody_works_on_stays_in_place_and_becomes_no_less_urgent(
    project: Project, people: dict[str, User]
) -> None:
    task = complaint(project, "i")
    assert claims.claim_task(user=people["reviewer"], task=task)
    take_back(project, "i")
    [kept] = routed(project)
    assert (kept.pk, kept.due_at, kept.reasons) == (task.pk, task.due_at, task.reasons)


def test_a_claimed_sample_is_not_moved_but_brought_forward(project: Project, people: dict[str, User]) -> None:
    TriageRule.objects.filter(project=project, slug="random-sample").update(rate=1.0)
    late = next(f"i-{n}" for n in range(1000) if sampling.number("random-sample turn", f"i-{n}") > 0.9)
    interaction(project, late)
    [drawn] = routed(project)
    assert claims.claim_task(user=people["reviewer"], task=drawn)
    thumbs_down(project, late)
    [task] = routed(project)
    assert (task.queue_id, task.lane) == (drawn.queue_id, "random")
    assert task.due_at < drawn.due_at
    assert task.reasons[0]["text"] == "Thumbs-down"


def test_a_sampled_task_goes_back_to_its_sample_when_the_complaint_is_taken_back(project: Project) -> None:
    TriageRule.objects.filter(project=project, slug="random-sample").update(rate=1.0)
    complaint(project, "i")
    take_back(project, "i")
    [task] = routed(project)
    assert (task.queue.slug, task.lane, task.sampled, task.inclusion_p) == ("random-sample", "random", True, 1.0)
    assert [reason["kind"] for reason in task.reasons] == ["random"]


@pytest.mark.parametrize(("verdict", "comes_back"), [("pass", True), ("unsure", True), ("fail", False)])
def test_what_was_not_found_to_fail_comes_back_when_it_is_complained_about(
    verdict: str, comes_back: bool, project: Project, people: dict[str, User]
) -> None:
    TriageRule.objects.filter(project=project, slug="random-sample").update(rate=1.0)
    interaction(project, "i")
    [drawn] = routed(project)
    settle(project, people["reviewer"], drawn, verdict)
    thumbs_down(project, "i")
    again = routed(project)
    assert [task.queue.slug for task in again] == (["negative-feedback"] if comes_back else [])
    assert all(not task.sampled for task in again)  # it counts once, by the task that was drawn


def test_neither_a_machine_nor_a_stranger_asks_for_a_second_look(project: Project, people: dict[str, User]) -> None:
    settle(project, people["reviewer"], complaint(project, "i"), "pass")
    score(project, "i", flagged=True, source="judge")
    assert routed(project) == []
    stranger = {"interaction_id": "i", "kind": "report", "value": "bad", "user_id": "x"}
    services.record_feedback(project, stranger, source="browser", verified=False)
    assert routed(project) == []


def test_a_second_complaint_about_what_was_looked_at_as_a_complaint_changes_nothing(
    project: Project, people: dict[str, User]
) -> None:
    settle(project, people["reviewer"], complaint(project, "i"), "pass")
    thumbs_down(project, "i", user_id="another")
    assert routed(project) == []
    assert places(project) == [("negative-feedback", "done")]


def test_the_draw_happens_once_however_often_facts_come(project: Project) -> None:
    """A rate that is raised later draws nothing anew: p would no longer be what is written down."""
    interaction(project, "i")
    TriageRule.objects.filter(project=project, slug="random-sample").update(rate=1e-9)
    assert routed(project) == []
    TriageRule.objects.filter(project=project, slug="random-sample").update(rate=1.0)
    thumbs_down(project, "i")
    [task] = routed(project)
    assert (task.sampled, task.inclusion_p) == (False, None)


def test_two_random_rules_give_the_probability_of_being_drawn_by_either(project: Project) -> None:
    queue = Queue.objects.get(project=project, slug="random-sample")
    TriageRule.objects.filter(project=project, slug="random-sample").update(rate=0.5)
    TriageRule.objects.create(
        project=project,
        queue=queue,
        slug="audit",
        name="Audit",
        condition={"all": []},
        sampling="random",
        rate=0.4,
        position=9,
    )
    for number in range(60):
        interaction(project, f"i-{number}")
    tasks = routed(project)
    expected = {
        f"i-{number}"
        for number in range(60)
        if sampling.drawn("random-sample", f"i-{number}", 0.5) or sampling.drawn("audit", f"i-{number}", 0.4)
    }
    assert {task.interaction.external_id for task in tasks} == expected
    assert {round(task.inclusion_p or 0, 9) for task in tasks} == {0.7}
    assert {task.seed for task in tasks} == {"random-sample", "audit", "random-sample,audit"}


def test_a_random_rule_that_is_switched_off_forgets_nothing_it_drew(project: Project) -> None:
    TriageRule.objects.filter(project=project, slug="random-sample").update(rate=1.0)
    interaction(project, "i")
    routed(project)
    TriageRule.objects.filter(project=project, slug="random-sample").update(enabled=False)
    services.record_feedback(project, {"interaction_id": "i", "kind": "thumbs", "value": "up"})
    [task] = routed(project)
    assert (task.state, task.sampled, task.inclusion_p) == ("open", True, 1.0)


def test_complaints_of_several_users_are_one_reason_with_their_number(project: Project) -> None:
    interaction(project, "i")
    for user in ("u-1", "u-2", "u-3"):
        thumbs_down(project, "i", comment=f"says {user}", user_id=user)
    [task] = routed(project)
    assert [(reason["text"], reason["quote"]) for reason in task.reasons] == [("Thumbs-down, 3 users", "says u-3")]
    assert task.score == 25


def test_a_comment_of_its_own_is_the_evidence_of_the_users_thumb(project: Project) -> None:
    interaction(project, "i")
    thumbs_down(project, "i", comment="", user_id="u")
    services.record_feedback(
        project, {"interaction_id": "i", "kind": "comment", "comment": "  the fee\nis wrong ", "user_id": "u"}
    )
    [task] = routed(project)
    assert task.reasons[0]["quote"] == "the fee is wrong"


@pytest.mark.parametrize(
    ("value", "scale", "points"), [(1, 5, 25.0), (2, 5, 18.8), (0, 1, 25.0), (1, 10, 25.0), (5, 10, 13.9)]
)
def test_the_lower_a_rating_the_more_it_weighs(value: float, scale: float, points: float, project: Project) -> None:
    interaction(project, "i")
    services.record_feedback(project, {"interaction_id": "i", "kind": "rating", "value": value, "scale": scale})
    [task] = routed(project)
    assert task.score == points


@pytest.mark.parametrize(
    ("source", "name", "text", "points"),
    [
        ("detector", "refusal", "Refusal detector 0.31", 15),
        ("detector", "pii_leak", "Pii leak detector 0.31", 20),
        ("judge", "faithfulness", "Judge faithfulness 0.31", 15),
        ("api", "vendor-check", "Score vendor check 0.31", 15),
    ],
)
def test_a_flag_says_who_raised_it(source: str, name: str, text: str, points: float, project: Project) -> None:
    interaction(project, "i")
    score(project, "i", name, flagged=True, source=source)
    [task] = routed(project)
    assert (task.queue.slug, task.reasons[0]["text"], task.score) == ("flagged", text, points)


def test_only_the_newest_score_of_a_name_speaks(project: Project) -> None:
    interaction(project, "i")
    score(project, "i", flagged=True, source="judge")
    assert len(routed(project)) == 1
    score(project, "i", flagged=False, source="judge")
    assert routed(project) == []


@pytest.mark.parametrize(
    ("thumb", "flags", "text"),
    [
        ("down", [("faithfulness", False)], "A judge found nothing wrong, the user did"),
        ("up", [("faithfulness", True)], "The user liked what a judge did not"),
        (None, [("faithfulness", True), ("tone", False)], "The judges disagree"),
        ("down", [("faithfulness", True)], None),
    ],
)
def test_disagreement_makes_a_task_more_urgent(
    thumb: str | None, flags: list[tuple[str, bool]], text: str | None, project: Project
) -> None:
    interaction(project, "i")
    for name, flagged in flags:
        score(project, "i", name, flagged=flagged, source="judge")
    if thumb:
        services.record_feedback(project, {"interaction_id": "i", "kind": "thumbs", "value": thumb})
    [task] = routed(project)
    assert next((one["text"] for one in task.reasons if one["kind"] == "disagreement"), None) == text


@pytest.mark.parametrize("condition", [{}, [], "x", {"signal": "moon"}, {"signal": ["error"]}])
def test_a_rule_that_nobody_understands_harms_no_other(condition: Any, project: Project) -> None:
    queue = Queue.objects.get(project=project, slug="flagged")
    TriageRule.objects.create(project=project, queue=queue, slug="odd", name="Odd", condition=condition)
    complaint(project, "i")
    assert not Inbox.objects.filter(stage="triage").exists()


def test_a_task_is_told_to_those_who_listen_without_a_word_of_the_user(project: Project) -> None:
    from projects import webhooks
    from projects.models import Delivery

    webhooks.create(project, url="https://hooks.example.com/", events=["task.created"], actor=None)
    webhooks.forget()
    task = complaint(project, "i")
    told = Delivery.objects.get(event="task.created")
    assert told.payload == {"task_id": task.pk, "queue": "negative-feedback", "interaction_id": "i"}
    webhooks.forget()


def test_a_batch_that_is_cut_off_is_routed_again_in_full(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    interaction(project, "i")
    thumbs_down(project, "i")
    with monkeypatch.context() as patch:
        patch.setattr(triage, "_create", lambda *_: (_ for _ in ()).throw(RuntimeError("power cut")))
        triage.run()
        assert not Task.objects.exists()
        assert Inbox.objects.filter(stage="triage").exists()
    assert len(routed(project)) == 1
