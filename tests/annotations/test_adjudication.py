"""Differences between reviewers: resolved once, with a reason that everybody sees; or asked about first."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from annotations import adjudication, claims, labelling, settlement
from annotations.adjudication import Decision
from annotations.models import Adjudication, Annotation, Label, Question, Queue, Task
from annotations.submission import parse_submission
from projects.errors import ApiError
from projects.models import Membership, Project, User
from tests.annotations.flow import complaint, vote
from tests.annotations.test_claims import at_once
from tests.annotations.test_settlement import cast, current
from tests.conftest import Api
from tests.factories import UserFactory

WHY = {"cause": "guideline_gap", "reason": "The rule is in source 1."}


def disputed(project: Project, people: dict[str, User], name: str = "i", **third: Any) -> Task:
    """Three have voted: fail, pass, unsure."""
    Queue.objects.filter(project=project).update(overlap=2)
    task = complaint(project, name)
    cast(project, people["reviewer"], task, "fail", note="no source", desired_output="It is 4.")
    cast(project, people["engineer"], task, "pass")
    task.refresh_from_db()
    assert (task.state, task.needed) == ("open", 3)  # one more reviewer, and only one
    cast(project, people["admin"], task, "unsure", **third)
    task.refresh_from_db()
    assert task.state == "disputed"
    return task


def vote_of(task: Task, user: User) -> Annotation:
    return Annotation.objects.get(task=task, reviewer=user, state="counted")


def resolve(people: dict[str, User], task: Task, **more: Any) -> Label:
    return adjudication.resolve(actor=people["lead"], task=task, decision=Decision(**{**WHY, **more}))


def code_of(work: Callable[[], object]) -> str:
    with pytest.raises(ApiError) as caught:
        work()
    return caught.value.error_code


def test_taking_a_vote_settles_the_label_with_all_that_it_says(project: Project, people: dict[str, User]) -> None:
    task = disputed(project, people)
    label = resolve(
        people, task, take=vote_of(task, people["reviewer"]).pk, guide_note="Say which fee", gold_check=True
    )
    assert (label.verdict, label.note, label.desired_output) == ("fail", "no source", "It is 4.")
    assert (label.settled_by, label.reviewers, label.gold_check) == ("adjudicated", 3, True)
    assert current(task) == label
    done = Adjudication.objects.get()
    assert (done.cause, done.reason, done.guide_note) == ("guideline_gap", "The rule is in source 1.", "Say which fee")
    assert done.chosen is not None
    assert done.chosen.reviewer == people["reviewer"]


def test_what_the_lead_writes_is_a_label_and_no_vote(project: Project, people: dict[str, User]) -> None:
    task = disputed(project, people)
    own = parse_submission(project, vote("fail", severity=3, desired_output="It is 4.90."))
    label = resolve(people, task, own=own)
    assert (label.severity, label.desired_output) == (3, "It is 4.90.")
    assert Annotation.objects.filter(task=task).count() == 3
    assert Adjudication.objects.get().chosen is None


def test_a_reason_and_a_cause_are_needed_and_all_faults_come_at_once(project: Project, people: dict[str, User]) -> None:
    task = disputed(project, people)
    with pytest.raises(ApiError) as caught:
        resolve(people, task, cause="mood", reason="  ")
    assert [fault["path"] for fault in caught.value.details] == ["/take", "/cause", "/reason"]
    assert current(task) is None


def test_a_vote_of_another_item_cannot_be_taken(project: Project, people: dict[str, User]) -> None:
    task, other = disputed(project, people), disputed(project, people, "other")
    assert code_of(lambda: resolve(people, task, take=vote_of(other, people["reviewer"]).pk)) == "invalid"
    assert Label.objects.count() == 0


def test_what_is_resolved_is_not_reopened_by_an_undo_or_a_late_vote(project: Project, people: dict[str, User]) -> None:
    task = disputed(project, people)
    label = resolve(people, task, take=vote_of(task, people["engineer"]).pk)
    assert labelling.undo(user=people["admin"], project=project) is None
    assert claims.claim_task(user=people["lead"], task=task) is None
    assert current(task) == label
    assert list(adjudication.disputes(project)) == []


@pytest.mark.django_db(transaction=True)
def test_of_two_leads_at_once_one_decides_and_the_other_is_told_by_whom(
    project: Project, people: dict[str, User]
) -> None:
    for number in range(5):
        task = disputed(project, people, f"i-{number}")
        leads = [people["lead"], people["admin"]]
        takes = [vote_of(task, people["reviewer"]).pk, vote_of(task, people["engineer"]).pk]

        def decide(n: int, task: Task = task, takes: list[int] = takes, leads: list[User] = leads) -> str:
            try:
                adjudication.resolve(actor=leads[n], task=task, decision=Decision(**WHY, take=takes[n]))
            except ApiError as error:
                return error.message
            return "done"

        said = sorted(at_once(decide, 2))
        winner = Adjudication.objects.get(task=task).adjudicator
        assert said == sorted(["done", f"{winner} has resolved this already. Nothing was changed."])
        assert Label.objects.filter(task=task).count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("verdicts", [("fail", "fail"), ("pass", "fail")])
def test_two_last_votes_at_once_settle_exactly_once(verdicts: tuple[str, str], project: Project) -> None:
    Queue.objects.filter(project=project).update(overlap=2)
    for number in range(6):
        task = complaint(project, f"i-{number}")
        pair = [UserFactory(), UserFactory()]
        held = [claims.hold(user=one, task=task) for one in pair]

        def send(n: int, pair: list[User] = pair, held: list[Any] = held) -> None:
            submission = parse_submission(project, vote(verdicts[n]))
            labelling.submit(user=pair[n], token=held[n].token, submission=submission)

        at_once(send, 2)
        task.refresh_from_db()
        same = verdicts[0] == verdicts[1]
        assert Label.objects.filter(task=task).count() == int(same)
        assert (task.state, task.needed) == (("done", 2) if same else ("open", 3))


@pytest.mark.parametrize(
    "verdicts", [("pass",) * 3, ("fail",) * 3, ("pass", "fail", "fail"), ("fail", "unsure", "pass"), ("unsure",) * 3]
)
@pytest.mark.parametrize("owner", [None, 1])
def test_what_votes_settle_does_not_depend_on_their_order(
    verdicts: tuple[str, ...], owner: int | None, project: Project
) -> None:
    """All orders of three votes, each by its own person, leave the same label or the same difference."""
    Queue.objects.filter(project=project).update(overlap=3)
    who = [UserFactory() for _ in verdicts]
    for one in who:
        Membership.objects.create(project=project, user=one, role="reviewer")
    outcomes = set()
    for number, order in enumerate(itertools.permutations(range(3))):
        project.owner = None
        project.save(update_fields=["owner"])
        task = complaint(project, f"i-{number}")
        held = {place: claims.hold(user=who[place], task=task) for place in order}
        if owner is not None:
            project.owner = who[owner]
            project.save(update_fields=["owner"])
        for place in order:
            submission = parse_submission(
                project, vote(verdicts[place], desired_output=f"by {place}" if place else "", golden=place == 1)
            )
            labelling.submit(user=who[place], token=held[place].token, submission=submission)  # type: ignore[union-attr]
        task.refresh_from_db()
        label = current(task)
        said = (label.verdict, label.settled_by, label.desired_output) if label else None
        outcomes.add((task.state, said))
    assert len(outcomes) == 1


def test_those_who_are_asked_may_change_their_vote_and_then_it_settles(
    project: Project, people: dict[str, User]
) -> None:
    task = disputed(project, people)
    first = vote_of(task, people["engineer"])
    question = adjudication.ask(actor=people["lead"], task=task, text="Did you see source 1?")
    assert [one.pk for one in adjudication.questions_for(people["engineer"], project)] == [question.pk]
    changed = parse_submission(project, vote("fail"))
    assert adjudication.answer(user=people["reviewer"], question=question, submission=None) is None
    assert adjudication.answer(user=people["engineer"], question=question, submission=changed) is None
    label = adjudication.answer(
        user=people["admin"], question=question, submission=parse_submission(project, vote("fail"))
    )
    assert label is not None
    assert (label.verdict, label.settled_by, label.reviewers) == ("fail", "unanimous", 3)
    first.refresh_from_db()
    assert (first.state, first.reveal) == ("retracted", "changed")
    assert vote_of(task, people["engineer"]).supersedes == first
    # What they said before they were asked is what counts for agreement.
    independent = settlement.independent_votes(project).filter(task=task).order_by("id")
    assert list(independent.values_list("verdict", flat=True)) == ["fail", "pass", "unsure"]


def test_where_they_still_differ_it_comes_back_to_the_list(project: Project, people: dict[str, User]) -> None:
    task = disputed(project, people)
    question = adjudication.ask(actor=people["lead"], task=task, text="Sure?")
    assert code_of(lambda: adjudication.ask(actor=people["lead"], task=task, text="Sure?")) == "already_asked"
    for who in ("reviewer", "engineer", "admin"):
        adjudication.answer(user=people[who], question=question, submission=None)
    assert list(adjudication.disputes(project)) == [task]
    assert adjudication.question_of(task) is None
    assert Annotation.objects.filter(task=task).count() == 3
    again = code_of(lambda: adjudication.answer(user=people["admin"], question=question, submission=None))
    assert again == "already_answered"


def test_resolving_and_undoing_end_an_open_question(project: Project, people: dict[str, User]) -> None:
    task = disputed(project, people)
    adjudication.ask(actor=people["lead"], task=task, text="Sure?")
    resolve(people, task, take=vote_of(task, people["reviewer"]).pk)
    other = disputed(project, people, "other")
    adjudication.ask(actor=people["lead"], task=other, text="Sure?")
    assert labelling.undo(user=people["admin"], project=project) is not None
    assert not Question.objects.filter(closed_at=None).exists()


def page(task: Task, verb: str = "") -> str:
    return f"/p/acme/disputes/{task.pk}/{verb}"


def test_the_page_shows_the_votes_side_by_side_and_what_differs(
    project: Project, people: dict[str, User], browser_of: Callable[[str], Client]
) -> None:
    task = disputed(project, people, primary_category="contradicts-source")
    html = browser_of("lead").get(page(task)).content.decode()
    assert "Verdict, category, severity and desired differ" in html
    assert html.count("≠ differs") == 4
    for key, caption in (("a", "Take A"), ("b", "Take B"), ("c", "Take C"), ("w", "Write my own")):
        assert f'data-key="{key}"' in html
        assert caption in html
    assert "<ins>4.</ins>" in html


def test_a_decision_without_a_reason_comes_back_with_every_word_and_then_leads_to_the_next(
    project: Project, people: dict[str, User], browser_of: Callable[[str], Client]
) -> None:
    first, second = disputed(project, people, "a"), disputed(project, people, "b")
    lead = browser_of("lead")
    form = {
        "take": "own", "submission_id": str(uuid.uuid4()), "verdict": "fail", "categories": "contradicts-source",
        "desired_output": "Own words here.", "guide_note": "A note to keep", "cause": "edge_case", "reason": "",
    }  # fmt: skip
    back = lead.post(page(first, "resolve/"), form)
    html = back.content.decode()
    assert back.status_code == 422
    assert "Say why, for those who labelled it." in html
    assert "Own words here." in html
    assert "A note to keep" in html
    done = lead.post(page(first, "resolve/"), {**form, "reason": "A borderline case, so fail."})
    assert done.headers["Location"] == page(second)
    label = current(first)
    assert label is not None
    assert (label.settled_by, label.desired_output) == ("adjudicated", "Own words here.")
    late = lead.post(page(first, "resolve/"), {**form, "reason": "Again"}, follow=True).content.decode()
    assert "Lead has resolved this already" in late


def test_reviewers_read_the_reason_and_notes_wait_for_the_guide(
    project: Project, people: dict[str, User], browser_of: Callable[[str], Client]
) -> None:
    task = disputed(project, people)
    resolve(people, task, take=vote_of(task, people["reviewer"]).pk, guide_note="<b>Name the fee</b>")
    mine = browser_of("reviewer").get("/p/acme/labels/mine/").content.decode()
    assert "The rule is in source 1." in mine
    assert "your label" in mine
    assert "your label" not in browser_of("engineer").get("/p/acme/labels/mine/").content.decode()
    lead = browser_of("lead")
    assert "&lt;b&gt;Name the fee&lt;/b&gt;" in lead.get("/p/acme/disputes/").content.decode()
    note = Adjudication.objects.get()
    lead.post(f"/p/acme/disputes/notes/{note.pk}/done/")
    assert "Name the fee" not in lead.get("/p/acme/disputes/").content.decode()


def test_a_reviewer_answers_a_question_on_a_page_with_their_label_in_the_form(
    project: Project, people: dict[str, User], browser_of: Callable[[str], Client]
) -> None:
    task = disputed(project, people)
    browser_of("lead").post(page(task, "ask/"), {"question": "Which fee do you mean?"})
    question = Question.objects.get()
    reviewer = browser_of("reviewer")
    assert "Which fee do you mean?" in reviewer.get("/p/acme/labels/mine/").content.decode()
    address = f"/p/acme/labels/questions/{question.pk}/"
    html = reviewer.get(address).content.decode()
    assert 'value="fail" checked' in html
    assert "It is 4." in html
    sent = {"submission_id": str(uuid.uuid4()), "verdict": "fail", "note": ""}
    assert reviewer.post(address, sent).status_code == 422  # a fail says what went wrong, here as well
    kept = reviewer.post(address, {**sent, "verdict": "pass", "desired_output": ""}, follow=True).content.decode()
    assert "Your label is changed" in kept
    assert vote_of(task, people["reviewer"]).verdict == "pass"
    assert browser_of("lead").get(address).status_code == 404  # not asked: never voted
    browser_of("engineer").post(address, {"keep": "1"})
    question.refresh_from_db()
    assert question.waiting_for == [people["admin"].pk]


def test_programs_list_resolve_and_ask(
    project: Project, people: dict[str, User], token_of: Callable[[str], Api]
) -> None:
    task = disputed(project, people)
    lead = token_of("lead")
    status, body = lead.get("/api/v1/disputes")
    assert (status, body["count"]) == (200, 1)
    assert [one["verdict"] for one in body["results"][0]["votes"]] == ["fail", "pass", "unsure"]
    assert lead.post(f"/api/v1/disputes/{task.pk}/ask", {"question": "Sure?"})[0] == 201
    assert lead.get("/api/v1/disputes")[1]["results"][0]["question"] == {"text": "Sure?", "waiting_for": 3}
    status, body = lead.post(f"/api/v1/disputes/{task.pk}/resolve", {**WHY, "own": {"verdict": "maybe"}})
    assert status == 422
    assert {fault["path"] for fault in body["error"]["details"]} == {"/own/submission_id", "/own/verdict"}
    status, body = lead.post(f"/api/v1/disputes/{task.pk}/resolve", {**WHY, "take": vote_of(task, people["admin"]).pk})
    assert (status, body["label"]["settled_by"], body["label"]["verdict"]) == (200, "adjudicated", "unsure")
    status, body = lead.post(f"/api/v1/disputes/{task.pk}/resolve", {**WHY, "take": 1})
    assert (status, body["error"]["code"]) == (409, "already_resolved")
