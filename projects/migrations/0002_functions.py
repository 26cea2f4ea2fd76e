"""What PostgreSQL keeps of the audit log."""

from django.db import migrations

AUDIT = """
CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON projects_auditentry
  FOR EACH ROW EXECUTE FUNCTION audit_append_only();
"""

AUDIT_BACK = """
DROP TRIGGER audit_append_only ON projects_auditentry;
DROP FUNCTION audit_append_only();
"""


class Migration(migrations.Migration):
    replaces = [
        ("projects", "0002_audit_append_only"),
    ]
    dependencies = [("projects", "0001_squashed")]
    operations = [
        migrations.RunSQL(AUDIT, AUDIT_BACK),
    ]
