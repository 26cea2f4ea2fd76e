import django.db.models.deletion
from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [("feedback", "0001_initial"), ("projects", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="TelemetryTrace",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("trace_id", models.CharField(max_length=32)),
                (
                    "rooted",
                    models.BooleanField(default=False, help_text="Whether a span without a parent has come"),
                ),
                ("waiting", models.BooleanField(default=True)),
                ("touched_at", models.DateTimeField(db_default=Now())),
                ("problem", models.CharField(blank=True, max_length=300)),
                (
                    "interaction",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="feedback.interaction",
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.project"
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("waiting", True)), fields=["touched_at"], name="trace_waiting"
                    )
                ],
                "constraints": [models.UniqueConstraint(fields=("project", "trace_id"), name="trace_once")],
            },
        ),
        migrations.CreateModel(
            name="TelemetrySpan",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("span_id", models.CharField(max_length=16)),
                ("rank", models.CharField(max_length=40)),
                ("body", models.JSONField()),
                (
                    "trace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="spans",
                        to="feedback.telemetrytrace",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("trace", "span_id"), name="telemetry_span_once")
                ],
            },
        ),
    ]
