from __future__ import annotations

from collections.abc import Callable

from django.test import Client

from feedback import masking
from projects.models import AuditEntry, Masking, Project, User


def test_an_admin_chooses_owner_and_masking(
    browser_of: Callable[[str], Client], project: Project, people: dict[str, User]
) -> None:
    admin = browser_of("admin")
    body = {"name": "Acme 2", "owner": people["lead"].pk, "masking": ["email", "iban"], "token_policy": "require"}
    assert admin.post("/p/acme/settings/", body).status_code == 302
    project.refresh_from_db()
    assert (project.name, project.owner, project.masking) == ("Acme 2", people["lead"], ["email", "iban"])
    assert project.token_policy == "require"
    assert AuditEntry.objects.get(action="project.changed").detail["tokens"] == "require"
    page = admin.get("/p/acme/settings/").content.decode()
    assert 'value="iban" checked' in page
    assert f'value="{people["lead"].pk}" selected' in page
    assert 'value="require" required checked' in page


def test_an_owner_from_outside_an_unknown_kind_and_policy_are_refused(
    browser_of: Callable[[str], Client], project: Project, people: dict[str, User]
) -> None:
    body = {"name": "Acme", "owner": people["outsider"].pk, "masking": ["shoe-size"], "token_policy": "sometimes"}
    response = browser_of("admin").post("/p/acme/settings/", body)
    assert response.status_code == 422
    assert response.content.decode().count('class="err"') == 3
    project.refresh_from_db()
    assert project.token_policy == "prefer"
    assert (project.owner, project.masking) == (None, [])


def test_every_kind_that_can_be_chosen_can_be_recognised() -> None:
    assert set(Masking.values) == set(masking.PATTERNS)
