"""Two runs side by side, example by example, worked out by the database: 10,000 examples are one statement.

The gate decides on these outcomes and the pages list them, so that what is listed is what was decided on.

Where one side was asked more often than the other, only as many of its answers count, the first ones: a majority of
three is steadier than a single answer, and a candidate that was asked three times against a baseline that was asked
once would otherwise look better for that alone. An example that is not compared passes if more than half of all its
judged answers do.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.db import connection

from evals import gate
from evals.models import Run

# Of each example the passes and the answers of both sides, all of them and as many as the other side has (fair).
_REPEATED = """
WITH judged AS (
  SELECT example_key AS key, run_id = %(run)s AS mine, passed, score,
         row_number() OVER (PARTITION BY example_key, run_id ORDER BY repeat) AS place,
         count(*) FILTER (WHERE run_id = %(run)s) OVER (PARTITION BY example_key) AS n,
         count(*) FILTER (WHERE run_id <> %(run)s) OVER (PARTITION BY example_key) AS n0
    FROM evals_result WHERE run_id IN (%(run)s, %(baseline)s) AND passed IS NOT NULL
), votes AS (
  SELECT key, min(n) AS n, min(n0) AS n0,
         count(*) FILTER (WHERE mine AND passed) AS k, count(*) FILTER (WHERE passed AND NOT mine) AS k0,
         count(*) FILTER (WHERE mine AND passed AND place <= n0) AS fair_k,
         count(*) FILTER (WHERE passed AND NOT mine AND place <= n) AS fair_k0,
         avg(score) FILTER (WHERE mine) AS score, avg(score) FILTER (WHERE NOT mine) AS score0
    FROM judged GROUP BY key
"""
# The same where nothing was asked twice, which is the rule: half the work.
_SINGLE = """
WITH votes AS (
  SELECT coalesce(m.key, b.key) AS key, (m.key IS NOT NULL)::int AS n, (b.key IS NOT NULL)::int AS n0,
         coalesce(m.passed, false)::int AS k, coalesce(b.passed, false)::int AS k0,
         coalesce(m.passed, false)::int AS fair_k, coalesce(b.passed, false)::int AS fair_k0,
         m.score, b.score AS score0
    FROM (SELECT example_key AS key, passed, score FROM evals_result
           WHERE run_id = %(run)s AND passed IS NOT NULL) m
    FULL JOIN (SELECT example_key AS key, passed, score FROM evals_result
                WHERE run_id = %(baseline)s AND %(baseline)s <> %(run)s AND passed IS NOT NULL) b ON b.key = m.key
"""
_ASKED_AGAIN = "SELECT EXISTS (SELECT 1 FROM evals_result WHERE run_id IN (%(run)s, %(baseline)s) AND repeat > 0)"
# Examples that ask and expect something else in the baseline's version are not compared with it.
_OUTCOMES = """
), sides AS (
  SELECT e.key, e.severity, e.category,
         coalesce(v.n, 0) AS n, coalesce(v.k, 0) AS k, v.score,
         CASE WHEN comparable THEN coalesce(v.n0, 0) ELSE 0 END AS n0,
         CASE WHEN comparable THEN coalesce(v.k0, 0) ELSE 0 END AS k0,
         CASE WHEN comparable THEN v.score0 END AS score0, v.fair_k, v.fair_k0
    FROM evals_example e
    LEFT JOIN votes v ON v.key = e.key
    CROSS JOIN LATERAL (SELECT %(same)s OR (v.n0 > 0 AND EXISTS (
      SELECT 1 FROM evals_example b WHERE b.version_id = %(other)s AND b.key = e.key
         AND b.input = e.input AND b.expected = e.expected)) AS comparable) AS c
   WHERE e.version_id = %(version)s AND (%(split)s = '' OR e.split = %(split)s)
), outcomes AS (
  SELECT key, severity, category, k, n, k0, n0, score, score0,
         CASE WHEN n = 0 THEN NULL WHEN n0 = 0 THEN k * 2 > n ELSE fair_k * 2 > least(n, n0) END AS passed,
         CASE WHEN n0 = 0 THEN NULL WHEN n = 0 THEN k0 * 2 > n0 ELSE fair_k0 * 2 > least(n, n0) END AS baseline
    FROM sides
)
"""
_ALL = """
SELECT key, passed, baseline, severity, category, k, n, k0, n0, score, score0 FROM outcomes ORDER BY key
"""
_PAGE = """
, listed AS MATERIALIZED (
  SELECT key, category, coalesce(severity, 9) AS severity,
         CASE WHEN passed IS NULL THEN 'unanswered'
              WHEN baseline IS NULL THEN CASE WHEN passed THEN 'pass' ELSE 'fail' END
              WHEN passed THEN CASE WHEN baseline THEN 'still-pass' ELSE 'fixed' END
              ELSE CASE WHEN baseline THEN 'broken' ELSE 'still-fail' END END AS name
    FROM outcomes
), sizes AS (
  SELECT name, count(*) AS size FROM listed WHERE %(category)s = '' OR category = %(category)s GROUP BY name
)
SELECT (SELECT jsonb_object_agg(name, size) FROM sizes),
       ARRAY(SELECT key FROM listed
              WHERE name = %(show)s AND (%(category)s = '' OR category = %(category)s)
                AND (%(after)s = '' OR (severity, key) > (
                       SELECT l.severity, l.key FROM listed l WHERE l.key = %(after)s))
              ORDER BY severity, key LIMIT %(limit)s)
"""
# What a person looks for first comes first.
ORDER = ["broken", "fixed", "fail", "pass", "still-fail", "still-pass", "unanswered"]


def _parameters(run: Run, baseline: Run | None) -> dict[str, Any]:
    return {
        "run": run.pk, "baseline": baseline.pk if baseline else run.pk, "version": run.version_id,
        "other": baseline.version_id if baseline else run.version_id,
        "same": baseline is None or baseline.version_id == run.version_id, "split": run.summary.get("split") or "",
    }  # fmt: skip


def _votes(cursor: Any, values: dict[str, Any]) -> str:
    cursor.execute(_ASKED_AGAIN, values)
    return _REPEATED if cursor.fetchone()[0] else _SINGLE


def outcomes(run: Run, baseline: Run | None) -> list[gate.Outcome]:
    """Every example of the run, by key, with what the candidate and, where it can be compared, the baseline made of
    it."""
    with connection.cursor() as cursor:
        values = _parameters(run, baseline)
        cursor.execute(_votes(cursor, values) + _OUTCOMES + _ALL, values)
        return [
            gate.Outcome(key, passed, before, severity, category, (k, n), (k0, n0), score, score0)
            for key, passed, before, severity, category, k, n, k0, n0, score, score0 in cursor.fetchall()
        ]


@dataclass(frozen=True, slots=True)
class Page:
    """How many examples each group has, which one is shown, and its keys, the most severe first."""

    sizes: dict[str, int]
    shown: str
    keys: list[str]
    more: bool


def page(run: Run, baseline: Run | None, *, show: str = "", after: str = "", category: str = "", size: int) -> Page:
    """One page of one group. Without ``show`` it is what newly fails (or fails) even if that is nothing: the best of
    news is shown as such. An ``after`` that is no example of the run gives the empty page."""
    first = ("broken", "fixed") if baseline else ("fail", "pass")
    shown = show if show in ORDER else first[0]
    values = {**_parameters(run, baseline), "show": shown, "after": after, "category": category, "limit": size + 1}
    with connection.cursor() as cursor:
        cursor.execute(_votes(cursor, values) + _OUTCOMES + _PAGE, values)
        told, keys = cursor.fetchone()
    sizes = json.loads(told or "{}")
    counted = {name: sizes.get(name, 0) for name in ORDER if name in first or name in sizes}
    return Page(counted, shown, keys[:size], len(keys) > size)


_LOAD = """
WITH spent AS (
  SELECT example_key AS key, avg(cost_usd) FILTER (WHERE run_id = %(run)s) AS now,
         avg(cost_usd) FILTER (WHERE run_id <> %(run)s) AS before
    FROM evals_result WHERE run_id IN (%(run)s, %(baseline)s) GROUP BY example_key
)
SELECT (SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY latency_ms) FROM evals_result
         WHERE run_id = %(run)s AND latency_ms IS NOT NULL),
       sum(now), sum(before), count(*) FROM spent WHERE now IS NOT NULL AND before IS NOT NULL
"""


def load(run: Run, baseline: Run | None) -> gate.Load:
    """How long the answers took (the 95th percentile), and what those examples cost on both sides that cost both."""
    with connection.cursor() as cursor:
        cursor.execute(_LOAD, {"run": run.pk, "baseline": baseline.pk if baseline else run.pk})
        p95, now, before, count = cursor.fetchone()
    return gate.Load(p95, None if now is None else float(now), None if before is None else float(before), count)
