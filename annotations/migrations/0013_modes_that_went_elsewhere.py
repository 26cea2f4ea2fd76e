from django.db import migrations, models
import django.db.models.deletion


class Migration(migrations.Migration):
    dependencies = [("annotations", "0012_indexes_of_tasks")]
    operations = [
        migrations.AddField(
            model_name='failuremode',
            name='counts_as',
            field=models.ForeignKey(blank=True, editable=False, null=True, on_delete=django.db.models.deletion.RESTRICT, related_name='counted_here', to='annotations.failuremode'),
        ),
        migrations.AddField(
            model_name='failuremode',
            name='split_into',
            field=models.ManyToManyField(blank=True, related_name='split_from', to='annotations.failuremode'),
        ),
        migrations.AlterField(
            model_name='annotation',
            name='state',
            field=models.CharField(choices=[('counted', 'Counted'), ('surplus', 'Kept, not counted'), ('retracted', 'Taken back'), ('earlier', 'Counted until its item was opened again')], default='counted', max_length=9),
        ),
        migrations.AlterField(
            model_name='rubric',
            name='snapshot',
            field=models.JSONField(help_text='The failure modes as they were, retired ones with where they went'),
        ),
        migrations.AddConstraint(
            model_name='failuremode',
            constraint=models.CheckConstraint(condition=models.Q(('counts_as__isnull', True), models.Q(('retired_at__isnull', False), models.Q(('counts_as', models.F('id')), _negated=True)), _connector='OR'), name='mode_in_use_counts_as_itself'),
        ),
    ]
