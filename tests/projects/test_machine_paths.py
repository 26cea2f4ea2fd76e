"""Addresses of programs: no session, no cookie, the same protection."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.sessions.models import Session
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import get_resolver, path

from projects.models import Project
from tests.conftest import Api

ADDRESSES = ["/api/v1/interactions", "/api/schema/", "/v1/traces", "/feedback", "/metrics", "/readyz", "/healthz"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_answers_to_machines_are_as_closed_as_pages(client: Client, db: None, address: str) -> None:
    answer = client.get(address)
    assert answer["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_session_opens_no_machine_path_and_is_not_read_there(
    browser_of: Callable[[str], Client], django_assert_num_queries: Callable[..., object], address: str
) -> None:
    signed_in, stranger = browser_of("admin"), Client()
    assert signed_in.get(address).status_code == stranger.get(address).status_code
    assert not signed_in.get(address).cookies
    assert Session.objects.count() == 1


def test_a_machine_path_that_does_not_exist_is_answered_in_json(client: Client, db: None) -> None:
    for address in ("/api/v1/nothing", "/v1/nothing", "/feedback/nothing"):
        answer = client.get(address)
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "not_found"


def _careless(request: HttpRequest) -> HttpResponse:
    return HttpResponse("secret")


def test_a_machine_view_that_forgot_to_say_who_may_call_is_closed(
    client: Client, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver = get_resolver()
    monkeypatch.setattr(resolver, "url_patterns", [path("api/v1/careless", _careless), *resolver.url_patterns])
    answer = client.get("/api/v1/careless")
    assert answer.status_code == 302
    assert b"secret" not in answer.content


@pytest.mark.parametrize(
    ("accept", "status"),
    [("*/*", 200), ("application/json", 200), ("text/html, application/json;q=0.5", 200), ("image/png", 406)],
)
def test_whoever_takes_json_gets_json(sk: Api, accept: str, status: int) -> None:
    found, _ = sk.get("/api/v1/interactions", Accept=accept)
    assert found == status


def test_one_feedback_takes_one_statement_and_no_other_round_trip(
    sk: Api, project: Project, django_assert_num_queries: Callable[..., object]
) -> None:
    sk.post("/api/v1/interactions", {"id": "i-1", "input": "Hello?", "output": "Hello."})
    body = {"interaction_id": "i-1", "kind": "thumbs", "value": "up", "user_id": "u-1"}
    assert sk.post("/api/v1/feedback", {**body, "user_id": "u-0"})[0] == 201
    with django_assert_num_queries(3):  # in a test, a savepoint is around it
        assert sk.post("/api/v1/feedback", body)[0] == 201
