from django.conf import settings
from django.db import migrations, models
import django.db.models.deletion


class Migration(migrations.Migration):
    # The indexes of tasks as the models have named them since the claim became one statement.
    dependencies = [
        ("annotations", "0011_one_statement_per_vote"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.RemoveIndex(
            model_name='task',
            name='task_claimable',
        ),
        migrations.AlterField(
            model_name='task',
            name='assigned_to',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='assigned_tasks', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AlterField(
            model_name='task',
            name='escalated_by',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AlterField(
            model_name='task',
            name='known',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='gold_checks', to='annotations.label'),
        ),
        migrations.AlterField(
            model_name='task',
            name='queue',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.RESTRICT, related_name='tasks', to='annotations.queue'),
        ),
        migrations.AlterField(
            model_name='task',
            name='repeats',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='repeated_by', to='annotations.annotation'),
        ),
        migrations.AddIndex(
            model_name='task',
            index=models.Index(condition=models.Q(('known__isnull', False)), fields=['known'], name='task_known'),
        ),
        migrations.AddIndex(
            model_name='task',
            index=models.Index(condition=models.Q(('repeats__isnull', False)), fields=['repeats'], name='task_repeats'),
        ),
    ]
