"""The tables of the app. It replaces what led to them while nothing had been released."""

import uuid
import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    replaces = [
        ("annotations", "0001_initial"),
        ("annotations", "0002_initial"),
        ("annotations", "0003_rules_lanes_clusters"),
        ("annotations", "0004_random_rules_draw"),
        ("annotations", "0005_checks_studies_adjudication"),
        ("annotations", "0006_backfills"),
        ("annotations", "0007_one_statement_per_claim"),
        ("annotations", "0008_claim_starts_from_the_person"),
        ("annotations", "0009_search_bands_at_once"),
        ("annotations", "0010_ask_those_who_labelled_it"),
        ("annotations", "0011_one_statement_per_vote"),
        ("annotations", "0012_indexes_of_tasks"),
        ("annotations", "0013_modes_that_went_elsewhere"),
        ("annotations", "0014_calibration_share"),
        ("annotations", "0015_audits_are_signed"),
        ("annotations", "0016_claim_plans_and_its_item"),
    ]
    initial = True
    dependencies = [
        ("feedback", "0001_squashed"),
        ("projects", "0001_squashed"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.CreateModel(
            name="Claim",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("token", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("leased", "Leased"),
                            ("submitted", "Submitted"),
                            ("expired", "Expired"),
                            ("released", "Given back"),
                            ("skipped", "Skipped"),
                            ("snoozed", "Put off"),
                            ("surplus", "Kept, not counted"),
                        ],
                        default="leased",
                        max_length=9,
                    ),
                ),
                ("claimed_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("expires_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("draft", models.JSONField(null=True)),
                ("draft_at", models.DateTimeField(null=True)),
                ("skip_reason", models.CharField(blank=True, max_length=20)),
                ("snoozed_until", models.DateTimeField(null=True)),
                (
                    "reviewer",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="claims",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(condition=models.Q(("state", "leased")), fields=["expires_at"], name="claim_expiring"),
                    models.Index(
                        condition=models.Q(("state__in", ["leased", "skipped", "snoozed"])),
                        fields=["reviewer", "state"],
                        name="claim_in_hand",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("ended_at__isnull", True), ("state", "leased")),
                            models.Q(models.Q(("state", "leased"), _negated=True), ("ended_at__isnull", False)),
                            _connector="OR",
                        ),
                        name="claim_ended_iff_not_leased",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "state__in",
                                ["leased", "submitted", "expired", "released", "skipped", "snoozed", "surplus"],
                            )
                        ),
                        name="claim_state_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("snoozed_until__isnull", False), ("state", "snoozed")),
                            models.Q(("state", "snoozed"), _negated=True),
                            _connector="OR",
                        ),
                        name="claim_snoozed_with_time",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Cluster",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("title", models.CharField(max_length=200)),
                ("size", models.PositiveIntegerField(default=1)),
                (
                    "users",
                    models.PositiveIntegerField(default=0, help_text="Distinct end users of the last seven days"),
                ),
                ("reviewed", models.PositiveIntegerField(default=0, help_text="Members with a label")),
                ("started_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("newest_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "head",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="feedback.interaction"
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="clusters",
                        to="projects.project",
                    ),
                ),
            ],
            options={"indexes": [models.Index(fields=["project", "-newest_at"], name="cluster_newest")]},
        ),
        migrations.CreateModel(
            name="ClusterMember",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("similarity", models.FloatField(default=1)),
                (
                    "signature",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(), default=list, size=None
                    ),
                ),
                (
                    "bands",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(), default=list, size=None
                    ),
                ),
                ("joined_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "cluster",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="memberships",
                        to="annotations.cluster",
                    ),
                ),
                (
                    "interaction",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="cluster_membership",
                        to="feedback.interaction",
                    ),
                ),
            ],
            options={
                "indexes": [
                    django.contrib.postgres.indexes.GinIndex(fastupdate=False, fields=["bands"], name="cluster_bands"),
                    models.Index(fields=["cluster", "-joined_at"], name="cluster_members"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("similarity__gte", 0), ("similarity__lte", 1)),
                        name="cluster_similarity_is_share",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="FailureMode",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("slug", models.SlugField(db_index=False, max_length=60)),
                ("label", models.CharField(max_length=80)),
                ("description", models.CharField(blank=True, max_length=300)),
                ("digit", models.CharField(blank=True, help_text="The key of the number row", max_length=1)),
                ("default_severity", models.PositiveSmallIntegerField(default=2)),
                ("position", models.PositiveSmallIntegerField(default=0)),
                (
                    "group",
                    models.CharField(blank=True, help_text="What kind of failure it is, for grouping", max_length=80),
                ),
                ("guide", models.TextField(blank=True, help_text="When to choose it, and when not")),
                ("examples", models.JSONField(blank=True, default=list)),
                ("counter_examples", models.JSONField(blank=True, default=list)),
                ("retired_at", models.DateTimeField(blank=True, null=True)),
                (
                    "counts_as",
                    models.ForeignKey(
                        blank=True,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.RESTRICT,
                        related_name="counted_here",
                        to="annotations.failuremode",
                    ),
                ),
                (
                    "merged_into",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.RESTRICT,
                        related_name="merged",
                        to="annotations.failuremode",
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="failure_modes",
                        to="projects.project",
                    ),
                ),
                (
                    "split_into",
                    models.ManyToManyField(blank=True, related_name="split_from", to="annotations.failuremode"),
                ),
            ],
            options={
                "ordering": ["position", "id"],
                "constraints": [
                    models.UniqueConstraint(fields=("project", "slug"), name="mode_slug_once"),
                    models.UniqueConstraint(
                        condition=models.Q(("retired_at__isnull", True), models.Q(("digit", ""), _negated=True)),
                        fields=("project", "digit"),
                        name="mode_key_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("default_severity__gte", 1), ("default_severity__lte", 4)),
                        name="mode_severity_range",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("merged_into__isnull", True), ("retired_at__isnull", False), _connector="OR"
                        ),
                        name="mode_merged_is_retired",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("merged_into", models.F("id")), _negated=True),
                        name="mode_not_merged_into_itself",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("counts_as__isnull", True),
                            models.Q(
                                ("retired_at__isnull", False), models.Q(("counts_as", models.F("id")), _negated=True)
                            ),
                            _connector="OR",
                        ),
                        name="mode_in_use_counts_as_itself",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Annotation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("submission_id", models.UUIDField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("counted", "Counted"),
                            ("surplus", "Kept, not counted"),
                            ("retracted", "Taken back"),
                            ("earlier", "Counted until its item was opened again"),
                        ],
                        default="counted",
                        max_length=9,
                    ),
                ),
                (
                    "verdict",
                    models.CharField(choices=[("pass", "Pass"), ("fail", "Fail"), ("unsure", "Unsure")], max_length=6),
                ),
                (
                    "categories",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=60),
                        default=list,
                        help_text="Secondary failure modes, by slug",
                        size=None,
                    ),
                ),
                ("severity", models.PositiveSmallIntegerField(help_text="1 harm, 2 major, 3 minor, 4 nit", null=True)),
                ("spans", models.JSONField(default=list)),
                ("desired_output", models.TextField(blank=True)),
                ("note", models.TextField(blank=True)),
                ("assertions", models.JSONField(default=list)),
                ("golden", models.BooleanField(default=False)),
                (
                    "golden_set",
                    models.CharField(
                        blank=True, db_default="", default="", help_text="Which dataset; none: the usual", max_length=60
                    ),
                ),
                ("blind", models.BooleanField(default=False)),
                ("suggestion_seen", models.BooleanField(default=False)),
                (
                    "suggestion",
                    models.JSONField(
                        default=dict, help_text="Of the fields a judge suggested: accepted, changed, ignored"
                    ),
                ),
                (
                    "reveal",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "Not shown"),
                            ("shown", "Shown"),
                            ("kept", "Shown, and kept"),
                            ("changed", "Shown, and changed"),
                        ],
                        default="",
                        max_length=7,
                    ),
                ),
                ("seconds", models.FloatField(null=True)),
                ("fingerprint", models.BinaryField(max_length=32)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("ended_at", models.DateTimeField(help_text="When it was taken back", null=True)),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="annotations",
                        to="projects.project",
                    ),
                ),
                (
                    "reviewer",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="annotations",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "supersedes",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="superseded_by",
                        to="annotations.annotation",
                    ),
                ),
                (
                    "claim",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="annotations",
                        to="annotations.claim",
                    ),
                ),
                (
                    "primary_category",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.RESTRICT,
                        related_name="annotations",
                        to="annotations.failuremode",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["reviewer", "-created_at"], name="annotation_mine")],
                "constraints": [
                    models.UniqueConstraint(fields=("project", "submission_id"), name="annotation_submission_once"),
                    models.CheckConstraint(
                        condition=models.Q(("verdict__in", ["pass", "fail", "unsure"])), name="annotation_verdict_known"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("reveal__in", ["", "shown", "kept", "changed"])),
                        name="annotation_reveal_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("severity__isnull", True),
                            models.Q(("severity__gte", 1), ("severity__lte", 4)),
                            _connector="OR",
                        ),
                        name="annotation_severity_range",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("ended_at__isnull", False), ("state", "retracted")),
                            models.Q(models.Q(("state", "retracted"), _negated=True), ("ended_at__isnull", True)),
                            _connector="OR",
                        ),
                        name="annotation_ended_iff_retracted",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Label",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "verdict",
                    models.CharField(choices=[("pass", "Pass"), ("fail", "Fail"), ("unsure", "Unsure")], max_length=6),
                ),
                (
                    "categories",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=60), default=list, size=None
                    ),
                ),
                ("severity", models.PositiveSmallIntegerField(null=True)),
                ("spans", models.JSONField(default=list)),
                ("desired_output", models.TextField(blank=True)),
                ("note", models.TextField(blank=True)),
                ("assertions", models.JSONField(default=list)),
                ("golden", models.BooleanField(default=False)),
                (
                    "golden_set",
                    models.CharField(
                        blank=True, db_default="", default="", help_text="Which dataset; none: the usual", max_length=60
                    ),
                ),
                (
                    "settled_by",
                    models.CharField(
                        choices=[
                            ("owner", "The owner"),
                            ("single", "One reviewer"),
                            ("unanimous", "All reviewers agree"),
                            ("adjudicated", "Adjudicated"),
                            ("imported", "Imported"),
                        ],
                        max_length=11,
                    ),
                ),
                (
                    "annotation_ids",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(), default=list, size=None
                    ),
                ),
                ("reviewers", models.PositiveSmallIntegerField(default=1)),
                ("rubric_version", models.PositiveIntegerField()),
                ("blind", models.BooleanField(default=False)),
                ("suggestion_seen", models.BooleanField(default=False)),
                ("settled_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("superseded_at", models.DateTimeField(null=True)),
                ("gold_check", models.BooleanField(default=False, help_text="May be served as a known item")),
                (
                    "applied_from",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="applied_to",
                        to="annotations.label",
                    ),
                ),
                (
                    "interaction",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="labels", to="feedback.interaction"
                    ),
                ),
                (
                    "primary_category",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.RESTRICT,
                        related_name="labels",
                        to="annotations.failuremode",
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="labels",
                        to="projects.project",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["project", "-settled_at"], name="label_newest")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("superseded_at__isnull", True)),
                        fields=("interaction",),
                        name="label_one_current",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("settled_by__in", ["owner", "single", "unanimous", "adjudicated", "imported"])
                        ),
                        name="label_settled_how",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="NoteGroup",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=80)),
                ("description", models.CharField(blank=True, max_length=300)),
                ("position", models.PositiveSmallIntegerField(default=0)),
                ("proposed", models.BooleanField(default=False, help_text="By a machine, and not confirmed yet")),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "failure_mode",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="note_groups",
                        to="annotations.failuremode",
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="note_groups",
                        to="projects.project",
                    ),
                ),
            ],
            options={
                "ordering": ["position", "id"],
                "constraints": [models.UniqueConstraint(fields=("project", "name"), name="note_group_name_once")],
            },
        ),
        migrations.CreateModel(
            name="GroupedNote",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("proposed", models.BooleanField(default=False, help_text="By a machine, and not confirmed yet")),
                ("placed_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "annotation",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="note_group",
                        to="annotations.annotation",
                    ),
                ),
                (
                    "placed_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "group",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="notes", to="annotations.notegroup"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Queue",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("slug", models.SlugField(db_index=False, max_length=60)),
                ("name", models.CharField(max_length=120)),
                ("description", models.CharField(blank=True, max_length=300)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("targeted", "Targeted: for finding and fixing"),
                            ("random", "Random sample: for counting"),
                        ],
                        default="targeted",
                        max_length=10,
                    ),
                ),
                ("position", models.PositiveSmallIntegerField(default=0)),
                ("overlap", models.PositiveSmallIntegerField(default=1)),
                ("blind", models.BooleanField(default=False)),
                (
                    "phase",
                    models.CharField(
                        choices=[
                            ("open", "Open coding: notes first, categories later"),
                            ("classify", "Classify: choose from the failure modes"),
                        ],
                        default="classify",
                        max_length=8,
                    ),
                ),
                ("gold_share", models.FloatField(default=0, help_text="Of the claims: known items, served unmarked")),
                (
                    "repeat_share",
                    models.FloatField(default=0, help_text="Of the claims: the reviewer's own items of long ago"),
                ),
                (
                    "calibration_share",
                    models.FloatField(
                        db_default=0,
                        default=0,
                        help_text="Of the items: two or more label them, blind, to see how far they agree",
                    ),
                ),
                ("lease_seconds", models.PositiveIntegerField(default=600)),
                ("sla_min_hours", models.FloatField(default=1)),
                ("sla_max_hours", models.FloatField(default=168)),
                ("paused_at", models.DateTimeField(blank=True, null=True)),
                ("open_to_all", models.BooleanField(default=True)),
                (
                    "topics",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=60), blank=True, default=list, size=None
                    ),
                ),
                (
                    "weights",
                    models.JSONField(
                        blank=True, default=dict, help_text="Points by term where they differ from the default"
                    ),
                ),
                (
                    "lanes",
                    models.JSONField(
                        blank=True, default=dict, help_text="Share of claims by lane; empty for the default"
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1)),
                ("admission", models.BooleanField(default=False)),
                ("admission_below", models.FloatField(default=40)),
                ("admission_p", models.FloatField(default=1)),
                (
                    "capacity_per_day",
                    models.FloatField(blank=True, help_text="Set by a lead; else measured", null=True),
                ),
                ("measured_per_day", models.FloatField(editable=False, null=True)),
                ("measured_at", models.DateTimeField(editable=False, null=True)),
                (
                    "fallback",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="falls_here",
                        to="annotations.queue",
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="queues",
                        to="projects.project",
                    ),
                ),
            ],
            options={
                "ordering": ["position", "id"],
                "constraints": [
                    models.UniqueConstraint(fields=("project", "slug"), name="queue_slug_once"),
                    models.CheckConstraint(
                        condition=models.Q(("admission_p__gt", 0), ("admission_p__lte", 1)),
                        name="queue_admission_is_share",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("capacity_per_day__isnull", True), ("capacity_per_day__gt", 0), _connector="OR"
                        ),
                        name="queue_capacity_positive",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("gold_share__gte", 0),
                            ("gold_share__lte", 0.5),
                            ("repeat_share__gte", 0),
                            ("repeat_share__lte", 0.5),
                        ),
                        name="queue_checks_are_shares",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("calibration_share__gte", 0), ("calibration_share__lte", 0.5)),
                        name="queue_calibration_is_share",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("phase__in", ["open", "classify"])), name="queue_phase_known"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("fallback", models.F("id")), _negated=True),
                        name="queue_no_fallback_to_itself",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("overlap__gte", 1), ("overlap__lte", 9)), name="queue_overlap_range"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("sla_max_hours__gte", models.F("sla_min_hours")), ("sla_min_hours__gt", 0)),
                        name="queue_sla_ordered",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("kind__in", ["targeted", "random"])), name="queue_kind_known"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Audit",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=120)),
                ("since", models.DateTimeField()),
                ("until", models.DateTimeField()),
                ("filters", models.JSONField(default=dict)),
                ("segment_by", models.CharField(blank=True, max_length=40)),
                (
                    "allocation",
                    models.CharField(
                        choices=[("proportional", "In proportion to their size"), ("equal", "The same number of each")],
                        default="proportional",
                        max_length=12,
                    ),
                ),
                ("segments", models.JSONField(default=dict)),
                ("size", models.PositiveIntegerField()),
                (
                    "population",
                    models.PositiveIntegerField(default=0, help_text="How many interactions the sample stands for"),
                ),
                ("seed", models.CharField(max_length=60)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("signed_at", models.DateTimeField(null=True)),
                ("statement", models.TextField(blank=True)),
                ("result", models.JSONField(null=True)),
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
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="audits",
                        to="projects.project",
                    ),
                ),
                (
                    "signed_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "queue",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.RESTRICT, related_name="audits", to="annotations.queue"
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["project", "-created_at"], name="audit_newest")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("until__gt", models.F("since"))), name="audit_period_ordered"
                    ),
                    models.CheckConstraint(condition=models.Q(("size__gte", 1)), name="audit_size_positive"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("signed_at__isnull", True), ("signed_by__isnull", True)),
                            models.Q(("signed_at__isnull", False), ("signed_by__isnull", False)),
                            _connector="OR",
                        ),
                        name="audit_signed_by_somebody",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("result__isnull", True), ("signed_at__isnull", True)),
                            models.Q(
                                ("result__isnull", False),
                                ("signed_at__isnull", False),
                                models.Q(("statement", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="audit_signed_with_figures",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("allocation__in", ["proportional", "equal"])), name="audit_allocation_known"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="QueueMember",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "topics",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=60), blank=True, default=list, size=None
                    ),
                ),
                (
                    "queue",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="memberships",
                        to="annotations.queue",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="queue_memberships",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={"constraints": [models.UniqueConstraint(fields=("queue", "user"), name="queue_member_once")]},
        ),
        migrations.AddField(
            model_name="queue",
            name="members",
            field=models.ManyToManyField(
                related_name="review_queues", through="annotations.QueueMember", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.CreateModel(
            name="Rubric",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("version", models.PositiveIntegerField()),
                (
                    "snapshot",
                    models.JSONField(help_text="The failure modes as they were, retired ones with where they went"),
                ),
                ("note", models.CharField(blank=True, help_text="What changed and why", max_length=300)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
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
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="rubrics",
                        to="projects.project",
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("project", "version"), name="rubric_version_once")]
            },
        ),
        migrations.AddField(
            model_name="annotation",
            name="rubric",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.RESTRICT, related_name="annotations", to="annotations.rubric"
            ),
        ),
        migrations.CreateModel(
            name="Task",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("open", "Open"),
                            ("done", "Done"),
                            ("disputed", "Reviewers differ"),
                            ("dropped", "Dropped"),
                            ("shed", "Not let in: the queue is overloaded"),
                        ],
                        default="open",
                        max_length=8,
                    ),
                ),
                (
                    "lane",
                    models.CharField(
                        choices=[
                            ("risk", "Risk"),
                            ("random", "Random sample"),
                            ("calibration", "Calibration"),
                            ("escalated", "Escalated"),
                        ],
                        max_length=11,
                    ),
                ),
                (
                    "purpose",
                    models.CharField(
                        choices=[
                            ("review", "Review"),
                            ("audit", "Audit"),
                            ("gold", "Gold check"),
                            ("repeat", "Self-consistency"),
                        ],
                        default="review",
                        max_length=6,
                    ),
                ),
                ("needed", models.PositiveSmallIntegerField(default=1)),
                ("taken", models.PositiveSmallIntegerField(default=0, help_text="Live leases and submitted votes")),
                ("score", models.FloatField(default=0)),
                ("terms", models.JSONField(default=list, help_text="The score by terms")),
                ("reasons", models.JSONField(default=list)),
                ("enqueued_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("due_at", models.DateTimeField()),
                ("sampled", models.BooleanField(default=False)),
                ("inclusion_p", models.FloatField(null=True)),
                ("seed", models.CharField(blank=True, max_length=60)),
                ("draws", models.JSONField(default=list)),
                ("certain", models.BooleanField(default=False)),
                ("admission_p", models.FloatField(null=True)),
                ("rule_version", models.PositiveIntegerField(null=True)),
                ("queue_version", models.PositiveIntegerField(default=1)),
                ("topic", models.CharField(blank=True, help_text="What somebody must know to judge it", max_length=60)),
                ("escalated_at", models.DateTimeField(null=True)),
                ("escalation_note", models.TextField(blank=True)),
                ("done_at", models.DateTimeField(null=True)),
                ("skips", models.PositiveSmallIntegerField(default=0)),
                (
                    "assigned_to",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="assigned_tasks",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "escalated_by",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "interaction",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="tasks", to="feedback.interaction"
                    ),
                ),
                (
                    "known",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="gold_checks",
                        to="annotations.label",
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="tasks", to="projects.project"
                    ),
                ),
                (
                    "queue",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.RESTRICT,
                        related_name="tasks",
                        to="annotations.queue",
                    ),
                ),
                (
                    "repeats",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="repeated_by",
                        to="annotations.annotation",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        models.F("queue"),
                        models.F("lane"),
                        models.F("due_at"),
                        models.F("id"),
                        condition=models.Q(("state", "open"), ("taken__lt", models.F("needed"))),
                        name="task_claimable_lane",
                    ),
                    models.Index(
                        condition=models.Q(("assigned_to__isnull", False), ("state", "open")),
                        fields=["assigned_to", "queue"],
                        name="task_assigned",
                    ),
                    models.Index(condition=models.Q(("known__isnull", False)), fields=["known"], name="task_known"),
                    models.Index(
                        condition=models.Q(("repeats__isnull", False)), fields=["repeats"], name="task_repeats"
                    ),
                    models.Index(
                        condition=models.Q(("state", "open")), fields=["queue", "enqueued_at"], name="task_backlog"
                    ),
                    models.Index(
                        condition=models.Q(("sampled", True)), fields=["project", "enqueued_at"], name="task_sampled"
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("purpose__in", ["review", "audit"])),
                        fields=("queue", "interaction"),
                        name="task_once_per_queue",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("purpose__in", ["review", "audit"]), ("state", "open")),
                        fields=("interaction",),
                        name="task_one_open",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("purpose__in", ["gold", "repeat"]), ("state", "open")),
                        fields=("interaction", "assigned_to"),
                        name="task_one_check_open",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("assigned_to__isnull", False),
                                ("known__isnull", False),
                                ("purpose", "gold"),
                                ("repeats__isnull", True),
                            ),
                            models.Q(
                                ("assigned_to__isnull", False),
                                ("known__isnull", True),
                                ("purpose", "repeat"),
                                ("repeats__isnull", False),
                            ),
                            models.Q(
                                ("known__isnull", True), ("purpose__in", ["review", "audit"]), ("repeats__isnull", True)
                            ),
                            _connector="OR",
                        ),
                        name="task_purpose_says_what_it_is_held_against",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("done_at__isnull", True), ("state", "open")),
                            models.Q(models.Q(("state", "open"), _negated=True), ("done_at__isnull", False)),
                            _connector="OR",
                        ),
                        name="task_ended_iff_not_open",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("taken__lte", models.F("needed"))), name="task_never_overfull"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("score__gte", 0), ("score__lte", 100)), name="task_score_range"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("sampled", False),
                            models.Q(("inclusion_p__gt", 0), ("inclusion_p__isnull", False), ("inclusion_p__lte", 1)),
                            _connector="OR",
                        ),
                        name="task_sampled_with_p",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("state__in", ["open", "done", "disputed", "dropped", "shed"])),
                        name="task_state_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("lane__in", ["risk", "random", "calibration", "escalated"])),
                        name="task_lane_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("admission_p__isnull", True),
                            models.Q(("admission_p__gt", 0), ("admission_p__lte", 1)),
                            _connector="OR",
                        ),
                        name="task_admission_is_share",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("escalated_at__isnull", False), ("lane", "escalated")),
                            models.Q(("lane", "escalated"), _negated=True),
                            _connector="OR",
                        ),
                        name="task_escalated_with_time",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Question",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("text", models.TextField()),
                (
                    "waiting_for",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(),
                        default=list,
                        help_text="Reviewers who have not answered",
                        size=None,
                    ),
                ),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("closed_at", models.DateTimeField(null=True)),
                (
                    "asked_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "task",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="questions", to="annotations.task"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("closed_at__isnull", True)), fields=("task",), name="question_one_open"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("text", ""), _negated=True), name="question_says_something"
                    ),
                ]
            },
        ),
        migrations.AddField(
            model_name="label",
            name="task",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="labels", to="annotations.task"
            ),
        ),
        migrations.AddField(
            model_name="claim",
            name="task",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="claims", to="annotations.task"
            ),
        ),
        migrations.CreateModel(
            name="AuditItem",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("segment", models.CharField(blank=True, max_length=200)),
                ("inclusion_p", models.FloatField()),
                (
                    "audit",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="items",
                        to="annotations.audit",
                    ),
                ),
                (
                    "interaction",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="feedback.interaction"
                    ),
                ),
                (
                    "task",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="audit_items",
                        to="annotations.task",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("audit", "interaction"), name="audit_item_once"),
                    models.CheckConstraint(
                        condition=models.Q(("inclusion_p__gt", 0), ("inclusion_p__lte", 1)),
                        name="audit_item_p_is_probability",
                    ),
                ]
            },
        ),
        migrations.AddField(
            model_name="annotation",
            name="task",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="annotations", to="annotations.task"
            ),
        ),
        migrations.CreateModel(
            name="Adjudication",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "cause",
                    models.CharField(
                        choices=[
                            ("ambiguous_text", "The text can be read both ways"),
                            ("guideline_gap", "The guide does not say"),
                            ("annotator_error", "A slip"),
                            ("edge_case", "A borderline case"),
                            ("subjective_disagreement", "A matter of judgement"),
                            ("other", "Something else"),
                        ],
                        max_length=23,
                    ),
                ),
                ("reason", models.TextField()),
                ("guide_note", models.TextField(blank=True, help_text="What the guide should say from now on")),
                ("guide_done_at", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "adjudicator",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="adjudications",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "chosen",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="annotations.annotation",
                    ),
                ),
                (
                    "label",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="adjudication", to="annotations.label"
                    ),
                ),
                (
                    "task",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="adjudications", to="annotations.task"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "cause__in",
                                [
                                    "ambiguous_text",
                                    "guideline_gap",
                                    "annotator_error",
                                    "edge_case",
                                    "subjective_disagreement",
                                    "other",
                                ],
                            )
                        ),
                        name="adjudication_cause_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True), name="adjudication_has_reason"
                    ),
                ]
            },
        ),
        migrations.CreateModel(
            name="TriageRule",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("slug", models.SlugField(db_index=False, max_length=60)),
                ("name", models.CharField(max_length=120)),
                ("condition", models.JSONField()),
                (
                    "action",
                    models.CharField(
                        choices=[
                            ("queue", "Put in a queue"),
                            ("force", "Put in a queue, first of all"),
                            ("cap", "Limit the score"),
                            ("drop", "Keep out of every queue"),
                        ],
                        default="queue",
                        max_length=5,
                    ),
                ),
                ("severity", models.FloatField(blank=True, help_text="0 to 1; adds to the severity term", null=True)),
                (
                    "cap",
                    models.FloatField(blank=True, help_text="The highest score that matching items get", null=True),
                ),
                (
                    "sampling",
                    models.CharField(
                        choices=[
                            ("all", "Every one"),
                            ("random", "A random share"),
                            ("stratified", "A share of each group, with a minimum"),
                            ("uncertainty", "More of what the judge is unsure of"),
                            ("disagreement", "More of what users and judges differ on"),
                            ("novelty", "More of what is new"),
                        ],
                        default="all",
                        max_length=12,
                    ),
                ),
                ("rate", models.FloatField(default=1.0, help_text="Share of matching items that are drawn")),
                (
                    "strata",
                    models.CharField(blank=True, help_text="The field whose values are the groups", max_length=40),
                ),
                (
                    "quota_per_week",
                    models.PositiveIntegerField(blank=True, help_text="At least so many of each group", null=True),
                ),
                ("version", models.PositiveIntegerField(default=1)),
                ("position", models.PositiveSmallIntegerField(default=0)),
                ("enabled", models.BooleanField(default=True)),
                ("changed_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="triage_rules",
                        to="projects.project",
                    ),
                ),
                (
                    "queue",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="rules",
                        to="annotations.queue",
                    ),
                ),
            ],
            options={
                "ordering": ["position", "id"],
                "constraints": [
                    models.UniqueConstraint(fields=("project", "slug"), name="rule_slug_once"),
                    models.CheckConstraint(
                        condition=models.Q(("rate__gt", 0), ("rate__lte", 1)), name="rule_rate_is_share"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("action__in", ["queue", "force"]), ("queue__isnull", False)),
                            models.Q(("action__in", ["cap", "drop"]), ("queue__isnull", True)),
                            _connector="OR",
                        ),
                        name="rule_queue_iff_it_routes",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("action", "cap"), ("cap__gte", 0), ("cap__isnull", False), ("cap__lte", 100)),
                            models.Q(models.Q(("action", "cap"), _negated=True), ("cap__isnull", True)),
                            _connector="OR",
                        ),
                        name="rule_cap_iff_it_caps",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("severity__isnull", True),
                            models.Q(("severity__gte", 0), ("severity__lte", 1)),
                            _connector="OR",
                        ),
                        name="rule_severity_is_share",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("sampling__in", ["all", "random", "stratified", "uncertainty", "disagreement", "novelty"])
                        ),
                        name="rule_sampling_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("quota_per_week__isnull", False),
                                ("sampling", "stratified"),
                                models.Q(("strata", ""), _negated=True),
                            ),
                            models.Q(
                                models.Q(("sampling", "stratified"), _negated=True),
                                ("quota_per_week__isnull", True),
                                ("strata", ""),
                            ),
                            _connector="OR",
                        ),
                        name="rule_strata_iff_stratified",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="TriageRevision",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("version", models.PositiveIntegerField()),
                ("snapshot", models.JSONField()),
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
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="triage_revisions",
                        to="projects.project",
                    ),
                ),
                (
                    "queue",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="revisions",
                        to="annotations.queue",
                    ),
                ),
                (
                    "rule",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="revisions",
                        to="annotations.triagerule",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("rule__isnull", False)),
                        fields=("rule", "version"),
                        name="revision_of_rule_once",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("queue__isnull", False)),
                        fields=("queue", "version"),
                        name="revision_of_queue_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("queue__isnull", True), ("rule__isnull", False)),
                            models.Q(("queue__isnull", False), ("rule__isnull", True)),
                            _connector="OR",
                        ),
                        name="revision_of_one_thing",
                    ),
                ]
            },
        ),
        migrations.AddField(
            model_name="task",
            name="rule",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="tasks",
                to="annotations.triagerule",
            ),
        ),
        migrations.CreateModel(
            name="StratumRate",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("stratum", models.CharField(max_length=200)),
                ("rate", models.FloatField()),
                ("seen_per_week", models.PositiveIntegerField(default=0)),
                ("set_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "rule",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="stratum_rates",
                        to="annotations.triagerule",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("rule", "stratum"), name="stratum_once_per_rule"),
                    models.CheckConstraint(
                        condition=models.Q(("rate__gt", 0), ("rate__lte", 1)), name="stratum_rate_is_share"
                    ),
                ]
            },
        ),
        migrations.CreateModel(
            name="Backfill",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("leased_until", models.DateTimeField(editable=False, null=True)),
                ("fence", models.BigIntegerField(default=0, editable=False)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("rule_version", models.PositiveIntegerField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("running", "Running"),
                            ("done", "Done"),
                            ("stopped", "Stopped"),
                            ("failed", "Failed"),
                        ],
                        default="running",
                        max_length=7,
                    ),
                ),
                ("since", models.DateTimeField(help_text="Only what happened from then on", null=True)),
                ("newest", models.BigIntegerField()),
                ("reached_at", models.DateTimeField(null=True)),
                ("reached_id", models.BigIntegerField(null=True)),
                ("total", models.PositiveIntegerField(help_text="Interactions to look at")),
                ("seen", models.PositiveIntegerField(default=0)),
                ("matched", models.PositiveIntegerField(default=0)),
                ("made", models.PositiveIntegerField(default=0, help_text="New tasks")),
                ("reason", models.CharField(blank=True, help_text="Why it ended early", max_length=200)),
                ("started_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="backfills", to="projects.project"
                    ),
                ),
                (
                    "started_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "rule",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="backfills",
                        to="annotations.triagerule",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state", "running")), fields=("rule",), name="backfill_one_running_per_rule"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("state__in", ["running", "done", "stopped", "failed"])),
                        name="backfill_state_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("ended_at__isnull", True), ("state", "running")),
                            models.Q(models.Q(("state", "running"), _negated=True), ("ended_at__isnull", False)),
                            _connector="OR",
                        ),
                        name="backfill_ended_iff_not_running",
                    ),
                ]
            },
        ),
        migrations.CreateModel(
            name="Turn",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("claims", models.PositiveIntegerField(default=0)),
                (
                    "clusters",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(),
                        default=list,
                        help_text="Of the last three items, newest first; 0 for none",
                        size=None,
                    ),
                ),
                (
                    "queue",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="turns", to="annotations.queue"
                    ),
                ),
                (
                    "reviewer",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="turns",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("reviewer", "queue"), name="turn_once_per_queue")]
            },
        ),
        migrations.AddIndex(
            model_name="claim", index=models.Index(fields=["reviewer", "task"], name="claim_of_reviewer")
        ),
        migrations.AddConstraint(
            model_name="claim",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state__in", ["leased", "submitted", "skipped", "snoozed"])),
                fields=("reviewer", "task"),
                name="claim_once_per_reviewer",
            ),
        ),
        migrations.AddConstraint(
            model_name="annotation",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "counted")), fields=("task", "reviewer"), name="annotation_one_vote_counts"
            ),
        ),
    ]
