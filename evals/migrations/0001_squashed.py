"""The tables of the app. It replaces what led to them while nothing had been released."""

import uuid
import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    replaces = [
        ("evals", "0001_initial"),
        ("evals", "0002_initial"),
        ("evals", "0003_frozen_means_frozen"),
        ("evals", "0004_keys_sort_bytewise"),
        ("evals", "0005_judge_keeps_its_question"),
        ("evals", "0006_judge_budgets"),
        ("evals", "0007_replays_scores_overrides"),
        ("evals", "0008_second_person_and_terms"),
        ("evals", "0009_calibration_read_once"),
        ("evals", "0010_files_wait_for_their_columns"),
        ("evals", "0011_hygiene_steps_can_be_undone"),
        ("evals", "0012_judge_keeps_its_examples"),
        ("evals", "0013_judge_may_compare"),
        ("evals", "0014_judge_batches"),
        ("evals", "0015_compare_from_indexes"),
        ("evals", "0016_judges_are_watched"),
    ]
    initial = True
    dependencies = [
        ("annotations", "0001_squashed"),
        ("feedback", "0001_squashed"),
        ("projects", "0001_squashed"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.CreateModel(
            name="ProviderState",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=40, unique=True)),
                ("failures", models.PositiveSmallIntegerField(default=0)),
                ("failing_since", models.DateTimeField(null=True)),
                (
                    "openings",
                    models.PositiveSmallIntegerField(default=0, help_text="How often in a row the breaker has opened"),
                ),
                ("paused_until", models.DateTimeField(null=True)),
                (
                    "probing",
                    models.BooleanField(default=False, help_text="One call has been let through to see how it is"),
                ),
                ("reason", models.CharField(blank=True, max_length=120)),
                (
                    "at_once",
                    models.PositiveSmallIntegerField(help_text="Fewer places than usual, after it was busy", null=True),
                ),
                ("slowed_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="CurationSetting",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "second_person",
                    models.BooleanField(default=False, help_text="Whoever proposed, voted or edited may not approve"),
                ),
                ("changed_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "changed_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "project",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="curation", to="projects.project"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Dataset",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("slug", models.SlugField(db_index=False, max_length=60)),
                ("name", models.CharField(max_length=120)),
                ("description", models.CharField(blank=True, max_length=300)),
                (
                    "kind",
                    models.CharField(
                        choices=[("golden", "Golden"), ("adversarial", "Adversarial"), ("reference", "Reference")],
                        default="golden",
                        max_length=11,
                    ),
                ),
                ("licence", models.CharField(blank=True, db_default="", default="", max_length=200)),
                ("consent", models.CharField(blank=True, db_default="", default="", max_length=300)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="datasets",
                        to="projects.project",
                    ),
                ),
            ],
            options={
                "ordering": ["name"],
                "constraints": [models.UniqueConstraint(fields=("project", "slug"), name="dataset_slug_once")],
            },
        ),
        migrations.CreateModel(
            name="DatasetImport",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=200)),
                ("body", models.BinaryField(help_text="As it came, packed by zlib")),
                ("mapping", models.JSONField(default=dict, help_text="What each column becomes")),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "created_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "dataset",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="imports", to="evals.dataset"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="DatasetVersion",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveIntegerField()),
                ("note", models.CharField(blank=True, max_length=300)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("frozen_at", models.DateTimeField(null=True)),
                ("checksum", models.CharField(blank=True, max_length=64)),
                ("count", models.PositiveIntegerField(null=True)),
                ("licence", models.CharField(blank=True, db_default="", default="", max_length=200)),
                ("consent", models.CharField(blank=True, db_default="", default="", max_length=300)),
                (
                    "dataset",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="versions",
                        to="evals.dataset",
                    ),
                ),
                (
                    "frozen_by",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["dataset", "-number"],
                "constraints": [
                    models.UniqueConstraint(fields=("dataset", "number"), name="version_number_once"),
                    models.UniqueConstraint(
                        condition=models.Q(("frozen_at__isnull", True)), fields=("dataset",), name="version_one_draft"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("checksum", ""), ("count__isnull", True), ("frozen_at__isnull", True)),
                            models.Q(
                                ("count__isnull", False),
                                ("frozen_at__isnull", False),
                                models.Q(("checksum", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="version_frozen_iff_checksum",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="DetectorSetting",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("detector", models.CharField(max_length=60)),
                ("enabled", models.BooleanField(default=True)),
                ("threshold", models.FloatField(null=True)),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="detector_settings",
                        to="projects.project",
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("project", "detector"), name="detector_setting_once")]
            },
        ),
        migrations.CreateModel(
            name="Example",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(db_collation="C", max_length=60)),
                (
                    "split",
                    models.CharField(choices=[("train", "Train"), ("dev", "Dev"), ("test", "Test")], max_length=5),
                ),
                ("input", models.JSONField()),
                ("expected", models.JSONField()),
                (
                    "severity",
                    models.GeneratedField(
                        db_persist=True,
                        expression=django.db.models.expressions.RawSQL(
                            "\nCASE WHEN (expected #> '{label,severity}')::text ~ '^[0-9]$' THEN (expected #>> '{label,severity}')::smallint END",
                            (),
                        ),
                        output_field=models.SmallIntegerField(null=True),
                    ),
                ),
                (
                    "category",
                    models.GeneratedField(
                        db_persist=True,
                        expression=django.db.models.expressions.RawSQL(
                            "coalesce(left(expected #>> '{label,category}', 100), '')", ()
                        ),
                        output_field=models.TextField(),
                    ),
                ),
                ("provenance", models.JSONField(default=dict)),
                (
                    "tags",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=200), default=list, size=None
                    ),
                ),
                ("metadata", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "proposers",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(), db_default=[], default=list, size=None
                    ),
                ),
                ("approved_at", models.DateTimeField(null=True)),
                (
                    "approved_by",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "label",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="annotations.label",
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="examples",
                        to="evals.datasetversion",
                    ),
                ),
            ],
            options={
                "ordering": ["key"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("version", "key"), include=("split", "severity", "category"), name="example_key_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="HygieneStep",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(max_length=20)),
                ("verb", models.CharField(max_length=10)),
                ("finding", models.CharField(max_length=64)),
                ("count", models.PositiveIntegerField(help_text="Examples of the finding")),
                ("before", models.JSONField(default=list, help_text="The examples as they were")),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("undone_at", models.DateTimeField(null=True)),
                (
                    "actor",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "dataset",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="hygiene_steps",
                        to="evals.dataset",
                    ),
                ),
            ],
            options={"indexes": [models.Index(fields=["dataset", "-id"], name="hygiene_newest")]},
        ),
        migrations.CreateModel(
            name="Judge",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("slug", models.SlugField(db_index=False, max_length=60)),
                ("version", models.PositiveIntegerField(default=1)),
                ("name", models.CharField(max_length=120)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("score", "A score from 0 to 1"),
                            ("pairwise", "A preference between the answer and the desired one, asked in both orders"),
                        ],
                        db_default="score",
                        default="score",
                        max_length=8,
                    ),
                ),
                ("criterion", models.TextField(help_text="What is asked, as one question whose good answer is yes")),
                (
                    "provider",
                    models.CharField(
                        choices=[("openai", "OpenAI or compatible"), ("anthropic", "Anthropic or compatible")],
                        max_length=10,
                    ),
                ),
                ("model", models.CharField(max_length=120)),
                ("threshold", models.FloatField(default=0.5, help_text="Scores below it are flagged")),
                ("sample_rate", models.FloatField(default=0.0, help_text="Share of new interactions that are judged")),
                ("enabled", models.BooleanField(default=True)),
                (
                    "day_cap_usd",
                    models.DecimalField(
                        decimal_places=8,
                        help_text="The most that this version may spend in a day (UTC); NULL is no cap",
                        max_digits=14,
                        null=True,
                    ),
                ),
                (
                    "at_once",
                    models.PositiveSmallIntegerField(help_text="The most calls at once, over all workers", null=True),
                ),
                ("per_minute", models.PositiveIntegerField(help_text="The most attempts in any minute", null=True)),
                ("input_price", models.DecimalField(decimal_places=8, max_digits=14, null=True)),
                ("output_price", models.DecimalField(decimal_places=8, max_digits=14, null=True)),
                ("examples", models.JSONField(db_default=[], default=list)),
                (
                    "recalibrate_since",
                    models.DateTimeField(help_text="Since when judge_watch says: calibrate it again", null=True),
                ),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "connection",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.RESTRICT,
                        to="projects.providerconnection",
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="judges",
                        to="projects.project",
                    ),
                ),
            ],
            options={
                "ordering": ["slug", "-version"],
                "constraints": [
                    models.UniqueConstraint(fields=("project", "slug", "version"), name="judge_version_once"),
                    models.UniqueConstraint(
                        condition=models.Q(("enabled", True)), fields=("project", "slug"), name="judge_one_enabled"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("sample_rate__gte", 0), ("sample_rate__lte", 1)), name="judge_rate_is_share"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("threshold__gte", 0), ("threshold__lte", 1)), name="judge_threshold_range"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("day_cap_usd", None), ("day_cap_usd__gte", 0), _connector="OR"),
                            models.Q(("at_once", None), ("at_once__gte", 1), _connector="OR"),
                            models.Q(("per_minute", None), ("per_minute__gte", 1), _connector="OR"),
                            models.Q(
                                models.Q(("input_price", None), ("output_price", None)),
                                models.Q(("input_price__gte", 0), ("output_price__gte", 0)),
                                _connector="OR",
                            ),
                        ),
                        name="judge_limits_make_sense",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="CalibrationRead",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("read_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("found", models.PositiveIntegerField()),
                ("missed", models.PositiveIntegerField()),
                ("false_alarms", models.PositiveIntegerField()),
                ("cleared", models.PositiveIntegerField()),
                (
                    "read_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "judge",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="calibration", to="evals.judge"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="JudgeBatch",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("leased_until", models.DateTimeField(editable=False, null=True)),
                ("fence", models.BigIntegerField(default=0, editable=False)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting to be sent"),
                            ("sending", "Being sent"),
                            ("running", "At the provider"),
                            ("ended", "Ended"),
                        ],
                        default="waiting",
                        max_length=7,
                    ),
                ),
                ("mark", models.CharField(max_length=32, unique=True)),
                ("name", models.CharField(blank=True, max_length=200)),
                ("items", models.PositiveIntegerField()),
                (
                    "done",
                    models.PositiveIntegerField(default=0, help_text="Requests that the provider says it has answered"),
                ),
                ("sends", models.PositiveSmallIntegerField(default=0)),
                ("cut", models.JSONField(default=dict)),
                ("due_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("sent_at", models.DateTimeField(null=True)),
                ("cancelled_at", models.DateTimeField(help_text="When a person asked for its end", null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                ("error", models.CharField(blank=True, max_length=300)),
                (
                    "judge",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="batches", to="evals.judge"
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("state", "ended"), _negated=True),
                        fields=["due_at", "id"],
                        name="judgebatch_due",
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("ended_at__isnull", False), ("state", "ended")),
                            models.Q(models.Q(("state", "ended"), _negated=True), ("ended_at", None)),
                            _connector="OR",
                        ),
                        name="judgebatch_ended_iff_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                models.Q(("state__in", ["waiting", "sending"]), _negated=True),
                                ("name", ""),
                                _connector="OR",
                            ),
                            models.Q(
                                models.Q(("state", "running"), _negated=True),
                                models.Q(("name", ""), _negated=True),
                                _connector="OR",
                            ),
                            models.Q(
                                models.Q(("state__in", ["sending", "running"]), _negated=True),
                                ("sent_at__isnull", False),
                                _connector="OR",
                            ),
                        ),
                        name="judgebatch_named_when_running",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="JudgeBudget",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day_cap_usd", models.DecimalField(decimal_places=8, max_digits=14, null=True)),
                ("month_cap_usd", models.DecimalField(decimal_places=8, max_digits=14, null=True)),
                (
                    "project",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="judge_budget", to="projects.project"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("day_cap_usd", None), ("day_cap_usd__gte", 0), _connector="OR"),
                            models.Q(("month_cap_usd", None), ("month_cap_usd__gte", 0), _connector="OR"),
                        ),
                        name="judgebudget_not_negative",
                    )
                ]
            },
        ),
        migrations.CreateModel(
            name="JudgeJob",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("leased_until", models.DateTimeField(editable=False, null=True)),
                ("fence", models.BigIntegerField(default=0, editable=False)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                (
                    "purpose",
                    models.CharField(
                        choices=[("live", "New interactions"), ("backfill", "Backfill")], default="live", max_length=10
                    ),
                ),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("not_before", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("finished_at", models.DateTimeField(null=True)),
                ("error", models.CharField(blank=True, max_length=300)),
                ("input_tokens", models.PositiveIntegerField(null=True)),
                ("output_tokens", models.PositiveIntegerField(null=True)),
                ("cost_usd", models.DecimalField(decimal_places=8, max_digits=14, null=True)),
                (
                    "batch",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="jobs",
                        to="evals.judgebatch",
                    ),
                ),
                (
                    "interaction",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="judge_jobs",
                        to="feedback.interaction",
                    ),
                ),
                (
                    "judge",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="jobs",
                        to="evals.judge",
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="judge_jobs", to="projects.project"
                    ),
                ),
                (
                    "score",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="judge_job",
                        to="feedback.score",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("batch__isnull", True), ("finished_at__isnull", True)),
                        fields=["not_before", "id"],
                        name="judgejob_waiting",
                    ),
                    models.Index(
                        condition=models.Q(("batch__isnull", False)), fields=["batch"], name="judgejob_batched"
                    ),
                    models.Index(
                        condition=models.Q(("leased_until__isnull", False)),
                        fields=["judge", "leased_until"],
                        name="judgejob_running",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("judge", "interaction", "purpose"), name="judgejob_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("finished_at__isnull", False),
                            models.Q(("score__isnull", True), ("error", "")),
                            _connector="OR",
                        ),
                        name="judgejob_outcome_iff_finished",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("batch", None), models.Q(("finished_at", None), ("leased_until", None)), _connector="OR"
                        ),
                        name="judgejob_batched_is_open",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="JudgeCall",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("fence", models.BigIntegerField()),
                (
                    "state",
                    models.CharField(
                        choices=[("open", "Under way"), ("settled", "Settled"), ("unknown", "Cost unknown")],
                        default="open",
                        max_length=7,
                    ),
                ),
                ("day", models.DateField()),
                ("reserved_usd", models.DecimalField(decimal_places=8, max_digits=14, null=True)),
                ("settled_usd", models.DecimalField(decimal_places=8, max_digits=14, null=True)),
                ("unknown_usd", models.DecimalField(decimal_places=8, max_digits=14, null=True)),
                ("asked", models.PositiveSmallIntegerField(default=0)),
                ("input_tokens", models.PositiveIntegerField(null=True)),
                ("output_tokens", models.PositiveIntegerField(null=True)),
                ("error", models.CharField(blank=True, max_length=300)),
                ("reply", models.TextField(blank=True)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "batch",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="calls",
                        to="evals.judgebatch",
                    ),
                ),
                (
                    "judge",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="calls",
                        to="evals.judge",
                    ),
                ),
                (
                    "job",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="calls",
                        to="evals.judgejob",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["judge", "created_at"], name="judgecall_by_time"),
                    models.Index(
                        condition=models.Q(("batch__isnull", False)), fields=["batch"], name="judgecall_batched"
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("job", "fence"), name="judgecall_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("ended_at", None), ("state", "open")),
                            models.Q(models.Q(("state", "open"), _negated=True), ("ended_at__isnull", False)),
                            _connector="OR",
                        ),
                        name="judgecall_open_iff_not_ended",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("reserved_usd", None),
                            ("state", "open"),
                            models.Q(("settled_usd__isnull", False), ("unknown_usd__lte", models.F("reserved_usd"))),
                            _connector="OR",
                        ),
                        name="judgecall_unknown_is_reserved",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Replay",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "provider",
                    models.CharField(
                        choices=[("openai", "OpenAI or compatible"), ("anthropic", "Anthropic or compatible")],
                        max_length=10,
                    ),
                ),
                ("model", models.CharField(max_length=200)),
                ("request", models.JSONField(help_text="messages, documents, tools and parameters as they are sent")),
                (
                    "changed",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=20), default=list, size=None
                    ),
                ),
                ("times", models.PositiveSmallIntegerField()),
                ("checks", models.JSONField(default=list)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "connection",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.RESTRICT,
                        to="projects.providerconnection",
                    ),
                ),
                (
                    "created_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "interaction",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="replays",
                        to="feedback.interaction",
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="replays", to="projects.project"
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["interaction", "-created_at"], name="replay_of_interaction")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("times__gte", 1), ("times__lte", 50)), name="replay_times_bounded"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ReplayAttempt",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("leased_until", models.DateTimeField(editable=False, null=True)),
                ("fence", models.BigIntegerField(default=0, editable=False)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("number", models.PositiveSmallIntegerField()),
                ("not_before", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("finished_at", models.DateTimeField(null=True)),
                ("output", models.TextField(blank=True)),
                ("error", models.CharField(blank=True, max_length=300)),
                ("fails", models.BooleanField(null=True)),
                ("checks", models.JSONField(default=list)),
                ("latency_ms", models.FloatField(null=True)),
                ("input_tokens", models.PositiveIntegerField(null=True)),
                ("output_tokens", models.PositiveIntegerField(null=True)),
                ("cost_usd", models.DecimalField(decimal_places=8, max_digits=14, null=True)),
                (
                    "marked_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "replay",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="attempts",
                        to="evals.replay",
                    ),
                ),
            ],
            options={
                "ordering": ["number"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("finished_at__isnull", True)),
                        fields=["not_before", "id"],
                        name="replayattempt_waiting",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("replay", "number"), name="replayattempt_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("finished_at__isnull", False),
                            models.Q(("error", ""), ("fails__isnull", True), ("output", "")),
                            _connector="OR",
                        ),
                        name="replayattempt_says_when_finished",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("fails__isnull", True), ("error", ""), _connector="OR"),
                        name="replayattempt_judged_has_answer",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Run",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("candidate", models.CharField(max_length=200)),
                ("target", models.JSONField(default=dict)),
                ("checks", models.JSONField(default=list)),
                (
                    "state",
                    models.CharField(
                        choices=[("running", "Running"), ("finished", "Finished"), ("abandoned", "Abandoned")],
                        default="running",
                        max_length=9,
                    ),
                ),
                (
                    "verdict",
                    models.CharField(
                        blank=True,
                        choices=[("pass", "Pass"), ("fail", "Fail"), ("inconclusive", "Not enough evidence")],
                        max_length=12,
                    ),
                ),
                ("summary", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("finished_at", models.DateTimeField(null=True)),
                ("approved_at", models.DateTimeField(help_text="Approved as a baseline", null=True)),
                (
                    "overridden_at",
                    models.DateTimeField(help_text="The gate was opened by a person against its verdict", null=True),
                ),
                ("override_reason", models.CharField(blank=True, max_length=500)),
                (
                    "approved_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "baseline",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to="evals.run"
                    ),
                ),
                (
                    "created_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "overridden_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="runs",
                        to="projects.project",
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.RESTRICT, related_name="runs", to="evals.datasetversion"
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["project", "-created_at"], name="run_newest")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("finished_at__isnull", True), ("state", "running")),
                            models.Q(models.Q(("state", "running"), _negated=True), ("finished_at__isnull", False)),
                            _connector="OR",
                        ),
                        name="run_ended_iff_not_running",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("state", "finished"), ("verdict", ""), _connector="OR"),
                        name="run_verdict_when_finished",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("approved_at__isnull", True), ("state", "finished"), _connector="OR"),
                        name="run_baseline_is_finished",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("overridden_at__isnull", True), ("override_reason", "")),
                            models.Q(
                                ("overridden_at__isnull", False),
                                ("verdict__in", ["fail", "inconclusive"]),
                                models.Q(("override_reason", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="run_override_has_reason",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Result",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("example_key", models.CharField(db_collation="C", max_length=60)),
                ("repeat", models.PositiveSmallIntegerField(default=0)),
                ("output", models.TextField(blank=True)),
                ("passed", models.BooleanField(null=True)),
                ("score", models.FloatField(null=True)),
                ("checks", models.JSONField(default=list)),
                ("error", models.CharField(blank=True, max_length=500)),
                ("latency_ms", models.FloatField(null=True)),
                ("cost_usd", models.DecimalField(decimal_places=8, max_digits=14, null=True)),
                ("fingerprint", models.BinaryField(max_length=32)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "run",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="results",
                        to="evals.run",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("run", "example_key", "repeat"),
                        include=("passed", "score", "latency_ms", "cost_usd"),
                        name="result_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("passed__isnull", False), models.Q(("error", ""), _negated=True), _connector="OR"
                        ),
                        name="result_judged_or_error",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("score", None), models.Q(("score__gte", 0), ("score__lte", 1)), _connector="OR"
                        ),
                        name="result_score_is_share",
                    ),
                ]
            },
        ),
        migrations.CreateModel(
            name="Spend",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("period", models.CharField(choices=[("day", "Day"), ("month", "Month")], max_length=5)),
                ("starts", models.DateField()),
                ("reserved_usd", models.DecimalField(decimal_places=8, default=0, max_digits=14)),
                ("settled_usd", models.DecimalField(decimal_places=8, default=0, max_digits=14)),
                ("unknown_usd", models.DecimalField(decimal_places=8, default=0, max_digits=14)),
                (
                    "judge",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.CASCADE, related_name="spends", to="evals.judge"
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="judge_spends",
                        to="projects.project",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("project", "judge", "period", "starts"), name="spend_once", nulls_distinct=False
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("reserved_usd__gte", 0), ("settled_usd__gte", 0), ("unknown_usd__gte", 0)),
                        name="spend_not_negative",
                    ),
                ]
            },
        ),
    ]
