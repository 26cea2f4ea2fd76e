"""Drops indexes that hold only what the beginning of another holds; a new database never had them."""

from django.db import migrations

INDEXES = [
    "evals_dataset_project_id_211035aa",
    "evals_dataset_slug_37dfc6ff",
    "evals_dataset_slug_37dfc6ff_like",
    "evals_datasetversion_dataset_id_6b11abbb",
    "evals_detectorsetting_project_id_cfc8a38c",
    "evals_hygienestep_dataset_id_1f19dc1a",
    "evals_judge_project_id_105ca0cd",
    "evals_judge_slug_7d3dc1d2",
    "evals_judge_slug_7d3dc1d2_like",
    "evals_judgecall_job_id_89bd4408",
    "evals_judgecall_judge_id_ed935b6e",
    "evals_judgejob_judge_id_567a76a6",
    "evals_replay_interaction_id_599c16df",
    "evals_replayattempt_replay_id_fd403a27",
    "evals_run_project_id_048afaad",
    "evals_spend_project_id_24271f66",
]


class Migration(migrations.Migration):
    dependencies = [("evals", "0002_functions")]
    operations = [
        migrations.RunSQL(f"DROP INDEX IF EXISTS {', '.join(INDEXES)}", migrations.RunSQL.noop),
    ]
