from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("projects", "0003_rate_counter")]

    operations = [
        migrations.AddField(
            model_name="apikey",
            name="signing_sealed",
            field=models.TextField(
                blank=True, default="", help_text="Checks interaction tokens that this key has signed"
            ),
            preserve_default=False,
        ),
    ]
