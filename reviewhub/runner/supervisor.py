"""``reviewhub run``: PostgreSQL, broker, migrations, web server and worker under one foreground process."""

from __future__ import annotations

import contextlib
import http.client
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from django.conf import settings

from reviewhub.runner import banner, database, embedded, process
from reviewhub.runner.broker import Broker
from reviewhub.runner.home import BASE, CannotStart, Home
from reviewhub.runner.postgres import Postgres

READY_SECONDS = 60
LONGEST_PAUSE = 30.0
# A child that has run this long has recovered; the next crash starts again with the shortest pause.
CALM_SECONDS = 60.0
LOG_BYTES = 10_000_000
# Where both want the processor, the web server gets three times the worker's share: what comes in cannot wait.
WORKER_NICE = 5


def _yield_to_the_door() -> None:
    os.nice(WORKER_NICE)


class Stopped(Exception):
    """Somebody asked to stop while we were starting."""


@dataclass
class Child:
    """A program that is started again when it ends, after a pause that doubles each time."""

    name: str
    start: Callable[[], subprocess.Popen[bytes]]
    stop_steps: list[tuple[int, float]]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause: float = 0.5
    due: float | None = None

    def launch(self) -> None:
        self.process = self.start()
        self.started, self.due = time.monotonic(), None

    def ended(self, now: float) -> int | None:
        """The exit code, once; sets when to start again."""
        if self.process is None or (code := self.process.poll()) is None:
            return None
        process.clear_session(self.process.pid)
        self.process = None
        self.pause = 0.5 if now - self.started > CALM_SECONDS else min(self.pause * 2, LONGEST_PAUSE)
        self.due = now + self.pause
        return code

    def stop(self) -> None:
        self.due = None
        if self.process:
            process.stop(self.process, self.stop_steps)
            self.process = None


@dataclass
class Options:
    """What `reviewhub run` was asked for; addresses are settled."""

    port: int
    host: str
    public_url: str
    sample: bool
    verbose: bool
    database_url: str
    broker_url: str
    embedded_database: bool
    embedded_broker: bool
    apps: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, *, host: str, sample: bool, verbose: bool) -> Options:
        """With what the settings say. They are loaded here, after the socket folder was chosen."""
        return cls(
            port=settings.PORT, host=host, public_url=settings.PUBLIC_URL, sample=sample, verbose=verbose,
            database_url=settings.DATABASE_URL, broker_url=settings.CELERY_BROKER_URL,
            embedded_database=settings.EMBEDDED_DATABASE, embedded_broker=settings.EMBEDDED_BROKER,
            apps=list(settings.INSTALLED_APPS),
        )  # fmt: skip


class Supervisor:
    """Starts all parts in order, keeps them running, and stops them in the other order."""

    def __init__(self, place: Home, options: Options) -> None:
        self.place, self.options = place, options
        self.postgres: Postgres | None = None
        self.broker: Broker | None = None
        self.children: list[Child] = []
        self.stopping = False
        self._waiting = True
        self._wake_read, self._wake_write = os.pipe()

    def run(self) -> int:
        """Returns 0 after a clean stop; raises CannotStart if a part does not come up."""
        began = time.monotonic()
        self._listen_to_signals()
        try:
            self._refuse_taken_port()
            self._start(began)
            self._waiting = False
            self._watch()
        except Stopped:
            self._say("Stopping …")
        finally:
            self._waiting = False
            self._stop()
        self._say("Stopped. Everything is saved.")
        return 0

    # -- starting ---------------------------------------------------------------------------------------

    def _start(self, began: float) -> None:
        left = process.await_leftovers(self.place.children)
        if left:
            self._say(f"The last run was killed; its {', '.join(left)} have ended now.")
        self._start_stores()
        with contextlib.closing(database.connect(self.options.database_url)) as connection:
            found = database.problems(database.facts_of(connection))
            if found:
                raise CannotStart("This database cannot be used. " + " ".join(found) + " Nothing was changed.")
            waiting = database.waiting_migrations(connection, self.options.apps)
            if waiting:
                self._say(f"Preparing the database ({len(waiting)} migrations) …")
                self._once("migrate", "migrate", "--quiet")
            wants_sample = (
                self.options.sample and not self.place.sample.exists() and not database.has_projects(connection)
            )
        self._start_programs()
        sample_problem = self._load_sample() if wants_sample else ""
        self._await_web()
        with contextlib.closing(database.connect(self.options.database_url)) as connection:
            text = banner.text(self.options.public_url, banner.Shown.read(self.place.sample, connection))
        self._say(f"{text}\n\nReady in {time.monotonic() - began:.1f} s. Logs: {self.place.logs}. Stop with Ctrl-C.")
        if sample_problem:
            self._say(sample_problem)

    def _start_stores(self) -> None:
        if self.options.embedded_broker:
            self.broker = Broker(self.place.broker, self.place.sockets(), self._log("broker"))
            self.broker.start()
        if self.options.embedded_database:
            self.postgres = embedded.server(self.place)
            if not self.place.database.exists():
                self._say(f"Making the database in {self.place.database} …")
            self.postgres.start()
        if self.broker:
            self.broker.wait()
        self._note()

    def _start_programs(self) -> None:
        web = ["web", "--supervised", "--host", self.options.host]
        self.children = [
            Child("web", lambda: self._spawn("web", *web), [(signal.SIGTERM, 10.0)]),
            # Warm first: running tasks may end. What is cut off after that is found again by its lease.
            Child(
                "worker",
                lambda: self._spawn("worker", "worker", "--supervised"),
                [(signal.SIGTERM, 8.0), (signal.SIGQUIT, 3.0)],
            ),
        ]
        for child in self.children:
            child.launch()
        self._note()

    def _spawn(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        # This code, and nothing of the same name in the folder from which we were called.
        command = [sys.executable, "-P", "-m", "reviewhub.cli", *arguments]
        paths = [str(BASE), str(BASE / "client"), *filter(None, [os.environ.get("PYTHONPATH")])]
        env = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
        if name == "worker":  # it is told to drop its tasks: nobody is left to wait for them
            guard = process.die_with_parent(signal.SIGQUIT, _yield_to_the_door)
        else:
            guard = process.die_with_parent(signal.SIGTERM)
        if self.options.verbose:
            return subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, preexec_fn=guard)
        with open(self._log(name), "ab") as log:
            return subprocess.Popen(
                command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=guard
            )  # fmt: skip

    def _once(self, name: str, *arguments: str) -> None:
        """Runs a command to its end; CannotStart with its last words if it fails."""
        child = self._spawn(name, *arguments)
        try:
            code = child.wait()
        except Stopped:
            process.stop(child, [(signal.SIGTERM, 10.0)])
            raise
        if code:
            raise CannotStart(f"`reviewhub {' '.join(arguments)}` failed. Its last words:\n  {self._tail(name)}")

    def _load_sample(self) -> str:
        """While the web server is loading. A sample that cannot be loaded is told, and stops nothing."""
        self._say("Loading the sample project …")
        try:
            self._once("sample", "sample", "load")
        except CannotStart as error:
            return f"The sample project could not be loaded; Review Hub works without it. {error}"
        return ""

    def _await_web(self) -> None:
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            if self._answers():
                return
            for child in self.children:
                code = child.ended(time.monotonic())
                if code is not None:
                    raise CannotStart(
                        f"The {child.name} process ended with code {code}. Nothing is lost. Its last words:\n  "
                        + self._tail(child.name)
                    )
            time.sleep(0.03)
        raise CannotStart(f"The web server did not answer within {READY_SECONDS} s:\n  {self._tail('web')}")

    def _answers(self) -> bool:
        host = "127.0.0.1" if self.options.host in {"0.0.0.0", "::"} else self.options.host  # noqa: S104
        line = http.client.HTTPConnection(host, self.options.port, timeout=5)
        try:
            line.request("GET", "/readyz", headers={"Host": f"localhost:{self.options.port}"})
            return line.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            line.close()

    def _refuse_taken_port(self) -> None:
        # The children of a killed run may hold the port for another second.
        process.await_leftovers(self.place.children)
        family = socket.AF_INET6 if ":" in self.options.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.options.host, self.options.port))
            except OSError as error:
                raise CannotStart(
                    f"Port {self.options.port} cannot be used ({error.strerror}): "
                    "probably another program listens there. Nothing was started. "
                    f"Choose another: PORT={self.options.port + 1} python3 run.py"
                ) from error

    # -- running ----------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Sleeps until a child ends or somebody asks to stop."""
        while not self.stopping:
            now = time.monotonic()
            self._restart_ended(now)
            due = [child.due for child in self.children if child.due is not None]
            timeout = max(0.0, min(due) - now) if due else None
            if select.select([self._wake_read], [], [], timeout)[0]:
                os.read(self._wake_read, 4096)
        self._say("Stopping …")

    def _restart_ended(self, now: float) -> None:
        self._restart_stores()
        for child in self.children:
            code = child.ended(now)
            if code is not None:
                self._say(
                    f"The {child.name} process ended ({_in_words(code)}); starting it again in {child.pause:.0f} s. "
                    f"Nothing is lost. See {self._log(child.name)}."
                )
            if child.due is not None and child.due <= now:
                child.launch()
                self._note()

    def _restart_stores(self) -> None:
        if self.postgres and self.postgres.process and self.postgres.process.poll() is not None:
            self._say("PostgreSQL ended; starting it again. What was acknowledged is safe.")
            process.clear_session(self.postgres.process.pid)
            self.postgres.start()
            self._note()
        if self.broker and self.broker.process and self.broker.process.poll() is not None:
            self._say("The broker ended; starting it again. Work waits in the database.")
            self.broker.start()
            self.broker.wait()
            self._note()

    # -- stopping ---------------------------------------------------------------------------------------

    def _stop(self) -> None:
        for child in self.children:
            child.stop()
        if self.broker:
            self.broker.stop()
        if self.postgres:
            self.postgres.stop()
        self.place.children.unlink(missing_ok=True)

    def _listen_to_signals(self) -> None:
        os.set_blocking(self._wake_write, False)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._asked_to_stop)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)  # wakes the watch

    def _asked_to_stop(self, number: int, frame: FrameType | None) -> None:
        if self.stopping:
            # The second time: somebody does not want to wait. Work that is cut off is found again by its lease.
            for child in self.children:
                if child.process:
                    process.clear_session(child.process.pid)
            return
        self.stopping = True
        if self._waiting:
            raise Stopped

    # -- telling ----------------------------------------------------------------------------------------

    def _say(self, text: str) -> None:
        print(text, flush=True)

    def _log(self, name: str) -> Path:
        """The log of one part; when it has grown large, the old one is kept as ``.1``."""
        path = self.place.logs / f"{name}.log"
        if path.exists() and path.stat().st_size > LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return path

    def _tail(self, name: str) -> str:
        if self.options.verbose or not self._log(name).exists():
            return "(see above)"
        return "\n  ".join(self._log(name).read_text(errors="replace").splitlines()[-8:])

    def _note(self) -> None:
        parts: dict[str, subprocess.Popen[bytes] | None] = {child.name: child.process for child in self.children}
        parts |= {"broker": self.broker.process if self.broker else None}
        parts |= {"PostgreSQL": self.postgres.process if self.postgres else None}
        process.note(self.place.children, {name: one for name, one in parts.items() if one})


def _in_words(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"code {code}"
