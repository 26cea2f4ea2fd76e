"""The form of an alert rule: people write percent and seconds, rules hold shares and milliseconds."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from monitoring.metrics import METRICS, Unit
from monitoring.models import AlertRule
from projects.models import Project

# What one of the form's units is in the rule's.
FACTORS = {Unit.SHARE: 0.01, Unit.MILLISECONDS: 1000.0}
WRITTEN = {Unit.SHARE: "%", Unit.MILLISECONDS: "s", Unit.USD: "$"}
ALERTABLE = [metric for metric in METRICS.values() if not metric.only_by]


def factor(metric: str) -> float:
    return FACTORS.get(METRICS[metric].unit, 1.0)


class AlertRuleForm(forms.ModelForm):  # type: ignore[type-arg]
    """A rule of a project; the bound is written in percent, seconds or dollars."""

    metric = forms.ChoiceField(
        choices=[
            (metric.name, f"{metric.label} ({WRITTEN[metric.unit]})" if metric.unit in WRITTEN else metric.label)
            for metric in ALERTABLE
        ]
    )
    bound = forms.FloatField(min_value=0, max_value=1e12)
    minutes = forms.IntegerField(min_value=5, max_value=10_080)
    min_count = forms.IntegerField(min_value=1, max_value=1_000_000)

    class Meta:
        model = AlertRule
        fields = ["name", "metric", "op", "minutes", "min_count", "severity", "enabled"]

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.instance.project = project
        if self.instance.pk:
            self.initial["bound"] = f"{self.instance.threshold / factor(self.instance.metric):g}"

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        same = AlertRule.objects.filter(project=self.instance.project, name=name).exclude(pk=self.instance.pk)
        if same.exists():
            raise ValidationError("A rule of this name exists.")
        return name

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        metric, bound = data.get("metric"), data.get("bound")
        if metric is not None and bound is not None:
            self.instance.threshold = bound * factor(metric)
            if METRICS[metric].unit == Unit.SHARE and bound > 100:
                self.add_error("bound", "A rate has at most 100 %.")
        return data
