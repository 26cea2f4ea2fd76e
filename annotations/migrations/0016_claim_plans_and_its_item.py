from django.db import migrations

# PostgreSQL takes a new plan at each call for as long as it believes that knowing the values is worth it, and for the
# claim it always does: 0.4 of its 0.5 ms went into planning (20,000 open tasks). Its indexes are fixed anyway.
PLANS = """
ALTER FUNCTION annotations_claim_next(bigint, bigint, text[]) SET plan_cache_mode = force_generic_plan
"""
PLANS_BACK = "ALTER FUNCTION annotations_claim_next(bigint, bigint, text[]) RESET plan_cache_mode"

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


class Migration(migrations.Migration):
    dependencies = [("annotations", "0015_audits_are_signed"), ("feedback", "0001_initial")]
    operations = [
        migrations.RunSQL(PLANS, PLANS_BACK),
        migrations.RunSQL(LEASED, "DROP FUNCTION annotations_leased(bigint)"),
    ]
