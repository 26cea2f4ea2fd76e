"""What was ``{"signal": "random"}`` is now a rule that everything meets and that draws."""

from django.db import migrations


def forwards(apps, schema_editor):
    rules = apps.get_model("annotations", "TriageRule").objects
    rules.filter(condition={"signal": "random"}).update(condition={"all": []}, sampling="random")
    tasks = apps.get_model("annotations", "Task").objects.filter(state="open", sampled=True)
    for task in tasks.iterator():
        drawn = [reason for reason in task.reasons if reason.get("kind") == "random"]
        task.draws = [
            {
                "rule": reason["rule"], "version": reason.get("rule_version") or 1, "seed": reason["rule"],
                "p": task.inclusion_p, "drawn": True, "counts": True,
            }
            for reason in drawn[:1]
        ]
        task.save(update_fields=["draws"])


def backwards(apps, schema_editor):
    rules = apps.get_model("annotations", "TriageRule").objects
    rules.filter(condition={"all": []}, sampling="random").update(condition={"signal": "random"}, sampling="all")


class Migration(migrations.Migration):
    dependencies = [("annotations", "0003_rules_lanes_clusters")]
    operations = [migrations.RunPython(forwards, backwards)]
