"""What joining a cluster costs an item, with many clusters there already.

``.venv/bin/python bench/clusters.py [--members 100000] [--items 5000]``

It fills a database of its own (``DATABASE_URL``, default the machine's PostgreSQL, with the name ``bench_clusters``,
which is made anew and removed) with complaints of 12 to 40 words, joins ``--members`` of them, and then measures the
next ones in batches of 500 as triage joins them: half are like one that is there, half are new. The last row is one
hot cluster. Milliseconds are processor time of this process and elapsed time, for each item; the facts are loaded
beforehand.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "client")]
NAME = "bench_clusters"
SERVER = os.environ.get("DATABASE_URL", "postgresql://postgres@127.0.0.1/postgres").rpartition("/")[0]
os.environ |= {"DJANGO_SETTINGS_MODULE": "reviewhub.settings", "DATABASE_URL": f"{SERVER}/{NAME}"}
os.environ.setdefault("SECRET_KEY", "a secret that is long enough for a bench")
BATCH = 500


class Ground:
    """A project, and complaints that are made up of 5,000 words."""

    def __init__(self) -> None:
        from projects import services

        self.project = services.create_project(slug="bench", name="Bench")
        self.draw = random.Random(1)
        self.words = ["".join(self.draw.choices("abcdefghijklmnopqrstuvwxyz", k=7)) for _ in range(5000)]
        self.seen: list[str] = []
        self.count = 0

    def text(self, known: float) -> str:
        """A new text, or with probability ``known`` one of before with a word changed."""
        if self.seen and self.draw.random() < known:
            words = self.draw.choice(self.seen).split()
            words[self.draw.randrange(len(words))] = self.draw.choice(self.words)
            return " ".join(words)
        self.seen.append(" ".join(self.draw.choices(self.words, k=self.draw.randint(12, 40))))
        return self.seen[-1]

    def batch(self, texts: list[str]) -> list[Any]:
        """Interactions with these questions, as triage loads them."""
        from annotations.conditions import Facts
        from annotations.facts import Item, Subject
        from annotations.priority import Reason
        from feedback.models import Interaction

        now = datetime.now(UTC)
        first, self.count = self.count, self.count + len(texts)
        rows = Interaction.objects.bulk_create(
            Interaction(
                project=self.project, external_id=f"i-{first + number}", created_at=now, received_at=now,
                happened_at=now, messages=[{"role": "user", "content": text}], fingerprint=b"x",
            )
            for number, text in enumerate(texts)
        )  # fmt: skip
        said = {"negative_feedback": [Reason("negative_feedback", "negative", 1.0, "thumb-down", "Thumbs-down")]}
        return [
            Item(Subject(row.pk, row.external_id, "ok", "", "", row.messages), facts=Facts(signals=said))
            for row in rows
        ]

    def join(self, texts: list[str]) -> tuple[float, float]:
        """Processor and elapsed seconds of joining these texts, a batch at a time."""
        from annotations import clusters

        cpu = wall = 0.0
        for start in range(0, len(texts), BATCH):
            items = self.batch(texts[start : start + BATCH])
            before = time.process_time(), time.perf_counter()
            clusters.join(self.project, items)
            cpu, wall = cpu + time.process_time() - before[0], wall + time.perf_counter() - before[1]
        return cpu, wall


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--members", type=int, default=100_000)
    options.add_argument("--items", type=int, default=5_000)
    chosen = options.parse_args()
    with psycopg.connect(f"{SERVER}/postgres", autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
        server.execute(f"CREATE DATABASE {NAME}")
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from annotations.models import Cluster, ClusterMember

    try:
        call_command("migrate", verbosity=0)
        ground = Ground()
        print(f"{'members':>9} {'clusters':>9} {'ms of processor':>16} {'ms elapsed':>11}   an item")
        for target in (0, chosen.members // 10, chosen.members):
            while ClusterMember.objects.count() < target:
                ground.join([ground.text(0.5) for _ in range(BATCH * 4)])
            members, clusters = ClusterMember.objects.count(), Cluster.objects.count()
            cpu, wall = (
                1000 * one / chosen.items for one in ground.join([ground.text(0.5) for _ in range(chosen.items)])
            )
            print(f"{members:>9,} {clusters:>9,} {cpu:>16.3f} {wall:>11.3f}")
        hot = ground.seen[0]
        cpu, wall = (1000 * one / chosen.items for one in ground.join([hot] * chosen.items))
        print(f"{'hot':>9} {1:>9,} {cpu:>16.3f} {wall:>11.3f}")
    finally:
        connection.close()
        with psycopg.connect(f"{SERVER}/postgres", autocommit=True) as server:
            server.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")


if __name__ == "__main__":
    main()
