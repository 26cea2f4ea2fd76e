"""The sample project's chat: who gets in, what is stored, and which keys it makes."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client

from annotations import triage
from annotations.models import Task
from feedback import sample_chat, tokens
from feedback.models import Feedback, Interaction
from projects import keys
from projects.models import ApiKey, Project
from tests.conftest import Api

PAGE, SAY = "/sample-chat/", "/sample-chat/say/"
ORIGIN = "http://testserver"


@pytest.fixture
def sample(project: Project) -> Project:
    Project.objects.filter(pk=project.pk).update(is_sample=True)
    project.refresh_from_db()
    return project


@pytest.fixture
def reviewer(sample: Project, browser_of: Callable[[str], Client]) -> Client:
    return browser_of("reviewer")


def say(client: Client, message: str = "What does it cost?") -> str:
    response = client.post(SAY, {"message": message}, follow=True)
    assert response.status_code == 200
    return response.content.decode()


def widget(page: str) -> dict[str, str]:
    """The attributes of the last widget in the page."""
    return {
        name: unescape(value) for name, value in re.findall(r'(\w+)="([^"]*)"', page.split("<review-feedback ")[-1])
    }


def test_without_a_sample_project_there_is_no_chat(project: Project, browser_of: Callable[[str], Client]) -> None:
    assert browser_of("admin").get(PAGE).status_code == 404
    assert browser_of("admin").post(SAY, {"message": "Hi"}).status_code == 404
    assert Interaction.objects.count() == 0


def test_only_members_of_the_sample_get_in(sample: Project, browser_of: Callable[[str], Client]) -> None:
    assert browser_of("outsider").get(PAGE).status_code == 404
    assert browser_of("outsider").post(SAY, {"message": "Hi"}).status_code == 404
    assert Client().get(PAGE).status_code == 302
    assert browser_of("viewer").get(PAGE).status_code == 200


def test_opening_the_page_makes_no_key(reviewer: Client) -> None:
    assert b"widget.js" in reviewer.get(PAGE).content
    assert ApiKey.objects.count() == 0


def test_an_answer_is_an_interaction_that_a_thumb_can_reach(reviewer: Client, sample: Project) -> None:
    page = say(reviewer, "What does <b>it</b> cost?")
    stored = Interaction.objects.get()
    assert (stored.project, stored.messages[0]["content"]) == (sample, "What does <b>it</b> cost?")
    assert "What does <b>it</b> cost?" in stored.output
    assert "<b>it</b>" not in page
    given = widget(page)
    assert (given["hub"], given["interaction"]) == (ORIGIN, stored.external_id)
    status, _ = Api(given["key"]).post(
        "/api/v1/feedback", {"interaction_id": given["interaction"], "kind": "thumbs", "value": "down"},
        Origin=ORIGIN, **{"X-Interaction-Token": given["token"]},
    )  # fmt: skip
    assert status == 201
    vote = Feedback.objects.get()
    assert (vote.interaction, vote.verified, vote.end_user_id) == (stored, True, stored.end_user_id)


def test_the_conversation_stays_and_is_that_of_one_browser(
    reviewer: Client, browser_of: Callable[[str], Client]
) -> None:
    for message in ("First?", "Second?", "Third?", "Fourth?"):
        say(reviewer, message)
    page = reviewer.get(PAGE).content.decode()
    assert page.index("First?") < page.index("Fourth?")
    assert page.count("<review-feedback ") == 4
    assert len(set(Interaction.objects.values_list("session_id", flat=True))) == 1
    assert "First?" not in browser_of("lead").get(PAGE).content.decode()


def test_a_session_has_one_key_which_opens_nothing_else_and_ends(reviewer: Client) -> None:
    page = say(reviewer)
    say(reviewer)
    public, secret = ApiKey.objects.get(kind="pk"), ApiKey.objects.get(kind="sk")
    assert public.origins == [ORIGIN]
    assert secret.scopes == []
    for key, hours in ((public, 12), (secret, 24)):
        assert key.expires_at is not None
        assert abs(key.expires_at - key.created_at - timedelta(hours=hours)) < timedelta(minutes=1)
    assert Api(widget(page)["key"]).get("/api/v1/interactions")[0] == 403


def test_keys_that_have_ended_are_replaced_and_revoked(reviewer: Client, sample: Project) -> None:
    first = widget(say(reviewer))
    ApiKey.objects.update(expires_at=Now() - timedelta(minutes=1))
    keys.forget()
    second = widget(reviewer.get(PAGE).content.decode())
    assert second["key"] != first["key"]
    assert keys.check(second["key"]) is not None
    assert tokens.verify(sample, second["token"], second["interaction"]).user_id
    assert ApiKey.objects.filter(revoked_at=None).count() == 2


def test_htmx_receives_the_new_turn_alone(reviewer: Client) -> None:
    say(reviewer, "First?")
    response = reviewer.post(SAY, {"message": "Second?"}, headers={"HX-Request": "true"})
    page = response.content.decode()
    assert "Second?" in page
    assert "First?" not in page
    assert "<html" not in page


@pytest.mark.parametrize("message", ["", "   ", "x" * 2001, "a\0b"])
def test_what_cannot_be_said_is_refused(message: str, reviewer: Client) -> None:
    assert reviewer.post(SAY, {"message": message}).status_code == 422
    assert Interaction.objects.count() == 0


def test_who_says_too_much_has_to_wait(reviewer: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr(sample_chat, "MESSAGES_A_MINUTE", 0)
    assert reviewer.post(SAY, {"message": "Hi"}).status_code == 429


RECEIVED = "/sample-chat/received/"
HTMX = {"HX-Request": "true"}


def vote(page: str, **feedback: str) -> None:
    """What the last widget of the page sends."""
    given = widget(page)
    body = {"interaction_id": given["interaction"], "kind": "thumbs", "value": "down", **feedback}
    sent = Api(given["key"]).post(
        "/api/v1/feedback", body, Origin=ORIGIN, **{"X-Interaction-Token": given["token"]}
    )  # fmt: skip
    assert sent[0] == 201


@pytest.mark.parametrize("who", ["reviewer", "viewer"])
def test_a_vote_is_shown_as_received_and_leads_to_its_item(
    who: str, sample: Project, browser_of: Callable[[str], Client]
) -> None:
    client = browser_of(who)
    vote(say(client))
    waiting = client.get(RECEIVED, headers=HTMX).content.decode()
    assert "Verified by its token" in waiting
    assert "On its way to a queue" in waiting
    triage.run()
    there = client.get(RECEIVED, headers=HTMX).content.decode()
    assert "Your item is in the queue <b>Negative feedback</b>" in there
    assert "Your item is in the queue" in client.get(PAGE).content.decode()  # also without scripts
    task = Task.objects.get()
    assert (f'action="/p/acme/tasks/{task.pk}/claim/"' in there) is (who == "reviewer")
    if who == "reviewer":
        opened = client.post(f"/p/acme/tasks/{task.pk}/claim/", follow=True)
        assert "What does it cost?" in opened.content.decode()


def test_the_page_asks_again_without_being_sent_the_same(reviewer: Client) -> None:
    page = say(reviewer)
    mark = page.split("?mark=")[1].split('"')[0]
    assert reviewer.get(f"{RECEIVED}?mark={mark}", headers=HTMX).status_code == 204
    vote(page, value="up")
    assert reviewer.get(f"{RECEIVED}?mark={mark}", headers=HTMX).status_code == 200
    assert reviewer.get(RECEIVED).status_code == 302


def test_what_others_say_is_not_shown(reviewer: Client, browser_of: Callable[[str], Client]) -> None:
    vote(say(reviewer), kind="comment", value="", comment="mine alone")
    assert "mine alone" in reviewer.get(PAGE).content.decode()
    assert "mine alone" not in browser_of("lead").get(PAGE).content.decode()


def test_prepared_questions_have_prepared_answers_with_their_document(reviewer: Client) -> None:
    page = reviewer.get(PAGE).content.decode()
    for entry in sample_chat.PREPARED:
        assert f'value="{entry.question}"' in page
        say(reviewer, entry.question)
        stored = Interaction.objects.latest("pk")
        assert (stored.output, stored.documents[0]["content"]) == (entry.answer, entry.text)


def test_the_sample_project_leads_to_its_chat(sample: Project, browser_of: Callable[[str], Client]) -> None:
    assert "Sample chat" in browser_of("viewer").get("/p/acme/interactions/").content.decode()
