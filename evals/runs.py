"""Regression runs: a candidate's answers to a frozen version come in, in any order and as often as need be; the
gate decides once."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Case, Count, F, IntegerField, OuterRef, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce, Now

from evals import checks, comparison, gate, lines
from evals.models import DatasetVersion, Example, Result, Run
from projects import audit, webhooks
from projects.errors import ApiError, invalid
from projects.models import Project, User

EXPECTED: list[dict[str, Any]] = [{"type": "expected"}]  # the checks that follow from each example
MAX_MISSING_LISTED = 20
MAX_REASON = 500
RESULTS_PAGE, RESULTS_WEIGHT = 200, 4_000_000  # answers and characters of a page
LOOKED_BACK = 20  # runs whose repeats tell which examples are flaky


@dataclass(frozen=True, slots=True)
class ResultItem:
    """One answer as it was sent. ``passed`` None without ``error`` asks the server to judge."""

    example: str
    repeat: int = 0
    output: str = ""
    passed: bool | None = None
    checks: tuple[dict[str, Any], ...] = ()
    error: str = ""
    latency_ms: float | None = None
    cost_usd: Decimal | None = None
    score: float | None = None

    def fingerprint(self) -> bytes:
        """The same for the same answer, so that sending it again is recognised."""
        value = [self.example, self.repeat, self.output, self.passed, list(self.checks), self.error, self.latency_ms,
                 None if self.cost_usd is None else str(self.cost_usd)]  # fmt: skip
        value += [] if self.score is None else [self.score]
        return hashlib.sha256(lines.canonical(value)).digest()


@dataclass(frozen=True, slots=True)
class Added:
    stored: int
    replayed: int
    missing: int


@transaction.atomic
def start_run(
    project: Project, *, version: DatasetVersion, candidate: str, target: dict[str, Any] | None = None,
    wanted: list[dict[str, Any]] | None = None, baseline: Run | None = None, rules: gate.Rules | None = None,
    split: str = "", repeats: int = 1, flaky_repeats: int = 1, run_id: uuid.UUID | None = None,
    actor: User | None = None,
) -> tuple[Run, bool]:  # fmt: skip
    """A run that waits for its results, and whether it is new.

    Each example is to be answered ``repeats`` times; those that contradicted themselves in earlier runs
    ``flaky_repeats`` times, which is decided here and now, before anything is known of this candidate: asking again
    only where the answer displeased would make chance look like a change.

    With ``run_id`` of the caller's making, starting it again gives the same run; 409 if that one is about
    something else. 422 if the baseline was judged by other checks, and so cannot be compared.
    """
    if version.frozen_at is None:
        raise ApiError(409, "not_frozen", "Only a frozen version can be run.")
    wanted = wanted or EXPECTED
    if baseline is not None and (
        baseline.state != Run.State.FINISHED or baseline.version.dataset_id != version.dataset_id
    ):
        raise invalid("/baseline", "The baseline must be a finished run on the same dataset.")
    if baseline is not None and baseline.checks != wanted:
        raise invalid("/baseline", "The baseline was judged by other checks; the two cannot be compared.")
    total = _examples(version, split).count()
    if total == 0:
        raise invalid("/split", f"No example of {version} is in the split {split}.")
    values: dict[str, Any] = {
        "project": project, "version": version, "candidate": candidate, "target": target or {}, "checks": wanted,
        "baseline": baseline, "created_by": actor,
        "summary": {
            "rules": (rules or gate.Rules()).as_dict(), "split": split, "total": total,
            "plan": _plan(version, repeats, flaky_repeats),
        },
    }  # fmt: skip
    run, created = Run.objects.get_or_create(id=run_id or uuid.uuid4(), defaults=values)
    same = (run.project_id, run.version_id, run.candidate) == (project.pk, version.pk, candidate)
    if not created and not same:
        raise ApiError(409, "run_exists", "There is another run of this id.")
    return run, created


def _plan(version: DatasetVersion, repeats: int, flaky_repeats: int) -> dict[str, Any]:
    known = flaky_keys(version) if flaky_repeats > repeats else []
    return {"repeats": repeats, "flaky_repeats": max(repeats, flaky_repeats), "flaky": known}


def flaky_keys(version: DatasetVersion) -> list[str]:
    """The examples that passed and failed within one of the last LOOKED_BACK finished runs on this dataset."""
    recent = Run.objects.filter(version__dataset_id=version.dataset_id, state=Run.State.FINISHED)
    mixed = (
        Result.objects.filter(run__in=recent.order_by("-created_at").values("pk")[:LOOKED_BACK], passed__isnull=False)
        .values("run", "example_key")
        .annotate(kinds=Count("passed", distinct=True))
        .filter(kinds=2)
    )
    return sorted(set(mixed.values_list("example_key", flat=True)))


def approved_baseline(version: DatasetVersion, wanted: list[dict[str, Any]] | None = None) -> Run | None:
    """The run to compare with: the one approved last on this dataset, judged by the same checks."""
    approved = Run.objects.filter(version__dataset_id=version.dataset_id, approved_at__isnull=False)
    return approved.filter(checks=wanted or EXPECTED).select_related("version").order_by("-approved_at").first()


@transaction.atomic
def add_results(run: Run, items: list[ResultItem]) -> Added:
    """Stores a batch of answers: all or, if one does not fit, none.

    The same answer again is counted as replayed. 422 with the path for an example that the run does not have,
    and for another answer to one that is answered; 409 once the run has ended.
    """
    run = Run.objects.select_for_update(no_key=True).get(pk=run.pk)
    keys = [item.example for item in items]
    examples = {
        row["key"]: lines.native(row)
        for row in _examples(run.version, run.summary["split"]).filter(key__in=keys).values(*lines.COLUMNS)
    }
    stored = {
        (key, repeat): bytes(fingerprint)
        for key, repeat, fingerprint in run.results.filter(example_key__in=keys).values_list(
            "example_key", "repeat", "fingerprint"
        )
    }
    fresh: dict[tuple[str, int], Result] = {}
    replayed, faults = 0, []
    for place, item in enumerate(items):
        path, slot, fingerprint = f"/results/{place}", (item.example, item.repeat), item.fingerprint()
        known = stored.get(slot) or (fresh[slot].fingerprint if slot in fresh else None)
        if item.example not in examples:
            faults.append({"path": f"{path}/example", "message": f"The run has no example {item.example}."})
        elif known == fingerprint:
            replayed += 1
        elif known is not None:
            faults.append({"path": path, "message": "This example has another answer already."})
        else:
            fresh[slot] = _result(run, item, examples[item.example], fingerprint, path)
    if faults:
        raise ApiError(422, "invalid", "Nothing of this batch was stored.", faults)
    if fresh and run.state != Run.State.RUNNING:
        raise ApiError(409, "run_ended", "This run has ended and takes no more results.")
    Result.objects.bulk_create(fresh.values())
    return Added(len(fresh), replayed, len(missing_keys(run)))


def _result(run: Run, item: ResultItem, example: dict[str, Any], fingerprint: bytes, path: str) -> Result:
    passed, said, score = item.passed, list(item.checks), item.score
    if passed is None and not item.error:
        judged = checks.judge_here(example, item, run.checks, path)
        passed, said = judged.passed, judged.as_dicts()
        score = score if judged.score is None else judged.score
    return Result(
        run=run, example_key=item.example, repeat=item.repeat, output=item.output, passed=passed, score=score,
        checks=said, error=item.error, latency_ms=item.latency_ms, cost_usd=item.cost_usd, fingerprint=fingerprint,
    )  # fmt: skip


def examples_of(run: Run) -> QuerySet[Example]:
    """The examples that the run is about."""
    return _examples(run.version, run.summary["split"])


def missing_keys(run: Run) -> list[str]:
    """The examples that have fewer results than planned, by key."""
    plan = run.summary.get("plan") or {"repeats": 1, "flaky_repeats": 1, "flaky": []}
    there = Result.objects.filter(run=run, example_key=OuterRef("key")).order_by().values("example_key")
    waiting = (
        _examples(run.version, run.summary["split"])
        .annotate(there=Coalesce(Subquery(there.annotate(n=Count("pk")).values("n")), 0))
        .annotate(
            wanted=Case(
                When(key__in=plan["flaky"], then=Value(plan["flaky_repeats"])),
                default=Value(plan["repeats"]),
                output_field=IntegerField(),
            )
        )
        .filter(there__lt=F("wanted"))
    )
    return list(waiting.order_by("key").values_list("key", flat=True))


def answered_repeats(run: Run, keys: list[str]) -> dict[str, list[int]]:
    """Which of these examples' repeats are answered, by key: with ``missing_keys`` all that a resumed run must know."""
    found: dict[str, list[int]] = {}
    for key, repeat in run.results.filter(example_key__in=keys).order_by("repeat").values_list("example_key", "repeat"):
        found.setdefault(key, []).append(repeat)
    return found


def results_after(run: Run, last: int) -> tuple[list[Result], int | None]:
    """The answers that came after the one of this number, as many as fit a page, and the number to go on from; None
    where these are all. A batch is stored under the run's lock, so that none can come in before what was read."""
    page: list[Result] = []
    weight = 0
    for result in run.results.filter(pk__gt=last).order_by("pk").iterator(chunk_size=20):
        if page and (len(page) == RESULTS_PAGE or weight > RESULTS_WEIGHT):
            return page, page[-1].pk
        page.append(result)
        weight += len(result.output)
    return page, None


@transaction.atomic
def finish_run(run: Run) -> Run:
    """Decides the run, once: a second call gives the same answer.

    409 with the missing examples while the results are not complete, so that half a run never passes.
    """
    run = Run.objects.select_for_update(no_key=True).get(pk=run.pk)
    if run.state == Run.State.FINISHED:
        return run
    if run.state != Run.State.RUNNING:
        raise ApiError(409, "run_ended", "This run was abandoned.")
    missing = missing_keys(run)
    if missing:
        raise ApiError(
            409, "incomplete", f"{len(missing)} of {run.summary['total']} examples have no result yet.",
            [{"path": f"/examples/{key}", "message": "has no result"} for key in missing[:MAX_MISSING_LISTED]],
        )  # fmt: skip
    known = set(flaky_keys(run.version))
    outcomes = [
        replace(outcome, known_flaky=True) if outcome.key in known else outcome
        for outcome in comparison.outcomes(run, run.baseline)
    ]
    report = gate.decide(
        outcomes, gate.Rules.parse(run.summary["rules"]),
        has_baseline=run.baseline_id is not None, load=comparison.load(run, run.baseline),
    )  # fmt: skip
    Run.objects.filter(pk=run.pk, state=Run.State.RUNNING).update(
        state=Run.State.FINISHED,
        finished_at=Now(),
        verdict=report.verdict,
        summary={**run.summary, **report.as_dict()},
    )
    webhooks.emit(
        run.project,
        "run.finished",
        {
            "run": str(run.pk), "dataset": run.version.dataset.slug, "version": run.version.number,
            "verdict": report.verdict, "fixed": report.flips["fixed"], "broken": report.flips["broken"],
        },
    )  # fmt: skip
    return Run.objects.get(pk=run.pk)


@transaction.atomic
def abandon_run(run: Run, *, actor: User | None) -> bool:
    """Ends a run without a verdict; returns whether it was still running. Its results stay readable."""
    done = Run.objects.filter(pk=run.pk, state=Run.State.RUNNING).update(state=Run.State.ABANDONED, finished_at=Now())
    if done:
        audit.record(run.project, actor, "run.abandoned", str(run.pk))
    return bool(done)


@transaction.atomic
def override(run: Run, *, reason: str, actor: User) -> bool:
    """Opens the gate against its verdict, with a reason that is kept; returns whether it was closed until now.

    The verdict itself stays as it is. 422 without a reason, 409 where there is nothing to open.
    """
    reason = reason.strip()
    if not reason or len(reason) > MAX_REASON:
        raise invalid("/reason", f"Say why, in at most {MAX_REASON} characters.")
    if run.state != Run.State.FINISHED or run.verdict == Run.Verdict.PASS:
        raise ApiError(409, "not_closed", "Only a gate that is closed or open to doubt can be overridden.")
    done = Run.objects.filter(pk=run.pk, state=Run.State.FINISHED, overridden_at=None).update(
        overridden_at=Now(), overridden_by=actor, override_reason=reason
    )
    if done:
        audit.record(run.project, actor, "run.overridden", str(run.pk), verdict=run.verdict, reason=reason)
    return bool(done)


@transaction.atomic
def approve_baseline(run: Run, *, actor: User) -> bool:
    """Makes a finished run the one that later candidates are compared with; returns whether it was not yet.

    409 if it has not finished. A run that failed may be approved too: an honest baseline has failures.
    """
    if run.state != Run.State.FINISHED:
        raise ApiError(409, "not_finished", "Only a finished run can be a baseline.")
    done = Run.objects.filter(pk=run.pk, state=Run.State.FINISHED, approved_at=None).update(
        approved_at=Now(), approved_by=actor
    )
    if done:
        audit.record(run.project, actor, "run.approved", str(run.pk), candidate=run.candidate)
    return bool(done)


def _examples(version: DatasetVersion, split: str) -> QuerySet[Example]:
    examples = Example.objects.filter(version=version)
    return examples.filter(split=split) if split else examples
