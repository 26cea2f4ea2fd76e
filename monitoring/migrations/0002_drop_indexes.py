"""Drops indexes that hold only what the beginning of another holds; a new database never had them."""

from django.db import migrations

INDEXES = [
    "monitoring_alertrule_project_id_338e02ad",
    "monitoring_metricbucket_project_id_3dd3164b",
]


class Migration(migrations.Migration):
    dependencies = [("monitoring", "0001_squashed")]
    operations = [
        migrations.RunSQL(f"DROP INDEX IF EXISTS {', '.join(INDEXES)}", migrations.RunSQL.noop),
    ]
