"""From the list of interactions into a dataset, and before a judge."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from evals.models import Example, Judge, JudgeJob
from projects.models import AuditEntry, Project
from tests.evals import golden

ACT = "/p/acme/interactions/act/"


@pytest.fixture
def engineer(browser_of: Callable[[str], Client]) -> Client:
    return browser_of("engineer")


@pytest.fixture
def keyed(project: Project, settings: Any) -> Judge:
    settings.OPENAI_API_KEY = "sk-none"
    found = Judge.objects.get(project=project)
    Judge.objects.filter(pk=found.pk).update(enabled=True, provider="openai")
    return found


def said(response: HttpResponse) -> str:
    return " ".join(re.sub("<[^>]+>", "", response.content.decode()).split())


def test_what_people_have_labelled_is_proposed_once_and_the_rest_is_told(engineer: Client, project: Project) -> None:
    labelled, plain, unsure = (golden.interaction(project) for _ in range(3))
    golden.label(project, labelled)
    golden.label(project, unsure, verdict="unsure", severity=None, desired_output="")
    body = {"action": "dataset", "pk": [labelled.pk, plain.pk, unsure.pk], "for-dataset": "golden"}
    for _ in range(2):
        told = said(engineer.post(ACT, body, follow=True))
        assert "Proposed 1 of 3" in told
        assert "2 have no label yet: send them to a queue." in told
    example = Example.objects.get(version__dataset__project=project)
    assert example.approved_at is None
    assert example.input["messages"] == labelled.messages


def test_a_judge_is_asked_about_what_it_has_not_seen(engineer: Client, project: Project, keyed: Judge) -> None:
    fresh, seen, failed = (
        golden.interaction(project),
        golden.interaction(project),
        golden.interaction(project, output=""),
    )
    JudgeJob.objects.create(project=project, judge=keyed, interaction=seen)
    body = {"action": "judge", "pk": [fresh.pk, seen.pk, failed.pk], "for-judge": keyed.slug}
    told = said(engineer.post(ACT, body, follow=True))
    assert "will look at 1 interaction. 2 it has seen, or there is no answer to judge." in told
    assert JudgeJob.objects.get(judge=keyed, purpose="backfill").interaction == fresh
    assert AuditEntry.objects.filter(action="judge.asked", detail__items=1).exists()
    assert "will look at 0 interactions" in said(engineer.post(ACT, body, follow=True))


def test_a_judge_without_a_key_is_not_offered_and_cannot_be_asked(
    engineer: Client, project: Project, keyed: Judge, settings: Any
) -> None:
    item = golden.interaction(project)
    assert 'value="judge"' in engineer.get("/p/acme/interactions/").content.decode()
    settings.OPENAI_API_KEY = ""
    assert 'value="judge"' not in engineer.get("/p/acme/interactions/").content.decode()
    body = {"action": "judge", "pk": [item.pk], "for-judge": keyed.slug}
    assert "Choose a judge that is in use and has a key." in said(engineer.post(ACT, body, follow=True))
    assert not JudgeJob.objects.exists()


@pytest.mark.parametrize(("action", "choice"), [("dataset", "nothing"), ("judge", "nothing"), ("dataset", "")])
def test_what_is_not_there_is_said(engineer: Client, project: Project, action: str, choice: str) -> None:
    item = golden.interaction(project)
    told = said(engineer.post(ACT, {"action": action, "pk": [item.pk], f"for-{action}": choice}, follow=True))
    assert "Choose a" in told
    assert not Example.objects.exists()


def test_items_of_another_project_are_neither_proposed_nor_judged(
    engineer: Client, project: Project, other_project: Project, keyed: Judge
) -> None:
    foreign = golden.interaction(other_project)
    golden.label(other_project, foreign)
    for action, choice in (("dataset", "golden"), ("judge", keyed.slug)):
        told = said(engineer.post(ACT, {"action": action, "pk": [foreign.pk], f"for-{action}": choice}, follow=True))
        assert "Tick the interactions first." in told
    assert not Example.objects.exists()
    assert not JudgeJob.objects.exists()


@pytest.mark.parametrize(
    ("role", "dataset", "judge"), [("lead", 302, 403), ("reviewer", 403, 403), ("viewer", 403, 403)]
)
def test_who_may_do_which(
    browser_of: Callable[[str], Client], project: Project, role: str, dataset: int, judge: int
) -> None:
    item, client = golden.interaction(project), browser_of(role)
    found = [
        client.post(ACT, {"action": action, "pk": [item.pk], f"for-{action}": "golden"}).status_code
        for action in ("dataset", "judge")
    ]
    assert found == [dataset, judge]
