"""A kept database connection: asked seldom whether it works, and replaced when the server has ended it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from projects.models import Project
from reviewhub.postgresql import base


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """When the server was asked whether it still answers; the connection is kept, as a web server does."""
    moments: list[float] = []
    really = base.DatabaseWrapper.is_usable

    def is_usable(self: Any) -> bool:
        moments.append(time.monotonic())
        return bool(really(self))

    monkeypatch.setattr(base.DatabaseWrapper, "is_usable", is_usable)
    connection.health_check_enabled = True
    Project.objects.exists()
    _next_request()
    Project.objects.exists()  # from here on the connection counts as used
    moments.clear()
    yield moments
    connection.close()


def _next_request() -> None:
    connection.close_if_unusable_or_obsolete()


def _backend() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
def test_a_connection_in_use_is_not_asked_for_each_request(asked: list[float]) -> None:
    first = _backend()
    for _ in range(5):
        _next_request()
        assert _backend() == first
    assert asked == []


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_was_not_used_for_a_while_is_asked_once(
    asked: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "IDLE_SECONDS", 0.0)
    _next_request()
    _backend()
    _backend()
    assert len(asked) == 1


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_the_server_has_ended_is_replaced_before_anything_is_said(asked: list[float]) -> None:
    first = _backend()
    other = base.DatabaseWrapper(connection.settings_dict)
    with contextlib.closing(other), other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [first])
        assert cursor.fetchone() == (True,)
    _next_request()
    assert _backend() != first  # no error in between: the request is served
    assert len(asked) == 1
