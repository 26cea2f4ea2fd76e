import django.db.models.deletion
from django.db import migrations, models

# What has come is kept: all spans of a trace become one chunk.
CARRY_OVER = """
INSERT INTO feedback_telemetrychunk (trace_id, digest, body)
SELECT trace_id, sha256(convert_to(spans, 'UTF8')), spans
FROM (SELECT trace_id, jsonb_agg(body)::text AS spans FROM feedback_telemetryspan GROUP BY trace_id) AS trace
"""


class Migration(migrations.Migration):
    dependencies = [("feedback", "0011_masked")]

    operations = [
        migrations.AddField(
            model_name="telemetrytrace",
            name="forgotten",
            field=models.BooleanField(default=False, help_text="Whether its spans, as they came, have been removed"),
        ),
        migrations.AddField(
            model_name="telemetrytrace",
            name="service",
            field=models.CharField(blank=True, max_length=200),
        ),
        migrations.AddField(
            model_name="telemetrytrace",
            name="name",
            field=models.CharField(blank=True, help_text="Of its topmost span", max_length=200),
        ),
        migrations.AlterField(
            model_name="telemetrytrace",
            name="problem",
            field=models.CharField(blank=True, help_text="Why it is no interaction, in words", max_length=300),
        ),
        migrations.AlterField(
            model_name="telemetrytrace",
            name="interaction",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="feedback.interaction",
            ),
        ),
        migrations.AddIndex(
            model_name="telemetrytrace",
            index=models.Index(
                fields=["touched_at"],
                name="trace_kept",
                condition=models.Q(("forgotten", False), ("waiting", False)),
            ),
        ),
        migrations.AddIndex(
            model_name="telemetrytrace",
            index=models.Index(
                fields=["project", "-touched_at", "-id"],
                name="trace_unread",
                condition=models.Q(("problem", ""), _negated=True),
            ),
        ),
        migrations.CreateModel(
            name="TelemetryChunk",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("digest", models.BinaryField(help_text="SHA-256 of the body")),
                ("body", models.TextField()),
                (
                    "trace",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="chunks",
                        to="feedback.telemetrytrace",
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("trace", "digest"), name="telemetry_chunk_once")],
            },
        ),
        migrations.RunSQL(CARRY_OVER, migrations.RunSQL.noop),
        migrations.DeleteModel("TelemetrySpan"),
    ]
