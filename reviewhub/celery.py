"""Celery: only a doorbell. Messages carry a name or an id; every piece of work waits in PostgreSQL."""

import os
import sys
from typing import Any

from celery import Celery
from celery.signals import task_postrun, task_prerun
from django.db import close_old_connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "reviewhub.settings")

app = Celery("reviewhub")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

# Celery ends the database connection before and after each task. A new one knows no plan and has read no catalog:
# with a task for every few facts that was half of what PostgreSQL did (137 ms for a trace of 1,000 spans, 65 without).
# They are kept as the web server keeps its own: until they are old, or do not work any more.
app.conf.update(CELERY_DB_REUSE_MAX=sys.maxsize)


@task_prerun.connect
@task_postrun.connect
def _keep_what_works(sender: Any, **_: Any) -> None:
    if not sender.request.is_eager:  # what is called in a transaction goes on in it
        close_old_connections()


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
