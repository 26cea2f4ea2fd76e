"""The next item, leased ahead: one at most, never somebody else's, and given back where it is not used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from annotations import ahead, claims
from annotations.models import Annotation, Claim, Queue, Task
from projects.models import Project, User
from tests.annotations.flow import complaint

REVIEW = "/p/acme/queues/negative-feedback/review/"
Browser = Callable[[str], Client]


@pytest.fixture
def queue(project: Project) -> Queue:
    return Queue.objects.get(project=project, slug="negative-feedback")


@pytest.fixture
def three(project: Project) -> list[Task]:
    return [complaint(project, name) for name in ("one", "two", "three")]


def test_one_item_is_leased_ahead_and_stays_the_same(three: Any, queue: Queue, people: dict[str, User]) -> None:
    user = people["reviewer"]
    first = claims.claim_next(user=user, queue=queue)
    assert first
    second = ahead.claim_ahead(user=user, token=first.token)
    assert second
    assert second.task_id != first.task_id
    assert ahead.claim_ahead(user=user, token=first.token) == second
    assert Claim.objects.filter(state="leased").count() == 2
    assert claims.claim_next(user=user, queue=queue) == first  # opening the queue anew leads to the one in hand
    assert set(Task.objects.filter(taken=1)) == {first.task, second.task}


def test_nobody_gets_what_somebody_has_ready(three: Any, queue: Queue, people: dict[str, User]) -> None:
    first = claims.claim_next(user=people["reviewer"], queue=queue)
    assert first
    second = ahead.claim_ahead(user=people["reviewer"], token=first.token)
    other = claims.claim_next(user=people["lead"], queue=queue)
    assert other
    assert second
    assert len({first.task_id, second.task_id, other.task_id}) == 3
    assert ahead.claim_ahead(user=people["lead"], token=other.token) is None


def test_what_was_not_come_to_goes_back(three: Any, queue: Queue, people: dict[str, User]) -> None:
    user = people["reviewer"]
    first = claims.claim_next(user=user, queue=queue)
    assert first
    second = ahead.claim_ahead(user=user, token=first.token)
    assert second
    ahead.give_back(user=user, token=second.token)
    second.task.refresh_from_db()
    assert second.task.taken == 0
    claims.release(user=user, token=first.token)
    assert ahead.claim_ahead(user=user, token=first.token) is None  # no claim in hand, none ahead


def test_something_written_on_it_is_not_given_back(three: Any, queue: Queue, people: dict[str, User]) -> None:
    user = people["reviewer"]
    first = claims.claim_next(user=user, queue=queue)
    assert first
    second = ahead.claim_ahead(user=user, token=first.token)
    assert second
    claims.save_draft(user=user, token=second.token, draft={"note": "words"})
    ahead.give_back(user=user, token=second.token)
    second.refresh_from_db()
    assert (second.state, second.draft) == ("leased", {"note": "words"})


def test_the_page_gets_it_ready_and_saves_behind_it(three: Any, browser_of: Browser) -> None:
    client = browser_of("reviewer")
    client.get(REVIEW)
    first = Claim.objects.get()
    answer = client.post(f"/p/acme/claims/{first.token}/ahead/")
    second = Claim.objects.exclude(pk=first.pk).get()
    assert f'data-token="{second.token}"' in answer.content.decode()
    form = {"submission_id": "6f0cb1f2-6f6e-4be3-9d1c-3b2a7d6a0c11", "verdict": "pass", "behind": "1"}
    address = f"/p/acme/claims/{first.token}/label/"
    for _ in range(2):  # the same submission twice counts once
        said = client.post(address, form)
        assert said.json().items() >= {"said": "Saved: Pass.", "done_today": 1, "waiting": 2}.items()
    assert Annotation.objects.count() == 1
    assert client.post(f"/p/acme/claims/{second.token}/give-back/").status_code == 204
    second.refresh_from_db()
    assert second.state == "released"
    assert browser_of("lead").post(f"/p/acme/claims/{second.token}/ahead/").status_code == 404
