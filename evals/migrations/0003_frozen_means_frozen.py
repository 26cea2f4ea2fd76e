from django.db import migrations

FORWARD = """
CREATE FUNCTION frozen_version_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.frozen_at IS NOT NULL THEN
    IF TG_OP = 'DELETE' AND current_setting('reviewhub.removing_project', true) = 'yes' THEN
      RETURN OLD;  -- projects.services.remove_project says so for its own transaction
    END IF;
    RAISE EXCEPTION 'version % is frozen', OLD.number USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER frozen_version_guard BEFORE UPDATE OR DELETE ON evals_datasetversion
  FOR EACH ROW EXECUTE FUNCTION frozen_version_guard();

CREATE FUNCTION frozen_example_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  touched bigint := CASE TG_OP WHEN 'DELETE' THEN OLD.version_id ELSE NEW.version_id END;
BEGIN
  IF TG_OP = 'DELETE' AND current_setting('reviewhub.removing_project', true) = 'yes' THEN
    RETURN OLD;
  END IF;
  IF EXISTS (SELECT 1 FROM evals_datasetversion WHERE id = touched AND frozen_at IS NOT NULL)
     OR (TG_OP = 'UPDATE' AND EXISTS (
       SELECT 1 FROM evals_datasetversion WHERE id = OLD.version_id AND frozen_at IS NOT NULL)) THEN
    RAISE EXCEPTION 'the version of this example is frozen' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER frozen_example_guard BEFORE INSERT OR UPDATE OR DELETE ON evals_example
  FOR EACH ROW EXECUTE FUNCTION frozen_example_guard();
"""
BACKWARD = """
DROP TRIGGER frozen_example_guard ON evals_example;
DROP FUNCTION frozen_example_guard();
DROP TRIGGER frozen_version_guard ON evals_datasetversion;
DROP FUNCTION frozen_version_guard();
"""


class Migration(migrations.Migration):
    dependencies = [("evals", "0002_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
