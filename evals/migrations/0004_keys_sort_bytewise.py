"""Exports and checksums go through a version in the order of its keys, so that order may not depend on the
collation of the database: after a restore on another machine the bytes must be the same."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("evals", "0003_frozen_means_frozen")]
    operations = [
        migrations.AlterField("example", "key", models.CharField(max_length=60, db_collation="C")),
        migrations.AlterField("result", "example_key", models.CharField(max_length=60, db_collation="C")),
    ]
