"""Open notes on their way to failure modes, and audits: drawn samples that somebody signs."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from annotations.models.labels import Annotation, FailureMode
from annotations.models.queues import Queue
from annotations.models.tasks import Task
from feedback.models import Interaction
from projects.models import Project, User


class NoteGroup(models.Model):
    """Open notes that say the same, on their way to a failure mode (axial coding).

    A machine may propose a group; it is one only when a person has confirmed it.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="note_groups", db_index=False)
    name = models.CharField(max_length=80)
    description = models.CharField(max_length=300, blank=True)
    position = models.PositiveSmallIntegerField(default=0)
    proposed = models.BooleanField(default=False, help_text="By a machine, and not confirmed yet")
    failure_mode = models.ForeignKey(FailureMode, null=True, on_delete=models.SET_NULL, related_name="note_groups")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["position", "id"]
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="note_group_name_once")]

    def __str__(self) -> str:
        return self.name


class GroupedNote(models.Model):
    """The one group in which the note of a vote stands."""

    group = models.ForeignKey(NoteGroup, on_delete=models.CASCADE, related_name="notes")
    annotation = models.OneToOneField(Annotation, on_delete=models.CASCADE, related_name="note_group")
    proposed = models.BooleanField(default=False, help_text="By a machine, and not confirmed yet")
    placed_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    placed_at = models.DateTimeField(db_default=Now())


class Audit(models.Model):
    """A periodic check: a stratified random sample of a period, reviewed, reported and signed.

    ``segments`` are the numbers of interactions that the sample was drawn from, by segment. Once signed nothing of it
    changes (the database refuses); ``result`` holds the figures as they were then.
    """

    class Allocation(models.TextChoices):
        PROPORTIONAL = "proportional", "In proportion to their size"
        EQUAL = "equal", "The same number of each"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="audits", db_index=False)
    queue = models.ForeignKey(Queue, on_delete=models.RESTRICT, related_name="audits")
    name = models.CharField(max_length=120)
    since = models.DateTimeField()
    until = models.DateTimeField()
    filters = models.JSONField(default=dict)
    segment_by = models.CharField(max_length=40, blank=True)
    allocation = models.CharField(max_length=12, choices=Allocation, default=Allocation.PROPORTIONAL)
    segments = models.JSONField(default=dict)
    size = models.PositiveIntegerField()
    population = models.PositiveIntegerField(default=0, help_text="How many interactions the sample stands for")
    seed = models.CharField(max_length=60)
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    signed_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    signed_at = models.DateTimeField(null=True)
    statement = models.TextField(blank=True)
    result = models.JSONField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(until__gt=F("since")), name="audit_period_ordered"),
            models.CheckConstraint(condition=Q(size__gte=1), name="audit_size_positive"),
            models.CheckConstraint(
                condition=Q(signed_at__isnull=True, signed_by__isnull=True)
                | Q(signed_at__isnull=False, signed_by__isnull=False),
                name="audit_signed_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(signed_at__isnull=True, result__isnull=True)
                | Q(signed_at__isnull=False, result__isnull=False) & ~Q(statement=""),
                name="audit_signed_with_figures",
            ),
            models.CheckConstraint(
                condition=Q(allocation__in=["proportional", "equal"]), name="audit_allocation_known"
            ),
        ]
        indexes = [
            # The audits of a project, newest first.
            models.Index(fields=["project", "-created_at"], name="audit_newest"),
        ]

    def __str__(self) -> str:
        return self.name


class AuditItem(models.Model):
    """One drawn interaction of an audit: its segment, its probability, and its task if it needs one."""

    audit = models.ForeignKey(Audit, on_delete=models.CASCADE, related_name="items", db_index=False)
    interaction = models.ForeignKey(Interaction, on_delete=models.CASCADE, related_name="+")
    segment = models.CharField(max_length=200, blank=True)
    inclusion_p = models.FloatField()
    task = models.ForeignKey(Task, null=True, on_delete=models.SET_NULL, related_name="audit_items")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["audit", "interaction"], name="audit_item_once"),
            models.CheckConstraint(
                condition=Q(inclusion_p__gt=0, inclusion_p__lte=1), name="audit_item_p_is_probability"
            ),
        ]
