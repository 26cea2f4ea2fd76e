import django.db.models.deletion
import django.db.models.expressions
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("annotations", "0015_audits_are_signed"),
        ("evals", "0014_judge_batches"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="example",
            name="example_key_once",
        ),
        migrations.RemoveConstraint(
            model_name="result",
            name="result_once",
        ),
        migrations.AddField(
            model_name="example",
            name="category",
            field=models.GeneratedField(
                db_persist=True,
                expression=django.db.models.expressions.RawSQL(
                    "coalesce(left(expected #>> '{label,category}', 100), '')", ()
                ),
                output_field=models.TextField(),
            ),
        ),
        migrations.AddField(
            model_name="example",
            name="severity",
            field=models.GeneratedField(
                db_persist=True,
                expression=django.db.models.expressions.RawSQL(
                    "\nCASE WHEN (expected #> '{label,severity}')::text ~ '^[0-9]$' THEN (expected #>> '{label,severity}')::smallint END",
                    (),
                ),
                output_field=models.SmallIntegerField(null=True),
            ),
        ),
        migrations.AlterField(
            model_name="example",
            name="version",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="examples",
                to="evals.datasetversion",
            ),
        ),
        migrations.AlterField(
            model_name="result",
            name="run",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="results", to="evals.run"
            ),
        ),
        migrations.AddConstraint(
            model_name="example",
            constraint=models.UniqueConstraint(
                fields=("version", "key"), include=("split", "severity", "category"), name="example_key_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="result",
            constraint=models.UniqueConstraint(
                fields=("run", "example_key", "repeat"),
                include=("passed", "score", "latency_ms", "cost_usd"),
                name="result_once",
            ),
        ),
    ]
