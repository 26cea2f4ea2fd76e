"""The audit log, narrowed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from projects import audit
from projects.models import Project, User


@pytest.fixture
def entries(project: Project, people: dict[str, User]) -> None:
    audit.record(project, people["lead"], "key.created", "rh_sk_abc…", kind="sk")
    audit.record(project, people["admin"], "member.set", "nora@example.com", role="lead")


def shown(client: Client, query: str) -> tuple[int, str]:
    answer = client.get(f"/p/acme/audit/?{query}")
    return answer.status_code, answer.content.decode()


@pytest.mark.parametrize(
    ("query", "key", "member"),
    [
        ("", True, True),
        ("what=key", True, False),
        ("who=lead", True, False),
        ("target=nora", False, True),
        ("since=2001-01-01&until=2999-12-31", True, True),
        ("until=2001-01-01", False, False),
        ("actor__password__startswith=p", True, True),  # no such filter: nothing is asked of the user table
    ],
)
def test_it_shows_what_was_asked_for(
    query: str, key: bool, member: bool, entries: None, browser_of: Callable[[str], Client]
) -> None:
    status, page = shown(browser_of("admin"), query)
    assert status == 200
    assert ("rh_sk_abc…" in page, "nora@example.com" in page) == (key, member)


def test_a_date_that_is_none_is_told(entries: None, browser_of: Callable[[str], Client]) -> None:
    status, page = shown(browser_of("admin"), "since=yesterday")
    assert status == 422
    assert "Enter a valid date" in page


def test_older_entries_keep_the_filter(project: Project, entries: None, browser_of: Callable[[str], Client]) -> None:
    for number in range(51):
        audit.record(project, None, "key.revoked", f"key {number}", by="test")
    _, page = shown(browser_of("admin"), "what=key.revoked")
    assert "?what=key.revoked&amp;before=" in page


def test_details_are_written_as_people_write_them(project: Project, browser_of: Callable[[str], Client]) -> None:
    audit.record(project, None, "key.created", "k", by="test", scopes=["ingest", "read"], origins=[], enabled=True)
    _, page = shown(browser_of("admin"), "what=key.created")
    for words in ("scopes: ingest, read", "origins: –", "enabled: yes"):
        assert words in page
