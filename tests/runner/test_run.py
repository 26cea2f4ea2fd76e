"""`reviewhub run`: one command, everything; no process and no committed row is lost."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.runner.hub import Hub, free_port, in_sessions

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """One folder for the whole story, with a space in its path; each test starts what it needs."""
    hub = Hub(tmp_path_factory.mktemp("runner") / "my hub")
    yield hub
    hub.clear()


@pytest.fixture
def running(hub: Hub) -> Hub:
    if hub.process is None or hub.process.poll() is not None:
        hub.start()
    return hub


@pytest.fixture
def stopped(hub: Hub) -> Hub:
    if hub.process is None:
        hub.start()
    if hub.process and hub.process.poll() is None:
        hub.stop()
    return hub


def test_one_command_makes_everything_and_serves(running: Hub) -> None:
    assert running.get("/healthz") == (200, b"ok\n")
    status, body = running.get("/readyz")
    assert (status, json.loads(body)) == (200, {"ready": True})
    children = running.children()
    assert set(children) == {"web", "worker", "broker", "PostgreSQL"}
    priority = {name: os.getpriority(os.PRIO_PROCESS, pid) for name, pid in children.items()}
    assert priority["worker"] > priority["web"] == priority["PostgreSQL"]  # what comes in cannot wait
    assert f"http://127.0.0.1:{running.port}" in running.said()


def test_a_second_start_says_where_the_first_one_is(running: Hub) -> None:
    second = running.command("run")
    assert second.returncode == 1
    assert f"already running: http://127.0.0.1:{running.port}" in second.stderr
    assert "Traceback" not in second.stderr


def test_a_taken_port_is_told_and_nothing_is_started(running: Hub, tmp_path: Path) -> None:
    other = running.command("run", REVIEWHUB_HOME=str(tmp_path / "other"))
    assert other.returncode == 1
    assert f"Port {running.port} cannot be used" in other.stderr
    assert not (tmp_path / "other" / "database").exists()


def test_a_command_uses_the_database_that_is_running(running: Hub) -> None:
    made = running.bootstrap("while-running")
    assert made["project"] == "while-running"
    assert [user["role"] for user in made["users"]] == ["admin"]


def test_the_worker_keeps_its_connections_from_task_to_task(running: Hub) -> None:
    """Within five seconds the sweepers alone begin ten tasks, and each would need a connection of its own."""
    count = "SELECT sessions FROM pg_stat_database WHERE datname = current_database()"
    with psycopg.connect(running.database(), autocommit=True) as database:
        time.sleep(8)  # each of the worker's threads has met its first task
        before = database.execute(count).fetchone()
        time.sleep(5)
        after = database.execute(count).fetchone()
    assert before
    assert after
    assert after[0] - before[0] <= 3


def test_a_crashed_web_server_is_started_again(running: Hub) -> None:
    first = running.children()["web"]
    os.kill(first, signal.SIGKILL)
    running.wait_for("The web process ended (signal SIGKILL)")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if running.children()["web"] != first and running.get("/healthz")[0] == 200:
                break
        except (OSError, KeyError):
            pass
        time.sleep(0.1)
    assert running.get("/healthz")[0] == 200
    assert in_sessions({first}) == []


def test_a_crashed_broker_and_database_are_started_again(running: Hub) -> None:
    for part, told in (("broker", "The broker ended"), ("PostgreSQL", "PostgreSQL ended")):
        os.kill(running.children()[part], signal.SIGKILL)
        running.wait_for(told)
    deadline = time.monotonic() + 20
    while running.get("/readyz")[0] != 200 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert running.get("/readyz")[0] == 200
    while not (answered := running.worker_answers()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert answered


def test_kill_9_leaves_no_process_and_loses_no_row(running: Hub) -> None:
    running.bootstrap("before-the-kill")
    sessions = set(running.children().values())
    running.kill()
    deadline = time.monotonic() + 15
    while in_sessions(sessions) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert in_sessions(sessions) == []

    running.start()
    again = running.bootstrap("before-the-kill")
    assert again["users"][0]["password"] is None, "the person was there already"


def test_sigterm_stops_everything_in_order(running: Hub) -> None:
    sessions = set(running.children().values())
    began = time.monotonic()
    assert running.stop(signal.SIGTERM) == 0
    assert time.monotonic() - began < 10
    assert in_sessions(sessions) == []
    assert "Stopped. Everything is saved." in running.said()
    assert "database system is shut down" in (running.home / "logs" / "postgres.log").read_text()


def test_leftovers_of_a_power_cut_are_in_nobodys_way(stopped: Hub) -> None:
    """A lock that names a process id which belongs to somebody else by now, stale sockets, half a first start."""
    stopped.bootstrap("before-the-cut")
    sockets = Path((stopped.home / "run" / "sockets").read_text())
    (stopped.home / "database" / "postmaster.pid").write_text(f"{os.getpid()}\n{stopped.home / 'database'}\n")
    (sockets / ".s.PGSQL.5432.lock").write_text(f"{os.getpid()}\n")
    for name in (".s.PGSQL.5432", "broker.sock"):
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(sockets / name))
    half_made = stopped.home / "database.partial"
    half_made.mkdir()
    (half_made / "PG_VERSION").write_text("18\n")
    stopped.start()
    assert stopped.get("/readyz")[0] == 200
    assert stopped.bootstrap("before-the-cut")["users"][0]["password"] is None


def test_a_damaged_broker_file_is_put_aside(stopped: Hub) -> None:
    log = next((stopped.home / "broker" / "appendonlydir").glob("*.incr.aof"))
    log.write_bytes(b"*3\r\nnot what a broker wrote\r\n" * 10)
    stopped.start()
    assert stopped.get("/readyz")[0] == 200
    assert list(stopped.home.glob("broker.damaged-*"))


def test_a_command_brings_its_own_database_when_nothing_runs(stopped: Hub) -> None:
    assert stopped.bootstrap("alone")["project"] == "alone"
    assert not (stopped.home / "database" / "postmaster.pid").exists()


def test_an_unsafe_database_is_refused(running: Hub, tmp_path: Path) -> None:
    sockets = (running.home / "run" / "sockets").read_text()
    unsafe = f"postgresql://reviewhub@/reviewhub?host={sockets}&options=-c%20synchronous_commit%3Doff"
    for command in ("run", "web", "check"):
        done = running.command(command, DATABASE_URL=unsafe, REVIEWHUB_HOME=str(tmp_path), PORT=str(free_port()))
        assert done.returncode == 1, (command, done.stdout, done.stderr)
        assert "synchronous_commit is off" in done.stderr


def test_a_backup_brings_back_what_was_there(stopped: Hub, tmp_path: Path) -> None:
    stopped.bootstrap("in-the-backup")
    dump = tmp_path / "a b.dump"
    assert stopped.command("backup", "-o", str(dump)).returncode == 0
    stopped.bootstrap("after-the-backup", admin="late@example.com")
    refused = stopped.command("restore", str(dump))
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    done = stopped.command("restore", str(dump), "--yes")
    assert done.returncode == 0, done.stderr
    examined = stopped.command("doctor", "--json")
    assert examined.returncode == 0, examined.stdout
    assert stopped.bootstrap("in-the-backup")["users"][0]["password"] is None
    assert stopped.bootstrap("in-the-backup", admin="late@example.com")["users"][0]["password"], "was not there yet"


def test_a_broken_backup_changes_nothing(stopped: Hub, tmp_path: Path) -> None:
    stopped.bootstrap("in-the-backup")
    (tmp_path / "broken.dump").write_bytes(b"PGDMP nonsense")
    done = stopped.command("restore", str(tmp_path / "broken.dump"), "--yes")
    assert done.returncode == 1
    assert "nothing was changed" in done.stderr
    assert stopped.bootstrap("in-the-backup")["users"][0]["password"] is None


def test_doctor_names_a_setting_that_is_wrong(stopped: Hub) -> None:
    done = stopped.command("bootstrap", "--project", "x", "--admin", "a@example.com", DATABASE_URL="mysql://x/y")
    assert done.returncode in {1, 2}
    assert "DATABASE_URL" in done.stderr
    assert "Traceback" not in done.stderr
