"""The comparison of two runs with many examples: how long its page takes.

    python -m bench.compare [--examples 10000] [--times 40]

Makes two finished runs in a throw-away project of the database that DATABASE_URL names, asks the page of the run with
its baseline and the page that compares two runs, over the test client (no network), page by page and group by group,
and prints the median and the 95th percentile in milliseconds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent), str(Path(__file__).resolve().parent.parent / "client")]
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "reviewhub.settings")

import django  # noqa: E402

django.setup()

from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import setup_test_environment  # noqa: E402

from evals import datasets, gate, runs  # noqa: E402
from evals.models import Dataset, DatasetVersion, Result, Run  # noqa: E402
from evals.snapshot import Content  # noqa: E402
from projects import services  # noqa: E402
from projects.models import Project, User  # noqa: E402

ANSWER = "Closing the account costs nothing, and a statement on paper costs 50 cents for each month. " * 6


def main() -> None:
    words = argparse.ArgumentParser()
    words.add_argument("--examples", type=int, default=10_000)
    words.add_argument("--times", type=int, default=40)
    options = words.parse_args()
    setup_test_environment()
    slug = f"bench-compare-{os.getpid()}"
    user = User.objects.create_user(email=f"{slug}@example.com", password="x" * 12)
    project = services.create_project(slug=slug, name="Bench", created_by=user)
    try:
        first, second = prepare(project, options.examples)
        client = Client()
        client.force_login(user)
        base = f"/p/{slug}/runs/{second.pk}"
        measure("run with its baseline", client, [f"{base}/?show={name}" for name in GROUPS], options.times)
        measure("two runs compared", client, [f"{base}/compare/?with={first.pk}&show={name}" for name in GROUPS],
                options.times)  # fmt: skip
    finally:
        services.remove_project(project, actor=user)
        user.delete()


GROUPS = ("broken", "fixed", "still-pass", "still-fail")


def prepare(project: Project, size: int) -> tuple[Run, Run]:
    dataset = Dataset.objects.get(project=project, slug="golden")
    for start in range(0, size, 1000):
        datasets.add_examples(dataset, [content(n) for n in range(start, min(start + 1000, size))], actor=None,
                              approve=True)  # fmt: skip
    version = datasets.freeze(dataset, actor=None)
    first = run(project, version, "before", lambda n: n % 10 > 0, None)
    return first, run(project, version, "after", lambda n: (n * 7) % 11 > 0, first)


def content(n: int) -> Content:
    label = {"verdict": "pass", "category": f"topic-{n % 12}", "severity": 1 + n % 4}
    return Content(
        key=f"x-{n:06}", split="test",
        input={"messages": [{"role": "user", "content": f"Question {n}: {ANSWER}"}],
               "documents": [{"id": f"kb-{n}", "content": ANSWER * 2}], "tools": [], "parameters": {}},
        expected={"output": ANSWER, "assertions": [{"type": "must", "text": "50 cents"}], "label": label},
    )  # fmt: skip


def run(project: Project, version: DatasetVersion, name: str, good, baseline: Run | None) -> Run:  # type: ignore[no-untyped-def]
    started, _ = runs.start_run(project, version=version, candidate=name, baseline=baseline, rules=gate.Rules())
    keys = list(version.examples.order_by("key").values_list("key", flat=True))
    Result.objects.bulk_create(
        [Result(run=started, example_key=key, output=ANSWER, passed=good(n), score=0.5, latency_ms=900.0,
                fingerprint=b"f" * 32) for n, key in enumerate(keys)],
        batch_size=1000,
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE evals_result, evals_example")  # as autovacuum does within a minute
    began = time.perf_counter()
    done = runs.finish_run(started)
    print(f"{name}: decided in {(time.perf_counter() - began) * 1000:.0f} ms ({done.verdict})")
    return done


def measure(what: str, client: Client, addresses: list[str], times: int) -> None:
    taken = []
    for n in range(times + 4):
        began = time.perf_counter()
        response = client.get(addresses[n % len(addresses)])
        assert response.status_code == 200, response.status_code
        if n >= 4:  # the first of each group warms up
            taken.append((time.perf_counter() - began) * 1000)
    taken.sort()
    print(f"{what}: median {statistics.median(taken):.0f} ms, p95 {taken[int(len(taken) * 0.95)]:.0f} ms")


if __name__ == "__main__":
    main()
