"""A real Review Hub in a folder of its own, started and stopped by the tests."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
# What the test machinery has put into the environment must not reach a hub that is to start everything itself.
FOREIGN = ("DATABASE_URL", "CELERY_BROKER_URL", "REVIEWHUB_URL", "DJANGO_SETTINGS_MODULE", "SECRET_KEY")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def in_sessions(sessions: set[int]) -> list[int]:
    """The living processes of these sessions."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) in sessions and fields[0] not in "ZX":
                found.append(int(folder.name))
    return found


class Hub:
    """``start()``, then ``get``, ``command``, ``stop`` or ``kill``."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.home, self.port = home, free_port()
        self.env = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        self.env |= {"REVIEWHUB_HOME": str(home), "PORT": str(self.port), "SAMPLE": "0", **settings}
        self.process: subprocess.Popen[str] | None = None
        self.output = home.with_name(f"{home.name}.out")

    def start(self) -> None:
        with self.output.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "reviewhub.cli", "run"],
                cwd=ROOT,
                env=self.env,
                stdout=out,
                stderr=out,
                text=True,
            )
        self.wait_for("Ready in")

    def wait_for(self, text: str, seconds: float = 60) -> None:
        assert self.process
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if text in self.said():
                return
            assert self.process.poll() is None, self.said()
            time.sleep(0.05)
        raise AssertionError(f"{text!r} did not come within {seconds} s:\n{self.said()}")

    def said(self) -> str:
        return self.output.read_text()

    def get(self, path: str) -> tuple[int, bytes]:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(line):
            line.request("GET", path)
            answer = line.getresponse()
            return answer.status, answer.read()

    def command(self, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "reviewhub.cli", *words], cwd=ROOT, env=self.env | settings,
            capture_output=True, text=True, check=False, timeout=60, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def bootstrap(self, slug: str, admin: str = "ada@example.com") -> dict[str, Any]:
        done = self.command("bootstrap", "--project", slug, "--admin", admin, "--json")
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def worker_answers(self) -> bool:
        """Whether a worker answers through the broker."""
        words = ["-m", "celery", "-A", "reviewhub.celery", "inspect", "ping", "--timeout", "1"]
        return subprocess.run([sys.executable, *words], cwd=ROOT, env=self.env, capture_output=True).returncode == 0

    def children(self) -> dict[str, int]:
        """The process ids of web, worker, broker and PostgreSQL; each leads a session of its own."""
        return {name: pid for name, (pid, _) in json.loads((self.home / "run" / "children").read_text()).items()}

    def database(self) -> str:
        """The address of its own PostgreSQL; where that listens it says on its command line."""
        words = Path(f"/proc/{self.children()['PostgreSQL']}/cmdline").read_text().split("\0")
        sockets = next(word.split("=", 1)[1] for word in words if word.startswith("unix_socket_directories="))
        return f"postgresql://reviewhub@/reviewhub?host={sockets}"

    def stop(self, sent: signal.Signals = signal.SIGTERM) -> int:
        assert self.process
        self.process.send_signal(sent)
        return self.process.wait(20)

    def kill(self) -> None:
        """As the kernel does when memory runs out."""
        assert self.process
        self.process.kill()
        self.process.wait(5)

    def clear(self) -> None:
        """Whatever a failed test has left."""
        with contextlib.suppress(OSError):
            sessions = set(self.children().values())
            if self.process and self.process.poll() is None:
                self.stop()
            for pid in in_sessions(sessions):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            shutil.rmtree((self.home / "run" / "sockets").read_text())
