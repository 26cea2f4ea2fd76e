"""Tasks that wait in queues, and the leases under which reviewers work on them."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from annotations.models.queues import Queue, TriageRule
from feedback.models import Interaction
from projects.models import Project, User


class Task(models.Model):
    """One interaction waiting in one queue, with why it is there and until when it should be seen.

    ``inclusion_p`` is the probability with which the random rules drew this interaction (design weight
    1/p); ``sampled`` whether they did. Only sampled tasks count towards a rate. ``draws`` names every rule that
    could have drawn it, with version, seed and probability, whether it did or not; ``certain`` says that some rule
    takes every such item. ``admission_p`` is the probability with which an overloaded queue let it in.

    ``purpose`` says what its votes are for. Only those of a review or an audit settle a label: a gold check is held
    against ``known``, a repeat against ``repeats``, and neither is told to the reviewer beforehand.
    """

    class Purpose(models.TextChoices):
        REVIEW = "review", "Review"
        AUDIT = "audit", "Audit"
        GOLD = "gold", "Gold check"
        REPEAT = "repeat", "Self-consistency"

    class State(models.TextChoices):
        OPEN = "open", "Open"
        DONE = "done", "Done"
        DISPUTED = "disputed", "Reviewers differ"
        DROPPED = "dropped", "Dropped"
        SHED = "shed", "Not let in: the queue is overloaded"

    class Lane(models.TextChoices):
        RISK = "risk", "Risk"
        RANDOM = "random", "Random sample"
        CALIBRATION = "calibration", "Calibration"
        ESCALATED = "escalated", "Escalated"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="tasks")
    # A claim and a vote each write every index anew: only those that a query needs are worth it.
    queue = models.ForeignKey(Queue, on_delete=models.RESTRICT, related_name="tasks", db_index=False)
    interaction = models.ForeignKey(Interaction, on_delete=models.CASCADE, related_name="tasks")
    state = models.CharField(max_length=8, choices=State, default=State.OPEN)
    lane = models.CharField(max_length=11, choices=Lane)
    purpose = models.CharField(max_length=6, choices=Purpose, default=Purpose.REVIEW)
    known = models.ForeignKey("Label", null=True, on_delete=models.CASCADE, related_name="gold_checks", db_index=False)
    repeats = models.ForeignKey(
        "Annotation", null=True, on_delete=models.CASCADE, related_name="repeated_by", db_index=False
    )
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
    draws = models.JSONField(default=list)
    certain = models.BooleanField(default=False)
    admission_p = models.FloatField(null=True)
    rule = models.ForeignKey(TriageRule, null=True, on_delete=models.SET_NULL, related_name="tasks")
    rule_version = models.PositiveIntegerField(null=True)
    queue_version = models.PositiveIntegerField(default=1)
    topic = models.CharField(max_length=60, blank=True, help_text="What somebody must know to judge it")
    assigned_to = models.ForeignKey(
        User, null=True, on_delete=models.SET_NULL, related_name="assigned_tasks", db_index=False
    )
    escalated_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False)
    escalated_at = models.DateTimeField(null=True)
    escalation_note = models.TextField(blank=True)
    done_at = models.DateTimeField(null=True)
    skips = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["queue", "interaction"],
                condition=Q(purpose__in=["review", "audit"]),
                name="task_once_per_queue",
            ),
            models.UniqueConstraint(
                fields=["interaction"], condition=Q(state="open", purpose__in=["review", "audit"]), name="task_one_open"
            ),
            models.UniqueConstraint(
                fields=["interaction", "assigned_to"],
                condition=Q(state="open", purpose__in=["gold", "repeat"]),
                name="task_one_check_open",
            ),
            models.CheckConstraint(
                condition=Q(purpose="gold", known__isnull=False, repeats__isnull=True, assigned_to__isnull=False)
                | Q(purpose="repeat", repeats__isnull=False, known__isnull=True, assigned_to__isnull=False)
                | Q(purpose__in=["review", "audit"], known__isnull=True, repeats__isnull=True),
                name="task_purpose_says_what_it_is_held_against",
            ),
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
                condition=Q(state__in=["open", "done", "disputed", "dropped", "shed"]), name="task_state_known"
            ),
            models.CheckConstraint(
                condition=Q(lane__in=["risk", "random", "calibration", "escalated"]), name="task_lane_known"
            ),
            models.CheckConstraint(
                condition=Q(admission_p__isnull=True) | Q(admission_p__gt=0, admission_p__lte=1),
                name="task_admission_is_share",
            ),
            models.CheckConstraint(
                condition=Q(lane="escalated", escalated_at__isnull=False) | ~Q(lane="escalated"),
                name="task_escalated_with_time",
            ),
        ]
        indexes = [
            # claims.claim_next: the most urgent one of a lane.
            models.Index(
                "queue",
                "lane",
                "due_at",
                "id",
                name="task_claimable_lane",
                condition=Q(state="open", taken__lt=F("needed")),
            ),
            # claims.claim_next: what was assigned to this person.
            models.Index(
                fields=["assigned_to", "queue"],
                name="task_assigned",
                condition=Q(state="open", assigned_to__isnull=False),
            ),
            # What a label or vote that goes takes with it: the checks that were held against it.
            models.Index(fields=["known"], name="task_known", condition=Q(known__isnull=False)),
            # The same for the vote that a repeat asks again.
            models.Index(fields=["repeats"], name="task_repeats", condition=Q(repeats__isnull=False)),
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
        SNOOZED = "snoozed", "Put off"
        SURPLUS = "surplus", "Kept, not counted"

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="claims")
    # Two indexes below begin with the reviewer: one on it alone would only cost.
    reviewer = models.ForeignKey(User, on_delete=models.CASCADE, related_name="claims", db_index=False)
    token = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    state = models.CharField(max_length=9, choices=State, default=State.LEASED)
    claimed_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    draft = models.JSONField(null=True)
    draft_at = models.DateTimeField(null=True)
    skip_reason = models.CharField(max_length=20, blank=True)
    snoozed_until = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["reviewer", "task"],
                name="claim_once_per_reviewer",
                condition=Q(state__in=["leased", "submitted", "skipped", "snoozed"]),
            ),
            models.CheckConstraint(
                condition=Q(state="leased", ended_at__isnull=True) | (~Q(state="leased") & Q(ended_at__isnull=False)),
                name="claim_ended_iff_not_leased",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["leased", "submitted", "expired", "released", "skipped", "snoozed", "surplus"]),
                name="claim_state_known",
            ),
            models.CheckConstraint(
                condition=Q(state="snoozed", snoozed_until__isnull=False) | ~Q(state="snoozed"),
                name="claim_snoozed_with_time",
            ),
        ]
        indexes = [
            # claims.expire: leases that ran out.
            models.Index(fields=["expires_at"], name="claim_expiring", condition=Q(state="leased")),
            # claims.claim_next: what this reviewer holds or has had (their id first: measured 0.13 ms against 12.5).
            models.Index(fields=["reviewer", "task"], name="claim_of_reviewer"),
            # claims: the few that this reviewer holds now or has put aside, out of the thousands they have had.
            models.Index(
                fields=["reviewer", "state"],
                name="claim_in_hand",
                condition=Q(state__in=["leased", "skipped", "snoozed"]),
            ),
        ]


class Turn(models.Model):
    """How far a reviewer has come in a queue: it decides the lane of their next claim.

    Written by the claim alone (``annotations_claim_next`` in the database), one row for each reviewer and queue,
    so no two reviewers ever wait for each other's.
    """

    reviewer = models.ForeignKey(User, on_delete=models.CASCADE, related_name="turns", db_index=False)
    queue = models.ForeignKey(Queue, on_delete=models.CASCADE, related_name="turns")
    claims = models.PositiveIntegerField(default=0)
    clusters = ArrayField(
        models.BigIntegerField(), default=list, help_text="Of the last three items, newest first; 0 for none"
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["reviewer", "queue"], name="turn_once_per_queue")]
