from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from datetime import timedelta
from html import unescape

import pytest
from django.db.models.functions import Now
from django.test import Client

from projects import keys, services
from projects.models import ApiKey, Membership, Project, User


def test_a_new_key_is_shown_once_and_only_its_hash_is_kept(
    browser_of: Callable[[str], Client], project: Project
) -> None:
    admin = browser_of("admin")
    answer = admin.post("/p/acme/keys/", {"name": "backend", "kind": "sk", "scopes": ["ingest"]})
    text = answer.context["new_key"]
    assert answer.status_code == 201
    assert text.startswith("rh_sk_")
    assert text.encode() not in admin.get("/p/acme/keys/").content
    stored = ApiKey.objects.get(project=project, name="backend")
    assert bytes(stored.digest) == hashlib.sha256(text.encode()).digest()
    assert text[17:] not in str(ApiKey.objects.filter(pk=stored.pk).values().get())


def test_a_key_that_sends_comes_with_lines_that_send(
    browser_of: Callable[[str], Client], client: Client, project: Project
) -> None:
    """What is on the page is run as it stands, so that it cannot rot."""
    admin = browser_of("admin")
    page = unescape(
        admin.post("/p/acme/keys/", {"name": "backend", "kind": "sk", "scopes": ["ingest"]}).content.decode()
    )
    assert 'value="backend"' not in page, "sending the form again would make a second key"
    lines = re.findall(r"curl -sS http://testserver(\S+) -H '(\w+): ([^']+)'.*?-d '([^']+)'", page, re.DOTALL)
    assert [path for path, *_ in lines] == ["/api/v1/interactions", "/api/v1/feedback"]
    for path, name, value, body in lines:
        answer = client.post(path, body, content_type="application/json", headers={name: value})
        assert answer.status_code == 201, answer.content
    assert answer.json()["linked"] is True
    assert "curl" not in admin.post("/p/acme/keys/", {"name": "ci", "kind": "sk", "scopes": ["read"]}).content.decode()
    widget = {"name": "page", "kind": "pk", "origins": "https://c.example"}
    assert "<review-feedback" in unescape(admin.post("/p/acme/keys/", widget).content.decode())


def test_a_publishable_key_needs_exact_origins(browser_of: Callable[[str], Client], project: Project) -> None:
    admin = browser_of("admin")
    for wrong in ("", "chat.example.com", "https://chat.example.com/path", "https://a:b@chat.example.com", "*"):
        answer = admin.post("/p/acme/keys/", {"name": "widget", "kind": "pk", "origins": wrong})
        assert answer.status_code == 422, wrong
    assert (
        admin.post("/p/acme/keys/", {"name": "widget", "kind": "pk", "origins": "https://c.example:8443/"}).status_code
        == 201
    )
    assert ApiKey.objects.get(project=project, name="widget").origins == ["https://c.example:8443"]


def test_a_secret_key_without_a_scope_is_refused(browser_of: Callable[[str], Client], project: Project) -> None:
    assert browser_of("admin").post("/p/acme/keys/", {"name": "none", "kind": "sk"}).status_code == 422


def test_a_revoked_key_stops_working(browser_of: Callable[[str], Client], project: Project) -> None:
    key, text = keys.create_key(project=project, kind="sk", name="x", scopes=["read"])
    assert keys.check(text) is not None
    browser_of("admin").post(f"/p/acme/keys/{key.pk}/revoke/")
    assert keys.check(text) is None


def test_an_expired_key_stops_working(project: Project) -> None:
    key, text = keys.create_key(project=project, kind="sk", name="x", scopes=["read"])
    ApiKey.objects.filter(pk=key.pk).update(expires_at=Now() - timedelta(seconds=1))
    assert keys.check(text) is None


@pytest.mark.parametrize(
    "text",
    ["", "rh_sk_", "rh_sk_short", "rh_xx_" + "a" * 53, "sk_live", "rh_sk_" + "ä" * 53, "rh_sk_a\0b", "rh__" * 20],
)
def test_malformed_keys_are_unknown(text: str, project: Project) -> None:
    assert keys.check(text) is None


def test_a_key_with_the_right_id_and_a_wrong_secret_is_unknown(project: Project) -> None:
    _, text = keys.create_key(project=project, kind="sk", name="x", scopes=["read"])
    assert keys.check(text[:-1] + ("a" if text[-1] != "a" else "b")) is None


def test_everybody_may_make_a_token_for_themselves(
    browser_of: Callable[[str], Client], people: dict[str, User]
) -> None:
    answer = browser_of("reviewer").post("/p/acme/tokens/new/", {"name": "notebook"})
    caller = keys.check(answer.context["new_key"])
    assert caller is not None
    assert caller.user == people["reviewer"]


def test_somebody_elses_token_cannot_be_revoked(
    browser_of: Callable[[str], Client], people: dict[str, User], project: Project
) -> None:
    key, text = keys.create_key(project=project, kind="pat", name="x", user=people["lead"])
    assert browser_of("reviewer").post(f"/account/tokens/{key.pk}/revoke/").status_code == 404
    assert keys.check(text) is not None


def test_hostile_names_are_escaped(browser_of: Callable[[str], Client], project: Project) -> None:
    admin = browser_of("admin")
    admin.post("/p/acme/keys/", {"name": "<img src=x onerror=alert(1)>", "kind": "sk", "scopes": ["read"]})
    assert b"<img src=x" not in admin.get("/p/acme/keys/").content


def test_a_token_has_the_rights_of_the_role_that_its_owner_has_now(project: Project, people: dict[str, User]) -> None:
    _, text = keys.create_key(project=project, kind="pat", name="mine", user=people["reviewer"])
    assert _role(text) == "reviewer"
    services.set_member(project, email=people["reviewer"].email, role="lead", actor=None)
    assert _role(text) == "lead"  # at once in this process


def test_other_processes_learn_of_a_new_role_within_seconds(
    project: Project, people: dict[str, User], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, text = keys.create_key(project=project, kind="pat", name="mine", user=people["reviewer"])
    assert _role(text) == "reviewer"
    Membership.objects.filter(project=project, user=people["reviewer"]).update(role="viewer")  # as another process does
    later = time.monotonic() + keys.CACHE_SECONDS
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert _role(text) == "viewer"


def _role(text: str) -> str | None:
    caller = keys.check(text)
    return caller.role if caller else None
