"""Queues and what waits in them; votes and what they settle; the taxonomy they use."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from feedback.models import Interaction
from projects.models import Project, User


class Queue(models.Model):
    """A line of tasks for a group of reviewers, with its time limits.

    A task with the highest score is due ``sla_min_hours`` after it came in, one with none ``sla_max_hours``.
    """

    class Kind(models.TextChoices):
        TARGETED = "targeted", "Targeted: for finding and fixing"
        RANDOM = "random", "Random sample: for counting"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="queues")
    slug = models.SlugField(max_length=60)
    name = models.CharField(max_length=120)
    description = models.CharField(max_length=300, blank=True)
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.TARGETED)
    position = models.PositiveSmallIntegerField(default=0)
    overlap = models.PositiveSmallIntegerField(default=1)
    blind = models.BooleanField(default=False)
    lease_seconds = models.PositiveIntegerField(default=600)
    sla_min_hours = models.FloatField(default=1)
    sla_max_hours = models.FloatField(default=168)
    paused_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["position", "id"]
        constraints = [
            models.UniqueConstraint(fields=["project", "slug"], name="queue_slug_once"),
            models.CheckConstraint(condition=Q(overlap__gte=1, overlap__lte=9), name="queue_overlap_range"),
            models.CheckConstraint(
                condition=Q(sla_min_hours__gt=0, sla_max_hours__gte=F("sla_min_hours")), name="queue_sla_ordered"
            ),
            models.CheckConstraint(condition=Q(kind__in=["targeted", "random"]), name="queue_kind_known"),
        ]

    def __str__(self) -> str:
        return self.name


class TriageRule(models.Model):
    """A condition and the queue that items meeting it go to. Changing a rule raises its version."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="triage_rules")
    queue = models.ForeignKey(Queue, on_delete=models.CASCADE, related_name="rules")
    slug = models.SlugField(max_length=60)
    name = models.CharField(max_length=120)
    condition = models.JSONField()
    rate = models.FloatField(default=1.0, help_text="Share of matching items that are drawn")
    version = models.PositiveIntegerField(default=1)
    position = models.PositiveSmallIntegerField(default=0)
    enabled = models.BooleanField(default=True)

    class Meta:
        ordering = ["position", "id"]
        constraints = [
            models.UniqueConstraint(fields=["project", "slug"], name="rule_slug_once"),
            models.CheckConstraint(condition=Q(rate__gt=0, rate__lte=1), name="rule_rate_is_share"),
        ]


class Task(models.Model):
    """One interaction waiting in one queue, with why it is there and until when it should be seen.

    ``inclusion_p`` is the probability with which the random rules drew this interaction (design weight
    1/p); ``sampled`` whether they did. Only sampled tasks count towards a rate.
    """

    class State(models.TextChoices):
        OPEN = "open", "Open"
        DONE = "done", "Done"
        DISPUTED = "disputed", "Reviewers differ"
        DROPPED = "dropped", "Dropped"

    class Lane(models.TextChoices):
        RISK = "risk", "Risk"
        RANDOM = "random", "Random sample"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="tasks")
    queue = models.ForeignKey(Queue, on_delete=models.RESTRICT, related_name="tasks")
    interaction = models.ForeignKey(Interaction, on_delete=models.CASCADE, related_name="tasks")
    state = models.CharField(max_length=8, choices=State, default=State.OPEN)
    lane = models.CharField(max_length=8, choices=Lane)
    needed = models.PositiveSmallIntegerField(default=1)
    taken = models.PositiveSmallIntegerField(default=0, help_text="Live leases and submitted votes")
    score = models.FloatField(default=0)
    terms = models.JSONField(default=list, help_text="The score by terms")
    reasons = models.JSONField(default=list)
    enqueued_at = models.DateTimeField(db_default=Now())
    due_at = models.DateTimeField()
    sampled = models.BooleanField(default=False)
    inclusion_p = models.FloatField(null=True)
    seed = models.CharField(max_length=60, blank=True)
    done_at = models.DateTimeField(null=True)
    skips = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["queue", "interaction"], name="task_once_per_queue"),
            models.UniqueConstraint(fields=["interaction"], condition=Q(state="open"), name="task_one_open"),
            models.CheckConstraint(
                condition=Q(state="open", done_at__isnull=True) | (~Q(state="open") & Q(done_at__isnull=False)),
                name="task_ended_iff_not_open",
            ),
            models.CheckConstraint(condition=Q(taken__lte=F("needed")), name="task_never_overfull"),
            models.CheckConstraint(condition=Q(score__gte=0, score__lte=100), name="task_score_range"),
            models.CheckConstraint(
                condition=Q(sampled=False) | Q(inclusion_p__isnull=False, inclusion_p__gt=0, inclusion_p__lte=1),
                name="task_sampled_with_p",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["open", "done", "disputed", "dropped"]), name="task_state_known"
            ),
        ]
        indexes = [
            # claims.claim_next: the most urgent task with a free slot.
            models.Index(
                "queue", "due_at", "id", name="task_claimable", condition=Q(state="open", taken__lt=F("needed"))
            ),
            # The queues page: backlog, oldest and due by queue.
            models.Index(fields=["queue", "enqueued_at"], name="task_backlog", condition=Q(state="open")),
            # The rates: sampled tasks of a project by time.
            models.Index(fields=["project", "enqueued_at"], name="task_sampled", condition=Q(sampled=True)),
        ]


class Claim(models.Model):
    """A reviewer's lease on one slot of a task, and the draft that survives it."""

    class State(models.TextChoices):
        LEASED = "leased", "Leased"
        SUBMITTED = "submitted", "Submitted"
        EXPIRED = "expired", "Expired"
        RELEASED = "released", "Given back"
        SKIPPED = "skipped", "Skipped"
        SURPLUS = "surplus", "Kept, not counted"

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="claims")
    reviewer = models.ForeignKey(User, on_delete=models.CASCADE, related_name="claims")
    token = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    state = models.CharField(max_length=9, choices=State, default=State.LEASED)
    claimed_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    draft = models.JSONField(null=True)
    draft_at = models.DateTimeField(null=True)
    skip_reason = models.CharField(max_length=20, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["reviewer", "task"],
                name="claim_once_per_reviewer",
                condition=Q(state__in=["leased", "submitted", "skipped"]),
            ),
            models.CheckConstraint(
                condition=Q(state="leased", ended_at__isnull=True) | (~Q(state="leased") & Q(ended_at__isnull=False)),
                name="claim_ended_iff_not_leased",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["leased", "submitted", "expired", "released", "skipped", "surplus"]),
                name="claim_state_known",
            ),
        ]
        indexes = [
            # claims.expire: leases that ran out.
            models.Index(fields=["expires_at"], name="claim_expiring", condition=Q(state="leased")),
        ]


class FailureMode(models.Model):
    """A named way to fail. Used ones are never deleted: they are retired, and old labels keep them."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="failure_modes")
    slug = models.SlugField(max_length=60)
    label = models.CharField(max_length=80)
    description = models.CharField(max_length=300, blank=True)
    digit = models.CharField(max_length=1, blank=True, help_text="The key of the number row")
    default_severity = models.PositiveSmallIntegerField(default=2)
    position = models.PositiveSmallIntegerField(default=0)
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["position", "id"]
        constraints = [
            models.UniqueConstraint(fields=["project", "slug"], name="mode_slug_once"),
            models.UniqueConstraint(
                fields=["project", "digit"], name="mode_key_once", condition=Q(retired_at__isnull=True) & ~Q(digit="")
            ),
            models.CheckConstraint(
                condition=Q(default_severity__gte=1, default_severity__lte=4), name="mode_severity_range"
            ),
        ]

    def __str__(self) -> str:
        return self.label


class Rubric(models.Model):
    """A version of the questions and failure modes; each change of the taxonomy makes a new one."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="rubrics")
    version = models.PositiveIntegerField()
    snapshot = models.JSONField(help_text="The failure modes as they were")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "version"], name="rubric_version_once")]


class Verdict(models.TextChoices):
    PASS = "pass", "Pass"
    FAIL = "fail", "Fail"
    UNSURE = "unsure", "Unsure"


class Annotation(models.Model):
    """One person's vote on one interaction under one rubric version. Never overwritten: a revision supersedes it."""

    class State(models.TextChoices):
        COUNTED = "counted", "Counted"
        SURPLUS = "surplus", "Kept, not counted"
        RETRACTED = "retracted", "Taken back"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="annotations")
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="annotations")
    claim = models.ForeignKey(Claim, null=True, on_delete=models.SET_NULL, related_name="annotations")
    reviewer = models.ForeignKey(User, on_delete=models.PROTECT, related_name="annotations")
    rubric = models.ForeignKey(Rubric, on_delete=models.RESTRICT, related_name="annotations")
    submission_id = models.UUIDField()
    state = models.CharField(max_length=9, choices=State, default=State.COUNTED)
    verdict = models.CharField(max_length=6, choices=Verdict)
    primary_category = models.ForeignKey(FailureMode, null=True, on_delete=models.RESTRICT, related_name="annotations")
    categories = ArrayField(models.CharField(max_length=60), default=list, help_text="Secondary failure modes, by slug")
    severity = models.PositiveSmallIntegerField(null=True, help_text="1 harm, 2 major, 3 minor, 4 nit")
    spans = models.JSONField(default=list)
    desired_output = models.TextField(blank=True)
    note = models.TextField(blank=True)
    assertions = models.JSONField(default=list)
    golden = models.BooleanField(default=False)
    blind = models.BooleanField(default=False)
    suggestion_seen = models.BooleanField(default=False)
    seconds = models.FloatField(null=True)
    fingerprint = models.BinaryField(max_length=32)
    created_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True, help_text="When it was taken back")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "submission_id"], name="annotation_submission_once"),
            models.UniqueConstraint(
                fields=["task", "reviewer"], name="annotation_one_vote_counts", condition=Q(state="counted")
            ),
            models.CheckConstraint(condition=Q(verdict__in=Verdict.values), name="annotation_verdict_known"),
            models.CheckConstraint(
                condition=Q(severity__isnull=True) | Q(severity__gte=1, severity__lte=4),
                name="annotation_severity_range",
            ),
            models.CheckConstraint(
                condition=Q(state="retracted", ended_at__isnull=False)
                | (~Q(state="retracted") & Q(ended_at__isnull=True)),
                name="annotation_ended_iff_retracted",
            ),
        ]
        indexes = [
            # A reviewer's own history and undo: newest first.
            models.Index(fields=["reviewer", "-created_at"], name="annotation_mine"),
        ]


class Label(models.Model):
    """The settled result for an interaction, with how it was settled. At most one is current."""

    class SettledBy(models.TextChoices):
        OWNER = "owner", "The owner"
        SINGLE = "single", "One reviewer"
        UNANIMOUS = "unanimous", "All reviewers agree"
        ADJUDICATED = "adjudicated", "Adjudicated"
        IMPORTED = "imported", "Imported"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="labels")
    interaction = models.ForeignKey(Interaction, on_delete=models.CASCADE, related_name="labels")
    task = models.ForeignKey(Task, null=True, on_delete=models.SET_NULL, related_name="labels")
    verdict = models.CharField(max_length=6, choices=Verdict)
    primary_category = models.ForeignKey(FailureMode, null=True, on_delete=models.RESTRICT, related_name="labels")
    categories = ArrayField(models.CharField(max_length=60), default=list)
    severity = models.PositiveSmallIntegerField(null=True)
    spans = models.JSONField(default=list)
    desired_output = models.TextField(blank=True)
    note = models.TextField(blank=True)
    assertions = models.JSONField(default=list)
    golden = models.BooleanField(default=False)
    settled_by = models.CharField(max_length=11, choices=SettledBy)
    annotation_ids = ArrayField(models.BigIntegerField(), default=list)
    reviewers = models.PositiveSmallIntegerField(default=1)
    rubric_version = models.PositiveIntegerField()
    blind = models.BooleanField(default=False)
    suggestion_seen = models.BooleanField(default=False)
    settled_at = models.DateTimeField(db_default=Now())
    superseded_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["interaction"], condition=Q(superseded_at__isnull=True), name="label_one_current"
            ),
            models.CheckConstraint(
                condition=Q(settled_by__in=["owner", "single", "unanimous", "adjudicated", "imported"]),
                name="label_settled_how",
            ),
        ]
        indexes = [
            # The labels list and the curation page: newest first.
            models.Index(fields=["project", "-settled_at"], name="label_newest"),
        ]
