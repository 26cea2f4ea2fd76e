"""What the intake costs over HTTP, beside what PostgreSQL alone can do on the same machine in the same run.

``.venv/bin/python bench/intake.py [--quick] [--with-worker] [--json]``

It starts ``reviewhub run`` in a temporary folder, as a new user would: embedded PostgreSQL, web server, worker.
Each cell is measured right after its limit: PostgreSQL storing the same rows, in a table with the same columns,
constraints and indexes. Rates depend on the machine and on what else it does; the ratio to the limit and the
milliseconds of processor time an operation takes (``/proc``, the whole process tree of web server and PostgreSQL)
much less so. The worker is stopped (SIGSTOP) while the door is measured, unless ``--with-worker`` is given: then it
reads everything meanwhile, and its time is shown apart.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import selectors
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

ROOT = Path(__file__).resolve().parent.parent
FOREIGN = ("DATABASE_URL", "CELERY_BROKER_URL", "REVIEWHUB_URL", "SECRET_KEY")
BATCH = 1000
TICKS = os.sysconf("SC_CLK_TCK")
WORDS = ["the", "fee", "of", "a", "plan", "depends", "on", "what", "was", "agreed", "and", "may", "change", "yearly"]


class Hub:
    """A Review Hub of its own, with empty tables."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.env = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        paths = f"{ROOT}{os.pathsep}{ROOT / 'client'}"
        self.env |= {"PORT": str(self.port), "REVIEWHUB_HOME": str(self.home), "SAMPLE": "0", "PYTHONPATH": paths}

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        """Runs it meanwhile; gives what it has said when it was ready."""
        command = [sys.executable, "-P", "-m", "reviewhub.cli", "run"]
        process = subprocess.Popen(
            command, cwd=ROOT, env=self.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        said = []
        try:
            assert process.stdout
            for line in process.stdout:
                said.append(line)
                if "Ready in" in line:
                    break
            else:
                raise SystemExit("".join(said))
            yield "".join(said)
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
            if self.sockets != self.home / "run":
                shutil.rmtree(self.sockets, ignore_errors=True)

    def bootstrap(self) -> str:
        """A secret key of a new project."""
        words = ["bootstrap", "--project", "bench", "--admin", "bench@example.com", "--json"]
        command = [sys.executable, "-P", "-m", "reviewhub.cli", *words]
        done = subprocess.run(command, cwd=ROOT, env=self.env, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)
        return str(json.loads(done.stdout)["secret_key"])

    def pid(self, part: str) -> int:
        return int(json.loads((self.home / "run" / "children").read_text())[part][0])

    @property
    def sockets(self) -> Path:
        note = self.home / "run" / "sockets"
        return Path(note.read_text().strip()) if note.exists() else self.home / "run"

    @property
    def dsn(self) -> str:
        return f"host={self.sockets} user=reviewhub dbname=reviewhub"


class Cpu:
    """Processor seconds of the parts, and of everything else on the machine, since ``start``."""

    def __init__(self, hub: Hub) -> None:
        self.parts = {"web": hub.pid("web"), "worker": hub.pid("worker"), "postgres": hub.pid("PostgreSQL")}

    def start(self) -> None:
        self._began, self._busy, self._at = self._now(), _busy_seconds(), time.monotonic()
        self._own = time.process_time()

    def stop(self) -> tuple[dict[str, float], float]:
        """Seconds by part, and how many cores were busy with other people's work meanwhile."""
        used = {part: seconds - self._began[part] for part, seconds in self._now().items()}
        others = _busy_seconds() - self._busy - sum(used.values()) - (time.process_time() - self._own)
        return used, max(others, 0.0) / (time.monotonic() - self._at)

    def _now(self) -> dict[str, float]:
        below: dict[int, list[int]] = {}
        seconds: dict[int, float] = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                below.setdefault(int(fields[1]), []).append(int(folder.name))
                seconds[int(folder.name)] = sum(map(int, fields[11:15])) / TICKS  # with children that have ended
        return {part: _sum_tree(pid, below, seconds) for part, pid in self.parts.items()}


def _sum_tree(root: int, below: dict[int, list[int]], seconds: dict[int, float]) -> float:
    return seconds.get(root, 0.0) + sum(_sum_tree(pid, below, seconds) for pid in below.get(root, []))


def _busy_seconds() -> float:
    user, nice, system, _idle, _wait, irq, soft, *_ = map(int, Path("/proc/stat").read_text().split()[1:11])
    return (user + nice + system + irq + soft) / TICKS


@dataclass
class Cell:
    """One line of the table. ``limit`` is the rate of PostgreSQL alone, rates are items a second."""

    name: str
    items: int
    rate: float
    latencies: list[float] = field(repr=False)
    cpu: dict[str, float] = field(default_factory=dict)
    others: float = 0.0
    limit: float = 0.0
    failed: int = 0

    @property
    def ratio(self) -> float:
        return self.rate / self.limit if self.limit else 0.0

    @property
    def server_ms(self) -> float:
        """Of web server and PostgreSQL together, for one item."""
        return self.cpu["web"] + self.cpu["postgres"]

    def percentile(self, share: float) -> float:
        return statistics.quantiles(self.latencies, n=100, method="inclusive")[int(share * 100) - 1]


# -- the client: one thread, about 20 microseconds for a request ------------------------------------------------


class Line:
    """A keep-alive connection that says one request after another."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.sent_at = 0.0

    def send(self, request: bytes) -> None:
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        self.buffer = b""
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def answer(self) -> tuple[int, bytes] | None:
        """Status and body, once all of it is here."""
        piece = self.socket.recv(1 << 20)
        if not piece:
            raise SystemExit("the web server closed a connection")
        self.buffer += piece
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return None
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        return (int(head[9:12]), body) if len(body) >= length else None


def post(path: str, key: str, port: int, body: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def drive(port: int, requests: list[bytes], connections: int) -> tuple[float, list[float], int]:
    """Sends all requests over so many connections: items a second, latencies in ms, and how many failed."""
    waiting, latencies, failed = iter(requests), [], 0
    began = time.perf_counter()
    with selectors.DefaultSelector() as ready:
        for _ in range(connections):
            line = Line(port)
            ready.register(line.socket, selectors.EVENT_READ, line)
            line.send(next(waiting))
        while ready.get_map():
            for event, _ in ready.select():
                line = event.data
                answer = line.answer()
                if answer is None:
                    continue
                latencies.append((time.perf_counter() - line.sent_at) * 1000)
                failed += answer[0] not in (200, 201) or b'"error"' in answer[1]
                if (request := next(waiting, None)) is not None:
                    line.send(request)
                else:
                    ready.unregister(line.socket)
                    line.socket.close()
    return len(requests) / (time.perf_counter() - began), latencies, failed


# -- what is sent -----------------------------------------------------------------------------------------------


def _text(seed: int, length: int) -> str:
    return " ".join(f"{WORDS[(seed * 7 + place * place) % len(WORDS)]}{(seed + place) % 97}" for place in range(length))


def interaction(name: str, number: int) -> dict[str, Any]:
    """An answer from three documents; 2.9 kB of JSON."""
    return {
        "id": name, "session_id": f"s-{number // 4}", "user_id": f"u-{number % 50}", "feature": "billing",
        "created_at": f"2026-11-20T12:{number // 60 % 60:02}:{number % 60:02}Z", "release": "2026.11.2",
        "provider": "openai", "model": "gpt-4o-mini", "latency_ms": 900 + number % 800,
        "usage": {"input_tokens": 300, "output_tokens": 120}, "prompt": {"name": "support", "version": "14"},
        "messages": [{"role": "system", "content": _text(number, 60)}, {"role": "user", "content": _text(number, 12)}],
        "documents": [{"id": f"kb-{one}", "title": "Fees", "content": _text(number + one, 75)} for one in range(3)],
        "output": _text(number, 55), "tags": ["bench"], "metadata": {"region": "eu", "attempt": number % 3},
    }  # fmt: skip


def feedback(interaction_id: str, number: int) -> dict[str, Any]:
    return {
        "interaction_id": interaction_id, "kind": "thumbs", "value": "down" if number % 3 else "up",
        "comment": "The fee is not what I was told.", "user_id": f"u-{number}",
    }  # fmt: skip


# -- the limit: PostgreSQL alone --------------------------------------------------------------------------------


class Limit:
    """The rows that the product has just stored, stored again without it, in a twin of its table."""

    def __init__(self, dsn: str, table: str, rows: int) -> None:
        self.dsn, self.twin = dsn, f"bench_{table}"
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(f"DROP TABLE IF EXISTS {self.twin}")
            connection.execute(f"CREATE TABLE {self.twin} (LIKE {table} INCLUDING ALL)")
            found = connection.execute(
                "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND attname <> 'id'"
                " AND NOT attisdropped AND attgenerated = '' ORDER BY attnum",
                [table],
            )
            self.columns = [str(name) for (name,) in found]
            texts = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in self.columns)
            query = sql.SQL("SELECT {} FROM {} ORDER BY id DESC LIMIT {}").format(texts, sql.Identifier(table), rows)
            self.rows = connection.execute(query).fetchall()
        self._names = sql.SQL(", ").join(map(sql.Identifier, self.columns))

    def _emptied(self) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(f"TRUNCATE {self.twin}")
            connection.execute("CHECKPOINT")

    def single_commits(self, connections: int) -> float:
        """Rows a second, each committed alone."""
        self._emptied()
        places = sql.SQL(", ").join([sql.Placeholder()] * len(self.columns))
        insert = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(sql.Identifier(self.twin), self._names, places)
        return asyncio.run(self._at_once(connections, insert))

    async def _at_once(self, connections: int, insert: sql.Composed) -> float:
        waiting = iter(self.rows)
        lines = [await psycopg.AsyncConnection.connect(self.dsn, autocommit=True) for _ in range(connections)]

        async def work(line: psycopg.AsyncConnection[Any]) -> None:
            cursor = line.cursor()
            for row in waiting:
                await cursor.execute(insert, row, prepare=True)

        began = time.perf_counter()
        await asyncio.gather(*[work(line) for line in lines])
        taken = time.perf_counter() - began
        for line in lines:
            await line.close()
        return len(self.rows) / taken

    def copies(self, connections: int) -> float:
        """Rows a second by COPY, BATCH rows to a commit."""
        self._emptied()
        blocks = [self.rows[start : start + BATCH] for start in range(0, len(self.rows), BATCH)]
        command = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(self.twin), self._names)
        return asyncio.run(self._copy_at_once(connections, blocks, command))

    async def _copy_at_once(self, connections: int, blocks: list[list[Any]], command: sql.Composed) -> float:
        waiting = iter(blocks)
        lines = [await psycopg.AsyncConnection.connect(self.dsn, autocommit=True) for _ in range(connections)]

        async def work(line: psycopg.AsyncConnection[Any]) -> None:
            for block in waiting:
                async with line.cursor() as cursor, cursor.copy(command) as target:
                    for row in block:
                        await target.write_row(row)

        began = time.perf_counter()
        await asyncio.gather(*[work(line) for line in lines])
        taken = time.perf_counter() - began
        for line in lines:
            await line.close()
        return len(self.rows) / taken


# -- the cells --------------------------------------------------------------------------------------------------


class Bench:
    def __init__(self, hub: Hub, key: str, *, scale: float, with_worker: bool) -> None:
        self.hub, self.key, self.scale, self.with_worker = hub, key, scale, with_worker
        self.cpu = Cpu(hub)

    def requests(self, path: str, bodies: list[Any]) -> list[bytes]:
        return [post(path, self.key, self.hub.port, json.dumps(body).encode()) for body in bodies]

    def cell(self, name: str, requests: list[bytes], connections: int, *, items_each: int = 1) -> Cell:
        self.settle()
        self.cpu.start()
        rate, latencies, failed = drive(self.hub.port, requests, connections)
        used, others = self.cpu.stop()
        items = len(requests) * items_each
        spent = {part: seconds * 1000 / items for part, seconds in used.items()}
        return Cell(name, items, rate * items_each, latencies, spent, others, failed=failed)

    def settle(self) -> None:
        """Nothing of the cell before must be paid for by the next: the worker reads up, the database writes out."""
        worker = self.hub.pid("worker")
        os.kill(worker, signal.SIGCONT)
        with psycopg.connect(self.hub.dsn, autocommit=True) as connection:
            end = time.monotonic() + 300
            while connection.execute("SELECT count(*) FROM feedback_inbox").fetchone() != (0,):
                if time.monotonic() > end:
                    raise SystemExit("the worker has not read everything within 300 s")
                time.sleep(0.5)
            if not self.with_worker:
                os.kill(worker, signal.SIGSTOP)
            connection.execute("VACUUM ANALYZE")
            connection.execute("CHECKPOINT")
        time.sleep(1.0)

    def run(self) -> list[Cell]:
        count = int(8000 * self.scale)
        known = int(2000 * self.scale)
        singles = [interaction(f"one-{number}", number) for number in range(count)]
        batches = [
            [interaction(f"many-{batch}-{number}", batch * BATCH + number) for number in range(BATCH)]
            for batch in range(max(int(20 * self.scale), 4))
        ]
        alone = [interaction(f"alone-{number}", number) for number in range(known)]
        votes = [feedback(f"one-{number % known}", number) for number in range(count)]
        path, batch_path = "/api/v1/interactions", "/api/v1/interactions/batch"
        drive(self.hub.port, self.requests(path, [interaction(f"warm-{n}", n) for n in range(400)]), 8)

        single = self.cell("interaction, 8 connections", self.requests(path, singles), 8)
        limit = Limit(self.hub.dsn, "feedback_interaction", count)
        single.limit = limit.single_commits(8)
        lonely = self.cell("interaction, 1 connection", self.requests(path, alone), 1)
        lonely.limit = limit.single_commits(1)
        voted = self.cell("feedback, 8 connections", self.requests("/api/v1/feedback", votes), 8)
        voted.limit = Limit(self.hub.dsn, "feedback_feedback", count).single_commits(8)
        many = self.cell("batch of 1,000, 2 connections", self.requests(batch_path, batches), 2, items_each=BATCH)
        many.limit = Limit(self.hub.dsn, "feedback_interaction", len(batches) * BATCH).copies(2)
        self.stored(len(singles) + len(alone) + len(batches) * BATCH + 400, len(votes))
        return [single, lonely, voted, many]

    def stored(self, interactions: int, votes: int) -> None:
        """Everything that was acknowledged is there at once."""
        with psycopg.connect(self.hub.dsn) as connection:
            found = connection.execute(
                "SELECT (SELECT count(*) FROM feedback_interaction), (SELECT count(*) FROM feedback_feedback)"
            ).fetchone()
        if found != (interactions, votes):
            raise SystemExit(f"acknowledged {(interactions, votes)}, stored {found}")


def targets(cells: list[Cell]) -> list[tuple[str, bool]]:
    single, lonely, voted, many = cells
    return [
        (f"feedback: {voted.ratio:.2f} of the limit (at least 0.15)", voted.ratio >= 0.15),
        (f"feedback: {voted.server_ms:.2f} ms of processor time (at most 1.0)", voted.server_ms <= 1.0),
        (f"interaction: {single.ratio:.2f} of the limit (at least 0.15)", single.ratio >= 0.15),
        (f"interaction: {single.server_ms:.2f} ms of processor time (at most 1.2)", single.server_ms <= 1.2),
        (f"interaction: p50 at one connection {lonely.percentile(0.5):.2f} ms (under 2)", lonely.percentile(0.5) < 2),
        (f"batch: {many.ratio:.2f} of COPY (at least 0.35)", many.ratio >= 0.35),
    ]


def show(cells: list[Cell]) -> None:
    print(f"{'cell':<30} {'items/s':>8} {'limit/s':>8} {'ratio':>6} {'p50 ms':>7} {'p95 ms':>7} "
          f"{'web ms':>7} {'pg ms':>7} {'worker':>7} {'others':>7} {'failed':>7}")  # fmt: skip
    for cell in cells:
        print(f"{cell.name:<30} {cell.rate:>8.0f} {cell.limit:>8.0f} {cell.ratio:>6.2f} {cell.percentile(0.5):>7.2f} "
              f"{cell.percentile(0.95):>7.2f} {cell.cpu['web']:>7.3f} {cell.cpu['postgres']:>7.3f} "
              f"{cell.cpu['worker']:>7.3f} {cell.others:>7.2f} {cell.failed:>7}")  # fmt: skip
    print()
    for text, met in targets(cells):
        print(f"{'met   ' if met else 'MISSED'} {text}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a fifth of the work")
    parser.add_argument("--with-worker", action="store_true", help="let the worker read while the door is measured")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reviewhub-bench-") as folder:
        hub = Hub(Path(folder))
        with hub.running():
            bench = Bench(
                hub, hub.bootstrap(), scale=0.2 if arguments.quick else 1.0, with_worker=arguments.with_worker
            )
            try:
                cells = bench.run()
            finally:
                os.kill(hub.pid("worker"), signal.SIGCONT)
    if arguments.json:
        lines = {
            cell.name: {
                "items": cell.items, "rate": round(cell.rate), "limit": round(cell.limit),
                "ratio": round(cell.ratio, 3), "p50_ms": round(cell.percentile(0.5), 2),
                "p95_ms": round(cell.percentile(0.95), 2), "cpu_ms": cell.cpu, "others": round(cell.others, 2),
                "failed": cell.failed,
            }
            for cell in cells
        }  # fmt: skip
        print(json.dumps({"cpus": os.cpu_count(), "worker_running": arguments.with_worker, "cells": lines}))
    else:
        print(f"{os.cpu_count()} cores; the worker was {'running' if arguments.with_worker else 'stopped'}\n")
        show(cells)
    return 0 if all(met for _, met in targets(cells)) and not any(cell.failed for cell in cells) else 1


if __name__ == "__main__":
    sys.exit(main())
