"""What the pages around a run show: how far it is, how two runs compare, the history of an example, and reports."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Count, Q, Sum
from django.utils import timezone
from django.utils.safestring import SafeString
from rest_framework.utils.encoders import JSONEncoder
from reviewhub_client import answers, eval, hub, report

from evals import lines, paired, queries, runs
from evals.api_runs import run_body
from evals.models import Dataset, Example, Result, Run
from projects import charts

COMPARABLE = 30
CATEGORIES = 10
HISTORY = 50


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a running run is. ``left`` is about how long it will take, by its pace so far; None before there is
    one."""

    answered: int
    planned: int
    failing: int
    unanswered: int
    left: timedelta | None


def progress(run: Run) -> Progress:
    """Counted in one query."""
    said = run.results.aggregate(
        answered=Count("pk"), failing=Count("pk", filter=Q(passed=False)),
        unanswered=Count("pk", filter=Q(passed__isnull=True)),
    )  # fmt: skip
    plan = run.summary.get("plan") or {"repeats": 1, "flaky_repeats": 1, "flaky": []}
    extra = len(plan["flaky"]) * (plan["flaky_repeats"] - plan["repeats"])
    planned = run.summary["total"] * plan["repeats"] + extra
    answered = said["answered"]
    pace = (timezone.now() - run.created_at) / answered if answered else None
    return Progress(answered, planned, said["failing"], said["unanswered"], pace and pace * max(planned - answered, 0))


@dataclass(frozen=True, slots=True)
class Taken:
    """What a finished run took, from its start to its end; ``cost`` None unless every answer's is known."""

    duration: timedelta | None
    cost: Decimal | None


def taken(run: Run) -> Taken:
    """Summed in one query."""
    said = run.results.aggregate(sum=Sum("cost_usd"), known=Count("cost_usd"), all=Count("pk"))
    whole = said["known"] == said["all"]
    return Taken(run.finished_at - run.created_at if run.finished_at else None, said["sum"] if whole else None)


def change_told(difference: float, low: float, high: float) -> str:
    """A difference of pass rates with its interval, in points: ``▼ 3.3 points, interval −15.4 to 9.0``."""
    arrow = "▲ " if difference > 0 else "▼ " if difference < 0 else ""
    return f"{arrow}{abs(difference) * 100:.1f} points, interval {_point(low)} to {_point(high)}"


def change_of(run: Run) -> str:
    """The same of a run against its baseline, as the gate decided on it; "" where nothing was compared."""
    tests = run.summary.get("tests") or []
    found = next(
        (test for test in tests if test.get("p") is not None and "difference" in test and "broken" in test), None
    )
    return change_told(found["difference"], found["low"], found["high"]) if found else ""


def _point(share: float) -> str:
    return f"{share * 100:.1f}".replace("-", "−")


def category_rows(run: Run) -> list[dict[str, Any]]:
    """The change by category as the report has it, the worst first, each with its interval drawn on one scale."""
    rows = (run.summary.get("categories") or [])[:CATEGORIES]
    reach = max([0.05, *(abs(edge) for row in rows for edge in (row["low"], row["high"]))])
    return [
        {**row, "points": _signed(round(row["difference"] * 100)), "chart": _interval(row, (-reach, reach))}
        for row in rows
    ]


def _signed(points: int) -> str:
    return f"{points:+d}".replace("-", "−").replace("+0", "0")


def _interval(row: dict[str, Any], scale: tuple[float, float]) -> SafeString:
    kind = "bad" if row["worse"] else "good" if row["low"] > 0 else ""
    return charts.interval_row(row["difference"], row["low"], row["high"], scale=scale, kind=kind)


def comparable(run: Run) -> list[Run]:
    """The newest other runs on the dataset that have ended with a verdict, to choose from."""
    others = Run.objects.filter(version__dataset_id=run.version.dataset_id, state=Run.State.FINISHED)
    return list(others.exclude(pk=run.pk).select_related("version").order_by("-created_at")[:COMPARABLE])


@dataclass(frozen=True, slots=True)
class Compared:
    """Two runs: the flips with their exact test, the interval of the difference, and a page of the examples."""

    page: queries.RunPage
    pairs: int
    broken: int
    fixed: int
    p: float
    difference: float
    low: float
    high: float
    rates: list[dict[str, Any]]

    @property
    def change(self) -> str:
        return change_told(self.difference, self.low, self.high)


def compare(run: Run, other: Run, *, show: str, after: str, opened: str) -> Compared:
    """``run`` against any ``other`` of the dataset; no verdict, because nobody set rules for these two."""
    run.baseline = other  # for this page only: nothing is saved
    page = queries.run_page(run, show=show, after=after, opened=opened)
    sizes = {name: page.groups.get(name, 0) for name in ("broken", "fixed", "still-pass", "still-fail")}
    pairs, broken, fixed = sum(sizes.values()), sizes["broken"], sizes["fixed"]
    delta, low, high = paired.difference(broken, fixed, pairs)
    kept = sizes["still-pass"]
    sides = [("Other", other.candidate, kept + broken), ("This", run.candidate, kept + fixed)]
    rates = queries.rate_rows([(who, name, passed, pairs) for who, name, passed in sides]) if pairs else []
    return Compared(page, pairs, broken, fixed, paired.mcnemar(broken, fixed), delta, low, high, rates)


def history(dataset: Dataset, key: str) -> list[Result]:
    """What the last HISTORY runs on the dataset made of one example, newest first; with repeats each answer."""
    recent = Run.objects.filter(version__dataset=dataset).order_by("-created_at")
    ids = list(recent.values_list("pk", flat=True)[:HISTORY])
    found = Result.objects.filter(run__in=ids, example_key=key).select_related("run__version")
    return list(found.order_by("-run__created_at", "repeat")[: HISTORY * 4])


def newest_example(dataset: Dataset, key: str) -> Example | None:
    """The example of this key in the newest version that has it."""
    found = Example.objects.filter(version__dataset=dataset, key=key).select_related("version")
    return found.order_by("-version__number").first()


REPORTS: dict[str, tuple[str, str, Callable[[eval.Evaluation], bytes]]] = {
    "text": ("text/plain; charset=utf-8", "txt", lambda told: report.text(told).encode()),
    "markdown": ("text/markdown; charset=utf-8", "md", lambda told: report.markdown(told).encode()),
    "junit": ("application/xml", "xml", report.junit),
    "json": ("application/json", "json", lambda told: json.dumps(told.run, indent=2, cls=JSONEncoder).encode()),
}  # fmt: skip


def written(run: Run, form: str) -> tuple[str, str, bytes]:
    """The report of a finished run as the command line writes it: media type, file name, bytes. KeyError for a form
    that is not of REPORTS."""
    media_type, ending, write = REPORTS[form]
    return media_type, f"run-{str(run.pk)[:8]}.{ending}", write(_evaluation(run))


def _evaluation(run: Run) -> eval.Evaluation:
    body = {**run_body(run), "id": str(run.pk), "baseline": run.baseline_id and str(run.baseline_id)}
    examples = {row["key"]: lines.native(row) for row in runs.examples_of(run).values(*lines.COLUMNS)}
    judged: dict[str, eval.Judged] = {}
    for result in run.results.order_by("example_key", "-passed", "-repeat").iterator(1000):
        if result.example_key in examples:
            judged[result.example_key] = _judged(result, examples[result.example_key])
    return eval.Evaluation(body, hub.Golden({}, examples), judged)


def _judged(result: Result, example: dict[str, Any]) -> eval.Judged:
    answer = answers.Answer(result.output, result.error, result.latency_ms)
    return eval.Judged(example, answer, result.passed, result.checks, result.repeat, result.score)
