"""System checks: settings and servers with which Review Hub must not run."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import psycopg
from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

from reviewhub.runner import database
from reviewhub.runner.home import CannotStart


def database_keeps_its_word(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **rest: Any
) -> list[CheckMessage]:
    """reviewhub.E001: the server is too old or may forget what it acknowledged. Throw-away test servers may."""
    if settings.TESTING or not databases:
        return []
    try:
        with contextlib.closing(database.connect(settings.DATABASE_URL)) as connection:
            facts = database.facts_of(connection)
    except (CannotStart, psycopg.Error):
        return []  # Django itself says that the database is away
    return [Error(problem, id="reviewhub.E001") for problem in database.problems(facts)]


def proxies_are_named(app_configs: Sequence[AppConfig] | None, **rest: Any) -> list[CheckMessage]:
    """reviewhub.W001: behind a proxy that nobody has named, all visitors have one address and share its limits."""
    if settings.TRUSTED_PROXIES or not settings.PUBLIC_URL.startswith("https://"):
        return []
    hint = "Set it to the addresses of the proxy that speaks TLS, e.g. 127.0.0.1 or 10.0.0.0/8."
    return [Warning("REVIEWHUB_TRUSTED_PROXIES names no proxy.", hint=hint, id="reviewhub.W001")]
