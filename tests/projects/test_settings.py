from __future__ import annotations

from collections.abc import Callable

from django.test import Client

from feedback import masking
from projects.models import Masking, Project, User


def test_an_admin_chooses_owner_and_masking(
    browser_of: Callable[[str], Client], project: Project, people: dict[str, User]
) -> None:
    admin = browser_of("admin")
    body = {"name": "Acme 2", "owner": people["lead"].pk, "masking": ["email", "iban"]}
    assert admin.post("/p/acme/settings/", body).status_code == 302
    project.refresh_from_db()
    assert (project.name, project.owner, project.masking) == ("Acme 2", people["lead"], ["email", "iban"])
    page = admin.get("/p/acme/settings/").content.decode()
    assert 'value="iban" checked' in page
    assert f'value="{people["lead"].pk}" selected' in page


def test_an_owner_from_outside_and_an_unknown_kind_are_refused(
    browser_of: Callable[[str], Client], project: Project, people: dict[str, User]
) -> None:
    body = {"name": "Acme", "owner": people["outsider"].pk, "masking": ["shoe-size"]}
    assert browser_of("admin").post("/p/acme/settings/", body).status_code == 422
    project.refresh_from_db()
    assert (project.owner, project.masking) == (None, [])


def test_every_kind_that_can_be_chosen_can_be_recognised() -> None:
    assert set(Masking.values) == set(masking.PATTERNS)
