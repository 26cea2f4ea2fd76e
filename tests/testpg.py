"""Starts a throw-away PostgreSQL before pytest-django reads the settings, unless DATABASE_URL is given.

pytest-django reads the settings before any conftest is imported, so this is a plugin of its own, named in
``addopts``. Under xdist only the controller starts a server; the workers inherit its address.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    if os.environ.get("DATABASE_URL"):
        return
    from reviewhub.runner.postgres import THROW_AWAY, Postgres

    folder = Path(tempfile.mkdtemp(prefix="reviewhub-test-"))
    server = Postgres(folder / "data", folder, folder / "postgres.log", THROW_AWAY)
    server.start()
    os.environ["DATABASE_URL"] = server.url
    owner = os.getpid()

    def clean() -> None:
        if os.getpid() == owner:
            server.stop()
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(clean)
