from django.db import migrations, models

# What somebody has put their name under stays as it was. Only who made it may be forgotten, with the account.
FORWARD = """
CREATE FUNCTION audit_signed_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.signed_at IS NOT NULL THEN
    IF TG_OP = 'DELETE' AND current_setting('reviewhub.removing_project', true) = 'yes' THEN
      RETURN OLD;  -- projects.services.remove_project says so for its own transaction
    END IF;
    IF TG_OP = 'DELETE' OR to_jsonb(NEW) - 'created_by_id' IS DISTINCT FROM to_jsonb(OLD) - 'created_by_id' THEN
      RAISE EXCEPTION 'audit % is signed', OLD.id USING ERRCODE = 'integrity_constraint_violation';
    END IF;
  END IF;
  RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER audit_signed_guard BEFORE UPDATE OR DELETE ON annotations_audit
  FOR EACH ROW EXECUTE FUNCTION audit_signed_guard();
"""
BACKWARD = """
DROP TRIGGER audit_signed_guard ON annotations_audit;
DROP FUNCTION audit_signed_guard();
"""


class Migration(migrations.Migration):
    dependencies = [("annotations", "0014_calibration_share")]
    operations = [
        migrations.AddField(
            model_name="audit",
            name="allocation",
            field=models.CharField(
                choices=[("proportional", "In proportion to their size"), ("equal", "The same number of each")],
                default="proportional",
                max_length=12,
            ),
        ),
        migrations.AddField(model_name="audit", name="result", field=models.JSONField(null=True)),
        migrations.AddField(model_name="audit", name="segments", field=models.JSONField(default=dict)),
        migrations.AddConstraint(
            model_name="audit",
            constraint=models.CheckConstraint(
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
        ),
        migrations.AddConstraint(
            model_name="audit",
            constraint=models.CheckConstraint(
                condition=models.Q(("allocation__in", ["proportional", "equal"])), name="audit_allocation_known"
            ),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
