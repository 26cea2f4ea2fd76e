"""Child processes that never outlive their parent, and the clearing away of those that tried."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

PR_SET_PDEATHSIG = 1


def die_with_parent(stop_signal: int = signal.SIGTERM, before: Callable[[], None] | None = None) -> Callable[[], None]:
    """A ``preexec_fn``: a session of its own, and ``stop_signal`` when the parent dies, even by SIGKILL.

    The kernel ties the signal to the thread that forked: start children from the main thread only.
    ``before`` may change the process's identity; that clears the signal, so it goes first.
    """
    parent = os.getpid()

    def prepare() -> None:
        os.setsid()
        if before:
            before()
        if sys.platform == "linux":
            ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, stop_signal)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    return prepare


def start_time(pid: int) -> str:
    """When this process started, in the kernel's ticks: a process id alone may have been given away again."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def running(pid: int) -> bool:
    """Whether the process exists and has not ended (a zombie has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (OSError, IndexError):
        return False


def stop(process: subprocess.Popen[bytes], steps: list[tuple[int, float]]) -> None:
    """Sends each signal and waits its seconds until the process has ended, then clears its session."""
    for sent, seconds in [*steps, (signal.SIGKILL, 5.0)]:
        if process.poll() is not None:
            break
        process.send_signal(sent)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
    clear_session(process.pid)


def clear_session(leader: int) -> None:
    """Ends what a child of ours left behind in its session (a web worker whose master was killed)."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def note(path: Path, children: Mapping[str, subprocess.Popen[bytes]]) -> None:
    """Writes down who our children are, for the next start."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps({name: [child.pid, start_time(child.pid)] for name, child in children.items()}))
    partial.replace(path)


def await_leftovers(path: Path, seconds: float = 15.0) -> list[str]:
    """Waits until the children of a killed run have ended, and ends the last of them; their names.

    They were told to stop when their parent died; a socket or port that they still hold would be in the way.
    """
    try:
        noted = {name: (int(pid), str(began)) for name, (pid, began) in json.loads(path.read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return []
    left = {name: pid for name, (pid, began) in noted.items() if began and start_time(pid) == began and running(pid)}
    names = sorted(left)
    end = time.monotonic() + seconds
    while left and time.monotonic() < end:
        time.sleep(0.05)
        left = {name: pid for name, pid in left.items() if running(pid)}
    for pid in left.values():
        clear_session(pid)
    path.unlink(missing_ok=True)
    return names
