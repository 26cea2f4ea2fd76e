"""What the whole loop costs on this machine: start, memory, disk, and seconds from a thumbs-down to the queue.

``.venv/bin/python bench/loop.py [--json] [--rounds 15] [--rows 2000]``

It clones the working tree into a temporary folder and starts that with ``python3 run.py``, as a new user
would; the installation is therefore measured with whatever the package manager has cached.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

ROOT = Path(__file__).resolve().parent.parent
FOREIGN = ("DATABASE_URL", "CELERY_BROKER_URL", "REVIEWHUB_URL", "SECRET_KEY", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
READY_TEXT = "Ready in"
BATCH = 200


class Clone:
    """A copy of the tree, started and stopped by its own run.py."""

    def __init__(self, folder: Path) -> None:
        self.tree, self.home = folder / "a clone", folder / "a home"
        names = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
        )
        for name in names.stdout.splitlines():
            if (ROOT / name).is_file():
                (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, self.tree / name)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        self.env |= {"PORT": str(self.port), "REVIEWHUB_HOME": str(self.home)}
        self.process: subprocess.Popen[str] | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator[tuple[float, float]]:
        """Yields the seconds to the first page and to the end of all that the start does."""
        began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "run.py"], cwd=self.tree, env=self.env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            first_page = self._until_first_page(began)
            assert self.process.stdout
            said = []
            for line in self.process.stdout:
                said.append(line)
                if READY_TEXT in line:
                    break
            else:
                raise SystemExit("".join(said))
            yield first_page, time.monotonic() - began
        finally:
            self.process.send_signal(signal.SIGINT)
            self.process.communicate(timeout=30)

    def _until_first_page(self, began: float) -> float:
        while time.monotonic() - began < 300:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/login/", timeout=5) as answer:
                answer.read()
                return time.monotonic() - began
            if self.process and self.process.poll() is not None:
                raise SystemExit(self.process.stdout.read() if self.process.stdout else "run.py ended")
            time.sleep(0.02)
        raise SystemExit("no page within 300 s")

    def bootstrap(self) -> dict[str, Any]:
        words = ["bootstrap", "--project", "bench", "--admin", "bench@example.com", "--json"]
        done = subprocess.run([self.tree / ".venv/bin/reviewhub", *words], env=self.env, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def database(self) -> psycopg.Connection:
        note = self.home / "run" / "sockets"
        folder = note.read_text().strip() if note.exists() else self.home / "run"
        return psycopg.connect(f"host={folder} user=reviewhub dbname=reviewhub", autocommit=True)

    def call(self, path: str, key: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data=data, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


def tree_pss(root: int) -> dict[str, int]:
    """Proportional set size in bytes of a process and all below it, by kind of process."""
    below: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            below.setdefault(parent, []).append(int(folder.name))
    sizes: dict[str, int] = {}
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        waiting += below.get(pid, [])
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            if "reviewhub.cli" in words:
                kind = {"web": "web", "worker": "worker"}.get(words[words.index("reviewhub.cli") + 1], "supervisor")
            else:
                kind = "broker" if "valkey" in words[0] else "postgres"
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            kilobytes = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
            sizes[kind] = sizes.get(kind, 0) + kilobytes * 1024
    return sizes


def thumbs_down_to_queue(clone: Clone, made: dict[str, Any], rounds: int) -> list[float]:
    """Seconds from the POST of the thumbs-down until a reviewer's list of queues counts it."""
    key, token = made["secret_key"], made["users"][0]["token"]

    def waiting() -> int:
        return sum(queue["open"] for queue in clone.call("/api/v1/queues", token)["results"])

    taken = []
    for number in range(rounds):
        name = f"bench-{time.time_ns()}-{number}"
        question = [{"role": "user", "content": f"What is the fee for plan {number}?"}]
        clone.call("/api/v1/interactions", key, {"id": name, "messages": question, "output": "There is none."})
        before = waiting()
        began = time.monotonic()
        clone.call("/api/v1/feedback", key, {"interaction_id": name, "kind": "thumbs", "value": "down"})
        while waiting() <= before:
            if time.monotonic() - began > 30:
                raise SystemExit("a thumbs-down did not reach the queue within 30 s")
            time.sleep(0.02)
        taken.append(time.monotonic() - began)
        time.sleep(random.random())  # not in step with the clock of the sweepers
    return taken


def bytes_per_interaction(clone: Clone, key: str, rows: int) -> dict[str, Any]:
    """Bytes on disk of one stored interaction with all that hangs on it, and of the bare row of the same content."""
    rng = random.Random(7)
    words = [
        f"{a}{b}" for a in ("re", "un", "over", "in", "pre", "mis") for b in ("view", "sent", "cover", "take", "pay")
    ]

    def text(length: int) -> str:
        return " ".join(rng.choice(words) + str(rng.randrange(1000)) for _ in range(length))

    items: list[dict[str, Any]] = []
    for number in range(rows):
        # As large as an answer from three documents is (5 kB), and it repeats one of them: nothing is flagged.
        sources = [text(90) for _ in range(3)]
        items.append({
            "id": f"disk-{number}", "session_id": f"s-{number // 4}", "user_id": f"u-{number % 50}",
            "feature": "billing", "release": "2026.11.2", "provider": "openai", "model": "some-model",
            "latency_ms": 900 + number % 800, "usage": {"input_tokens": 300, "output_tokens": 120},
            "messages": [{"role": "system", "content": text(100)}, {"role": "user", "content": text(20)}],
            "documents": [{"id": f"kb-{place}", "content": source} for place, source in enumerate(sources)],
            "output": sources[0],
        })  # fmt: skip

    with clone.database() as connection:
        connection.execute(
            "CREATE TABLE bench_bare (id bigserial PRIMARY KEY, at timestamptz DEFAULT now(), body jsonb)"
        )
        for item in items:
            connection.execute("INSERT INTO bench_bare (body) VALUES (%s)", [json.dumps(item)])
        bare = _size(connection, "pg_total_relation_size('bench_bare')")
        connection.execute("DROP TABLE bench_bare")
        connection.execute("VACUUM FULL")  # no free space of what was here before, which new rows would fill
        before, parts = _size(connection, "pg_database_size('reviewhub')"), _relations(connection)
        for start in range(0, rows, BATCH):
            answer = clone.call("/api/v1/interactions/batch", key, items[start : start + BATCH])
            refused = [one for one in answer["results"] if one["status"] != 201]
            if refused:
                raise SystemExit(f"an interaction was refused: {refused[0]}")
        _await_idle(connection)
        after = _size(connection, "pg_database_size('reviewhub')")
        grown = {name: (size - parts.get(name, 0)) / rows for name, size in _relations(connection).items()}
    largest = sorted(grown.items(), key=lambda one: -one[1])[:12]
    return {
        "bytes_per_interaction": round((after - before) / rows),
        "bytes_bare_row": round(bare / rows),
        "ratio": round((after - before) / bare, 2),
        "bytes_by_relation": {name: round(size) for name, size in largest if size >= 1},
    }


def _relations(connection: psycopg.Connection) -> dict[str, int]:
    """Bytes of every table (with what it keeps out of line) and every index."""
    found = connection.execute(
        "SELECT relname, CASE relkind WHEN 'r' THEN pg_table_size(oid) ELSE pg_relation_size(oid) END FROM pg_class"
        " WHERE relkind IN ('r', 'i') AND relnamespace = 'public'::regnamespace"
    ).fetchall()
    return {str(name): int(size) for name, size in found}


def _await_idle(connection: psycopg.Connection) -> None:
    """Until the workers have done all that follows from what came in."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        row = connection.execute("SELECT count(*) FROM feedback_inbox").fetchone()
        if row == (0,):
            return
        time.sleep(0.5)


def _size(connection: psycopg.Connection, expression: str) -> int:
    connection.execute("VACUUM")
    row = connection.execute(f"SELECT {expression}").fetchone()
    assert row
    return int(row[0])


def measure(clone: Clone, rounds: int, rows: int) -> dict[str, Any]:
    result: dict[str, Any] = {"cpus": os.cpu_count(), "python": sys.version.split()[0]}
    with clone.running() as (first_page, ready):
        result |= {"first_start_page_s": round(first_page, 2), "first_start_ready_s": round(ready, 2)}
    environment = clone.tree / ".venv"
    files = [path for path in environment.rglob("*") if path.is_file() and not path.is_symlink()]
    result["install_mb"] = round(sum(path.stat().st_size for path in files) / 1e6, 1)
    result["packages"] = len(list(environment.glob("lib/*/site-packages/*.dist-info")))
    with clone.running() as (first_page, ready):
        result |= {"second_start_page_s": round(first_page, 2), "second_start_ready_s": round(ready, 2)}
        time.sleep(15)  # a few rounds of the clock
        assert clone.process
        sizes = tree_pss(clone.process.pid)
        result["idle_pss_mb"] = round(sum(sizes.values()) / 1e6, 1)
        result["idle_pss_mb_by_part"] = {kind: round(size / 1e6, 1) for kind, size in sorted(sizes.items())}
        made = clone.bootstrap()
        taken = thumbs_down_to_queue(clone, made, rounds)
        result["thumbs_down_to_queue_s"] = {"median": round(statistics.median(taken), 3), "max": round(max(taken), 3)}
        result |= bytes_per_interaction(clone, made["secret_key"], rows)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, default=15, help="thumbs-downs to time")
    parser.add_argument("--rows", type=int, default=2000, help="interactions to weigh")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reviewhub bench ") as folder:
        clone = Clone(Path(folder))
        result = measure(clone, arguments.rounds, arguments.rows)
        shutil.rmtree((clone.home / "run" / "sockets").read_text(), ignore_errors=True)
    if arguments.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:<26} {value}")


if __name__ == "__main__":
    main()
