"""Mergeable metric buckets, alert rules and alerts."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from projects.models import Project, User


class MetricBucket(models.Model):
    """What happened in one stretch of time, for all or for one value of one dimension.

    Buckets of the same metric add up: ``n`` observations, their ``total``, and for distributions a sketch
    (see monitoring.sketch). ``width`` is seconds; ``start`` a multiple of it.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="metric_buckets", db_index=False)
    metric = models.CharField(max_length=40)
    width = models.PositiveIntegerField()
    start = models.DateTimeField()
    dimension = models.CharField(max_length=20, blank=True)
    value = models.CharField(max_length=200, blank=True)
    n = models.BigIntegerField(default=0)
    total = models.FloatField(default=0)
    sketch = models.JSONField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "metric", "width", "dimension", "value", "start"], name="bucket_once"
            ),
            models.CheckConstraint(condition=Q(n__gte=0), name="bucket_counts_positive"),
        ]


class AlertRule(models.Model):
    """A metric, a bound and how long it must be crossed, e.g. thumbs_down_rate > 0.1 for 60 minutes."""

    class Op(models.TextChoices):
        ABOVE = ">", "above"
        BELOW = "<", "below"

    class Severity(models.TextChoices):
        WARNING = "warning", "Warning"
        CRITICAL = "critical", "Critical"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="alert_rules", db_index=False)
    name = models.CharField(max_length=120)
    metric = models.CharField(max_length=40)
    op = models.CharField(max_length=1, choices=Op)
    threshold = models.FloatField()
    minutes = models.PositiveIntegerField(default=60, help_text="How long the bound must be crossed")
    min_count = models.PositiveIntegerField(default=20, help_text="Observations needed before it may fire")
    severity = models.CharField(max_length=8, choices=Severity, default=Severity.WARNING)
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="alertrule_name_once"),
            models.CheckConstraint(condition=Q(op__in=[">", "<"]), name="alertrule_op_known"),
            models.CheckConstraint(condition=Q(minutes__gte=5, minutes__lte=10080), name="alertrule_minutes_range"),
        ]


class Alert(models.Model):
    rule = models.ForeignKey(AlertRule, on_delete=models.CASCADE, related_name="alerts")
    opened_at = models.DateTimeField(db_default=Now())
    closed_at = models.DateTimeField(null=True)
    value = models.FloatField()
    n = models.BigIntegerField(default=0)
    worst = models.FloatField()
    taken_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    taken_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["rule"], condition=Q(closed_at__isnull=True), name="alert_one_open"),
            models.CheckConstraint(
                condition=Q(closed_at__isnull=True) | Q(closed_at__gte=models.F("opened_at")), name="alert_closes_later"
            ),
        ]
