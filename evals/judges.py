"""Every change of judges and detector settings that a person makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, TypedDict

from django.db import transaction
from django.db.models import Max
from django.utils.text import slugify

from evals import batches, calibration, few_shot, judging
from evals.detectors import detectors
from evals.models import CalibrationRead, DetectorSetting, Judge, JudgeBudget, JudgeJob
from feedback.models import Interaction
from projects import audit
from projects.models import Project, ProviderConnection, User


class DetectorChoice(TypedDict, total=False):
    """What a project may choose about a detector; ``threshold`` None is the detector's own."""

    enabled: bool
    threshold: float | None


def draft(
    project: Project, *, name: str, criterion: str, provider: str, model: str, connection: ProviderConnection | None,
    threshold: float, sample_rate: float, examples: int = 0, kind: str = Judge.Kind.SCORE,
) -> Judge:  # fmt: skip
    """A judge as it would be made, not saved: for previews. ``examples`` is how many are drawn for its prompt."""
    return Judge(
        project=project, slug=slugify(name)[:60] or "judge", name=name, criterion=criterion,
        provider=connection.kind if connection else provider, connection=connection, model=model,
        threshold=threshold, sample_rate=sample_rate, kind=kind, examples=few_shot.choose(project, examples),
    )  # fmt: skip


@transaction.atomic
def create_judge(
    project: Project, *, name: str, criterion: str, provider: str, model: str, connection: ProviderConnection | None,
    threshold: float, sample_rate: float, actor: User | None, examples: int = 0,
    kind: str = Judge.Kind.SCORE,
) -> Judge:  # fmt: skip
    """A new judge, or the next version of the one with this name; the version before it is switched off.

    Judges are told apart by the slug of their name. A version never changes once it has judged, so that scores
    of one version can be compared. ``connection`` None means the environment's key. ``examples`` is how many of
    people's labels its prompt shows at most; they are drawn here and kept in the version.
    """
    judge = draft(
        project, name=name, criterion=criterion, provider=provider, model=model, connection=connection,
        threshold=threshold, sample_rate=sample_rate, examples=examples, kind=kind,
    )  # fmt: skip
    Project.objects.select_for_update().get(pk=project.pk)  # two drafts at once get two numbers
    same = Judge.objects.filter(project=project, slug=judge.slug)
    judge.version = (same.aggregate(most=Max("version"))["most"] or 0) + 1
    same.filter(enabled=True).update(enabled=False)
    judge.save(force_insert=True)
    audit.record(
        project, actor, "judge.created", str(judge), model=model, sample_rate=sample_rate,
        examples=len(judge.examples),
    )  # fmt: skip
    return judge


@transaction.atomic
def set_rate(judge: Judge, *, sample_rate: float, actor: User | None) -> None:
    """The share of new interactions that the judge is shown from now on."""
    before = judge.sample_rate
    judge.sample_rate = sample_rate
    judge.save(update_fields=["sample_rate"])
    audit.record(judge.project, actor, "judge.rate_set", str(judge), before=before, after=sample_rate)


@transaction.atomic
def set_limits(
    judge: Judge, *, day_cap_usd: Decimal | None, at_once: int | None, per_minute: int | None,
    input_price: Decimal | None, output_price: Decimal | None, actor: User | None,
) -> None:  # fmt: skip
    """What a version may spend in a day and do at once, and its own prices; None is no limit, or the price table."""
    values: dict[str, Decimal | int | None] = {
        "day_cap_usd": day_cap_usd, "at_once": at_once, "per_minute": per_minute,
        "input_price": input_price, "output_price": output_price,
    }  # fmt: skip
    Judge.objects.filter(pk=judge.pk).update(**values)
    audit.record(judge.project, actor, "judge.limits_set", str(judge), **_told(values))


@transaction.atomic
def set_budget(
    project: Project, *, day_cap_usd: Decimal | None, month_cap_usd: Decimal | None, actor: User | None
) -> None:  # fmt: skip
    """What all judges of a project may spend in a day and in a month (UTC); None is no cap."""
    values = {"day_cap_usd": day_cap_usd, "month_cap_usd": month_cap_usd}
    JudgeBudget.objects.update_or_create(project=project, defaults=values)
    audit.record(project, actor, "judges.budget_set", project.name, **_told(values))


def _told(values: Mapping[str, Decimal | int | None]) -> dict[str, Any]:
    return {name: None if value is None else f"{value:f}" for name, value in values.items()}


@transaction.atomic
def switch(judge: Judge, *, enabled: bool, actor: User | None) -> None:
    """Puts a version to work or to rest; of one judge, one version works at a time."""
    Project.objects.select_for_update().get(pk=judge.project_id)
    if enabled:
        Judge.objects.filter(project=judge.project_id, slug=judge.slug, enabled=True).update(enabled=False)
    Judge.objects.filter(pk=judge.pk).update(enabled=enabled)
    audit.record(judge.project, actor, "judge.switched_on" if enabled else "judge.switched_off", str(judge))


def start_backfill(judge: Judge, *, limit: int, actor: User | None, batch: bool = False) -> int:
    """Enqueues the newest interactions that the judge has not seen, ``limit`` at most. Returns how many.

    With ``batch`` they are handed to the provider in batches, for half the price and within a day. Raises
    batches.NotOffered.
    """
    with transaction.atomic():
        count = batches.start(judge, limit=limit) if batch else judging.backfill(judge, limit=limit)
        audit.record(judge.project, actor, "judge.backfilled", str(judge), items=count, batch=batch)
    return count


def cancel_batches(judge: Judge, *, actor: User | None) -> int:
    """Stops all batches of a version; what they have not judged goes to the dead list. Returns how many items."""
    with transaction.atomic():
        count = batches.cancel(judge)
        audit.record(judge.project, actor, "judge.batches_cancelled", str(judge), items=count)
    return count


def ask_about(judge: Judge, items: Sequence[Interaction], *, actor: User | None) -> int:
    """Enqueues those of these interactions that have an answer and that the judge has not seen. Returns how many."""
    with transaction.atomic():
        new = list(judging.not_judged(judge).filter(pk__in=[item.pk for item in items]))
        count = judging.enqueue([(judge, item) for item in new], JudgeJob.Purpose.BACKFILL)
        audit.record(judge.project, actor, "judge.asked", str(judge), items=count)
    return count


def replay(judge: Judge, *, actor: User | None, only: list[int] | None = None) -> int:
    """Gives failed jobs, all or ``only`` these, another life. Returns how many."""
    with transaction.atomic():
        count = judging.replay(judge, only=only)
        audit.record(judge.project, actor, "judge.replayed", str(judge), items=count)
    return count


@transaction.atomic
def set_detector(project: Project, *, detector: str, choice: DetectorChoice, actor: User | None) -> DetectorSetting:
    """The project's choice about a detector; what it does not name stays. Old scores stay as they are."""
    usual = {one.name: one.default_on for one in detectors()}.get(detector, True)
    setting, _ = DetectorSetting.objects.update_or_create(
        project=project, detector=detector, defaults={**choice}, create_defaults={"enabled": usual, **choice}
    )
    audit.record(
        project, actor, "detector.set", detector, by="key", enabled=setting.enabled, threshold=setting.threshold
    )
    return setting


@transaction.atomic
def read_test(judge: Judge, *, actor: User | None) -> CalibrationRead | None:
    """Reads the test part of the labels for a version: once, for good, and audited. None with too few labels in it.

    A second reading returns the first.
    """
    Judge.objects.select_for_update().get(pk=judge.pk)
    before = CalibrationRead.objects.filter(judge=judge).first()
    if before is not None:
        return before
    found = calibration.agreement(pair for pair in calibration.pairs(judge) if pair.part == calibration.TEST)
    if not found.enough:
        return None
    audit.record(judge.project, actor, "judge.test_read", str(judge), labels=found.pairs, meets_bar=found.good_enough)
    return CalibrationRead.objects.create(
        judge=judge, read_by=actor, found=found.found, missed=found.missed, false_alarms=found.false_alarms,
        cleared=found.cleared,
    )  # fmt: skip
