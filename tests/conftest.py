"""People, keys and clients that every test may ask for. Six people: one per role, and an outsider."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from pytest_django import DjangoDbBlocker

from evals import subjects
from projects import keys
from projects.models import Membership, Project, Role, User
from tests.factories import ProjectFactory, UserFactory

pytest_plugins = ["tests.fakes.fixtures"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--nightly", action="store_true", help="run the tests that take many minutes as well")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("nightly") and not item.config.getoption("--nightly"):
        pytest.skip("takes many minutes: runs with --nightly")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are named after their parameter: gzip writes the time into them, and all workers must find the same."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """As pytest-django's; at the end without the sessions of threads that are slow to end, which would keep it."""
    yield
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    keys.forget()
    subjects.forget()
    yield
    keys.forget()
    subjects.forget()


@pytest.fixture
def project(db: None) -> Project:
    """A project as a new user gets it: with the defaults of every app."""
    return ProjectFactory(slug="acme", name="Acme assistant")


@pytest.fixture
def other_project(db: None) -> Project:
    return ProjectFactory(slug="other", name="Somebody else's")


@pytest.fixture
def people(project: Project, other_project: Project) -> dict[str, User]:
    """``people["reviewer"]`` and so on; ``people["outsider"]`` is admin of another project only."""
    everybody = {}
    for role in Role.values:
        everybody[role] = UserFactory(email=f"{role}@example.com", name=role.title())
        Membership.objects.create(project=project, user=everybody[role], role=role)
    everybody["outsider"] = UserFactory(email="outsider@example.com")
    Membership.objects.create(project=other_project, user=everybody["outsider"], role=Role.ADMIN)
    return everybody


@pytest.fixture
def browser_of(people: dict[str, User]) -> Callable[[str], Client]:
    """``browser_of("reviewer")``: a test client that is signed in as this person."""

    def make(who: str) -> Client:
        client = Client()
        client.force_login(people[who])
        return client

    return make


class Api:
    """A JSON client with one key. Answers are ``(status, body)``."""

    def __init__(self, key: str | None) -> None:
        self.client = Client()
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        response = self.client.generic(
            method,
            path,
            data,
            content_type=headers.pop("content_type", "application/json"),
            headers={**self.headers, **headers},
        )
        content = response.getvalue() if response.streaming else response.content
        if "json" in response.get("Content-Type", "") and content:
            return response.status_code, json.loads(content)
        return response.status_code, content

    def get(self, path: str, **headers: str) -> tuple[int, Any]:
        return self.call("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        return self.call("POST", path, body, **headers)

    def put(self, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        return self.call("PUT", path, body, **headers)

    def patch(self, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        return self.call("PATCH", path, body, **headers)


@pytest.fixture
def sk(project: Project) -> Api:
    """A secret key with every scope."""
    return Api(keys.create_key(project=project, kind="sk", name="test", scopes=["ingest", "read", "write", "runs"])[1])


@pytest.fixture
def pk(project: Project) -> Api:
    return Api(keys.create_key(project=project, kind="pk", name="test", origins=["https://chat.example.com"])[1])


@pytest.fixture
def token_of(project: Project, people: dict[str, User]) -> Callable[[str], Api]:
    """``token_of("reviewer")``: the API as this person, by a personal token."""
    return lambda who: Api(keys.create_key(project=project, kind="pat", name="test", user=people[who])[1])


@pytest.fixture
def nobody() -> Api:
    return Api(None)
