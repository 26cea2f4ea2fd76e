from django.db import migrations

# The only vote of a task that needs one, with the label that it settles. The rows are made by the application
# (``settlement.store_alone``) from what it read a moment ago; here, with the task held, it is seen whether that still
# holds. If not, both results are NULL and nothing has happened. A function, because each of its statements sees what
# was committed before that statement began, and because it is one round trip.
FORWARD = """
CREATE FUNCTION annotations_store_alone(
  vote jsonb, label jsonb, in_queue bigint, in_lane text, is_blind boolean, for_purpose text, stages text[],
  OUT vote_id bigint, OUT label_id bigint
) LANGUAGE plpgsql AS $$
DECLARE
  of_task bigint := vote ->> 'task_id';
  of_interaction bigint := label ->> 'interaction_id';
  of_project bigint := vote ->> 'project_id';
  held bigint := vote ->> 'claim_id';
  moment timestamptz;
BEGIN
  PERFORM FROM annotations_task WHERE id = of_task FOR UPDATE;
  PERFORM FROM annotations_task t
  JOIN annotations_queue q ON q.id = t.queue_id JOIN annotations_claim c ON c.task_id = t.id
  WHERE t.id = of_task AND t.state = 'open' AND t.needed = 1 AND t.purpose = for_purpose AND t.lane = in_lane
    AND q.id = in_queue AND q.blind = is_blind AND c.id = held AND c.state = 'leased'
    AND NOT EXISTS (SELECT FROM annotations_annotation a
                    WHERE a.task_id = of_task AND (a.state = 'counted' OR a.reviewer_id = c.reviewer_id));
  IF NOT FOUND THEN
    RETURN;
  END IF;
  -- Two tasks of one interaction cannot both make its current label.
  SELECT statement_timestamp() INTO moment FROM feedback_interaction WHERE id = of_interaction FOR NO KEY UPDATE;

  UPDATE annotations_claim SET state = 'submitted', ended_at = moment, draft = NULL WHERE id = held;
  vote_id := nextval(pg_get_serial_sequence('annotations_annotation', 'id'));
  INSERT INTO annotations_annotation
  SELECT * FROM jsonb_populate_record(
    NULL::annotations_annotation, vote || jsonb_build_object('id', vote_id, 'created_at', moment));

  UPDATE annotations_label SET superseded_at = moment WHERE interaction_id = of_interaction AND superseded_at IS NULL;
  label_id := nextval(pg_get_serial_sequence('annotations_label', 'id'));
  INSERT INTO annotations_label
  SELECT * FROM jsonb_populate_record(NULL::annotations_label, label || jsonb_build_object(
    'id', label_id, 'settled_at', moment, 'annotation_ids', jsonb_build_array(vote_id)));

  UPDATE annotations_task SET state = 'done', done_at = moment WHERE id = of_task;
  INSERT INTO feedback_inbox (stage, kind, project_id, object_id, failures)
  SELECT stage, 'label', of_project, label_id, 0 FROM unnest(stages) AS stage;
END
$$
"""
BACKWARD = "DROP FUNCTION annotations_store_alone(jsonb, jsonb, bigint, text, boolean, text, text[])"


class Migration(migrations.Migration):
    dependencies = [("annotations", "0010_ask_those_who_labelled_it"), ("feedback", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
