"""The tables of the app. It replaces what led to them while nothing had been released."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    replaces = [("monitoring", "0001_initial")]
    initial = True
    dependencies = [("projects", "0001_squashed"), migrations.swappable_dependency(settings.AUTH_USER_MODEL)]
    operations = [
        migrations.CreateModel(
            name="AlertRule",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=120)),
                ("metric", models.CharField(max_length=40)),
                ("op", models.CharField(choices=[(">", "above"), ("<", "below")], max_length=1)),
                ("threshold", models.FloatField()),
                ("minutes", models.PositiveIntegerField(default=60, help_text="How long the bound must be crossed")),
                (
                    "min_count",
                    models.PositiveIntegerField(default=20, help_text="Observations needed before it may fire"),
                ),
                (
                    "severity",
                    models.CharField(
                        choices=[("warning", "Warning"), ("critical", "Critical")], default="warning", max_length=8
                    ),
                ),
                ("enabled", models.BooleanField(default=True)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="alert_rules",
                        to="projects.project",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("project", "name"), name="alertrule_name_once"),
                    models.CheckConstraint(condition=models.Q(("op__in", [">", "<"])), name="alertrule_op_known"),
                    models.CheckConstraint(
                        condition=models.Q(("minutes__gte", 5), ("minutes__lte", 10080)), name="alertrule_minutes_range"
                    ),
                ]
            },
        ),
        migrations.CreateModel(
            name="Alert",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("opened_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("closed_at", models.DateTimeField(null=True)),
                ("value", models.FloatField()),
                ("n", models.BigIntegerField(default=0)),
                ("worst", models.FloatField()),
                ("taken_at", models.DateTimeField(null=True)),
                (
                    "taken_by",
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
                        on_delete=django.db.models.deletion.CASCADE, related_name="alerts", to="monitoring.alertrule"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("closed_at__isnull", True)), fields=("rule",), name="alert_one_open"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("closed_at__isnull", True), ("closed_at__gte", models.F("opened_at")), _connector="OR"
                        ),
                        name="alert_closes_later",
                    ),
                ]
            },
        ),
        migrations.CreateModel(
            name="MetricBucket",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("metric", models.CharField(max_length=40)),
                ("width", models.PositiveIntegerField()),
                ("start", models.DateTimeField()),
                ("dimension", models.CharField(blank=True, max_length=20)),
                ("value", models.CharField(blank=True, max_length=200)),
                ("n", models.BigIntegerField(default=0)),
                ("total", models.FloatField(default=0)),
                ("sketch", models.JSONField(null=True)),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="metric_buckets",
                        to="projects.project",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("project", "metric", "width", "dimension", "value", "start"), name="bucket_once"
                    ),
                    models.CheckConstraint(condition=models.Q(("n__gte", 0)), name="bucket_counts_positive"),
                ]
            },
        ),
    ]
