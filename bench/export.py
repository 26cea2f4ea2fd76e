"""How fast a golden version is exported, by format, and how much memory it takes on top of what was there.

``DATABASE_URL=postgresql://… .venv/bin/python bench/export.py [--examples 100000] [--format jsonl]… [--json]``

The database named must be empty or one that this has filled before. The peak is that of the whole process over what
it had after a first, small export: imports and the connection are not the export's. Beside the wall clock stands the
processor's share of this process, which is what remains when the machine has other work.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "client")]
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "reviewhub.settings")

import django  # noqa: E402

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402

from evals import datasets, packing  # noqa: E402
from evals.formats import formats  # noqa: E402
from evals.models import Dataset, DatasetVersion  # noqa: E402
from evals.source import Source  # noqa: E402
from projects import services  # noqa: E402
from projects.models import Project, User  # noqa: E402

SLUG = "bench-export"
# About 2 kB an example as a line: a system message, a question, a document, an answer and a better one.
FILL = """
INSERT INTO evals_example (version_id, key, split, input, expected, provenance, tags, metadata, proposers, approved_at)
SELECT %(version)s, 'i-' || lpad(n::text, 20, '0'), (ARRAY['test','test','test','dev','train'])[1 + n %% 5],
  jsonb_build_object(
    'messages', jsonb_build_array(
      jsonb_build_object('role', 'system', 'content', repeat('Answer from the price list. ', 8)),
      jsonb_build_object('role', 'user', 'content', 'What does transfer ' || n || ' cost? ' || repeat('Tell me. ', 8))),
    'documents', jsonb_build_array(jsonb_build_object('id', 'kb-' || n %% 500, 'title', 'Fees', 'score', 0.83,
      'content', repeat('An instant transfer costs 50 cents. ', 12))),
    'tools', '[]'::jsonb, 'parameters', '{"temperature": 0.2}'::jsonb),
  jsonb_build_object('output', 'Transfer ' || n || ' costs 50 cents.',
    'assertions', jsonb_build_array(jsonb_build_object('type', 'must', 'text', '50 cents')),
    'label', jsonb_build_object('verdict', 'fail', 'category', 'made-up-fee', 'severity', 2)),
  jsonb_build_object('interaction_id', 'req-' || n, 'annotation_ids', jsonb_build_array(n), 'settled_by', 'single',
    'rubric_version', 1, 'blind', false, 'reviewers', 1, 'group', md5(n::text)),
  ARRAY['vip'], jsonb_build_object('answer', 'It is free. ' || repeat('Quite free. ', 10), 'model', 'm-1'), '{}', now()
FROM generate_series(1, %(count)s) n
"""


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def version_of(project: Project, count: int) -> DatasetVersion:
    """A frozen version with this many examples; made once."""
    slug = f"with-{count}"
    dataset = Dataset.objects.filter(project=project, slug=slug).first()
    if dataset is None:
        dataset = datasets.create_dataset(project, slug=slug, name=slug)
        with connection.cursor() as cursor:
            cursor.execute(FILL, {"version": datasets.draft_of(dataset).pk, "count": count})
            cursor.execute("ANALYZE evals_example")
        datasets.freeze(dataset, actor=None)
        if count > 1_000:  # start anew: the peak of making the version would hide that of the export
            os.execv(sys.executable, [sys.executable, *sys.argv])
    return dataset.versions.select_related("dataset__project").get(number=1)


def export(version: DatasetVersion, slug: str) -> dict[str, Any]:
    before, began, busy = peak_mib(), time.perf_counter(), time.process_time()
    size = sum(len(piece) for piece in packing.stream(Source(version), formats()[slug]))
    wall, processor = time.perf_counter() - began, time.process_time() - busy
    return {
        "format": slug, "examples": version.count, "bytes": size, "seconds": wall, "processor": processor,
        "per_second": (version.count or 0) / wall, "per_processor_second": (version.count or 0) / processor,
        "growth_mib": peak_mib() - before,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=100_000)
    parser.add_argument("--format", action="append", choices=list(formats()), help="all of them unless named")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    call_command("migrate", verbosity=0)
    project = Project.objects.filter(slug=SLUG).first()
    if project is None:
        owner = User.objects.create_user(email="bench@example.com", password=None, name="Bench")
        project = services.create_project(slug=SLUG, name="Bench", owner=owner)
    small, version = version_of(project, 1_000), version_of(project, asked.examples)
    told = []
    for slug in asked.format or formats():
        export(small, slug)
        told.append(export(version, slug))
        if not asked.json:
            each = told[-1]
            print(
                f"{slug:<20} {each['per_second']:>9,.0f}/s  ({each['per_processor_second']:>9,.0f} per second of"
                f" processor)  {each['bytes'] / 1e6:>7.1f} MB  peak +{each['growth_mib']:.1f} MiB",
                flush=True,
            )
    if asked.json:
        print(json.dumps(told))


if __name__ == "__main__":
    main()
