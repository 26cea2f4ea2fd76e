"""REVIEWHUB_HOME: the one folder that holds data, sockets, logs and secrets, and who is using it.

Read before the settings module: the settings look up where the sockets are, and that is decided here.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reviewhub import env

BASE = Path(__file__).resolve().parent.parent.parent
# A socket's path has at most 107 bytes on Linux and 103 on macOS; names of sockets take 20 of them.
SOCKET_PATH_LIMIT = 80
NOBODY = 65534
# PostgreSQL separates socket folders by commas and libpq its words by blanks: take no path that needs quoting.
_PLAIN = re.compile(r"[A-Za-z0-9/._-]+")


class CannotStart(Exception):
    """Says what failed, what is safe and what to do."""


class InUse(CannotStart):
    """Another process works in this folder; ``holder`` is what it wrote about itself."""

    def __init__(self, message: str, holder: dict[str, Any]) -> None:
        super().__init__(message)
        self.holder = holder


@dataclass(frozen=True)
class Home:
    """The folders and files below REVIEWHUB_HOME."""

    path: Path

    @property
    def run(self) -> Path:
        return self.path / "run"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def database(self) -> Path:
        return self.path / "database"

    @property
    def broker(self) -> Path:
        return self.path / "broker"

    @property
    def sample(self) -> Path:
        """Sign-ins and keys of the sample project, so that they can be shown at each start."""
        return self.path / "secrets" / "sample.json"

    @property
    def children(self) -> Path:
        return self.run / "children"

    def make(self) -> None:
        """Makes the folders, for the owner alone; says plainly where that is not allowed."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for folder in (self.run, self.logs, self.path / "secrets"):
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise CannotStart(
                f"The folder {self.path} cannot be used: {error.strerror}. Nothing was changed. "
                "Set REVIEWHUB_HOME to a folder that you may write to."
            ) from error

    def sockets(self) -> Path:
        """A folder for the sockets whose path is short and plain; settings.py finds it by the note in run/sockets."""
        if _PLAIN.fullmatch(str(self.run)) and len(str(self.run)) <= SOCKET_PATH_LIMIT:
            return self.run
        note = self.run / "sockets"
        with contextlib.suppress(OSError):
            noted = Path(note.read_text().strip())
            # A temporary folder may have been cleaned away, and made again by somebody else. Root may have
            # handed it to the user as whom the database runs (see postgres.py).
            if noted.is_dir() and noted.stat().st_uid in {os.geteuid(), NOBODY if os.geteuid() == 0 else os.geteuid()}:
                return noted
        folder = tempfile.mkdtemp(prefix="reviewhub-")
        if len(folder) > SOCKET_PATH_LIMIT or not _PLAIN.fullmatch(folder):
            os.rmdir(folder)
            folder = tempfile.mkdtemp(prefix="reviewhub-", dir="/tmp")  # the short way, mode 0700
        partial = note.with_suffix(".partial")
        partial.write_text(folder)
        partial.replace(note)
        return Path(folder)

    @contextlib.contextmanager
    def hold(self, what: str, **about: Any) -> Iterator[None]:
        """Takes the folder for this process until the block or the process ends; raises InUse if it is taken.

        The kernel lets go of the lock however the process ends, so that nothing stale can be left behind.
        """
        with open(self.run / "lock", "a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise self._in_use() from None
            lock.truncate(0)
            lock.write(json.dumps({"what": what, "pid": os.getpid(), **about}))
            lock.flush()
            yield

    def holder(self) -> dict[str, Any]:
        """What the process that holds the folder wrote about itself; empty if nobody holds it."""
        with contextlib.suppress(OSError, ValueError), open(self.run / "lock") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return dict(json.load(lock))
        return {}

    def _in_use(self) -> InUse:
        holder: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):
            holder = json.loads((self.run / "lock").read_text())
        pid = holder.get("pid", "unknown")
        if holder.get("what") == "run":
            return InUse(
                f"Review Hub is already running: {holder.get('url')} (process {pid}, data in {self.path}).\n"
                f"Stop it with Ctrl-C in its terminal or `kill {pid}`. "
                "For a second one beside it, set PORT and REVIEWHUB_HOME.",
                holder,
            )
        return InUse(
            f"`reviewhub {holder.get('what', '…')}` (process {pid}) is using {self.path}. "
            "Wait until it has ended, then try again.",
            holder,
        )


def home() -> Home:
    """The folder named by REVIEWHUB_HOME, or ``var`` beside the code."""
    return Home(Path(env.text("REVIEWHUB_HOME") or BASE / "var").expanduser().resolve())
