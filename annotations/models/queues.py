"""Queues, who works them, the rules that fill them, and clusters of like items."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from feedback.models import Interaction
from projects.models import Project, User


class Queue(models.Model):
    """A line of tasks for a group of reviewers, with its time limits, weights and lanes.

    A task with the highest score is due ``sla_min_hours`` after it came in, one with none ``sla_max_hours``.
    Whoever may review in the project works an open queue; any other only its members. Changing what decides
    on tasks (weights, limits, lanes, overlap, admission) raises the version, which every task keeps.

    Admission: where more comes in than gets done, tasks that score less than ``admission_below`` are let in
    with the probability ``admission_p`` only. The rest is kept as shed: it stays searchable and can be pulled in.
    """

    class Kind(models.TextChoices):
        TARGETED = "targeted", "Targeted: for finding and fixing"
        RANDOM = "random", "Random sample: for counting"

    class Phase(models.TextChoices):
        OPEN = "open", "Open coding: notes first, categories later"
        CLASSIFY = "classify", "Classify: choose from the failure modes"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="queues", db_index=False)
    slug = models.SlugField(max_length=60, db_index=False)
    name = models.CharField(max_length=120)
    description = models.CharField(max_length=300, blank=True)
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.TARGETED)
    position = models.PositiveSmallIntegerField(default=0)
    overlap = models.PositiveSmallIntegerField(default=1)
    blind = models.BooleanField(default=False)
    phase = models.CharField(max_length=8, choices=Phase, default=Phase.CLASSIFY)
    gold_share = models.FloatField(default=0, help_text="Of the claims: known items, served unmarked")
    repeat_share = models.FloatField(default=0, help_text="Of the claims: the reviewer's own items of long ago")
    calibration_share = models.FloatField(
        default=0, db_default=0, help_text="Of the items: two or more label them, blind, to see how far they agree"
    )
    lease_seconds = models.PositiveIntegerField(default=600)
    sla_min_hours = models.FloatField(default=1)
    sla_max_hours = models.FloatField(default=168)
    paused_at = models.DateTimeField(null=True, blank=True)
    open_to_all = models.BooleanField(default=True)
    members = models.ManyToManyField(User, through="QueueMember", related_name="review_queues")
    topics = ArrayField(models.CharField(max_length=60), default=list, blank=True)
    fallback = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="falls_here")
    weights = models.JSONField(default=dict, blank=True, help_text="Points by term where they differ from the default")
    lanes = models.JSONField(default=dict, blank=True, help_text="Share of claims by lane; empty for the default")
    version = models.PositiveIntegerField(default=1)
    admission = models.BooleanField(default=False)
    admission_below = models.FloatField(default=40)
    admission_p = models.FloatField(default=1)
    capacity_per_day = models.FloatField(null=True, blank=True, help_text="Set by a lead; else measured")
    measured_per_day = models.FloatField(null=True, editable=False)
    measured_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["position", "id"]
        constraints = [
            models.UniqueConstraint(fields=["project", "slug"], name="queue_slug_once"),
            models.CheckConstraint(condition=Q(admission_p__gt=0, admission_p__lte=1), name="queue_admission_is_share"),
            models.CheckConstraint(
                condition=Q(capacity_per_day__isnull=True) | Q(capacity_per_day__gt=0), name="queue_capacity_positive"
            ),
            models.CheckConstraint(
                condition=Q(gold_share__gte=0, repeat_share__gte=0, gold_share__lte=0.5, repeat_share__lte=0.5),
                name="queue_checks_are_shares",
            ),
            models.CheckConstraint(
                condition=Q(calibration_share__gte=0, calibration_share__lte=0.5), name="queue_calibration_is_share"
            ),
            models.CheckConstraint(condition=Q(phase__in=["open", "classify"]), name="queue_phase_known"),
            models.CheckConstraint(condition=~Q(fallback=F("id")), name="queue_no_fallback_to_itself"),
            models.CheckConstraint(condition=Q(overlap__gte=1, overlap__lte=9), name="queue_overlap_range"),
            models.CheckConstraint(
                condition=Q(sla_min_hours__gt=0, sla_max_hours__gte=F("sla_min_hours")), name="queue_sla_ordered"
            ),
            models.CheckConstraint(condition=Q(kind__in=["targeted", "random"]), name="queue_kind_known"),
        ]

    def __str__(self) -> str:
        return self.name


class QueueMember(models.Model):
    """Who works a queue that is not open to all; ``topics`` are what this person knows, none meaning everything."""

    queue = models.ForeignKey(Queue, on_delete=models.CASCADE, related_name="memberships", db_index=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="queue_memberships")
    topics = ArrayField(models.CharField(max_length=60), default=list, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["queue", "user"], name="queue_member_once")]


class TriageRule(models.Model):
    """A condition (``annotations.conditions``) and what becomes of the items that meet it.

    ``queue`` puts them there, ``force`` puts them there first of all, ``cap`` limits their score, ``drop`` keeps
    them out of every queue. Of the matching items a rule takes all, or draws some (``sampling``): each with a
    probability that its tasks keep. Changing a rule raises its version and keeps the one before as a revision.
    """

    class Action(models.TextChoices):
        QUEUE = "queue", "Put in a queue"
        FORCE = "force", "Put in a queue, first of all"
        CAP = "cap", "Limit the score"
        DROP = "drop", "Keep out of every queue"

    class Sampling(models.TextChoices):
        ALL = "all", "Every one"
        RANDOM = "random", "A random share"
        STRATIFIED = "stratified", "A share of each group, with a minimum"
        UNCERTAINTY = "uncertainty", "More of what the judge is unsure of"
        DISAGREEMENT = "disagreement", "More of what users and judges differ on"
        NOVELTY = "novelty", "More of what is new"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="triage_rules", db_index=False)
    queue = models.ForeignKey(Queue, null=True, blank=True, on_delete=models.CASCADE, related_name="rules")
    slug = models.SlugField(max_length=60, db_index=False)
    name = models.CharField(max_length=120)
    condition = models.JSONField()
    action = models.CharField(max_length=5, choices=Action, default=Action.QUEUE)
    severity = models.FloatField(null=True, blank=True, help_text="0 to 1; adds to the severity term")
    cap = models.FloatField(null=True, blank=True, help_text="The highest score that matching items get")
    sampling = models.CharField(max_length=12, choices=Sampling, default=Sampling.ALL)
    rate = models.FloatField(default=1.0, help_text="Share of matching items that are drawn")
    strata = models.CharField(max_length=40, blank=True, help_text="The field whose values are the groups")
    quota_per_week = models.PositiveIntegerField(null=True, blank=True, help_text="At least so many of each group")
    version = models.PositiveIntegerField(default=1)
    position = models.PositiveSmallIntegerField(default=0)
    enabled = models.BooleanField(default=True)
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["position", "id"]
        constraints = [
            models.UniqueConstraint(fields=["project", "slug"], name="rule_slug_once"),
            models.CheckConstraint(condition=Q(rate__gt=0, rate__lte=1), name="rule_rate_is_share"),
            models.CheckConstraint(
                condition=Q(action__in=["queue", "force"], queue__isnull=False)
                | Q(action__in=["cap", "drop"], queue__isnull=True),
                name="rule_queue_iff_it_routes",
            ),
            models.CheckConstraint(
                condition=Q(action="cap", cap__isnull=False, cap__gte=0, cap__lte=100)
                | (~Q(action="cap") & Q(cap__isnull=True)),
                name="rule_cap_iff_it_caps",
            ),
            models.CheckConstraint(
                condition=Q(severity__isnull=True) | Q(severity__gte=0, severity__lte=1), name="rule_severity_is_share"
            ),
            models.CheckConstraint(
                condition=Q(sampling__in=["all", "random", "stratified", "uncertainty", "disagreement", "novelty"]),
                name="rule_sampling_known",
            ),
            models.CheckConstraint(
                condition=Q(sampling="stratified", quota_per_week__isnull=False) & ~Q(strata="")
                | (~Q(sampling="stratified") & Q(strata="", quota_per_week__isnull=True)),
                name="rule_strata_iff_stratified",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class TriageRevision(models.Model):
    """What a rule or a queue's settings were at a version, so that a task's reasons can be read years later."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="triage_revisions")
    rule = models.ForeignKey(TriageRule, null=True, on_delete=models.CASCADE, related_name="revisions")
    queue = models.ForeignKey(Queue, null=True, on_delete=models.CASCADE, related_name="revisions")
    version = models.PositiveIntegerField()
    snapshot = models.JSONField()
    changed_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "version"], condition=Q(rule__isnull=False), name="revision_of_rule_once"
            ),
            models.UniqueConstraint(
                fields=["queue", "version"], condition=Q(queue__isnull=False), name="revision_of_queue_once"
            ),
            models.CheckConstraint(
                condition=Q(rule__isnull=False, queue__isnull=True) | Q(rule__isnull=True, queue__isnull=False),
                name="revision_of_one_thing",
            ),
        ]


class StratumRate(models.Model):
    """The share that a stratified rule draws of one group: set from last week's volume, then kept for a while.

    The rate in force when an item arrives is its inclusion probability under the rule.
    """

    rule = models.ForeignKey(TriageRule, on_delete=models.CASCADE, related_name="stratum_rates", db_index=False)
    stratum = models.CharField(max_length=200)
    rate = models.FloatField()
    seen_per_week = models.PositiveIntegerField(default=0)
    set_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["rule", "stratum"], name="stratum_once_per_rule"),
            models.CheckConstraint(condition=Q(rate__gt=0, rate__lte=1), name="stratum_rate_is_share"),
        ]


class Cluster(models.Model):
    """Interactions whose complaints or questions are nearly the same text (``annotations.clusters``).

    The head stands for all of them in the queue and carries the count.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="clusters", db_index=False)
    head = models.ForeignKey(Interaction, on_delete=models.CASCADE, related_name="+")
    title = models.CharField(max_length=200)
    size = models.PositiveIntegerField(default=1)
    users = models.PositiveIntegerField(default=0, help_text="Distinct end users of the last seven days")
    reviewed = models.PositiveIntegerField(default=0, help_text="Members with a label")
    started_at = models.DateTimeField(db_default=Now())
    newest_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            # The clusters page and the spike term: what grew last.
            models.Index(fields=["project", "-newest_at"], name="cluster_newest"),
        ]

    def __str__(self) -> str:
        return self.title


class ClusterMember(models.Model):
    """One interaction in its cluster, with how alike it is to the head (Jaccard of word shingles, 0 to 1)."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="memberships", db_index=False)
    interaction = models.OneToOneField(Interaction, on_delete=models.CASCADE, related_name="cluster_membership")
    similarity = models.FloatField(default=1)
    signature = ArrayField(models.BigIntegerField(), default=list)
    bands = ArrayField(models.BigIntegerField(), default=list)
    joined_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(similarity__gte=0, similarity__lte=1), name="cluster_similarity_is_share"
            )
        ]
        indexes = [
            # clusters.join: who shares a band with this text. Asked for each item: no list of rows that wait for the
            # index, which every search would have to read.
            GinIndex(fields=["bands"], name="cluster_bands", fastupdate=False),
            # Members of a cluster, newest first; the spike term.
            models.Index(fields=["cluster", "-joined_at"], name="cluster_members"),
        ]
