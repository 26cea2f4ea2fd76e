"""Claims and votes in PostgreSQL, and what it keeps of audits."""

from django.db import migrations

# Gives back the slots of leases that have run out; of one queue, or of all where that is NULL.
EXPIRE = """
CREATE FUNCTION annotations_expire_claims(of_queue bigint, at_most integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
  tasks integer;
BEGIN
  WITH gone AS (
    SELECT c.id, c.task_id FROM annotations_claim c JOIN annotations_task t ON t.id = c.task_id
    WHERE c.state = 'leased' AND c.expires_at <= statement_timestamp() AND (of_queue IS NULL OR t.queue_id = of_queue)
    ORDER BY c.expires_at LIMIT at_most
    FOR UPDATE OF t, c SKIP LOCKED
  ), ended AS (
    UPDATE annotations_claim SET state = 'expired', ended_at = statement_timestamp()
    FROM gone WHERE annotations_claim.id = gone.id
  )
  UPDATE annotations_task SET taken = taken - lost.slots
  FROM (SELECT task_id, count(*) AS slots FROM gone GROUP BY task_id) AS lost
  WHERE annotations_task.id = lost.task_id;
  GET DIAGNOSTICS tasks = ROW_COUNT;
  RETURN tasks;
END
$$
"""


# The claim. A function, because each of its statements sees what was committed before that statement began (a second
# tab of the reviewer must see what the first one got), because its plans are kept, and because it is one round trip.
# The planner may only walk the indexes: a table that grew to a million rows before it was analysed would otherwise be
# sorted for each claim. It plans once: PostgreSQL would plan each time anew, 0.4 of 0.5 ms, although the indexes are
# fixed. What is assigned to a reviewer or was put aside by them is little, and found from the person: in the order of
# an index on tasks the planner walks all that waits in the queue (60 ms at 100,000). Returns the claim, or NULL where there is none for this reviewer.
CLAIM = """
CREATE FUNCTION annotations_claim_next(in_queue bigint, for_user bigint, adjudicators text[]) RETURNS bigint
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
  moment timestamptz;
  handed bigint;
  line record;       -- the queue, and what this reviewer is in it
  turn record;       -- how far they have come in it
  adjudicates boolean;
  place integer;     -- of the next claim in the schedule, 0 to 99
  lane text;
  ways text[];
  way text;
  aside record;
  same bigint;       -- the cluster of all of the last three items
  picked bigint;
  item bigint;
BEGIN
  -- A reviewer's tabs claim one after the other, so that the second sees what the first got.
  PERFORM pg_advisory_xact_lock(5392460, (for_user & 2147483647)::integer);
  moment := clock_timestamp();
  IF EXISTS (SELECT FROM annotations_claim WHERE state = 'leased' AND expires_at <= moment) THEN
    PERFORM annotations_expire_claims(in_queue, 20);
  END IF;

  SELECT c.id INTO handed FROM annotations_claim c JOIN annotations_task t ON t.id = c.task_id
  WHERE c.reviewer_id = for_user AND c.state = 'leased' AND c.expires_at > moment
    AND t.queue_id = in_queue AND t.state = 'open'
  ORDER BY c.claimed_at DESC, c.id DESC LIMIT 1;
  IF FOUND THEN
    RETURN handed;
  END IF;

  SELECT q.paused_at, q.open_to_all, q.lease_seconds, q.lanes, m.role, w.id AS membership,
         nullif(w.topics, '{}') AS topics
  INTO line FROM annotations_queue q
  LEFT JOIN projects_membership m ON m.project_id = q.project_id AND m.user_id = for_user
  LEFT JOIN annotations_queuemember w ON w.queue_id = q.id AND w.user_id = for_user
  WHERE q.id = in_queue;
  IF NOT FOUND OR line.paused_at IS NOT NULL OR NOT (line.open_to_all OR line.membership IS NOT NULL) THEN
    RETURN NULL;
  END IF;
  adjudicates := coalesce(line.role = ANY (adjudicators), false);

  -- The lane by this reviewer's number of claims: no counter that reviewers share. Seven and twenty have no common
  -- factor, so that any twenty claims in a row meet every twentieth of the schedule once, in mixed order.
  SELECT t.claims, t.clusters INTO turn FROM annotations_turn t WHERE t.reviewer_id = for_user AND t.queue_id = in_queue;
  place := (coalesce(turn.claims, 0) * 7 % 20) * 5 + coalesce(turn.claims, 0) / 20 % 5;
  IF line.lanes = '{}' THEN
    line.lanes := '{"risk": 60, "random": 20, "calibration": 10, "oldest": 10}';
  END IF;
  lane := CASE
    WHEN place < coalesce((line.lanes ->> 'risk')::float, 0) THEN 'risk'
    WHEN place < coalesce((line.lanes ->> 'risk')::float, 0) + coalesce((line.lanes ->> 'random')::float, 0) THEN 'random'
    WHEN place < 100 - coalesce((line.lanes ->> 'oldest')::float, 0) THEN 'calibration'
    ELSE 'oldest' END;
  IF turn.clusters[1] > 0 AND turn.clusters[1] = turn.clusters[2] AND turn.clusters[1] = turn.clusters[3] THEN
    same := turn.clusters[1];
  END IF;

  ways := ARRAY['assigned', 'snoozed'] || CASE WHEN adjudicates THEN ARRAY['escalated'] ELSE '{}' END
    || lane || array_remove(ARRAY['risk', 'random', 'calibration'], lane) || 'skipped'::text;
  FOREACH way IN ARRAY ways LOOP
    IF way = 'assigned' THEN
      SELECT k.id INTO picked FROM annotations_task k
      WHERE k.assigned_to_id = for_user AND k.queue_id = in_queue AND k.state = 'open' AND k.taken < k.needed
        AND (k.lane <> 'escalated' OR adjudicates)
        AND (SELECT true FROM annotations_claim c WHERE c.reviewer_id = for_user AND c.task_id = k.id
             AND c.state IN ('leased', 'submitted', 'skipped', 'snoozed') LIMIT 1) IS NULL
      ORDER BY k.due_at + interval '0' LIMIT 1 FOR UPDATE OF k SKIP LOCKED;
    ELSIF way IN ('snoozed', 'skipped') THEN
      -- Put off until a time that has come; or skipped, and somebody else has had it since.
      SELECT c.id AS claim, k.id AS task INTO aside
      FROM annotations_claim c JOIN annotations_task k ON k.id = c.task_id
      WHERE c.reviewer_id = for_user AND c.state = way AND c.state IN ('leased', 'skipped', 'snoozed')
        AND (way = 'skipped' OR c.snoozed_until <= moment)
        AND (way = 'snoozed' OR EXISTS (SELECT FROM annotations_claim o WHERE o.task_id = c.task_id
             AND o.reviewer_id <> for_user AND o.claimed_at > c.ended_at))
        AND k.queue_id = in_queue AND k.state = 'open' AND k.taken < k.needed
        AND (k.lane <> 'escalated' OR adjudicates) AND (k.assigned_to_id IS NULL OR k.assigned_to_id = for_user)
      ORDER BY k.due_at + interval '0' LIMIT 1 FOR UPDATE OF k SKIP LOCKED;
      picked := NULL;
      IF FOUND THEN
        UPDATE annotations_claim SET state = 'released' WHERE id = aside.claim;
        picked := aside.task;
      END IF;
    ELSIF way = 'oldest' THEN
      SELECT k.id INTO picked FROM annotations_task k
      WHERE k.queue_id = in_queue AND k.state = 'open' AND k.taken < k.needed
        AND k.lane <> 'escalated' AND k.assigned_to_id IS NULL
        AND (line.topics IS NULL OR k.topic = '' OR k.topic = ANY (line.topics))
        AND (SELECT true FROM annotations_claim c WHERE c.reviewer_id = for_user AND c.task_id = k.id
             AND c.state IN ('leased', 'submitted', 'skipped', 'snoozed') LIMIT 1) IS NULL
      ORDER BY k.enqueued_at LIMIT 1 FOR UPDATE OF k SKIP LOCKED;
    ELSE
      picked := NULL;
      IF same IS NOT NULL THEN
        -- Three of one cluster in a row: something else, if one of the next five is. Read first and locked after,
        -- so that nobody finds the queue empty because somebody is looking ahead.
        SELECT next.id INTO picked FROM (
          SELECT k.id, k.interaction_id, k.due_at FROM annotations_task k
          WHERE k.queue_id = in_queue AND k.lane = way AND k.state = 'open' AND k.taken < k.needed
            AND (k.assigned_to_id IS NULL OR k.assigned_to_id = for_user)
            AND (line.topics IS NULL OR k.topic = '' OR k.topic = ANY (line.topics))
            AND (SELECT true FROM annotations_claim c WHERE c.reviewer_id = for_user AND c.task_id = k.id
                 AND c.state IN ('leased', 'submitted', 'skipped', 'snoozed') LIMIT 1) IS NULL
          ORDER BY k.due_at, k.id LIMIT 5
        ) next LEFT JOIN annotations_clustermember m ON m.interaction_id = next.interaction_id
        ORDER BY m.cluster_id IS NOT DISTINCT FROM same, next.due_at, next.id LIMIT 1;
        SELECT k.id INTO picked FROM annotations_task k
        WHERE k.id = picked AND k.queue_id = in_queue AND k.state = 'open' AND k.taken < k.needed
        FOR UPDATE OF k SKIP LOCKED;
      END IF;
      IF picked IS NULL THEN
        SELECT k.id INTO picked FROM annotations_task k
        WHERE k.queue_id = in_queue AND k.lane = way AND k.state = 'open' AND k.taken < k.needed
          AND (k.assigned_to_id IS NULL OR k.assigned_to_id = for_user)
          AND (line.topics IS NULL OR k.topic = '' OR k.topic = ANY (line.topics))
          AND (SELECT true FROM annotations_claim c WHERE c.reviewer_id = for_user AND c.task_id = k.id
               AND c.state IN ('leased', 'submitted', 'skipped', 'snoozed') LIMIT 1) IS NULL
        ORDER BY k.due_at, k.id LIMIT 1 FOR UPDATE OF k SKIP LOCKED;
      END IF;
    END IF;
    EXIT WHEN picked IS NOT NULL;
  END LOOP;
  IF picked IS NULL THEN
    RETURN NULL;
  END IF;

  UPDATE annotations_task SET taken = taken + 1 WHERE id = picked RETURNING interaction_id INTO item;
  INSERT INTO annotations_claim (task_id, reviewer_id, token, state, claimed_at, expires_at, draft, draft_at, skip_reason)
  SELECT picked, for_user, gen_random_uuid(), 'leased', moment, moment + make_interval(secs => line.lease_seconds),
         earlier.draft, earlier.draft_at, ''
  FROM (VALUES (true)) AS one
  LEFT JOIN (SELECT c.draft, c.draft_at FROM annotations_claim c
             WHERE c.reviewer_id = for_user AND c.task_id = picked AND c.draft IS NOT NULL
             ORDER BY c.draft_at DESC LIMIT 1) AS earlier ON true
  RETURNING id INTO handed;
  INSERT INTO annotations_turn AS t (reviewer_id, queue_id, claims, clusters)
  VALUES (for_user, in_queue, 1,
          ARRAY[coalesce((SELECT m.cluster_id FROM annotations_clustermember m WHERE m.interaction_id = item), 0)])
  ON CONFLICT (reviewer_id, queue_id) DO UPDATE
  SET claims = t.claims + 1, clusters = (excluded.clusters || t.clusters)[1:3];
  RETURN handed;
END
$$
"""


# A lease with all that belongs to it, for the statement that has just made it: the statement itself does not see what
# its functions have stored, but a volatile function does.
LEASED = """
CREATE FUNCTION annotations_leased(claim bigint)
RETURNS TABLE (c annotations_claim, t annotations_task, q annotations_queue, i feedback_interaction)
LANGUAGE sql VOLATILE ROWS 1 AS $$
  SELECT c, t, q, i FROM annotations_claim c
  JOIN annotations_task t ON t.id = c.task_id
  JOIN annotations_queue q ON q.id = t.queue_id
  JOIN feedback_interaction i ON i.id = t.interaction_id
  WHERE c.id = claim
$$
"""


# The only vote of a task that needs one, with the label that it settles. The rows are made by the application
# (``settlement.store_alone``) from what it read a moment ago; here, with the task held, it is seen whether that still
# holds. If not, both results are NULL and nothing has happened. A function, because each of its statements sees what
# was committed before that statement began, and because it is one round trip.
STORE_ALONE = """
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


# What somebody has put their name under stays as it was. Only who made it may be forgotten, with the account.
SIGNED = """
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

SIGNED_BACK = """
DROP TRIGGER audit_signed_guard ON annotations_audit;
DROP FUNCTION audit_signed_guard();
"""


class Migration(migrations.Migration):
    replaces = [
        ("annotations", "0007_one_statement_per_claim"),
        ("annotations", "0016_claim_plans_and_its_item"),
        ("annotations", "0011_one_statement_per_vote"),
        ("annotations", "0015_audits_are_signed"),
    ]
    dependencies = [("annotations", "0001_squashed"), ("feedback", "0001_squashed")]
    operations = [
        migrations.RunSQL(EXPIRE, "DROP FUNCTION annotations_expire_claims(bigint, integer)"),
        migrations.RunSQL(CLAIM, "DROP FUNCTION annotations_claim_next(bigint, bigint, text[])"),
        migrations.RunSQL(LEASED, "DROP FUNCTION annotations_leased(bigint)"),
        migrations.RunSQL(
            STORE_ALONE,
            "DROP FUNCTION annotations_store_alone(jsonb, jsonb, bigint, text, boolean, text, text[])",
        ),
        migrations.RunSQL(SIGNED, SIGNED_BACK),
    ]
