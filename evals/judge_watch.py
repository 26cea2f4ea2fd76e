"""Judges that drift from people: found by the clock, told once, and shown until they agree again or are replaced."""

from __future__ import annotations

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from evals import calibration
from evals.judge_reports import visible
from evals.models import Judge
from projects import webhooks

EVENT = "judge.due"


def watch() -> int:
    """Marks the versions in use that have to be calibrated again and tells webhooks of each; returns how many are new.

    A version is told of once: again only if it had come to agree meanwhile.
    """
    judges = Judge.objects.filter(enabled=True, calibration__isnull=False)
    return sum(_mark(judge) for judge in judges.select_related("project", "calibration"))


def _mark(judge: Judge) -> bool:
    moved = calibration.drift(visible(calibration.pairs(judge)), timezone.now())
    why = calibration.due(judge.calibration.read_at, moved, timezone.now())
    same = Judge.objects.filter(pk=judge.pk)
    if not why:
        same.exclude(recalibrate_since=None).update(recalibrate_since=None)
        return False
    with transaction.atomic():
        if not same.filter(recalibrate_since=None).update(recalibrate_since=Now()):
            return False
        drift = None if moved is None or moved.high >= 0 else moved.value
        webhooks.emit(judge.project, EVENT, {"judge": judge.slug, "version": judge.version, "drift": drift})
    return True
