"""Does the worker grow? Its resident memory while it works off interactions with complaints.

``.venv/bin/python bench/memory.py [--interactions 100000] [--json]``

Starts a hub in a temporary folder, sends batches through its API as fast as the worker keeps up, and reads the
worker's memory each time another 5 % are done. A leak shows as growth from 20 % to 100 %.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "client")]

import psycopg  # noqa: E402

from tests.runner.hub import Hub  # noqa: E402

BATCH, WAITING_MAX = 500, 6_000
MIB = 1024**2


def interactions(first: int) -> list[dict[str, Any]]:
    """About 3 kB each: one user asks again now and then, one in 50 fails, one in 20 is slow."""
    return [
        {
            "id": f"m-{number}", "session_id": f"s-{number // 4}", "user_id": f"u-{number // 4}",
            "feature": f"feature-{number % 12}", "model": f"model-{number % 5}", "release": f"r-{number % 30}",
            "messages": [{"role": "user", "content": f"What does card {number // 2} cost? {'Tell me more. ' * 40}"}],
            "output": f"It costs {number % 90} a month. {'As the price list says. ' * 60}",
            "documents": [{"id": "kb-1", "content": "The price list. " * 30}],
            "usage": {"input_tokens": 500, "output_tokens": 120}, "latency_ms": 9000 if number % 20 == 0 else 900,
            "status": "error" if number % 50 == 0 else "ok",
        }
        for number in range(first, first + BATCH)
    ]  # fmt: skip


def complaints(first: int) -> list[dict[str, Any]]:
    return [
        {"interaction_id": f"m-{number}", "kind": "thumbs", "value": "down" if number % 40 == 0 else "up",
         "user_id": f"u-{number // 4}"}
        for number in range(first, first + BATCH, 10)
    ]  # fmt: skip


def send(port: int, key: str, path: str, items: list[dict[str, Any]]) -> None:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", "Content-Encoding": "gzip"}
    line.request("POST", f"/api/v1/{path}/batch", gzip.compress(json.dumps(items).encode(), 1), headers)
    answer = line.getresponse()
    said = answer.read()
    line.close()
    if answer.status != 200:
        raise SystemExit(f"{path}: {answer.status} {said[:300]!r}")


def memory(pid: int, name: str) -> float:
    """A line of /proc/…/status in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


def processor(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def measure(hub: Hub, total: int, tell: Any) -> list[dict[str, float]]:
    key = hub.bootstrap("memory")["secret_key"]
    worker = hub.children()["worker"]
    curve: list[dict[str, float]] = []
    with psycopg.connect(hub.database(), autocommit=True) as database:

        def waiting() -> int:
            return database.execute("SELECT count(*) FROM feedback_inbox").fetchone()[0]  # type: ignore[index]

        for first in range(0, total, BATCH):
            send(hub.port, key, "interactions", interactions(first))
            send(hub.port, key, "feedback", complaints(first))
            done = first + BATCH
            while waiting() > WAITING_MAX or (done % (total // 20) == 0 and waiting()):
                time.sleep(0.2)
            if done % (total // 20) == 0:
                if worker != hub.children()["worker"]:
                    raise SystemExit(f"The worker was started again:\n{hub.said()}")
                curve.append({"done": done, "rss_mib": memory(worker, "VmRSS"), "peak_mib": memory(worker, "VmHWM"),
                              "processor_s": processor(worker)})  # fmt: skip
                tell(curve[-1])
    return curve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--interactions", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()

    def tell(point: dict[str, float]) -> None:
        if not asked.json:
            print(f"{point['done']:>9,}  {point['rss_mib']:7.1f} MiB  {'#' * round(point['rss_mib'] / 4)}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        hub = Hub(Path(folder) / "home")
        try:
            hub.start()
            curve = measure(hub, asked.interactions, tell)
            hub.stop()
        finally:
            hub.clear()
    early, late = curve[len(curve) // 5 - 1], curve[-1]
    growth = late["rss_mib"] / early["rss_mib"] - 1
    per_item = (late["processor_s"] - early["processor_s"]) / (late["done"] - early["done"]) * 1000
    if asked.json:
        print(json.dumps({"curve": curve, "growth": growth, "processor_ms_per_item": per_item}))
    else:
        print(f"From {early['done']:,.0f} to {late['done']:,.0f}: {growth:+.1%}; {per_item:.2f} ms of processor each.")


if __name__ == "__main__":
    main()
