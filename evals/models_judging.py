"""What judging spends and how providers are: budgets, the ledger of calls, and the state of each provider."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from projects.leases import Leased
from projects.models import Project, User


def usd(**options: object) -> models.DecimalField:  # type: ignore[type-arg]
    """A column of US dollars to eight places."""
    return models.DecimalField(max_digits=14, decimal_places=8, **options)  # type: ignore[arg-type]


class JudgeBudget(models.Model):
    """The most that all judges of a project may spend; NULL is no cap. A judge has a cap for a day of its own."""

    project = models.OneToOneField(Project, on_delete=models.CASCADE, related_name="judge_budget")
    day_cap_usd = usd(null=True)
    month_cap_usd = usd(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=(Q(day_cap_usd=None) | Q(day_cap_usd__gte=0))
                & (Q(month_cap_usd=None) | Q(month_cap_usd__gte=0)),
                name="judgebudget_not_negative",
            )
        ]


class Spend(models.Model):
    """What was spent in one period (UTC), of one judge or (NULL) of all judges of a project.

    ``reserved`` belongs to calls under way, ``unknown`` to calls whose cost nobody will ever know (the worker died,
    the line broke) at their reserved price; a cap holds for the sum of all three.
    """

    class Period(models.TextChoices):
        DAY = "day", "Day"
        MONTH = "month", "Month"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="judge_spends", db_index=False)
    judge = models.ForeignKey("evals.Judge", null=True, on_delete=models.CASCADE, related_name="spends")
    period = models.CharField(max_length=5, choices=Period)
    starts = models.DateField()
    reserved_usd = usd(default=0)
    settled_usd = usd(default=0)
    unknown_usd = usd(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "judge", "period", "starts"], name="spend_once", nulls_distinct=False
            ),
            models.CheckConstraint(
                condition=Q(reserved_usd__gte=0, settled_usd__gte=0, unknown_usd__gte=0), name="spend_not_negative"
            ),
        ]


class JudgeBatch(Leased):
    """Jobs of one judge version that are handed to its provider's batch API together.

    ``sending`` is written before the provider is called, with ``mark``, so that a batch whose worker died in between
    can be looked for there; ``name`` is what the provider calls it. ``attempts`` counts the leases that were not given
    back, ``sends`` how often it was sent. ``cut`` keeps what was cut of which job's texts.
    """

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting to be sent"
        SENDING = "sending", "Being sent"
        RUNNING = "running", "At the provider"
        ENDED = "ended", "Ended"

    judge = models.ForeignKey("evals.Judge", on_delete=models.CASCADE, related_name="batches")
    state = models.CharField(max_length=7, choices=State, default=State.WAITING)
    mark = models.CharField(max_length=32, unique=True)
    name = models.CharField(max_length=200, blank=True)
    items = models.PositiveIntegerField()
    done = models.PositiveIntegerField(default=0, help_text="Requests that the provider says it has answered")
    sends = models.PositiveSmallIntegerField(default=0)
    cut = models.JSONField(default=dict)
    due_at = models.DateTimeField(db_default=Now())
    created_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True)
    cancelled_at = models.DateTimeField(null=True, help_text="When a person asked for its end")
    ended_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state="ended", ended_at__isnull=False) | (~Q(state="ended") & Q(ended_at=None)),
                name="judgebatch_ended_iff_time",
            ),
            models.CheckConstraint(
                condition=(~Q(state__in=["waiting", "sending"]) | Q(name=""))
                & (~Q(state="running") | ~Q(name=""))
                & (~Q(state__in=["sending", "running"]) | Q(sent_at__isnull=False)),
                name="judgebatch_named_when_running",
            ),
        ]
        # batches.work: what is to be sent or asked after next.
        indexes = [models.Index(fields=["due_at", "id"], name="judgebatch_due", condition=~Q(state="ended"))]


class JudgeCall(models.Model):
    """One attempt of a job: written with its reservation before the provider is called, settled afterwards.

    An attempt may ask twice (once more after an unusable reply); ``asked`` counts. ``reply`` keeps what an unusable
    reply said, cut to 16 KB. Amounts are NULL where the price of the model is not known.
    """

    class State(models.TextChoices):
        OPEN = "open", "Under way"
        SETTLED = "settled", "Settled"
        UNKNOWN = "unknown", "Cost unknown"

    judge = models.ForeignKey("evals.Judge", on_delete=models.CASCADE, related_name="calls", db_index=False)
    job = models.ForeignKey("evals.JudgeJob", on_delete=models.CASCADE, related_name="calls", db_index=False)
    # Half the price.
    batch = models.ForeignKey(JudgeBatch, null=True, on_delete=models.SET_NULL, related_name="calls", db_index=False)
    fence = models.BigIntegerField()
    state = models.CharField(max_length=7, choices=State, default=State.OPEN)
    day = models.DateField()
    reserved_usd = usd(null=True)
    settled_usd = usd(null=True)
    unknown_usd = usd(null=True)
    asked = models.PositiveSmallIntegerField(default=0)
    input_tokens = models.PositiveIntegerField(null=True)
    output_tokens = models.PositiveIntegerField(null=True)
    error = models.CharField(max_length=300, blank=True)
    reply = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "fence"], name="judgecall_once"),
            models.CheckConstraint(
                condition=Q(state="open", ended_at=None) | (~Q(state="open") & Q(ended_at__isnull=False)),
                name="judgecall_open_iff_not_ended",
            ),
            models.CheckConstraint(
                condition=Q(reserved_usd=None)
                | Q(state="open")
                | Q(unknown_usd__lte=F("reserved_usd"), settled_usd__isnull=False),
                name="judgecall_unknown_is_reserved",
            ),
        ]
        indexes = [
            models.Index(fields=["judge", "created_at"], name="judgecall_by_time"),
            models.Index(fields=["batch"], name="judgecall_batched", condition=Q(batch__isnull=False)),
        ]


class CalibrationRead(models.Model):
    """The test part of the labels, read once for a version of a judge, as it was then; rows never change."""

    judge = models.OneToOneField("evals.Judge", on_delete=models.CASCADE, related_name="calibration")
    read_at = models.DateTimeField(db_default=Now())
    read_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    found = models.PositiveIntegerField()
    missed = models.PositiveIntegerField()
    false_alarms = models.PositiveIntegerField()
    cleared = models.PositiveIntegerField()


class ProviderState(models.Model):
    """How one provider is, as all workers see it: its pause, its failures in a row, the places it is given.

    ``key`` is ``connection:<number>``, or ``environment:<provider>`` for the keys of the installation.
    """

    key = models.CharField(max_length=40, unique=True)
    failures = models.PositiveSmallIntegerField(default=0)
    failing_since = models.DateTimeField(null=True)
    openings = models.PositiveSmallIntegerField(default=0, help_text="How often in a row the breaker has opened")
    paused_until = models.DateTimeField(null=True)
    probing = models.BooleanField(default=False, help_text="One call has been let through to see how it is")
    reason = models.CharField(max_length=120, blank=True)
    at_once = models.PositiveSmallIntegerField(null=True, help_text="Fewer places than usual, after it was busy")
    slowed_at = models.DateTimeField(null=True)
