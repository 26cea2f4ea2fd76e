"""Every address × every kind of caller. A new address without an answer here fails."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.converters import IntConverter, SlugConverter, UUIDConverter

from projects import keys
from projects.access import RIGHTS
from projects.models import Project, Role, User
from tests.conftest import Api

# Pages that need no project: who may open them is said here, once.
OPEN = {"healthz", "readyz", "api-schema", "projects:sign-in", "feedback:widget"}
SIGNED_IN = {
    "home",
    "projects:sign-out",
    "projects:account",
    "account-keys",
    "projects:account-theme",
    "projects:account-password",
    "projects:token-revoke",
    "projects:project-list",
    "projects:project-new",
    "feedback:sample-chat",
    "feedback:sample-chat-say",
    "feedback:sample-chat-received",
}
# Machine doors that check their callers themselves, with the test that shows it.
OWN_CHECKS: dict[str, str] = {
    "feedback:api-feedback-beacon": "tests/feedback/test_browser_door.py::TestBeacon",
}


def walk(patterns: list[Any], namespace: str = "", prefix: str = "") -> Iterator[tuple[str, str, URLPattern]]:
    for entry in patterns:
        if isinstance(entry, URLResolver):
            inner = f"{namespace}{entry.namespace}:" if entry.namespace else namespace
            yield from walk(entry.url_patterns, inner, prefix + str(entry.pattern))
        else:
            yield f"{namespace}{entry.name}", prefix + str(entry.pattern), entry


ADDRESSES = {name: (route, entry) for name, route, entry in walk(get_resolver().url_patterns)}
PAGES = {name: route for name, (route, _) in ADDRESSES.items() if route.startswith("p/<slug:project>/")}
APIS = {name: entry for name, (_, entry) in ADDRESSES.items() if hasattr(entry.callback, "view_class")}
ROLES = [*Role.values, "outsider", "anonymous"]
SAMPLES: dict[type, object] = {IntConverter: 0, SlugConverter: "nothing-here", UUIDConverter: uuid.UUID(int=7)}


def address(name: str, project: str = "acme") -> str:
    """The address with this project and, for every other part, something that does not exist."""
    route, entry = ADDRESSES[name]
    converters = dict(entry.pattern.converters)
    path = route
    for key, converter in converters.items():
        sample = project if key == "project" else SAMPLES.get(type(converter), "nothing-here")
        for label in ("slug", "int", "uuid", "str", "path"):
            path = path.replace(f"<{label}:{key}>", str(sample))
        path = path.replace(f"<{key}>", str(sample))
    return "/" + path


def test_every_address_has_a_name_and_an_answer() -> None:
    known = OPEN | SIGNED_IN | set(PAGES) | set(APIS) | set(OWN_CHECKS)
    assert [name for name in ADDRESSES if name.endswith(":None") or name == "None"] == []
    assert sorted(set(ADDRESSES) - known) == []


def test_every_project_page_names_its_rights() -> None:
    assert [name for name in PAGES if not getattr(ADDRESSES[name][1].callback, "rights", None)] == []


@pytest.mark.parametrize("who", ROLES)
def test_project_pages_open_to_the_right_roles_only(
    who: str, people: dict[str, User], client: Client, project: Project
) -> None:
    """Outsiders see 404 as if the project did not exist; members without the right see 403; nobody sees a 500."""
    if who != "anonymous":
        client.force_login(people[who])
    wrong = []
    for name in PAGES:
        rights = ADDRESSES[name][1].callback.rights
        for method in ("get", "post"):
            status = getattr(client, method)(address(name)).status_code
            if status == 405:
                continue
            if who == "anonymous":
                fine = status == 302
            elif who == "outsider":
                fine = status == 404
            elif RIGHTS[who].isdisjoint(rights):
                fine = status == 403
            else:
                fine = status not in {403, 500}
            if not fine:
                wrong.append(f"{method.upper()} {name} answers {status}")
            if who != "anonymous":
                client.force_login(people[who])  # signing out is one of the addresses
    assert wrong == []


NUL = "&".join(
    f"{name}=%00"
    for name in ("after", "before", "category", "cell", "claim", "cursor", "from", "next", "open", "page", "period",
                 "q", "show", "since", "span", "until", "version")
)  # fmt: skip


def test_no_page_falls_over_a_nul_in_its_query(browser_of: Callable[[str], Client]) -> None:
    admin = browser_of("admin")
    pages = [address(name) for name in [*PAGES, *(SIGNED_IN - {"projects:sign-out"}), "projects:sign-in"]]
    pages += ["/p/acme/datasets/golden/", "/p/acme/queues/negative-feedback/review/"]
    assert {admin.get(f"{page}?{NUL}").status_code for page in pages} == {400}


def test_pages_outside_projects_ask_for_a_sign_in(client: Client, db: None) -> None:
    answers = {name: client.get(address(name)).status_code for name in SIGNED_IN}
    assert {name for name, status in answers.items() if status not in {302, 405}} == set()
    assert {name: client.get(address(name)).status_code for name in OPEN} == dict.fromkeys(OPEN, 200)


def methods_of(entry: URLPattern) -> list[str]:
    view = entry.callback.view_class  # type: ignore[attr-defined]
    return [method for method in ("get", "post", "put", "patch", "delete") if hasattr(view, method)]


API_CASES = [
    (name, method) for name, entry in APIS.items() if name not in OPEN | set(OWN_CHECKS) for method in methods_of(entry)
]


@pytest.mark.parametrize(("name", "method"), API_CASES)
def test_the_api_refuses_callers_without_the_right_key(
    name: str, method: str, project: Project, people: dict[str, User], nobody: Api
) -> None:
    path = address(name)
    assert nobody.call(method.upper(), path)[0] == 401
    assert Api("rh_sk_0000000000" + "x" * 43).call(method.upper(), path)[0] == 401
    no_scope = Api(keys.create_key(project=project, kind="sk", name="none", scopes=["nothing"])[1])
    assert no_scope.call(method.upper(), path)[0] == 403
    publishable = Api(keys.create_key(project=project, kind="pk", name="p", origins=["https://a.example"])[1])
    assert publishable.call(method.upper(), path)[0] == 403


@pytest.mark.parametrize(("name", "method"), API_CASES)
def test_a_personal_token_has_the_rights_of_its_user(
    name: str, method: str, token_of: Callable[[str], Api], people: dict[str, User]
) -> None:
    view = ADDRESSES[name][1].callback.view_class()  # type: ignore[attr-defined]
    view.request = SimpleNamespace(method=method.upper())
    allowed = {
        right for permission in view.get_permissions() for right in getattr(permission, "required_rights", None) or ()
    }
    for role in Role.values:
        status = token_of(role).call(method.upper(), address(name))[0]
        if RIGHTS[role].isdisjoint(allowed):
            assert status == 403, f"{role} got {status}"
        else:
            assert status not in {401, 403, 500}, f"{role} got {status}"


def test_a_removed_member_is_out_at_once(client: Client, people: dict[str, User], project: Project) -> None:
    client.force_login(people["admin"])
    victim = project.memberships.get(user=people["viewer"])
    token = Api(keys.create_key(project=project, kind="pat", name="t", user=people["viewer"])[1])
    assert client.post(f"/p/acme/members/{victim.pk}/remove/").status_code == 302
    client.force_login(people["viewer"])
    assert client.get("/p/acme/").status_code == 404
    assert token.get("/api/v1/interactions")[0] == 401
