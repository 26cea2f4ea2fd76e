"""Drops indexes that hold only what the beginning of another holds; a new database never had them."""

from django.db import migrations

INDEXES = [
    "projects_auditentry_project_id_f9ee1ebb",
    "projects_delivery_webhook_id_bc8782ba",
    "projects_membership_project_id_5f65bf3f",
    "projects_providerconnection_project_id_ebd75535",
]


class Migration(migrations.Migration):
    dependencies = [("projects", "0002_functions")]
    operations = [
        migrations.RunSQL(f"DROP INDEX IF EXISTS {', '.join(INDEXES)}", migrations.RunSQL.noop),
    ]
