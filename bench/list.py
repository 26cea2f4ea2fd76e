"""How long the interactions list takes at 100,000 and at a million interactions, and what bare SQL takes for its rows.

``DATABASE_URL=postgresql://… .venv/bin/python bench/list.py [--rows 100000] [--rows 1000000] [--rounds 40] [--json]``

The database named must be empty or one that this has filled before: it adds rows until there are enough. The times are
of Django's test client inside this process, with session, rights, template and all; beside them the processor's share
of this process, which is what remains when the machine has other work.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "client")]
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "reviewhub.settings")

import django  # noqa: E402

django.setup()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402

from feedback import search  # noqa: E402
from feedback.models import Interaction  # noqa: E402
from feedback.services.writing import copy  # noqa: E402
from projects import services  # noqa: E402
from projects.models import Membership, Project, Role, User  # noqa: E402

SLUG = "bench-list"
# Share of each value: one common, some in the middle, a few rare.
SHARES: dict[str, list[tuple[str, float]]] = {
    "model": [("heron-small", 0.7), ("heron-large", 0.25), ("heron-mini", 0.048), ("wren-test", 0.002)],
    "feature": [("billing", 0.5), ("tariffs", 0.25), ("moving", 0.15), ("leave", 0.09), ("pilot", 0.01)],
    "environment": [("production", 0.95), ("staging", 0.05)],
    "language": [("en", 0.6), ("de", 0.3), ("fr", 0.1)],
    "status": [("ok", 0.98), ("error", 0.02)],
    "variant": [("control", 0.9), ("candidate", 0.1)],
}
STEP = 20_000
BEGIN = datetime(2026, 6, 1, tzinfo=UTC)
WORDS = [f"{a}{b}" for a in ("fee", "card", "loan", "rate", "tax", "move", "bill", "meter") for b in range(250)]
COLUMNS = (
    "project_id", "external_id", "session_id", "end_user_id", "created_at", "received_at", "provider", "release",
    "prompt_name", "prompt_version", "messages", "output", "documents", "latency_ms", "cost_usd", "error_type",
    "error_message", "tags", "metadata", "sanitized", "fingerprint", *SHARES,
)  # fmt: skip


class Maker:
    """Rows as they come from a busy assistant: 2 kB of text, words as skewed as words are, one row in ten seconds."""

    def __init__(self, project: Project) -> None:
        self.project, self.random = project, random.Random(7)
        self.pool = [" ".join(self.word() for _ in range(40)) for _ in range(3000)]

    def word(self) -> str:
        return WORDS[int(len(WORDS) * self.random.random() ** 3)]

    def text(self) -> str:
        one, two = self.random.choices(self.pool, k=2)
        return f"{one} ticket{self.random.randrange(100_000)} {two}"

    def row(self, n: int) -> list[Any]:
        chance, moment = self.random.random, BEGIN + timedelta(seconds=10 * n)
        messages = [
            {"role": "system", "content": self.pool[0]},
            {"role": "user", "content": self.text()[:120]},
        ]
        tags = ["vip"] if n % 20 == 0 else ["audit"] if n % 9973 == 0 else []
        return [
            self.project.pk, f"r{n}", f"s{n // 4}", f"u{self.random.randrange(20_000)}", moment, moment, "house",
            f"r{n // 40_000}", "support", str(n // 25_000), json.dumps(messages), self.text(), "[]",
            400 + 9000 * chance() ** 6, round(0.0002 + 0.01 * chance() ** 4, 8), "", "", tags, "{}", False, b"",
            *(self.random.choices(*zip(*shares, strict=True))[0] for shares in SHARES.values()),
        ]  # fmt: skip


def fill(project: Project, rows: int) -> None:
    """Adds interactions by COPY until there are ``rows``, 5 % with feedback, a tenth with a score."""
    make = Maker(project)
    have = Interaction.objects.filter(project=project).count()
    for start in range(have, rows, STEP):
        many = min(STEP, rows - start)
        copy("feedback_interaction", COLUMNS, (make.row(n) for n in range(start, start + many)))
        newest = Interaction.objects.filter(project=project).order_by("-pk").values_list("pk", flat=True)[:many]
        search.index(newest)
        with connection.cursor() as cursor:
            cursor.execute(FACTS, {"project": project.pk, "many": many})
    if have < rows:
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")


FACTS = """
WITH fresh AS (
  SELECT id, external_id, happened_at, output FROM feedback_interaction
  WHERE project_id = %(project)s ORDER BY id DESC LIMIT %(many)s
), heard AS (
  INSERT INTO feedback_feedback (project_id, interaction_id, interaction_external_id, kind, number, label, comment,
    correction, end_user_id, source, verified, fingerprint, created_at, received_at, sanitized, metadata)
  SELECT %(project)s, id, external_id, 'thumbs', CASE WHEN random() < 0.6 THEN -1 ELSE 1 END, '',
    CASE WHEN random() < 0.2 THEN 'wrong ' || left(output, 60) ELSE '' END, '', 'u', 'server', true, '', happened_at,
    happened_at, false, '{}' FROM fresh WHERE random() < 0.05
)
INSERT INTO feedback_score (project_id, interaction_id, interaction_external_id, name, version, source, value, label,
  flagged, explanation, detail, fingerprint, created_at)
SELECT %(project)s, id, external_id, 'faithfulness', '3', 'judge', random(), '', random() < 0.2, '', '{}', '',
  happened_at FROM fresh WHERE random() < 0.1"""

QUERIES: dict[str, list[str]] = {
    "no filter": [""],
    "three facets": [
        f"model={model}&feature={feature}&{third}"
        for model in ("heron-small", "heron-large", "heron-mini")
        for feature in ("billing", "moving", "leave")
        for third in ("environment=staging", "language=fr", "status=error", "environment=production")
    ],
    "three facets, rare": [
        "model=wren-test&feature=leave&environment=staging", "model=heron-mini&feature=pilot&status=error",
        "model=wren-test&feature=pilot&language=fr", "tag=audit&model=heron-large&environment=production",
        "prompt_version=1&release=r0&model=heron-mini", "user=u17&environment=production&model=heron-small",
    ],
    "a complaint": ["feedback=thumbs-down", "feedback=comment&model=heron-large"],
    "a low score": ["score=faithfulness:under 0.50", "flag=faithfulness"],
    "a common word": ["q=fee1", "q=card2 fee"],
    "a rare word": ["q=ticket4711", "q=ticket99 card3"],
    "a phrase": ['q="fee1 fee2"'],
    "a word and three facets": ["q=fee1&model=heron-large&feature=billing&language=de"],
    "the second page": ["CURSOR"],
}  # fmt: skip
BARE = """SELECT id FROM feedback_interaction WHERE project_id = %s AND model = 'heron-large' AND feature = 'billing'
AND language = 'fr' ORDER BY happened_at DESC, id DESC LIMIT 51"""


def measure(call: Callable[[], Any], rounds: int) -> dict[str, float]:
    """Milliseconds by the clock and of this process's processor: median, 95th percentile and mean."""
    walls, cpus = [], []
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        walls.append((time.perf_counter() - wall) * 1000)
        cpus.append((time.process_time() - cpu) * 1000)
    walls.sort()
    return {
        "p50": statistics.median(walls), "p95": walls[int(len(walls) * 0.95)], "min": walls[0],
        "cpu": statistics.mean(cpus),
    }  # fmt: skip


def pages(client: Client, queries: list[str], rounds: int) -> dict[str, float]:
    """Several queries in turn, each as often as the others, without repeating one at once."""
    order = [query for _ in range(max(rounds // len(queries), 3)) for query in queries]
    random.Random(1).shuffle(order)
    turn = iter([*queries, *order])

    def one() -> None:
        response = client.get(f"/p/{SLUG}/interactions/?{next(turn)}")
        assert response.status_code == 200, response.content[:500]

    for _ in queries:
        one()
    return measure(one, len(order))


def run(project: Project, client: Client, rows: int, rounds: int) -> dict[str, dict[str, float]]:
    began = time.perf_counter()
    fill(project, rows)
    print(f"{rows:,} interactions after {time.perf_counter() - began:.0f} s", file=sys.stderr)
    found = {}
    for name, queries in QUERIES.items():
        if queries == ["CURSOR"]:
            text = client.get(f"/p/{SLUG}/interactions/?model=heron-large").content.decode()
            queries = ["model=heron-large&cursor=" + text.split("cursor=")[1].split('"')[0]]
        found[name] = pages(client, queries, rounds)
    with connection.cursor() as cursor:
        found["bare SQL, three facets, rows only"] = measure(
            lambda: (cursor.execute(BARE, [project.pk]), cursor.fetchall()), rounds
        )
        found["the account's page, for comparison"] = measure(lambda: client.get("/account/"), rounds)
        found["bare SQL, SELECT 1"] = measure(lambda: (cursor.execute("SELECT 1"), cursor.fetchall()), rounds)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, action="append")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    settings.ALLOWED_HOSTS = ["testserver"]
    settings.DEBUG = False
    call_command("migrate", verbosity=0)
    user, _ = User.objects.get_or_create(email="bench@example.com", defaults={"name": "Bench"})
    project = Project.objects.filter(slug=SLUG).first() or services.create_project(slug=SLUG, name="Bench")
    Membership.objects.get_or_create(project=project, user=user, defaults={"role": Role.LEAD})
    client = Client()
    client.force_login(user)
    results = {
        rows: run(project, client, rows, options.rounds) for rows in sorted(options.rows or [100_000, 1_000_000])
    }
    if options.json:
        print(json.dumps(results, indent=2))
        return
    for rows, found in results.items():
        print(f"\n{rows:,} interactions{'':24}   p50 ms   p95 ms   min ms  this process's CPU ms")
        for name, figures in found.items():
            print(
                f"  {name:40} {figures['p50']:8.1f} {figures['p95']:8.1f} {figures['min']:8.1f} {figures['cpu']:8.1f}"
            )


if __name__ == "__main__":
    main()
