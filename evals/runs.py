"""Regression runs: a candidate's answers to a frozen version come in, in any order and as often as need be; the
gate decides once."""

from __future__ import annotations

import hashlib
import uuid
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now

from evals import checks, gate, lines
from evals.models import DatasetVersion, Example, Result, Run
from projects import audit, webhooks
from projects.errors import ApiError, invalid
from projects.models import Project, User

EXPECTED: list[dict[str, Any]] = [{"type": "expected"}]  # the checks that follow from each example
MAX_MISSING_LISTED = 20


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

    def fingerprint(self) -> bytes:
        """The same for the same answer, so that sending it again is recognised."""
        value = [self.example, self.repeat, self.output, self.passed, list(self.checks), self.error, self.latency_ms,
                 None if self.cost_usd is None else str(self.cost_usd)]  # fmt: skip
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
    split: str = "", run_id: uuid.UUID | None = None, actor: User | None = None,
) -> tuple[Run, bool]:  # fmt: skip
    """A run that waits for its results, and whether it is new.

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
        "summary": {"rules": (rules or gate.Rules()).as_dict(), "split": split, "total": total},
    }  # fmt: skip
    run, created = Run.objects.get_or_create(id=run_id or uuid.uuid4(), defaults=values)
    same = (run.project_id, run.version_id, run.candidate) == (project.pk, version.pk, candidate)
    if not created and not same:
        raise ApiError(409, "run_exists", "There is another run of this id.")
    return run, created


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
    passed, said = item.passed, list(item.checks)
    if passed is None and not item.error:
        judged = checks.judge_here(example, item.output, run.checks, path)
        passed, said = judged.passed, judged.as_dicts()
    return Result(
        run=run, example_key=item.example, repeat=item.repeat, output=item.output, passed=passed, checks=said,
        error=item.error, latency_ms=item.latency_ms, cost_usd=item.cost_usd, fingerprint=fingerprint,
    )  # fmt: skip


def missing_keys(run: Run) -> list[str]:
    """The examples that have no result yet, by key."""
    answered = Result.objects.filter(run=run, example_key=OuterRef("key"))
    waiting = _examples(run.version, run.summary["split"]).filter(~Exists(answered))
    return list(waiting.order_by("key").values_list("key", flat=True))


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
    report = gate.decide(
        outcomes(run), gate.Rules.parse(run.summary["rules"]), has_baseline=run.baseline_id is not None
    )
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


def outcomes(run: Run) -> list[gate.Outcome]:
    """Every example of the run with what the candidate and, where it can be compared, the baseline made of it."""
    passed = verdicts(run)
    before = verdicts(run.baseline, _comparable(run, run.baseline)) if run.baseline else {}
    facts = _examples(run.version, run.summary["split"]).order_by("key")
    return [
        gate.Outcome(
            key, passed.get(key), before.get(key), severity if isinstance(severity, int) else None, category or ""
        )
        for key, severity, category in facts.values_list(
            "key", "expected__label__severity", "expected__label__category"
        )
    ]


def verdicts(run: Run, keys: set[str] | None = None) -> dict[str, bool | None]:
    """By example, whether the answers pass: with repeats, whether more than half of the judged ones do."""
    said: dict[str, list[bool | None]] = defaultdict(list)
    for key, passed in run.results.values_list("example_key", "passed"):
        if keys is None or key in keys:
            said[key].append(passed)
    return {key: _majority(votes) for key, votes in said.items()}


def _majority(votes: Iterable[bool | None]) -> bool | None:
    judged = [vote for vote in votes if vote is not None]
    return sum(judged) * 2 > len(judged) if judged else None


def _comparable(run: Run, baseline: Run) -> set[str] | None:
    """The examples that ask and expect the same in both versions; None where it is one version."""
    if baseline.version_id == run.version_id:
        return None
    twin = Example.objects.filter(
        version=baseline.version, key=OuterRef("key"), input=OuterRef("input"), expected=OuterRef("expected")
    )
    return set(run.version.examples.filter(Exists(twin)).values_list("key", flat=True))


def _examples(version: DatasetVersion, split: str) -> QuerySet[Example]:
    examples = Example.objects.filter(version=version)
    return examples.filter(split=split) if split else examples
