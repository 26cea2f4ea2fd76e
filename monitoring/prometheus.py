"""One project's numbers in the text format of Prometheus.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.db.models import Count, Min, Q, Sum
from django.db.models.functions import Now

from annotations.models import Task
from evals.models import JudgeJob
from feedback import unlinked
from feedback.models import Inbox
from monitoring.buckets import COARSE
from monitoring.models import Alert, MetricBucket
from projects.models import Delivery, Project

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# bucket metric -> the counters of its n and of its total, each with its help
COUNTERS = {
    "requests": (
        ("reviewhub_interactions_total", "Interactions that were measured."),
        ("reviewhub_interaction_errors_total", "Interactions that ended in an error."),
    ),
    "thumbs": (
        ("reviewhub_votes_total", "Thumbs that count now; falls when a vote is taken back."),
        ("reviewhub_votes_down_total", "Thumbs-down that count now."),
    ),
    "cost": (None, ("reviewhub_cost_usd_total", "Known cost of interactions, US dollars.")),
    "latency": (
        ("reviewhub_latency_ms_count", "Interactions with a known latency."),
        ("reviewhub_latency_ms_sum", "Their latencies added up, milliseconds."),
    ),
    "refusal": (
        ("reviewhub_refusal_checked_total", "Interactions that the refusal detector has seen."),
        ("reviewhub_refusals_total", "Interactions that it flagged."),
    ),
    "labels": (("reviewhub_labels_settled_total", "Labels settled."), None),
}
_FALLING = {"reviewhub_votes_total", "reviewhub_votes_down_total", "reviewhub_refusals_total"}

Sample = tuple[Mapping[str, str], float]


def exposition(project: Project) -> str:
    """All families, in nine queries."""
    return "".join(
        [*_inbox(project), *_unlinked(project), *_tasks(project), *_deliveries(project), *_judging(project),
         *_alerts(project), *_counters(project)]
    )  # fmt: skip


def family(name: str, kind: str, text: str, samples: Iterable[Sample]) -> str:
    """One metric with its samples; label values are escaped as the format asks."""
    lines = [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
    for labels, value in samples:
        pairs = ",".join(f'{label}="{_escaped(content)}"' for label, content in labels.items())
        lines.append(f"{name}{{{pairs}}} {value:.15g}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _inbox(project: Project) -> Iterable[str]:
    found = {
        row["stage"]: row
        for row in Inbox.objects.filter(project_id=project.pk)
        .values("stage")
        .annotate(count=Count("pk"), age=Now() - Min("arrived_at"))
    }
    sizes, ages = [], []
    for stage in Inbox.Stage.values:
        labels = {"project": project.slug, "stage": stage}
        row = found.get(stage)
        sizes.append((labels, row["count"] if row else 0))
        ages.append((labels, row["age"].total_seconds() if row else 0))
    yield family("reviewhub_inbox_rows", "gauge", "New facts that a stage has yet to read.", sizes)
    yield family("reviewhub_inbox_oldest_seconds", "gauge", "How long the oldest of them has waited.", ages)


def _unlinked(project: Project) -> Iterable[str]:
    counts = unlinked.counts(project).items()
    samples = [({"project": project.slug, "state": state}, count) for state, count in counts]
    yield family("reviewhub_feedback_unlinked", "gauge", "Feedback whose interaction has not come.", samples)


def _tasks(project: Project) -> Iterable[str]:
    waiting = Q(tasks__state=Task.State.OPEN)
    rows = project.queues.annotate(
        waiting=Count("tasks", filter=waiting), late=Count("tasks", filter=waiting & Q(tasks__due_at__lte=Now()))
    ).values_list("slug", "waiting", "late")
    samples = [({"project": project.slug, "queue": slug}, waiting, late) for slug, waiting, late in rows]
    yield family("reviewhub_tasks_open", "gauge", "Open tasks of a queue.", ((one[0], one[1]) for one in samples))
    yield family("reviewhub_tasks_overdue", "gauge", "Those past their limit.", ((one[0], one[2]) for one in samples))


def _deliveries(project: Project) -> Iterable[str]:
    row = Delivery.objects.filter(webhook__project=project, delivered_at=None, dead_at=None).aggregate(
        count=Count("pk"), age=Now() - Min("created_at")
    )
    labels = {"project": project.slug}
    yield family("reviewhub_deliveries_waiting", "gauge", "Webhook messages on their way.", [(labels, row["count"])])
    age = row["age"].total_seconds() if row["age"] else 0
    yield family("reviewhub_delivery_oldest_seconds", "gauge", "Age of the oldest of them.", [(labels, age)])


def _judging(project: Project) -> Iterable[str]:
    count = JudgeJob.objects.filter(project=project, finished_at=None).count()
    samples: list[Sample] = [({"project": project.slug}, count)]
    yield family("reviewhub_judge_jobs_waiting", "gauge", "Interactions waiting for a judge.", samples)


def _alerts(project: Project) -> Iterable[str]:
    count = Alert.objects.filter(rule__project=project, closed_at=None).count()
    yield family("reviewhub_alerts_open", "gauge", "Alerts that are open.", [({"project": project.slug}, count)])


def _counters(project: Project) -> Iterable[str]:
    rows = MetricBucket.objects.filter(project=project, metric__in=COUNTERS, width=COARSE, dimension="", value="")
    sums = {row["metric"]: row for row in rows.values("metric").annotate(count=Sum("n"), sum=Sum("total"))}
    for metric, names in COUNTERS.items():
        row = sums.get(metric, {"count": 0, "sum": 0.0})
        for entry, value in zip(names, (row["count"], row["sum"]), strict=True):
            if entry:
                name, text = entry
                kind = "gauge" if name in _FALLING else "counter"
                yield family(name, kind, text, [({"project": project.slug}, value)])
