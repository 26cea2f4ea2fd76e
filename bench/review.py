"""What a claim and a vote cost over HTTP, and whether that depends on how much waits.

``.venv/bin/python bench/review.py [--quick] [--json]``

It starts ``reviewhub run`` in a temporary folder, fills queues by SQL, and reviews with personal tokens as clients do:
one reviewer who claims and votes in turn, with 10,000 open tasks and then with 1,000,000; then eight at once. Every
item that is handed out is noted; one that is handed out twice is a double. Rates depend on the machine and on what
else it does; milliseconds of processor time (``/proc``, web server and PostgreSQL) and the ratio of two queues that
are asked in turn much less so. The worker is stopped meanwhile.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import secrets
import selectors
import signal
import statistics
import tempfile
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from intake import Cpu, Hub, Line, interaction, post

SMALL, LARGE = "small", "large"
REVIEWERS = 8

QUEUE = """
INSERT INTO annotations_queue (project_id, slug, name, description, kind, position, overlap, blind, phase, gold_share,
  repeat_share, lease_seconds, sla_min_hours, sla_max_hours, open_to_all, topics, weights, lanes, version, admission,
  admission_below, admission_p)
SELECT id, %(slug)s, %(slug)s, '', 'targeted', 9, 1, false, 'classify', 0, 0, 600, 1, 168, true, '{}', '{}', '{}', 1,
  false, 40, 1 FROM projects_project RETURNING id, project_id
"""
# Items that will be handed out are of an ordinary size; the mass behind them is small, which no claim reads.
ITEMS = """
INSERT INTO feedback_interaction (project_id, external_id, session_id, end_user_id, created_at, feature, environment,
  release, variant, language, provider, model, prompt_name, prompt_version, messages, output, documents, status,
  error_type, error_message, tags, metadata, sanitized, fingerprint)
SELECT %(project)s, %(slug)s || '-' || n, '', 'u-' || n %% 50, now(), 'billing', '', '2026.11.2', '', 'en', 'openai',
  'gpt-4o-mini', 'support', '14', %(messages)s::jsonb, %(output)s, %(documents)s::jsonb, 'ok', '', '', '{bench}',
  '{"region": "eu"}', false, '\\x00' FROM generate_series(%(first)s::int, %(last)s::int) AS n
"""
TASKS = """
INSERT INTO annotations_task (project_id, queue_id, interaction_id, state, lane, purpose, needed, taken, score, terms,
  reasons, enqueued_at, due_at, sampled, seed, draws, certain, queue_version, topic, escalation_note, skips)
SELECT i.project_id, %(queue)s, i.id, 'open', (ARRAY['risk', 'risk', 'risk', 'random', 'calibration'])[1 + n %% 5],
  'review', 1, 0, 56, '[{"term": "negative", "text": "Thumbs-down", "points": 25}]',
  '[{"kind": "negative_feedback", "text": "Thumbs-down", "quote": "wrong fee", "points": 25}]',
  now() - make_interval(secs => (n::bigint * 7919 %% 1000003)::int),
  now() + make_interval(secs => CASE WHEN n < %(served)s THEN n ELSE %(served)s + n::bigint * 7919 %% 1000003 END::int),
  false, '', '[]', true, 1, '', '', 0
FROM feedback_interaction i, LATERAL (SELECT split_part(i.external_id, '-', 2)::int AS n) AS numbered
WHERE i.external_id LIKE %(slug)s || '-%%'
"""


@dataclass
class Measured:
    """Latencies in ms; processor time in ms of web server and PostgreSQL for one claim with its vote."""

    name: str
    claims: list[float] = field(default_factory=list, repr=False)
    votes: list[float] = field(default_factory=list, repr=False)
    rate: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    others: float = 0.0

    def line(self) -> str:
        return (
            f"{self.name:<34} {len(self.claims):>6} {percentile(self.claims, 50):>8.2f}"
            f" {percentile(self.claims, 95):>8.2f}"
            f" {percentile(self.votes, 50):>8.2f} {percentile(self.votes, 95):>8.2f} {self.rate:>8.0f}"
            f" {self.cpu.get('web', 0):>7.2f} {self.cpu.get('postgres', 0):>7.2f} {self.others:>7.2f}"
        )


HEAD = (f"{'cell':<34} {'items':>6} {'claim50':>8} {'claim95':>8} {'vote50':>8} {'vote95':>8} {'items/s':>8} "
        f"{'web ms':>7} {'pg ms':>7} {'others':>7}")  # fmt: skip


def percentile(values: list[float], share: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[share - 1]


class Lines:
    """Queues and reviewers, made by SQL, and what has been handed out."""

    def __init__(self, hub: Hub) -> None:
        self.hub, self.handed = hub, Counter[str]()
        with self.connect() as connection:
            self.tokens = [self._reviewer(connection, number) for number in range(REVIEWERS)]

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.hub.dsn, autocommit=True)

    @staticmethod
    def _reviewer(connection: psycopg.Connection[Any], number: int) -> str:
        (user,) = connection.execute(
            "INSERT INTO projects_user (password, email, name, is_active, theme, single_keys, daily_goal, keys)"
            " VALUES ('!', %s, %s, true, '', true, 40, '{}') RETURNING id", [f"r{number}@example.com", f"R {number}"],
        ).fetchone() or (0,)  # fmt: skip
        name = secrets.token_hex(5)
        text = f"rh_pat_{name}{secrets.token_urlsafe(32)}"
        connection.execute(
            "INSERT INTO projects_membership (project_id, user_id, role) "
            "SELECT id, %s, 'reviewer' FROM projects_project",
            [user],
        )
        connection.execute(
            "INSERT INTO projects_apikey (project_id, kind, user_id, name, public_id, digest, scopes, origins,"
            " signing_sealed) SELECT id, 'pat', %s, 'bench', %s, %s, '{}', '{}', '' FROM projects_project",
            [user, name, hashlib.sha256(text.encode()).digest()],
        )
        return text

    def fill(self, slug: str, count: int, served: int) -> None:
        """A queue with so many open tasks, of which the first are as long as real ones."""
        body = interaction("x", 1)
        words = {name: json.dumps(body[name]) for name in ("messages", "documents")} | {"output": body["output"]}
        short = {"messages": '[{"role": "user", "content": "Fee?"}]', "documents": "[]", "output": "It is 5."}
        with self.connect() as connection:
            queue, project = connection.execute(QUEUE, {"slug": slug}).fetchone() or (0, 0)
            common = {"slug": slug, "project": project, "queue": queue, "served": served}
            connection.execute(ITEMS, {**common, **words, "first": 0, "last": served - 1})
            for first in range(served, count, 100_000):
                last = min(first + 100_000, count) - 1
                connection.execute(ITEMS, {**common, **short, "first": first, "last": last})
            connection.execute(TASKS, common)

    def settle(self) -> None:
        with self.connect() as connection:
            connection.execute("VACUUM ANALYZE")
            connection.execute("CHECKPOINT")
        time.sleep(1.0)


class Reviewer:
    """One person's client: claims, notes what it got, votes, claims again."""

    def __init__(self, lines: Lines, token: str, slugs: list[str]) -> None:
        self.lines, self.token, self.port = lines, token, lines.hub.port
        self.line = Line(self.port)
        self.turns, self.slugs = 0, slugs
        self.voting = False

    @property
    def slug(self) -> str:
        return self.slugs[self.turns % len(self.slugs)]

    def claim(self) -> None:
        self.voting = False
        self.line.send(post(f"/api/v1/queues/{self.slug}/claim", self.token, self.port, b""))

    def vote(self, claim: str) -> None:
        self.voting = True
        body = {"submission_id": str(uuid.uuid4()), "verdict": "fail", "primary_category": "unsupported-claim",
                "note": "The fee is another one.", "seconds": 21}  # fmt: skip
        self.line.send(post(f"/api/v1/claims/{claim}/submit", self.token, self.port, json.dumps(body).encode()))

    def took(self, into: dict[str, Measured]) -> bool:
        """Reads; True once the answer is complete and noted, and the next request is under way."""
        answer = self.line.answer()
        if answer is None:
            return False
        taken = (time.perf_counter() - self.line.sent_at) * 1000
        status, body = answer
        if status not in (200, 201):
            raise SystemExit(f"{status}: {body[:500]!r}")
        measured = into[self.slug]
        if self.voting:
            measured.votes.append(taken)
            self.turns += 1
            self.claim()
            return True
        measured.claims.append(taken)
        told = json.loads(body)
        if told["claim"] is None:
            raise SystemExit(f"the queue {self.slug} is empty: {told}")
        self.lines.handed[told["task"]["id"]] += 1
        self.vote(told["claim"]["token"])
        return True


def review(lines: Lines, tokens: list[str], slugs: list[str], items: int, cpu: Cpu) -> dict[str, Measured]:
    """So many items reviewed by these people, from these queues in turn."""
    into = {slug: Measured(slug) for slug in slugs}
    people = [Reviewer(lines, token, slugs) for token in tokens]
    cpu.start()
    began = time.perf_counter()
    with selectors.DefaultSelector() as ready:
        for person in people:
            ready.register(person.line.socket, selectors.EVENT_READ, person)
            person.claim()
        while sum(len(one.votes) for one in into.values()) < items:
            for event, _ in ready.select():
                event.data.took(into)
        rate = items / (time.perf_counter() - began)
        while any(person.voting for person in people):  # whoever has an item finishes it
            for event, _ in ready.select():
                if event.data.voting:
                    event.data.took(into)
    used, others = cpu.stop()
    for one in into.values():
        one.rate, one.others = rate, others
        one.cpu = {part: seconds * 1000 / items for part, seconds in used.items()}
    for person in people:
        person.line.socket.close()
    return into


def run(hub: Hub, *, quick: bool) -> tuple[list[Measured], int]:
    large, rounds, crowd = (100_000, 200, 800) if quick else (1_000_000, 1000, 4000)
    lines, cpu = Lines(hub), Cpu(hub)
    served = min(10_000, large // 10)
    lines.fill(SMALL, 10_000, served)
    os.kill(hub.pid("worker"), signal.SIGSTOP)
    one, everyone = lines.tokens[:1], lines.tokens
    review(lines, everyone, [SMALL], 200, cpu)  # warm
    lines.settle()
    alone = review(lines, one, [SMALL], rounds, cpu)[SMALL]
    alone.name = "1 reviewer, 10,000 open"
    lines.fill(LARGE, large, served)
    lines.settle()
    review(lines, everyone, [SMALL, LARGE], 200, cpu)
    both = review(lines, one, [SMALL, LARGE], 2 * rounds, cpu)
    both[SMALL].name, both[LARGE].name = "1 reviewer, 10,000 beside", f"1 reviewer, {large:,} open, in turn"
    lines.settle()
    many = review(lines, everyone, [LARGE], crowd, cpu)[LARGE]
    many.name = f"8 reviewers, {large:,} open"
    doubles = sum(1 for count in lines.handed.values() if count > 1)
    return [alone, both[SMALL], both[LARGE], many], doubles


def targets(cells: list[Measured], doubles: int) -> list[tuple[str, bool]]:
    alone, beside, large, many = cells
    p50, ratio = percentile(alone.claims, 50), percentile(large.claims, 50) / percentile(beside.claims, 50)
    p95 = percentile(many.claims, 95)
    return [
        (f"claim: p50 {p50:.2f} ms at one reviewer (at most 4)", p50 <= 4),
        (f"claim: {ratio:.2f} of the time at 10,000 (at most 1.2)", ratio <= 1.2),
        (f"8 reviewers: {many.rate:.0f} items/s (at least 400)", many.rate >= 400),
        (f"8 reviewers: p95 of a claim {p95:.1f} ms (under 25)", p95 < 25),
        (f"doubles: {doubles} (none)", doubles == 0),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the tasks and a fifth of the rounds")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reviewhub-bench-") as folder:
        hub = Hub(Path(folder))
        with hub.running():
            hub.bootstrap()
            cells, doubles = run(hub, quick=arguments.quick)
            os.kill(hub.pid("worker"), signal.SIGCONT)
    met = targets(cells, doubles)
    if arguments.json:
        rows = [
            {"name": one.name, "items": len(one.votes), "rate": one.rate, "cpu_ms": one.cpu, "others": one.others}
            | {f"{what}_p{share}": percentile(getattr(one, f"{what}s"), share) for what in ("claim", "vote")
               for share in (50, 95)}
            for one in cells
        ]  # fmt: skip
        print(json.dumps({"cells": rows, "doubles": doubles, "targets": dict(met)}, indent=2))
    else:
        print(HEAD, *[one.line() for one in cells], "", sep="\n")
        print(*[f"{'met   ' if ok else 'MISSED'} {text}" for text, ok in met], sep="\n")
    if not all(ok for _, ok in met):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
