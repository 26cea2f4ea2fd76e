"""What PostgreSQL does when an interaction arrives."""

from django.db import migrations

# What an interaction finds when it arrives: feedback and scores that came before it. They are linked, and all of it
# is put into the inbox. A function, because each of its statements sees what was committed before that statement,
# which the parts of one statement do not, and because its plans are kept.
ARRIVED = """
CREATE FUNCTION feedback_interaction_arrived(
  of_project bigint, arrived bigint, named text,
  interaction_stages text[], feedback_stages text[], score_stages text[],
  OUT linked_feedback integer, OUT linked_scores integer
) LANGUAGE plpgsql AS $$
DECLARE
  found bigint[];
BEGIN
  INSERT INTO feedback_inbox (stage, kind, project_id, object_id, failures)
  SELECT stage, 'interaction', of_project, arrived, 0 FROM unnest(interaction_stages) AS stage;

  WITH linked AS (
    UPDATE feedback_feedback SET interaction_id = arrived
    WHERE project_id = of_project AND interaction_external_id = named AND interaction_id IS NULL RETURNING id
  ) SELECT array_agg(id ORDER BY id) INTO found FROM linked;
  linked_feedback := coalesce(cardinality(found), 0);
  IF linked_feedback > 0 THEN
    INSERT INTO feedback_inbox (stage, kind, project_id, object_id, failures)
    SELECT stage, 'feedback', of_project, fact, 0 FROM unnest(feedback_stages) AS stage, unnest(found) AS fact;
  END IF;

  WITH linked AS (
    UPDATE feedback_score SET interaction_id = arrived
    WHERE project_id = of_project AND interaction_external_id = named AND interaction_id IS NULL RETURNING id
  ) SELECT array_agg(id ORDER BY id) INTO found FROM linked;
  linked_scores := coalesce(cardinality(found), 0);
  IF linked_scores > 0 THEN
    INSERT INTO feedback_inbox (stage, kind, project_id, object_id, failures)
    SELECT stage, 'score', of_project, fact, 0 FROM unnest(score_stages) AS stage, unnest(found) AS fact;
  END IF;
END
$$
"""


class Migration(migrations.Migration):
    replaces = [
        ("feedback", "0014_arrival_in_one_statement"),
    ]
    dependencies = [("feedback", "0001_squashed")]
    operations = [
        migrations.RunSQL(
            ARRIVED, "DROP FUNCTION feedback_interaction_arrived(bigint, bigint, text, text[], text[], text[])"
        ),
    ]
