from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('evals', '0015_compare_from_indexes'),
    ]

    operations = [
        migrations.AddField(
            model_name='judge',
            name='recalibrate_since',
            field=models.DateTimeField(help_text='Since when judge_watch says: calibrate it again', null=True),
        ),
    ]
