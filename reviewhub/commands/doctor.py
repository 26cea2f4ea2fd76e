"""``reviewhub doctor``: what is wrong with this installation, and what to do about it."""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import kombu
from django.conf import settings

from reviewhub.runner import database, embedded, postgres
from reviewhub.runner.broker import binary
from reviewhub.runner.home import CannotStart, Home, home

LEAST_FREE_BYTES = 1_000_000_000


@dataclass(frozen=True)
class Finding:
    """One line: ``level`` is ok, note or bad; only bad makes the exit code 1."""

    level: str
    subject: str
    text: str


def handle(arguments: argparse.Namespace) -> int:
    findings = list(_examine())
    if arguments.json:
        print(json.dumps([asdict(finding) for finding in findings]))
    else:
        for finding in findings:
            print(f"{finding.level:<5} {finding.subject:<10} {finding.text}")
    return 1 if any(finding.level == "bad" for finding in findings) else 0


def _examine() -> Iterator[Finding]:
    place = home()
    yield Finding("ok", "python", f"{platform.python_version()} on {platform.platform()}, {sys.executable}")
    try:
        place.make()
    except CannotStart as error:
        yield Finding("bad", "home", str(error))
        return
    yield from _folder(place)
    holder = place.holder()
    state = f"`{holder.get('what')}` is running (process {holder.get('pid')})" if holder else "not running"
    yield Finding("ok" if holder else "note", "running", f"{state} {holder.get('url', '')}".strip())
    yield from _embedded()
    try:
        with embedded.running_database("doctor"):
            yield from _database()
    except CannotStart as error:
        yield Finding("bad", "database", str(error))
    yield from _broker(bool(holder))
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        if not getattr(settings, name):
            yield Finding("note", "judges", f"{name} is not set: only keys entered in a project can be used.")


def _folder(place: Home) -> Iterator[Finding]:
    free = shutil.disk_usage(place.path).free
    yield Finding("ok" if free > LEAST_FREE_BYTES else "bad", "home", f"{place.path}, {free / 1e9:.1f} GB free")
    for name in ("secret_key", "secrets_key"):
        path = place.path / "secrets" / name
        if path.exists() and path.stat().st_mode & 0o077:
            yield Finding("bad", "secrets", f"Others can read {path}. Run: chmod 600 {path}")


def _embedded() -> Iterator[Finding]:
    if settings.EMBEDDED_DATABASE:
        try:
            yield Finding("ok", "embedded", f"PostgreSQL in {postgres.binaries()}")
        except CannotStart as error:
            yield Finding("bad", "embedded", str(error))
    if settings.EMBEDDED_BROKER:
        try:
            yield Finding("ok", "embedded", f"broker {binary()}")
        except CannotStart as error:
            yield Finding("bad", "embedded", str(error))


def _database() -> Iterator[Finding]:
    with contextlib.closing(database.connect(settings.DATABASE_URL)) as connection:
        facts = database.facts_of(connection)
        version = f"PostgreSQL {facts.version // 10000}.{facts.version % 10000}"
        yield Finding("ok", "database", f"{version}, {'embedded' if settings.EMBEDDED_DATABASE else 'DATABASE_URL'}")
        for problem in database.problems(facts):
            yield Finding("bad", "database", problem)
        waiting = database.waiting_migrations(connection, settings.INSTALLED_APPS)
        if waiting:
            yield Finding("bad", "database", f"{len(waiting)} migrations are not applied: run `reviewhub migrate`.")


def _broker(running: bool) -> Iterator[Finding]:
    if settings.EMBEDDED_BROKER and not running:
        yield Finding("note", "broker", "The embedded broker runs only while `reviewhub run` does.")
        return
    try:
        with kombu.Connection(settings.CELERY_BROKER_URL, connect_timeout=3) as connection:
            connection.ensure_connection(max_retries=1, timeout=3)
            yield Finding("ok", "broker", connection.as_uri())
    except Exception as error:  # each transport has errors of its own
        yield Finding(
            "bad",
            "broker",
            f"does not answer: {error}. Feedback is accepted meanwhile; it is processed once it is back.",
        )
