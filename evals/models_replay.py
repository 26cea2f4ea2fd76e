"""One stored request asked again: a replay with its attempts."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from feedback.models import Interaction
from projects.leases import Leased
from projects.models import Project, ProviderConnection, User

MOST_TIMES = 50
MOST_ANSWER_TOKENS = 1_000_000


class Replay(models.Model):
    """A request as it is sent again, ``times`` times: the recorded one, or one with another model, prompt or documents.

    ``changed`` names what differs from the recording. ``connection`` NULL means the provider's key from the
    environment.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="replays")
    interaction = models.ForeignKey(Interaction, on_delete=models.CASCADE, related_name="replays", db_index=False)
    provider = models.CharField(max_length=10, choices=ProviderConnection.Kind)
    connection = models.ForeignKey(ProviderConnection, null=True, blank=True, on_delete=models.RESTRICT)
    model = models.CharField(max_length=200)
    request = models.JSONField(help_text="messages, documents, tools and parameters as they are sent")
    changed = ArrayField(models.CharField(max_length=20), default=list)
    times = models.PositiveSmallIntegerField()
    checks = models.JSONField(default=list)
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(times__gte=1, times__lte=MOST_TIMES), name="replay_times_bounded"),
        ]
        indexes = [
            # replays.of_interaction: what was tried on one interaction, newest first.
            models.Index(fields=["interaction", "-created_at"], name="replay_of_interaction"),
        ]


class ReplayAttempt(Leased):
    """One answer of a replay. ``fails`` is what the checks say, or what a person said after reading it."""

    replay = models.ForeignKey(Replay, on_delete=models.CASCADE, related_name="attempts", db_index=False)
    number = models.PositiveSmallIntegerField()
    not_before = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)
    output = models.TextField(blank=True)
    error = models.CharField(max_length=300, blank=True)
    fails = models.BooleanField(null=True)
    checks = models.JSONField(default=list)
    marked_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    latency_ms = models.FloatField(null=True)
    input_tokens = models.PositiveIntegerField(null=True)
    output_tokens = models.PositiveIntegerField(null=True)
    cost_usd = models.DecimalField(max_digits=14, decimal_places=8, null=True)

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["replay", "number"], name="replayattempt_once"),
            models.CheckConstraint(
                condition=Q(finished_at__isnull=False) | Q(output="", error="", fails__isnull=True),
                name="replayattempt_says_when_finished",
            ),
            models.CheckConstraint(
                condition=Q(fails__isnull=True) | Q(error=""), name="replayattempt_judged_has_answer"
            ),
        ]
        indexes = [
            # replays.work: what is to be asked next.
            models.Index(
                fields=["not_before", "id"], name="replayattempt_waiting", condition=Q(finished_at__isnull=True)
            ),
        ]
