from django.db import migrations

FORWARD = """
CREATE FUNCTION judge_used_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (OLD.project_id, OLD.slug, OLD.version, OLD.criterion, OLD.provider, OLD.connection_id, OLD.model, OLD.threshold)
     IS DISTINCT FROM
     (NEW.project_id, NEW.slug, NEW.version, NEW.criterion, NEW.provider, NEW.connection_id, NEW.model, NEW.threshold)
     AND EXISTS (SELECT 1 FROM evals_judgejob WHERE judge_id = OLD.id) THEN
    RAISE EXCEPTION 'judge % v% has jobs; what it asks cannot change', OLD.slug, OLD.version
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER judge_used_guard BEFORE UPDATE ON evals_judge FOR EACH ROW EXECUTE FUNCTION judge_used_guard();
"""
BACKWARD = """
DROP TRIGGER judge_used_guard ON evals_judge;
DROP FUNCTION judge_used_guard();
"""


class Migration(migrations.Migration):
    dependencies = [("evals", "0004_keys_sort_bytewise")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
