"""Answers judged a second by one worker process against a provider that takes 500 ms, and what is left of them.

``DATABASE_URL=postgresql://… .venv/bin/python bench/judging.py [--items 1200] [--latency 0.5] [--api openai] [--json]``

It makes a database of its own, fills it with interactions of ordinary size, starts the fake provider of the tests in
a process of its own and runs the worker's own loop (``judging.work``) until nothing waits. Everything is as in
production: claims, reservations, both official clients, the ledger, scores. Goal: at least 60 a second.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "client")]
GOAL = 60.0
WARM_UP = 48
FAKE = """
import sys
from tests.fakes import provider
fake = provider.FakeProvider()
fake.reply = provider.default_reply
late = float(sys.argv[1])
whole = fake.envelope
def envelope(call, reply, *, stop=""):
    answer = whole(call, reply, stop=stop)
    answer.delay = late
    return answer
fake.envelope = envelope
fake.__enter__()
print(fake.openai_url, fake.anthropic_url, flush=True)
sys.stdin.read()
"""


@contextmanager
def provider(latency: float) -> Iterator[tuple[str, str]]:
    """Addresses of a fake provider in a process of its own, for both dialects."""
    command = [sys.executable, "-c", FAKE, str(latency)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout
        openai, anthropic = process.stdout.readline().split()
        yield openai, anthropic
        process.terminate()


@contextmanager
def database() -> Iterator[None]:
    """A database that lives as long as the measurement, on the server of ``DATABASE_URL``."""
    import psycopg

    parts = urlsplit(os.environ.get("DATABASE_URL") or sys.exit("Set DATABASE_URL to a server to make a database on."))
    name = f"bench_judging_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(urlunsplit(parts), autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')
        os.environ["DATABASE_URL"] = urlunsplit(parts._replace(path=f"/{name}"))
        try:
            yield
        finally:
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def fill(items: int, api: str) -> Any:
    """A project with so many interactions of ordinary size (answer 800 characters, context 1.2 kB), and its judge."""
    from django.utils import timezone

    from evals.models import Judge
    from feedback.models import Interaction
    from projects import services
    from projects.models import User

    owner = User.objects.create(email="bench@example.com")
    project = services.create_project(slug="bench", name="Bench", created_by=owner)
    Interaction.objects.bulk_create(
        (
            Interaction(
                project=project, external_id=f"r-{number}", created_at=timezone.now(), fingerprint=b"f",
                messages=[{"role": "user", "content": f"What does transfer {number} cost, and when is it there?"}],
                output=(f"Transfer {number} is free. " * 40)[:800],
                documents=[{"title": "Fees", "content": ("Transfers in the country are free. " * 40)[:1200]}],
            )
            for number in range(items)
        ),
        batch_size=500,
    )  # fmt: skip
    judge = Judge.objects.get(project=project)
    model = {"openai": "gpt-4o-mini", "anthropic": "claude-haiku-4-5"}[api]
    Judge.objects.filter(pk=judge.pk).update(provider=api, model=model)
    judge.refresh_from_db()
    return judge


def drain(judge: Any, count: int) -> float:
    """Seconds that the worker's loop takes for so many jobs."""
    from evals import judging

    judging.backfill(judge, limit=count)
    start = time.perf_counter()
    while judging.work():
        pass
    return time.perf_counter() - start


def measure(items: int, latency: float, api: str) -> dict[str, Any]:
    with database(), provider(latency) as (openai, anthropic):
        os.environ.update(
            DJANGO_SETTINGS_MODULE="reviewhub.settings", REVIEWHUB_OUTBOUND_ALLOW="127.0.0.1",
            OPENAI_API_KEY="sk-bench", OPENAI_BASE_URL=openai,
            ANTHROPIC_API_KEY="sk-bench", ANTHROPIC_BASE_URL=anthropic,
        )  # fmt: skip
        import django
        from django.conf import settings
        from django.core.management import call_command
        from django.db import connections

        django.setup()
        settings.DOORBELL = False  # nobody is there to hear it
        call_command("migrate", verbosity=0)
        from evals.models import JudgeCall, JudgeJob

        judge = fill(items + WARM_UP, api)
        drain(judge, WARM_UP)  # the clients are imported at the first call
        cpu, seconds = time.process_time(), drain(judge, items)
        cpu = time.process_time() - cpu
        ended = JudgeJob.objects.filter(score__isnull=False).count() - WARM_UP
        told = {
            "items": items, "scored": ended, "api": api, "latency_s": latency, "seconds": round(seconds, 2),
            "a_second": round(ended / seconds, 1), "cpu_ms_each": round(1000 * cpu / items, 2),
            "calls": JudgeCall.objects.filter(state="settled").count() - WARM_UP, "goal": GOAL,
        }  # fmt: skip
        connections.close_all()
    return told


def main() -> None:
    """Prints the figures; exits with 1 where the goal is missed or an answer has no score."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1200)
    parser.add_argument("--latency", type=float, default=0.5, help="seconds")
    parser.add_argument("--api", choices=["openai", "anthropic"], default="openai")
    parser.add_argument("--json", action="store_true")
    wish = parser.parse_args()
    found = measure(wish.items, wish.latency, wish.api)
    if wish.json:
        print(json.dumps(found))
    else:
        print(
            f"{found['scored']:,} of {found['items']:,} answers judged in {found['seconds']} s: {found['a_second']} "
            f"a second at {wish.latency:g} s a call (at least {GOAL:g}); {found['cpu_ms_each']} ms of processor each"
        )
    if found["a_second"] < GOAL or found["scored"] != found["items"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
