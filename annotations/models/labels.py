"""Failure modes and rubrics; votes, and the labels that they settle."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from annotations.models.tasks import Claim, Task
from feedback.models import Interaction
from projects.models import Project, User


class FailureMode(models.Model):
    """A named way to fail. Used ones are never deleted: they are retired, and old labels keep them.

    A retired one says where it went: ``merged_into`` one other, or ``split_into`` several (then ``merged_into`` is the
    part that old labels count as until somebody looks again, if a lead has named one). ``counts_as`` is where that
    ends, through any number of steps: what readers of labels map by. ``failure_modes`` keeps it.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="failure_modes", db_index=False)
    slug = models.SlugField(max_length=60, db_index=False)
    label = models.CharField(max_length=80)
    description = models.CharField(max_length=300, blank=True)
    digit = models.CharField(max_length=1, blank=True, help_text="The key of the number row")
    default_severity = models.PositiveSmallIntegerField(default=2)
    position = models.PositiveSmallIntegerField(default=0)
    group = models.CharField(max_length=80, blank=True, help_text="What kind of failure it is, for grouping")
    guide = models.TextField(blank=True, help_text="When to choose it, and when not")
    examples = models.JSONField(default=list, blank=True)
    counter_examples = models.JSONField(default=list, blank=True)
    merged_into = models.ForeignKey("self", null=True, blank=True, on_delete=models.RESTRICT, related_name="merged")
    split_into = models.ManyToManyField("self", symmetrical=False, blank=True, related_name="split_from")
    counts_as = models.ForeignKey(
        "self", null=True, blank=True, editable=False, on_delete=models.RESTRICT, related_name="counted_here"
    )
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
            models.CheckConstraint(
                condition=Q(merged_into__isnull=True) | Q(retired_at__isnull=False), name="mode_merged_is_retired"
            ),
            models.CheckConstraint(condition=~Q(merged_into=F("id")), name="mode_not_merged_into_itself"),
            models.CheckConstraint(
                condition=Q(counts_as__isnull=True) | (Q(retired_at__isnull=False) & ~Q(counts_as=F("id"))),
                name="mode_in_use_counts_as_itself",
            ),
        ]

    def __str__(self) -> str:
        return self.label


class Rubric(models.Model):
    """A version of the questions and failure modes; each change of the taxonomy makes a new one."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="rubrics", db_index=False)
    version = models.PositiveIntegerField()
    snapshot = models.JSONField(help_text="The failure modes as they were, retired ones with where they went")
    note = models.CharField(max_length=300, blank=True, help_text="What changed and why")
    changed_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
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
        EARLIER = "earlier", "Counted until its item was opened again"

    class Reveal(models.TextChoices):
        """Whether what was hidden until the vote was shown after it, and what the reviewer said to it."""

        NONE = "", "Not shown"
        SHOWN = "shown", "Shown"
        KEPT = "kept", "Shown, and kept"
        CHANGED = "changed", "Shown, and changed"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="annotations", db_index=False)
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="annotations")
    claim = models.ForeignKey(Claim, null=True, on_delete=models.SET_NULL, related_name="annotations")
    reviewer = models.ForeignKey(User, on_delete=models.PROTECT, related_name="annotations", db_index=False)
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
    golden_set = models.CharField(
        max_length=60, blank=True, default="", db_default="", help_text="Which dataset; none: the usual"
    )
    blind = models.BooleanField(default=False)
    suggestion_seen = models.BooleanField(default=False)
    suggestion = models.JSONField(default=dict, help_text="Of the fields a judge suggested: accepted, changed, ignored")
    reveal = models.CharField(max_length=7, choices=Reveal, default=Reveal.NONE, blank=True)
    supersedes = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="superseded_by")
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
                condition=Q(reveal__in=["", "shown", "kept", "changed"]), name="annotation_reveal_known"
            ),
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

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="labels", db_index=False)
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
    golden_set = models.CharField(
        max_length=60, blank=True, default="", db_default="", help_text="Which dataset; none: the usual"
    )
    settled_by = models.CharField(max_length=11, choices=SettledBy)
    annotation_ids = ArrayField(models.BigIntegerField(), default=list)
    reviewers = models.PositiveSmallIntegerField(default=1)
    rubric_version = models.PositiveIntegerField()
    blind = models.BooleanField(default=False)
    suggestion_seen = models.BooleanField(default=False)
    settled_at = models.DateTimeField(db_default=Now())
    superseded_at = models.DateTimeField(null=True)
    applied_from = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="applied_to")
    gold_check = models.BooleanField(default=False, help_text="May be served as a known item")

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


class Adjudication(models.Model):
    """How a disagreement was resolved: which vote was taken or that a new one was written, and why they differed."""

    class Cause(models.TextChoices):
        AMBIGUOUS = "ambiguous_text", "The text can be read both ways"
        GUIDELINE = "guideline_gap", "The guide does not say"
        MISTAKE = "annotator_error", "A slip"
        EDGE = "edge_case", "A borderline case"
        SUBJECTIVE = "subjective_disagreement", "A matter of judgement"
        OTHER = "other", "Something else"

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="adjudications")
    adjudicator = models.ForeignKey(User, on_delete=models.PROTECT, related_name="adjudications")
    chosen = models.ForeignKey(Annotation, null=True, on_delete=models.SET_NULL, related_name="+")
    label = models.OneToOneField(Label, on_delete=models.CASCADE, related_name="adjudication")
    cause = models.CharField(max_length=23, choices=Cause)
    reason = models.TextField()
    guide_note = models.TextField(blank=True, help_text="What the guide should say from now on")
    guide_done_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    cause__in=[
                        "ambiguous_text",
                        "guideline_gap",
                        "annotator_error",
                        "edge_case",
                        "subjective_disagreement",
                        "other",
                    ]
                ),
                name="adjudication_cause_known",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="adjudication_has_reason"),
        ]


class Question(models.Model):
    """What a lead asks the reviewers of a disputed task before deciding it. Open until each of them has answered.

    Each keeps their vote or sends another one, which supersedes it; then the task settles or is disputed again.
    """

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="questions")
    asked_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    text = models.TextField()
    waiting_for = ArrayField(models.BigIntegerField(), default=list, help_text="Reviewers who have not answered")
    created_at = models.DateTimeField(db_default=Now())
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["task"], condition=Q(closed_at__isnull=True), name="question_one_open"),
            models.CheckConstraint(condition=~Q(text=""), name="question_says_something"),
        ]
