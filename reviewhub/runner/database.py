"""What the runner asks a database before it trusts it; plain psycopg, because Django takes a second to load."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psycopg

from reviewhub.runner.home import CannotStart

OLDEST_VERSION = 150000


@dataclass(frozen=True)
class Facts:
    """What a server says about itself."""

    version: int
    fsync: str
    synchronous_commit: str
    full_page_writes: str


def problems(facts: Facts) -> list[str]:
    """Why this server must not be used: it is too old, or may forget what it has acknowledged."""
    found = []
    if facts.version < OLDEST_VERSION:
        found.append(f"PostgreSQL 15 or newer is needed; this is {facts.version // 10000}.")
    for name, value in (
        ("fsync", facts.fsync),
        ("synchronous_commit", facts.synchronous_commit),
        ("full_page_writes", facts.full_page_writes),
    ):
        if value == "off":
            found.append(f"{name} is off: a crash of the server would lose feedback that was acknowledged. Turn it on.")
    return found


def facts_of(connection: psycopg.Connection) -> Facts:
    """Read from the server, as this user and this database see it."""
    row = connection.execute(
        "SELECT current_setting('server_version_num')::int, current_setting('fsync'),"
        " current_setting('synchronous_commit'), current_setting('full_page_writes')"
    ).fetchone()
    assert row is not None
    return Facts(*row)


def connect(url: str) -> psycopg.Connection:
    """A connection that commits each statement; CannotStart if the server does not answer."""
    try:
        return psycopg.connect(url, autocommit=True, connect_timeout=5)
    except psycopg.OperationalError as error:
        raise CannotStart(
            f"The database does not answer: {str(error).strip()}\n"
            "Nothing was changed. Check that the server runs and that DATABASE_URL names it."
        ) from error


def waiting_migrations(connection: psycopg.Connection, apps: Iterable[str]) -> list[str]:
    """The migrations of these apps that are on disk and not applied, as ``app.name``.

    Only names are compared; whether they fit together is for ``migrate`` to say. It saves the second start
    a process that loads all of Django to find out that there is nothing to do.
    """
    on_disk: set[str] = set()
    for app in apps:
        spec = importlib.util.find_spec(app)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            files = Path(folder, "migrations").glob("[0-9]*.py")
            on_disk.update(f"{app.rpartition('.')[2]}.{file.stem}" for file in files)
    if connection.execute("SELECT to_regclass('django_migrations')").fetchone() == (None,):
        return sorted(on_disk)
    applied = {f"{app}.{name}" for app, name in connection.execute("SELECT app, name FROM django_migrations")}
    return sorted(on_disk - applied)


def has_projects(connection: psycopg.Connection) -> bool:
    """Whether anybody has made a project here."""
    return connection.execute("SELECT 1 FROM projects_project LIMIT 1").fetchone() is not None
