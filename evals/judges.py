"""Every change of judges and detector settings that a person makes."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Max
from django.utils.text import slugify

from evals import judging
from evals.models import DetectorSetting, Judge
from projects import audit
from projects.models import Project, ProviderConnection, User


@transaction.atomic
def create_judge(
    project: Project, *, name: str, criterion: str, provider: str, model: str, connection: ProviderConnection | None,
    threshold: float, sample_rate: float, actor: User | None,
) -> Judge:  # fmt: skip
    """A new judge, or the next version of the one with this name; the version before it is switched off.

    Judges are told apart by the slug of their name. A version never changes once it has judged, so that scores
    of one version can be compared. ``connection`` None means the environment's key.
    """
    slug = slugify(name)[:60] or "judge"
    Project.objects.select_for_update().get(pk=project.pk)  # two drafts at once get two numbers
    same = Judge.objects.filter(project=project, slug=slug)
    version = (same.aggregate(most=Max("version"))["most"] or 0) + 1
    same.filter(enabled=True).update(enabled=False)
    judge = Judge.objects.create(
        project=project, slug=slug, version=version, name=name, criterion=criterion,
        provider=connection.kind if connection else provider, connection=connection, model=model,
        threshold=threshold, sample_rate=sample_rate,
    )  # fmt: skip
    audit.record(project, actor, "judge.created", str(judge), model=model, sample_rate=sample_rate)
    return judge


@transaction.atomic
def set_rate(judge: Judge, *, sample_rate: float, actor: User | None) -> None:
    """The share of new interactions that the judge is shown from now on."""
    before = judge.sample_rate
    judge.sample_rate = sample_rate
    judge.save(update_fields=["sample_rate"])
    audit.record(judge.project, actor, "judge.rate_set", str(judge), before=before, after=sample_rate)


@transaction.atomic
def switch(judge: Judge, *, enabled: bool, actor: User | None) -> None:
    """Puts a version to work or to rest; of one judge, one version works at a time."""
    Project.objects.select_for_update().get(pk=judge.project_id)
    if enabled:
        Judge.objects.filter(project=judge.project_id, slug=judge.slug, enabled=True).update(enabled=False)
    Judge.objects.filter(pk=judge.pk).update(enabled=enabled)
    audit.record(judge.project, actor, "judge.switched_on" if enabled else "judge.switched_off", str(judge))


def start_backfill(judge: Judge, *, limit: int, actor: User | None) -> int:
    """Enqueues up to ``limit`` interactions that the judge has not seen. Returns how many."""
    with transaction.atomic():
        count = judging.backfill(judge, limit=limit)
        audit.record(judge.project, actor, "judge.backfilled", str(judge), items=count)
    return count


def replay(judge: Judge, *, actor: User | None) -> int:
    """Gives failed jobs another life. Returns how many."""
    with transaction.atomic():
        count = judging.replay(judge)
        audit.record(judge.project, actor, "judge.replayed", str(judge), items=count)
    return count


@transaction.atomic
def set_detector(
    project: Project, *, detector: str, enabled: bool, threshold: float | None, actor: User | None
) -> None:  # fmt: skip
    """The project's choice about a detector; ``threshold`` None is the detector's own. Old scores stay as they are."""
    DetectorSetting.objects.update_or_create(
        project=project, detector=detector, defaults={"enabled": enabled, "threshold": threshold}
    )
    audit.record(project, actor, "detector.set", detector, enabled=enabled, threshold=threshold)
