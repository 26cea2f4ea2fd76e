"""Drops indexes that hold only what the beginning of another holds; a new database never had them."""

from django.db import migrations

INDEXES = [
    "feedback_feedback_project_id_bc89ab01",
    "feedback_savedview_project_id_97b425b5",
    "feedback_score_project_id_6d5aefb5",
    "feedback_span_interaction_id_23757f8d",
    "feedback_telemetrytrace_project_id_01e709a4",
]


class Migration(migrations.Migration):
    dependencies = [("feedback", "0002_functions")]
    operations = [
        migrations.RunSQL(f"DROP INDEX IF EXISTS {', '.join(INDEXES)}", migrations.RunSQL.noop),
    ]
