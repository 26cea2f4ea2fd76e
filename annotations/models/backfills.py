"""Rules that are being applied to the past."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from annotations.models.queues import TriageRule
from projects.leases import Leased
from projects.models import Project, User


class Backfill(Leased):
    """One version of a rule on its way through what has arrived already, newest first.

    It looks at the interactions up to the number ``newest``; what comes later meets the rule by itself. It has
    looked at all from ``reached_at`` and ``reached_id`` on. It ends when it is through, is stopped by somebody, the
    rule changes, or a batch has failed several times.
    """

    class State(models.TextChoices):
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        STOPPED = "stopped", "Stopped"
        FAILED = "failed", "Failed"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="backfills")
    rule = models.ForeignKey(TriageRule, on_delete=models.CASCADE, related_name="backfills")
    rule_version = models.PositiveIntegerField()
    state = models.CharField(max_length=7, choices=State, default=State.RUNNING)
    since = models.DateTimeField(null=True, help_text="Only what happened from then on")
    newest = models.BigIntegerField()
    reached_at = models.DateTimeField(null=True)
    reached_id = models.BigIntegerField(null=True)
    total = models.PositiveIntegerField(help_text="Interactions to look at")
    seen = models.PositiveIntegerField(default=0)
    matched = models.PositiveIntegerField(default=0)
    made = models.PositiveIntegerField(default=0, help_text="New tasks")
    reason = models.CharField(max_length=200, blank=True, help_text="Why it ended early")
    started_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    started_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["rule"], condition=Q(state="running"), name="backfill_one_running_per_rule"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["running", "done", "stopped", "failed"]), name="backfill_state_known"
            ),
            models.CheckConstraint(
                condition=Q(state="running", ended_at__isnull=True) | (~Q(state="running") & Q(ended_at__isnull=False)),
                name="backfill_ended_iff_not_running",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.rule}, version {self.rule_version}"
