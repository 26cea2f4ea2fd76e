"""Judging without what others think: blind items, blind mode, the reveal after the vote, and judges' suggestions."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from annotations.models import Annotation, Claim, Label, Queue, Task
from feedback.models import Interaction, Score
from projects.models import Project

REVIEW = "/p/acme/queues/negative-feedback/review/"
Browser = Callable[[str], Client]


@pytest.fixture
def queue(project: Project) -> Queue:
    return Queue.objects.get(project=project, slug="negative-feedback")


def an_interaction(project: Project, name: str, **fields: Any) -> Interaction:
    return Interaction.objects.create(
        project=project, external_id=name, created_at=timezone.now(), fingerprint=b"x", output="The answer",
        messages=[{"role": "user", "content": f"Question {name}"}], **fields,
    )  # fmt: skip


@pytest.fixture
def task(queue: Queue) -> Task:
    return Task.objects.create(
        project=queue.project, queue=queue, interaction=an_interaction(queue.project, "one", model="hushed"),
        lane="risk", due_at=timezone.now(), reasons=[{"icon": "dot", "text": "hushed reason", "kind": "x"}],
    )  # fmt: skip


def judged(interaction: Interaction, *, flagged: bool, **fields: Any) -> Score:
    return Score.objects.create(
        project=interaction.project, interaction=interaction, interaction_external_id=interaction.external_id,
        source="judge", flagged=flagged, value=0.1 if flagged else 0.9, fingerprint=b"x",
        **{"name": "faithfulness", "version": "1", **fields},
    )  # fmt: skip


def a_good_judge(project: Project, *, wrong: int = 0, labels: int = 80, seen: bool = False) -> None:
    """Labels that reviewers made, half of them fails, and what the judge had said of each."""
    for place in range(labels):
        interaction, fails = an_interaction(project, f"past-{place}"), place % 2 == 0
        Label.objects.create(
            project=project, interaction=interaction, verdict="fail" if fails else "pass", settled_by="single",
            rubric_version=1, suggestion_seen=seen,
        )  # fmt: skip
        judged(interaction, flagged=fails != (place < wrong))


def form_of(page: str, **changes: Any) -> dict[str, Any]:
    names = "token|submission_id|blind|seen|suggestion_seen"
    found = re.findall(rf'<input type="hidden" name="({names})" value="([^"]*)"', page)
    suggested = re.search(r'name="suggested" value="([^"]*)"', page)
    form = dict(found) | ({"suggested": suggested[1].replace("&quot;", '"')} if suggested else {})
    return {**form, "desired_output": "The answer", "note": "", "order": "", **changes}


def vote(client: Client, **changes: Any) -> Any:
    form = form_of(client.get(REVIEW).content.decode(), **changes)
    return client.post(f"/p/acme/claims/{form['token']}/label/", form)


def test_a_judge_that_has_met_the_bar_suggests(browser_of: Browser, task: Task, project: Project) -> None:
    a_good_judge(project, wrong=1)
    judged(task.interaction, flagged=True, detail={"category": "contradicts-source"})
    page = browser_of("reviewer").get(REVIEW).content.decode()
    assert "Judge faithfulness suggests</b> Fail, Contradicts source" in page
    assert "Agrees with reviewers 99 %, 80 labels" in page


@pytest.mark.parametrize("past", [{"labels": 28}, {"wrong": 20}, {"seen": True}, {"labels": 0}])
def test_a_judge_below_the_bar_suggests_nothing(
    past: dict[str, Any], browser_of: Browser, task: Task, project: Project
) -> None:
    a_good_judge(project, **past)
    judged(task.interaction, flagged=True)
    assert "suggests" not in browser_of("reviewer").get(REVIEW).content.decode()


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"accepted": "on", "categories": "contradicts-source", "severity": "2"}, ["accepted"] * 3),
        ({"accepted": "on", "categories": "incomplete", "severity": "2"}, ["accepted", "changed", "accepted"]),
        ({"categories": "contradicts-source", "severity": "2"}, ["ignored"] * 3),
    ],
)
def test_what_became_of_a_suggestion_is_kept_by_field(
    changes: dict[str, str], kept: list[str], browser_of: Browser, task: Task, project: Project
) -> None:
    a_good_judge(project)
    judged(task.interaction, flagged=True, detail={"category": "contradicts-source"})
    assert vote(browser_of("reviewer"), verdict="fail", **changes).status_code == 302
    assert Annotation.objects.get().suggestion == dict(
        zip(("verdict", "primary_category", "severity"), kept, strict=True)
    )


def test_blind_mode_hides_and_shows_and_keeps_what_is_written(
    browser_of: Browser, task: Task, project: Project
) -> None:
    a_good_judge(project)
    judged(task.interaction, flagged=True)
    client = browser_of("lead")
    page = client.get(REVIEW).content.decode()
    assert "hushed" in page
    form = form_of(page, verdict="fail", note="my words")
    answer = client.post(f"/p/acme/claims/{form['token']}/blind/", form, follow=True)
    page = answer.content.decode()
    assert "hushed" not in page
    assert "suggests" not in page
    assert "my words" in page
    client.post(f"/p/acme/claims/{form['token']}/blind/", form_of(page))
    assert "hushed" in client.get(REVIEW).content.decode()


def test_a_vote_counts_as_blind_only_if_nothing_was_seen(browser_of: Browser, task: Task, queue: Queue) -> None:
    client = browser_of("reviewer")
    form = form_of(client.get(REVIEW).content.decode())
    client.post(f"/p/acme/claims/{form['token']}/blind/", form)  # too late for this item
    vote(client, verdict="pass")
    assert not Annotation.objects.get().blind
    Task.objects.create(
        project=queue.project, queue=queue, interaction=an_interaction(queue.project, "two"), lane="risk",
        due_at=timezone.now(), reasons=[],
    )  # fmt: skip
    assert "/reveal/" in vote(client, verdict="pass")["Location"]
    assert Annotation.objects.latest("pk").blind


def test_calibration_is_always_blind(browser_of: Browser, task: Task) -> None:
    Task.objects.filter(pk=task.pk).update(lane="calibration")
    page = browser_of("reviewer").get(REVIEW).content.decode()
    assert "hushed" not in page
    assert "claims" in page
    assert "/blind/" not in page


def revealed(client: Client) -> tuple[str, str]:
    answer = vote(client, verdict="pass")
    return answer["Location"], client.get(answer["Location"]).content.decode()


def test_after_a_blind_vote_what_was_hidden_is_shown(browser_of: Browser, task: Task) -> None:
    Queue.objects.update(blind=True)
    judged(task.interaction, flagged=True)
    client = browser_of("reviewer")
    address, page = revealed(client)
    assert "Does this change your answer?" in page
    assert "hushed reason" in page
    assert "Judge faithfulness" in page
    assert Annotation.objects.get().reveal == "shown"
    assert browser_of("lead").get(address).status_code == 404
    answer = client.post(f"{address}answer/", {"answer": "kept"})
    assert answer["Location"] == REVIEW
    kept = Annotation.objects.get()
    assert (kept.reveal, kept.state) == ("kept", "counted")
    client.post(f"{address}answer/", {"answer": "changed"})  # said once
    assert Annotation.objects.get().reveal == "kept"


def test_a_changed_answer_supersedes_the_blind_one(browser_of: Browser, task: Task) -> None:
    Queue.objects.update(blind=True)
    client = browser_of("reviewer")
    address, _ = revealed(client)
    answer = client.post(f"{address}answer/", {"answer": "changed"})
    page = client.get(answer["Location"]).content.decode()
    assert "hushed reason" in page
    form = form_of(page, verdict="fail", note="seen now")
    client.post(f"/p/acme/claims/{form['token']}/label/", form)
    first, second = Annotation.objects.order_by("pk")
    assert (first.reveal, first.state) == ("changed", "retracted")
    assert (second.supersedes, second.verdict, second.state) == (first, "fail", "counted")
    assert Label.objects.get(superseded_at=None).verdict == "fail"


def test_a_check_does_not_give_itself_away(browser_of: Browser, task: Task, people: Any) -> None:
    known = Label.objects.create(
        project=task.project, interaction=task.interaction, verdict="fail", settled_by="owner", rubric_version=1
    )
    Task.objects.filter(pk=task.pk).update(purpose="gold", known=known, assigned_to=people["reviewer"])
    answer = vote(browser_of("reviewer"), verdict="pass")
    assert answer["Location"] == REVIEW
    assert Claim.objects.get().state == "submitted"


def test_a_suggestions_outcome_can_be_sent_by_api(task: Task, token_of: Callable[[str], Any]) -> None:
    api = token_of("reviewer")
    claim = api.post("/api/v1/queues/negative-feedback/claim")[1]["claim"]
    body = {"submission_id": str(uuid.uuid4()), "verdict": "pass", "suggestion": {"verdict": "applauded"}}
    address = f"/api/v1/claims/{claim['token']}/submit"
    assert api.post(address, body)[0] == 422
    assert api.post(address, {**body, "suggestion": {"verdict": "changed"}})[0] == 201
    assert Annotation.objects.get().suggestion == {"verdict": "changed"}
