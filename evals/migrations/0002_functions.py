"""What PostgreSQL keeps of datasets and judges that are in use."""

from django.db import migrations

FROZEN = """
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

FROZEN_BACK = """
DROP TRIGGER frozen_example_guard ON evals_example;
DROP FUNCTION frozen_example_guard();
DROP TRIGGER frozen_version_guard ON evals_datasetversion;
DROP FUNCTION frozen_version_guard();
"""


QUESTION = """
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

QUESTION_BACK = """
DROP TRIGGER judge_used_guard ON evals_judge;
DROP FUNCTION judge_used_guard();
"""


EXAMPLES = """
CREATE FUNCTION judge_examples_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.examples IS DISTINCT FROM NEW.examples THEN
    RAISE EXCEPTION 'the examples of judge % v% cannot change', OLD.slug, OLD.version
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER judge_examples_guard BEFORE UPDATE ON evals_judge
  FOR EACH ROW EXECUTE FUNCTION judge_examples_guard();
"""

EXAMPLES_BACK = """
DROP TRIGGER judge_examples_guard ON evals_judge;
DROP FUNCTION judge_examples_guard();
"""


KIND = """
CREATE FUNCTION judge_kind_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.kind IS DISTINCT FROM NEW.kind THEN
    RAISE EXCEPTION 'the kind of judge % v% cannot change', OLD.slug, OLD.version
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER judge_kind_guard BEFORE UPDATE ON evals_judge FOR EACH ROW EXECUTE FUNCTION judge_kind_guard();
"""

KIND_BACK = """
DROP TRIGGER judge_kind_guard ON evals_judge;
DROP FUNCTION judge_kind_guard();
"""


class Migration(migrations.Migration):
    replaces = [
        ("evals", "0003_frozen_means_frozen"),
        ("evals", "0005_judge_keeps_its_question"),
        ("evals", "0012_judge_keeps_its_examples"),
        ("evals", "0013_judge_may_compare"),
    ]
    dependencies = [("evals", "0001_squashed")]
    operations = [
        migrations.RunSQL(FROZEN, FROZEN_BACK),
        migrations.RunSQL(QUESTION, QUESTION_BACK),
        migrations.RunSQL(EXAMPLES, EXAMPLES_BACK),
        migrations.RunSQL(KIND, KIND_BACK),
    ]
