"""Detector settings, judges and their jobs; golden datasets, versions and examples; runs and results."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.expressions import RawSQL
from django.db.models.functions import Now

from annotations.models import Label
from evals.models_curation import CurationSetting
from evals.models_judging import CalibrationRead, JudgeBatch, JudgeBudget, JudgeCall, ProviderState, Spend, usd
from evals.models_replay import Replay, ReplayAttempt
from feedback.models import Interaction, Score
from projects.leases import Leased
from projects.models import Project, ProviderConnection, User

__all__ = [
    "CalibrationRead", "CurationSetting", "Dataset", "DatasetImport", "DatasetVersion", "DetectorSetting", "Example",
    "HygieneStep", "Judge", "JudgeBatch", "JudgeBudget", "JudgeCall", "JudgeJob", "ProviderState", "Replay",
    "ReplayAttempt", "Result", "Run", "Spend",
]  # fmt: skip


class DetectorSetting(models.Model):
    """A project's choice about one detector; without a row the detector runs with its own threshold."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="detector_settings", db_index=False)
    detector = models.CharField(max_length=60)
    enabled = models.BooleanField(default=True)
    threshold = models.FloatField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "detector"], name="detector_setting_once")]


class Judge(models.Model):
    """One version of a judge: immutable once it has a job (a trigger refuses changes to what it asks).

    ``connection`` NULL means the provider's key from the environment.
    """

    class Provider(models.TextChoices):
        OPENAI = "openai", "OpenAI or compatible"
        ANTHROPIC = "anthropic", "Anthropic or compatible"

    class Kind(models.TextChoices):
        SCORE = "score", "A score from 0 to 1"
        PAIRWISE = "pairwise", "A preference between the answer and the desired one, asked in both orders"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="judges", db_index=False)
    slug = models.SlugField(max_length=60, db_index=False)
    version = models.PositiveIntegerField(default=1)
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=8, choices=Kind, default=Kind.SCORE, db_default=Kind.SCORE)
    criterion = models.TextField(help_text="What is asked, as one question whose good answer is yes")
    provider = models.CharField(max_length=10, choices=Provider)
    connection = models.ForeignKey(ProviderConnection, null=True, blank=True, on_delete=models.RESTRICT)
    model = models.CharField(max_length=120)
    threshold = models.FloatField(default=0.5, help_text="Scores below it are flagged")
    sample_rate = models.FloatField(default=0.0, help_text="Share of new interactions that are judged")
    enabled = models.BooleanField(default=True)
    day_cap_usd = usd(null=True, help_text="The most that this version may spend in a day (UTC); NULL is no cap")
    at_once = models.PositiveSmallIntegerField(null=True, help_text="The most calls at once, over all workers")
    per_minute = models.PositiveIntegerField(null=True, help_text="The most attempts in any minute")
    # US dollars for a million tokens, for models that the price table does not know; NULL leaves it to the table.
    input_price = usd(null=True)
    output_price = usd(null=True)
    # What people said of other answers, as few_shot.choose copied it; never changes, not even before the first job.
    examples = models.JSONField(default=list, db_default=[])
    recalibrate_since = models.DateTimeField(null=True, help_text="Since when judge_watch says: calibrate it again")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["slug", "-version"]
        constraints = [
            models.UniqueConstraint(fields=["project", "slug", "version"], name="judge_version_once"),
            models.UniqueConstraint(fields=["project", "slug"], condition=Q(enabled=True), name="judge_one_enabled"),
            models.CheckConstraint(condition=Q(sample_rate__gte=0, sample_rate__lte=1), name="judge_rate_is_share"),
            models.CheckConstraint(condition=Q(threshold__gte=0, threshold__lte=1), name="judge_threshold_range"),
            models.CheckConstraint(
                condition=(Q(day_cap_usd=None) | Q(day_cap_usd__gte=0))
                & (Q(at_once=None) | Q(at_once__gte=1))
                & (Q(per_minute=None) | Q(per_minute__gte=1))
                & (Q(input_price=None, output_price=None) | Q(input_price__gte=0, output_price__gte=0)),
                name="judge_limits_make_sense",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"


class JudgeJob(Leased):
    """One interaction to be judged by one judge version for one purpose; it ends with exactly one score or an error."""

    class Purpose(models.TextChoices):
        LIVE = "live", "New interactions"
        BACKFILL = "backfill", "Backfill"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="judge_jobs")
    judge = models.ForeignKey(Judge, on_delete=models.CASCADE, related_name="jobs", db_index=False)
    interaction = models.ForeignKey(Interaction, on_delete=models.CASCADE, related_name="judge_jobs")
    purpose = models.CharField(max_length=10, choices=Purpose, default=Purpose.LIVE)
    # The batch that has it in hand, in place of a lease; NULL is judged by a call of its own.
    batch = models.ForeignKey(JudgeBatch, null=True, on_delete=models.SET_NULL, related_name="jobs", db_index=False)
    created_at = models.DateTimeField(db_default=Now())
    not_before = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)
    score = models.OneToOneField(Score, null=True, on_delete=models.SET_NULL, related_name="judge_job")
    error = models.CharField(max_length=300, blank=True)
    input_tokens = models.PositiveIntegerField(null=True)
    output_tokens = models.PositiveIntegerField(null=True)
    cost_usd = models.DecimalField(max_digits=14, decimal_places=8, null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["judge", "interaction", "purpose"], name="judgejob_once"),
            models.CheckConstraint(
                condition=Q(finished_at__isnull=False) | (Q(score__isnull=True) & Q(error="")),
                name="judgejob_outcome_iff_finished",
            ),
            models.CheckConstraint(
                condition=Q(batch=None) | Q(finished_at=None, leased_until=None), name="judgejob_batched_is_open"
            ),
        ]
        indexes = [
            # judging.work: what is to be judged next.
            models.Index(
                fields=["not_before", "id"],
                name="judgejob_waiting",
                condition=Q(finished_at__isnull=True, batch__isnull=True),
            ),
            # batches: what one has in hand.
            models.Index(fields=["batch"], name="judgejob_batched", condition=Q(batch__isnull=False)),
            # throttle.room: what is under way now.
            models.Index(
                fields=["judge", "leased_until"], name="judgejob_running", condition=Q(leased_until__isnull=False)
            ),
        ]


class Dataset(models.Model):
    class Kind(models.TextChoices):
        GOLDEN = "golden", "Golden"
        ADVERSARIAL = "adversarial", "Adversarial"
        REFERENCE = "reference", "Reference"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="datasets", db_index=False)
    slug = models.SlugField(max_length=60, db_index=False)
    name = models.CharField(max_length=120)
    description = models.CharField(max_length=300, blank=True)
    kind = models.CharField(max_length=11, choices=Kind, default=Kind.GOLDEN)
    # What the next version may be used for; a frozen one keeps what it was frozen with.
    licence = models.CharField(max_length=200, blank=True, default="", db_default="")
    consent = models.CharField(max_length=300, blank=True, default="", db_default="")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["project", "slug"], name="dataset_slug_once")]

    def __str__(self) -> str:
        return self.name


class DatasetVersion(models.Model):
    """A draft that collects examples, or a frozen version that never changes again (triggers refuse it)."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="versions", db_index=False)
    number = models.PositiveIntegerField()
    note = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    frozen_at = models.DateTimeField(null=True)
    frozen_by = models.ForeignKey(User, null=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+")
    checksum = models.CharField(max_length=64, blank=True)
    count = models.PositiveIntegerField(null=True)
    licence = models.CharField(max_length=200, blank=True, default="", db_default="")
    consent = models.CharField(max_length=300, blank=True, default="", db_default="")

    class Meta:
        ordering = ["dataset", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["dataset", "number"], name="version_number_once"),
            models.UniqueConstraint(fields=["dataset"], condition=Q(frozen_at__isnull=True), name="version_one_draft"),
            models.CheckConstraint(
                condition=Q(frozen_at__isnull=True, checksum="", count__isnull=True)
                | (Q(frozen_at__isnull=False, count__isnull=False) & ~Q(checksum="")),
                name="version_frozen_iff_checksum",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.dataset.slug}@{self.number}"


SEVERITY = RawSQL(  # a constant
    """
CASE WHEN (expected #> '{label,severity}')::text ~ '^[0-9]$' THEN (expected #>> '{label,severity}')::smallint END""",
    (),
)
CATEGORY = RawSQL("coalesce(left(expected #>> '{label,category}', 100), '')", ())  # a constant


class Example(models.Model):
    """A copy of an interaction and of what it should have answered; outlives both.

    ``key`` is stable over versions. Only approved examples are frozen.
    """

    class Split(models.TextChoices):
        TRAIN = "train", "Train"
        DEV = "dev", "Dev"
        TEST = "test", "Test"

    # The index of the constraint begins with it; so does the one of results with their run.
    version = models.ForeignKey(DatasetVersion, on_delete=models.CASCADE, related_name="examples", db_index=False)
    key = models.CharField(max_length=60, db_collation="C")
    split = models.CharField(max_length=5, choices=Split)
    input = models.JSONField()
    expected = models.JSONField()
    # Of the label in ``expected``. Columns, because comparing two runs reads them of every example: with the index
    # that holds them 10,000 take a few milliseconds, taken from the documents 40.
    severity = models.GeneratedField(
        expression=SEVERITY, output_field=models.SmallIntegerField(null=True), db_persist=True
    )
    category = models.GeneratedField(expression=CATEGORY, output_field=models.TextField(), db_persist=True)
    provenance = models.JSONField(default=dict)
    tags = ArrayField(models.CharField(max_length=200), default=list)
    metadata = models.JSONField(default=dict)
    # A frozen example keeps the numbers of its label and approver even when those are gone.
    label = models.ForeignKey(Label, null=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    # Users who voted for, proposed or edited what it says now; where a second person is asked for, none of them.
    proposers = ArrayField(models.BigIntegerField(), default=list, db_default=[])
    approved_at = models.DateTimeField(null=True)
    approved_by = models.ForeignKey(User, null=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+")

    class Meta:
        ordering = ["key"]
        constraints = [
            models.UniqueConstraint(
                fields=["version", "key"], include=["split", "severity", "category"], name="example_key_once"
            )
        ]


class DatasetImport(models.Model):
    """A file that waits until somebody has said what its columns mean; gone once it is imported or discarded."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="imports")
    name = models.CharField(max_length=200)
    body = models.BinaryField(help_text="As it came, packed by zlib")
    mapping = models.JSONField(default=dict, help_text="What each column becomes")
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")


class HygieneStep(models.Model):
    """What somebody did about a finding of the hygiene page, with all that is needed to take it back.

    ``finding`` is its fingerprint: one that was only looked at stays away until an example of it changes.
    """

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="hygiene_steps", db_index=False)
    kind = models.CharField(max_length=20)
    verb = models.CharField(max_length=10)
    finding = models.CharField(max_length=64)
    count = models.PositiveIntegerField(help_text="Examples of the finding")
    before = models.JSONField(default=list, help_text="The examples as they were")
    actor = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    at = models.DateTimeField(db_default=Now())
    undone_at = models.DateTimeField(null=True)

    class Meta:
        # The hygiene page: the newest steps of a dataset, and what was looked at.
        indexes = [models.Index(fields=["dataset", "-id"], name="hygiene_newest")]


class Run(models.Model):
    """A candidate's answers to every example of a frozen version, and the gate's verdict on them."""

    class State(models.TextChoices):
        RUNNING = "running", "Running"
        FINISHED = "finished", "Finished"
        ABANDONED = "abandoned", "Abandoned"

    class Verdict(models.TextChoices):
        PASS = "pass", "Pass"
        FAIL = "fail", "Fail"
        INCONCLUSIVE = "inconclusive", "Not enough evidence"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="runs", db_index=False)
    version = models.ForeignKey(DatasetVersion, on_delete=models.RESTRICT, related_name="runs")
    candidate = models.CharField(max_length=200)
    target = models.JSONField(default=dict)
    checks = models.JSONField(default=list)
    baseline = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="+")
    state = models.CharField(max_length=9, choices=State, default=State.RUNNING)
    verdict = models.CharField(max_length=12, choices=Verdict, blank=True)
    summary = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    finished_at = models.DateTimeField(null=True)
    approved_at = models.DateTimeField(null=True, help_text="Approved as a baseline")
    approved_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    overridden_at = models.DateTimeField(null=True, help_text="The gate was opened by a person against its verdict")
    overridden_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    override_reason = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state="running", finished_at__isnull=True)
                | (~Q(state="running") & Q(finished_at__isnull=False)),
                name="run_ended_iff_not_running",
            ),
            models.CheckConstraint(condition=Q(state="finished") | Q(verdict=""), name="run_verdict_when_finished"),
            models.CheckConstraint(
                condition=Q(approved_at__isnull=True) | Q(state="finished"), name="run_baseline_is_finished"
            ),
            models.CheckConstraint(
                condition=Q(overridden_at__isnull=True, override_reason="")
                | (Q(overridden_at__isnull=False, verdict__in=["fail", "inconclusive"]) & ~Q(override_reason="")),
                name="run_override_has_reason",
            ),
        ]
        indexes = [
            # The runs page: newest first.
            models.Index(fields=["project", "-created_at"], name="run_newest"),
        ]


class Result(models.Model):
    """One answer of a run, with what each check said. ``passed`` is None where the target gave no answer.

    ``score`` is the mean of those checks that measure instead of decide, 0 to 1; NULL where none did.
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="results", db_index=False)
    example_key = models.CharField(max_length=60, db_collation="C")
    repeat = models.PositiveSmallIntegerField(default=0)
    output = models.TextField(blank=True)
    passed = models.BooleanField(null=True)
    score = models.FloatField(null=True)
    checks = models.JSONField(default=list)
    error = models.CharField(max_length=500, blank=True)
    latency_ms = models.FloatField(null=True)
    cost_usd = models.DecimalField(max_digits=14, decimal_places=8, null=True)
    fingerprint = models.BinaryField(max_length=32)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["run", "example_key", "repeat"],
                include=["passed", "score", "latency_ms", "cost_usd"],
                name="result_once",
            ),
            models.CheckConstraint(condition=Q(passed__isnull=False) | ~Q(error=""), name="result_judged_or_error"),
            # NaN is above every number here, and so refused
            models.CheckConstraint(
                condition=Q(score=None) | Q(score__gte=0, score__lte=1), name="result_score_is_share"
            ),
        ]
