"""How many interactions a second one worker routes, by rules and by what is said about them.

``.venv/bin/python bench/routing.py [--items 6000] [--rules 20] [--profile] [--json]``

It fills a database of its own (``DATABASE_URL``, default the machine's PostgreSQL, with the name ``bench_routing``,
which is made anew and removed) with interactions of about 3 kB that wait in the inbox, and lets the triage stage read
them as the worker does: ``triage.run()``, in this process. Each cell is measured three times; the table shows the
median. Rates depend on what else the machine does; the milliseconds of processor time an item takes, of this process
and of PostgreSQL together, much less so.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import statistics
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "client"), str(ROOT / "bench")]
NAME = "bench_routing"
SERVER = os.environ.get("DATABASE_URL", "postgresql://postgres@127.0.0.1/postgres").rpartition("/")[0]
os.environ |= {"DJANGO_SETTINGS_MODULE": "reviewhub.settings", "DATABASE_URL": f"{SERVER}/{NAME}"}
os.environ.setdefault("SECRET_KEY", "a secret that is long enough for a bench")
WORDS = ["the", "fee", "of", "a", "plan", "depends", "on", "what", "was", "agreed", "and", "may", "change", "yearly"]
ROUNDS = 3


def _text(seed: int, length: int) -> str:
    return " ".join(f"{WORDS[(seed * 7 + place * place) % len(WORDS)]}{(seed + place) % 97}" for place in range(length))


# What a team might have beside the five rules that every project starts with.
MORE_RULES: list[dict[str, Any]] = [
    {"condition": {"all": [
        {"field": "feature", "op": "is", "value": "legal"}, {"field": "language", "op": "is", "value": "de"},
    ]}},
    {"condition": {"text": {"in": "answer", "words": ["lawsuit", "attorney", "ombudsman"]}}, "severity": 0.7},
    {"condition": {"text": {"in": "question", "matches": r"refund|charge ?back"}}, "sampling": "random", "rate": 0.05},
    {"condition": {"field": "cost_usd", "op": "above", "value": 0.5}},
    {"condition": {"field": "latency_ms", "op": "above", "value": 30000}},
    {"condition": {"field": "answer_length", "op": "below", "value": 10}},
    {"condition": {"field": "tags", "op": "has", "value": "vip"}, "severity": 0.5},
    {"condition": {"all": [
        {"field": "prompt_version", "op": "is", "value": "15"},
        {"field": "environment", "op": "is", "value": "production"},
    ]}, "sampling": "random", "rate": 0.02},
    {"condition": {"field": "release", "op": "starts_with", "value": "2027"}, "sampling": "random", "rate": 0.1},
    {"condition": {"score": {"source": "judge", "op": "below", "value": 0.4}}, "severity": 0.3},
    {"condition": {"score": {"name": "groundedness", "op": "below", "value": 0.3}}},
    {"condition": {"feedback": {"kind": "report"}}, "action": "force"},
    {"condition": {"any": [
        {"field": "model", "op": "is", "value": "gpt-4"}, {"field": "provider", "op": "is", "value": "local"},
    ]}, "sampling": "random", "rate": 0.01},
    {"condition": {"all": [
        {"signal": "flagged_score"}, {"field": "feature", "op": "is", "value": "search"},
    ]}, "action": "cap", "cap": 30},
    {"condition": {"field": "metadata.team", "op": "is", "value": "payments"}, "sampling": "random", "rate": 0.02},
    {"condition": {"field": "status", "op": "is", "value": "error"}, "severity": 0.4},
    {"condition": {"text": {"in": "comment", "words": ["wrong", "false", "lie"]}}},
    {"condition": {"field": "variant", "op": "is", "value": "b"}, "sampling": "random", "rate": 0.02},
    {"condition": {"field": "output_tokens", "op": "above", "value": 4000}},
]  # fmt: skip


class Ground:
    """A project with rules, and items that wait to be routed."""

    def __init__(self, rules: int) -> None:
        from projects import services

        self.project = services.create_project(slug="bench", name="Bench")
        self._make_rules(rules)
        self.count = 0

    def _make_rules(self, wanted: int) -> None:
        from annotations.models import Queue, TriageRule

        flagged = Queue.objects.get(project=self.project, slug="flagged")
        have = TriageRule.objects.filter(project=self.project).count()
        for number in range(max(wanted - have, 0)):
            fields = MORE_RULES[number % len(MORE_RULES)]
            queue = None if fields.get("action") in {"cap", "drop"} else flagged
            TriageRule.objects.create(
                project=self.project, slug=f"more-{number}", name=f"More {number}", position=20 + number, queue=queue,
                **fields,
            )  # fmt: skip

    def fill(self, items: int, *, flagged: float, complained: float) -> None:
        """Stores so many interactions; of some there is a judge's flag or a thumbs-down as well."""
        from feedback import inbox
        from feedback.models import Feedback, Inbox, Interaction, Score

        now = datetime.now(UTC)
        first, self.count = self.count, self.count + items
        rows = Interaction.objects.bulk_create([self._interaction(first + number, now) for number in range(items)])
        inbox.announce(Inbox.Kind.INTERACTION, self.project.pk, [row.pk for row in rows])
        common = {"project": self.project, "fingerprint": b"x", "created_at": now}
        scores = Score.objects.bulk_create(
            Score(
                **common, interaction=row, interaction_external_id=row.external_id, name="groundedness", source="judge",
                value=0.2, flagged=True, explanation="The answer names a fee that no document holds.",
            )
            for row in rows[: round(items * flagged)]
        )  # fmt: skip
        inbox.announce(Inbox.Kind.SCORE, self.project.pk, [row.pk for row in scores])
        votes = Feedback.objects.bulk_create(
            Feedback(
                **common, interaction=row, interaction_external_id=row.external_id, kind="thumbs", number=-1,
                comment="The fee is not what I was told.", end_user_id=f"u-{row.pk}", source="server",
            )
            for row in rows[items - round(items * complained) :]
        )  # fmt: skip
        inbox.announce(Inbox.Kind.FEEDBACK, self.project.pk, [row.pk for row in votes])

    def _interaction(self, number: int, now: datetime) -> Any:
        from feedback.models import Interaction

        return Interaction(
            project=self.project, external_id=f"i-{number}", session_id=f"s-{number // 4}", created_at=now,
            end_user_id=f"u-{number % 50}", feature=("billing", "search", "legal")[number % 3], release="2026.11.2",
            language="en", provider="openai", model="gpt-4o-mini", prompt_name="support", prompt_version="14",
            messages=[
                {"role": "system", "content": _text(number, 60)}, {"role": "user", "content": _text(number, 12)},
            ],
            documents=[{"id": f"kb-{one}", "content": _text(number + one, 75)} for one in range(3)],
            output=_text(number, 55), tags=["bench"], metadata={"region": "eu", "team": "core"}, latency_ms=900.0,
            output_tokens=120, fingerprint=b"x",
        )  # fmt: skip


class Cpu:
    """Processor seconds of this process and of its PostgreSQL backend."""

    def __init__(self) -> None:
        from django.db import connection

        connection.ensure_connection()
        self.stat = Path(f"/proc/{connection.connection.info.backend_pid}/stat")

    def seconds(self) -> tuple[float, float]:
        fields = self.stat.read_text().rpartition(")")[2].split() if self.stat.exists() else ["0"] * 15
        return time.process_time(), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


CELLS = {
    "nothing said": (0.0, 0.0),
    "10 % flagged, 2 % thumbs-down": (0.10, 0.02),
    "every one thumbs-down": (0.0, 1.0),
}


def measure(ground: Ground, name: str, items: int, profile: bool) -> dict[str, Any]:
    from annotations import triage
    from annotations.models import Task

    flagged, complained = CELLS[name]
    found = []
    for _ in range(ROUNDS):
        ground.fill(items, flagged=flagged, complained=complained)
        before = Task.objects.count()
        cpu = Cpu()
        own, other = cpu.seconds()
        began = time.perf_counter()
        profiler = cProfile.Profile()
        if profile:
            profiler.enable()
        triage.run()
        profiler.disable()
        taken = time.perf_counter() - began
        own_after, other_after = cpu.seconds()
        found.append((items / taken, (own_after - own) / items * 1000, (other_after - other) / items * 1000))
        made = Task.objects.count() - before
    if profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(35)
    rate, own_ms, postgres_ms = (statistics.median(column) for column in zip(*found, strict=True))
    return {"cell": name, "per_second": rate, "worker_ms": own_ms, "postgres_ms": postgres_ms, "tasks": made}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--items", type=int, default=6000)
    parser.add_argument("--rules", type=int, default=20)
    parser.add_argument("--cell", choices=CELLS, help="only this one")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with psycopg.connect(f"{SERVER}/postgres", autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
        server.execute(f"CREATE DATABASE {NAME}")
    try:
        import django

        django.setup()
        from django.conf import settings
        from django.core.management import call_command

        settings.DOORBELL = False
        call_command("migrate", verbosity=0)
        ground = Ground(options.rules)
        rows = [measure(ground, name, options.items, options.profile) for name in CELLS if options.cell in (None, name)]
        if options.json:
            print(json.dumps({"rules": options.rules, "items": options.items, "cells": rows}, indent=1))
            return
        print(f"{options.rules} rules, {options.items:,} interactions a round, median of {ROUNDS}")
        print(f"{'':32}{'a second':>10}{'worker ms':>12}{'postgres ms':>13}{'tasks':>8}")
        for row in rows:
            print(
                f"{row['cell']:32}{row['per_second']:>10,.0f}{row['worker_ms']:>12.3f}"
                f"{row['postgres_ms']:>13.3f}{row['tasks']:>8,}"
            )
    finally:
        with psycopg.connect(f"{SERVER}/postgres", autocommit=True) as server:
            server.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")


if __name__ == "__main__":
    main()
