"""Celery: only a doorbell. Messages carry a name or an id; every piece of work waits in PostgreSQL."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "reviewhub.settings")

app = Celery("reviewhub")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

# The sweepers: what a lost message left behind is found again within these seconds.
app.conf.beat_schedule = {
    "assemble": {"task": "feedback.assemble", "schedule": 2.0, "options": {"expires": 30}},
    "forget-spans": {"task": "feedback.forget_spans", "schedule": 3600.0, "options": {"expires": 600}},
    "abandoned": {"task": "feedback.find_abandoned", "schedule": 60.0, "options": {"expires": 60}},
    "analyse": {"task": "inbox.analyse", "schedule": 5.0, "options": {"expires": 30}},
    "triage": {"task": "inbox.triage", "schedule": 5.0, "options": {"expires": 30}},
    "measure": {"task": "inbox.measure", "schedule": 10.0, "options": {"expires": 30}},
    "curate": {"task": "inbox.curate", "schedule": 10.0, "options": {"expires": 30}},
    "expire-claims": {"task": "annotations.expire_claims", "schedule": 15.0, "options": {"expires": 30}},
    "backfill": {"task": "annotations.backfill", "schedule": 15.0, "options": {"expires": 30}},
    "clusters": {"task": "annotations.count_clusters", "schedule": 60.0, "options": {"expires": 60}},
    "clusters-fade": {"task": "annotations.fade_clusters", "schedule": 3600.0, "options": {"expires": 600}},
    "measure-queues": {"task": "annotations.measure_queues", "schedule": 600.0, "options": {"expires": 300}},
    "measure-strata": {"task": "annotations.measure_strata", "schedule": 3600.0, "options": {"expires": 600}},
    "judge": {"task": "evals.judge", "schedule": 10.0, "options": {"expires": 30}},
    "batch": {"task": "evals.batch", "schedule": 15.0, "options": {"expires": 30}},
    "watch-judges": {"task": "evals.watch_judges", "schedule": 3600.0, "options": {"expires": 600}},
    "replay": {"task": "evals.replay", "schedule": 10.0, "options": {"expires": 30}},
    "alerts": {"task": "monitoring.evaluate_alerts", "schedule": 30.0, "options": {"expires": 60}},
    "deliveries": {"task": "projects.deliver", "schedule": 10.0, "options": {"expires": 30}},
}
