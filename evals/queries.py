"""What the pages of datasets and runs show, read in a fixed number of queries."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, OuterRef, Q, Subquery
from django.utils.safestring import SafeString

from annotations.estimation import wilson
from annotations.models import FailureMode, Label
from annotations.taxonomy import SEVERITIES
from evals import comparison, curation, lines
from evals.models import Dataset, DatasetVersion, Example, Result, Run
from feedback.models import Interaction, text_of
from projects import charts
from projects.models import Project
from projects.rendering import WordDiff, word_diff

PAGE = 50
WAITING = 20
SEVERITY_NAMES: dict[int | None, str] = dict(SEVERITIES)
ROLES = {
    "user": "User",
    "assistant": "Assistant",
    "system": "Instructions",
    "developer": "Instructions",
    "tool": "Tool",
}


@dataclass(frozen=True, slots=True)
class ExampleRow:
    """An example as a page shows it. ``diff`` leads from the answer that was judged to the desired one."""

    example: Example
    question: str
    desired: str
    answer: str
    verdict: str
    category: str
    severity: str
    assertions: list[dict[str, str]]
    fallen: bool
    diff: WordDiff | None


def example_rows(examples: Iterable[Example], *, with_diff: bool = False) -> list[ExampleRow]:
    """The rows of these examples of one project; one query for their labels, one for the names of categories."""
    found = list(examples)
    labels = [example.label_id for example in found if example.label_id]
    fallen = set(Label.objects.filter(pk__in=labels, superseded_at__isnull=False).values_list("pk", flat=True))
    names = _category_names(found)
    return [_example_row(example, example.label_id in fallen, with_diff, names) for example in found]


def _category_names(examples: list[Example]) -> dict[str, str]:
    """What the project calls the failure modes whose slugs the examples hold."""
    slugs = {(example.expected.get("label") or {}).get("category") for example in examples} - {None, ""}
    if not slugs:
        return {}
    modes = FailureMode.objects.filter(project__datasets__versions=examples[0].version_id, slug__in=slugs)
    return dict(modes.values_list("slug", "label"))


def _example_row(example: Example, fallen: bool, with_diff: bool, names: dict[str, str]) -> ExampleRow:
    label = example.expected.get("label") or {}
    answer, desired = example.metadata.get("answer") or "", example.expected.get("output") or ""
    category = label.get("category") or ""
    return ExampleRow(
        example=example,
        question=lines.question_of(example.input.get("messages") or []),
        desired=desired,
        answer=answer,
        verdict=label.get("verdict") or "",
        category=names.get(category, category),
        severity=SEVERITY_NAMES.get(label.get("severity"), ""),
        assertions=example.expected.get("assertions") or [],
        fallen=fallen,
        diff=word_diff(answer, desired) if with_diff and answer and desired else None,
    )


def origin(example: Example) -> int | None:
    """The interaction that the example is a copy of, while it is still stored."""
    found = Interaction.objects.filter(
        project=example.version.dataset.project_id, external_id=str(example.provenance.get("interaction_id") or "")
    )
    return found.values_list("pk", flat=True).first()


def dataset_list(project: Project) -> list[dict[str, Any]]:
    """Every dataset with its newest frozen version, what is in the draft, and how many runs it has had."""
    newest = DatasetVersion.objects.filter(dataset=OuterRef("pk"), frozen_at__isnull=False).order_by("-number")
    drafted = Example.objects.filter(version__dataset=OuterRef("pk"), version__frozen_at=None, approved_at=None)
    used = Run.objects.filter(version__dataset=OuterRef("pk"))
    found = Dataset.objects.filter(project=project).annotate(
        latest=Subquery(newest.values("number")[:1]),
        latest_count=Subquery(newest.values("count")[:1]),
        latest_at=Subquery(newest.values("frozen_at")[:1]),
        waiting=Subquery(drafted.order_by().values("version__dataset").annotate(n=Count("pk")).values("n")),
        used=Subquery(used.order_by().values("version__dataset").annotate(n=Count("pk")).values("n")),
    )
    return [dict(row) for row in found.values()]


def versions(dataset: Dataset) -> list[DatasetVersion]:
    """The versions, newest first, each with ``runs_count``; a draft with ``size`` and ``waiting``."""
    used = Run.objects.filter(version=OuterRef("pk")).order_by().values("version").annotate(n=Count("pk")).values("n")
    inside = Example.objects.filter(version=OuterRef("pk"), version__frozen_at=None).order_by().values("version")
    return list(
        dataset.versions.select_related("frozen_by")
        .annotate(
            runs_count=Subquery(used),
            size=Subquery(inside.annotate(n=Count("pk")).values("n")),
            waiting=Subquery(inside.filter(approved_at=None).annotate(n=Count("pk")).values("n")),
        )
        .order_by("-number")
    )


def figures(version: DatasetVersion) -> dict[str, Any]:
    """Counts of a version by split and by verdict on the recorded answer, in one query."""
    verdict, split = Q(expected__label__verdict="pass"), Example.Split
    counted = version.examples.aggregate(
        items=Count("pk"), approved=Count("pk", filter=Q(approved_at__isnull=False)),
        passing=Count("pk", filter=verdict), failing=Count("pk", filter=Q(expected__label__verdict="fail")),
        **{name: Count("pk", filter=Q(split=name)) for name in split.values},
    )  # fmt: skip
    total = counted["items"] or 1
    starts = [counted["dev"] / total * 100, (counted["dev"] + counted["test"]) / total * 100]
    return {**counted, "waiting": counted["items"] - counted["approved"], "test_from": f"{starts[0]:.1f}",
            "test_wide": f"{starts[1] - starts[0]:.1f}", "train_from": f"{starts[1]:.1f}",
            "train_wide": f"{100 - starts[1]:.1f}"}  # fmt: skip


def examples_page(version: DatasetVersion, after: str) -> tuple[list[ExampleRow], str]:
    """Approved examples by key, PAGE at a time, and the key after which the next page starts, or ""."""
    approved = version.examples.filter(approved_at__isnull=False, key__gt=after).order_by("key")
    found = list(approved[: PAGE + 1])
    return example_rows(found[:PAGE]), found[PAGE - 1].key if len(found) > PAGE else ""


def run_list(project: Project, before: Any = None) -> tuple[list[Run], Any]:
    """Runs, newest first, PAGE at a time, and the time before which the next page starts, or None."""
    found = Run.objects.filter(project=project).select_related("version__dataset", "created_by").order_by("-created_at")
    if before is not None:
        found = found.filter(created_at__lt=before)
    page = list(found[: PAGE + 1])
    return page[:PAGE], page[PAGE - 1].created_at if len(page) > PAGE else None


GROUPS = {
    "broken": "Newly fail", "fixed": "Newly pass", "still-fail": "Still fail", "still-pass": "Still pass",
    "fail": "Fail", "pass": "Pass", "unanswered": "No answer",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class RunPage:
    """A page of a run's examples: the sizes of all groups, the one shown, its rows, and the key after which the next
    page starts, or ""."""

    groups: dict[str, int]
    shown: str
    opened: str
    rows: list[ResultRow]
    next_after: str

    @property
    def tabs(self) -> list[tuple[str, str, int]]:
        return [(name, GROUPS[name], size) for name, size in self.groups.items()]

    @property
    def sizes(self) -> dict[str, int]:
        return {name.replace("-", "_"): size for name, size in self.groups.items()}


def run_page(run: Run, *, show: str, after: str, opened: str, category: str = "") -> RunPage:
    """The examples of one group, PAGE at a time, the most severe first, with one of them opened."""
    found = comparison.page(run, run.baseline, show=show, after=after, category=category, size=PAGE)
    opened = opened if opened in found.keys else found.keys[0] if found.keys else ""
    rows = result_rows(run, found.keys, opened)
    return RunPage(found.sizes, found.shown, opened, rows, found.keys[-1] if found.more else "")


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One example of a run: the candidate's answer, the baseline's, and what the checks said."""

    row: ExampleRow
    result: Result | None
    before: Result | None
    why: str
    diff: WordDiff | None


def result_rows(run: Run, keys: list[str], opened: str) -> list[ResultRow]:
    """The rows for these examples; the ``opened`` one with its answers compared."""
    examples = {example.key: example for example in run.version.examples.filter(key__in=keys)}
    rows = {row.example.key: row for row in example_rows(examples.values())}
    mine = _first_results(run, keys)
    theirs = _first_results(run.baseline, keys) if run.baseline else {}
    found = []
    for key in keys:
        result, before = mine.get(key), theirs.get(key)
        compare = key == opened and result is not None
        reference = before.output if before else rows[key].desired
        diff = word_diff(reference, result.output) if compare and result and reference else None
        found.append(ResultRow(rows[key], result, before, _why(result), diff))
    return found


def _first_results(run: Run, keys: list[str]) -> dict[str, Result]:
    """One result an example: with repeats the first that failed, which is the one to look at."""
    found = run.results.filter(example_key__in=keys).order_by("example_key", "-passed", "-repeat")
    return {result.example_key: result for result in found}


def _why(result: Result | None) -> str:
    if result is None:
        return ""
    said = [str(check.get("detail") or check.get("name")) for check in result.checks if not check.get("passed")]
    return result.error or "; ".join(said)


def pass_rates(run: Run) -> list[dict[str, Any]]:
    """The candidate's and the baseline's pass rate with their intervals on one scale, for a finished run."""
    counts = run.summary.get("counts")
    if not counts or not counts["answered"]:
        return []
    pairs = [("Candidate", run.candidate, counts["passed"], counts["answered"])]
    if run.baseline and counts["pairs"]:
        pairs.insert(0, ("Baseline", run.baseline.candidate, counts["baseline_passed"], counts["pairs"]))
    return rate_rows(pairs)


def rate_rows(sides: list[tuple[str, str, int, int]]) -> list[dict[str, Any]]:
    """Pass rates with their intervals on one scale, from (who, name, passed, total)."""
    low = min(wilson(passed, total)[0] for _, _, passed, total in sides)
    scale = (max(0.0, low - 0.05), 1.0)
    return [
        {"who": who, "name": name, "share": passed / total, "passed": passed, "total": total,
         "chart": _interval(passed, total, scale)}
        for who, name, passed, total in sides
    ]  # fmt: skip


def flips_told(run: Run) -> str:
    """How surprising the flips of a finished run are, in a sentence; empty where nothing was compared."""
    for test in run.summary.get("tests") or []:
        if test.get("p") is not None:
            flips = test["broken"] + test["fixed"]
            return f"McNemar exact p = {test['p']:.2g} on {flips} flip{'' if flips == 1 else 's'}."
    return ""


def _interval(passed: int, total: int, scale: tuple[float, float]) -> SafeString:
    low, high = wilson(passed, total)
    return charts.interval_row(passed / total, low, high, scale=scale)


def waiting_rows(version: DatasetVersion) -> list[ExampleRow]:
    """The first WAITING examples of a draft that nobody has approved, oldest first, with their changes by words."""
    return example_rows(version.examples.filter(approved_at=None).order_by("pk")[:WAITING], with_diff=True)


@dataclass(frozen=True, slots=True)
class FailureRow:
    """A settled failure that is in no dataset, with what it should have said."""

    label: Label
    question: str
    diff: WordDiff | None


def failure_rows(project: Project, limit: int = 5) -> list[FailureRow]:
    """The newest settled failures that could be proposed by hand."""
    return [
        FailureRow(
            label,
            label.interaction.question,
            word_diff(label.interaction.output, label.desired_output) if label.desired_output else None,
        )
        for label in curation.settled_failures(project)[:limit]
    ]


def turns(example: Example) -> list[dict[str, str]]:
    """The messages as a page shows them: who, and the text; tool calls as they are."""
    shown = []
    for message in example.input.get("messages") or []:
        text = text_of(message.get("content"))
        if message.get("tool_calls"):
            text = f"{text}\n\n```\n{json.dumps(message['tool_calls'], indent=1, ensure_ascii=False)}\n```".strip()
        role = str(message.get("role") or "")
        shown.append({"name": ROLES.get(role, role), "text": text})
    return shown


def documents(example: Example) -> list[dict[str, str]]:
    """The documents as a page shows them."""
    return [
        {
            "name": str(document.get("title") or document.get("id") or f"Document {place}"),
            "text": text_of(document.get("content")),
        }
        for place, document in enumerate(example.input.get("documents") or [], 1)
    ]
