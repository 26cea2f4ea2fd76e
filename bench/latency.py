"""Seconds from a thumbs-down until a reviewer is handed the item, with the broker there and with the broker away.

``.venv/bin/python bench/latency.py [--rounds 30] [--away 8] [--json]``

It starts ``reviewhub run`` in a temporary folder, gives feedback as an application does and claims as a reviewer does,
every 20 ms, until the claim is the item. For the second part the broker is stopped (SIGSTOP): it takes what comes and
never answers, which is the worst way of being away. What is measured includes the HTTP requests themselves.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from intake import ROOT, Hub

QUEUE = "negative-feedback"
PATIENCE = 30.0


def bootstrap(hub: Hub) -> tuple[str, str]:
    """A secret key and a reviewer's token of a new project."""
    words = ["bootstrap", "--project", "bench", "--admin", "bench@example.com", "--json"]
    command = [sys.executable, "-P", "-m", "reviewhub.cli", *words]
    done = subprocess.run(command, cwd=ROOT, env=hub.env, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    made = json.loads(done.stdout)
    return str(made["secret_key"]), str(made["users"][0]["token"])


class Caller:
    """Requests over one connection that is kept."""

    def __init__(self, port: int, key: str) -> None:
        self.line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def post(self, path: str, body: Any) -> Any:
        self.line.request("POST", f"/api/v1/{path}", json.dumps(body), self.headers)
        answer = self.line.getresponse()
        content = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"{path}: {answer.status} {content[:300]!r}")
        return json.loads(content or b"{}")


def wait(application: Caller, reviewer: Caller, name: str) -> float:
    """Seconds from the thumbs-down on a new item until it is claimed; it is labelled, so that nothing waits after."""
    question = [{"role": "user", "content": f"What is the fee for {name}?"}]
    application.post("interactions", {"id": name, "messages": question, "output": "There is none."})
    began = time.monotonic()
    application.post("feedback", {"interaction_id": name, "kind": "thumbs", "value": "down"})
    while "token" not in (claim := reviewer.post(f"queues/{QUEUE}/claim", {}).get("claim") or {}):
        if time.monotonic() - began > PATIENCE:
            raise SystemExit(f"{name} was not claimable within {PATIENCE:g} s")
        time.sleep(0.02)
    taken = time.monotonic() - began
    vote = {"submission_id": str(uuid.uuid4()), "verdict": "pass"}
    reviewer.post(f"claims/{claim['token']}/submit", vote)
    return taken


def summary(times: list[float]) -> dict[str, float]:
    p95 = statistics.quantiles(times, n=20, method="inclusive")[18]
    return {"rounds": len(times), "p50": round(statistics.median(times), 3), "p95": round(p95, 3),
            "most": round(max(times), 3)}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--away", type=int, default=8, help="rounds without the broker")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="latency-") as folder:
        hub = Hub(Path(folder))
        with hub.running():
            key, token = bootstrap(hub)
            application, reviewer = Caller(hub.port, key), Caller(hub.port, token)
            wait(application, reviewer, "warm")
            there, gone = [], []
            for number in range(options.rounds):
                time.sleep(random.random())  # not in step with the clock of the sweepers
                there.append(wait(application, reviewer, f"there-{number}"))
            broker = hub.pid("broker")
            os.kill(broker, signal.SIGSTOP)
            try:
                for number in range(options.away):
                    time.sleep(random.random())
                    gone.append(wait(application, reviewer, f"away-{number}"))
            finally:
                os.kill(broker, signal.SIGCONT)
    found = {"broker there": summary(there), "broker away": summary(gone)}
    if options.json:
        print(json.dumps(found, indent=1))
        return
    print(f"{'seconds':16}{'rounds':>8}{'p50':>8}{'p95':>8}{'most':>8}")
    for name, row in found.items():
        print(f"{name:16}{row['rounds']:>8}{row['p50']:>8.2f}{row['p95']:>8.2f}{row['most']:>8.2f}")


if __name__ == "__main__":
    main()
