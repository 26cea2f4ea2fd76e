"""The embedded PostgreSQL as root where the kernel refuses user namespaces, and with another version's data."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from reviewhub.runner import postgres
from reviewhub.runner.home import NOBODY, CannotStart
from reviewhub.runner.postgres import THROW_AWAY, Postgres


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, and open to the user as whom the server may run (pytest's own folders are not)."""
    folder = Path(tempfile.mkdtemp(prefix="reviewhub-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def server(folder: Path) -> Postgres:
    sockets = folder / "sockets"
    sockets.mkdir(exist_ok=True)
    return Postgres(folder / "data", sockets, folder / "log", THROW_AWAY)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to lower its privileges")
def test_root_without_user_namespaces_runs_it_as_nobody_and_may_go_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(postgres, "namespaces_work", lambda: False)
        one = server(folder)
        try:
            one.start()
            with psycopg.connect(one.url, autocommit=True) as connection:
                connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        finally:
            one.stop()
    assert (folder / "data").stat().st_uid == NOBODY

    if not postgres.namespaces_work():
        return
    two = server(folder)
    try:
        two.start()
        with psycopg.connect(two.url) as connection:
            assert connection.execute("SELECT number FROM kept").fetchone() == (7,)
    finally:
        two.stop()
    assert (folder / "data").stat().st_uid == os.geteuid()


def test_data_of_another_major_version_is_left_alone(folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "PG_VERSION").write_text("14\n")
    with pytest.raises(CannotStart, match=r"written by PostgreSQL 14.*Nothing was changed"):
        server(folder).start()
