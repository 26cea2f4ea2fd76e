"""Forms of the judge pages: parse and check, nothing else."""

from __future__ import annotations

import math
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from evals import few_shot, judge_variables
from evals.models import Judge
from projects.models import Project, ProviderConnection

MAX_BACKFILL = 10_000
MAX_RUBRIC = 8_000
# Short enough for a phone.
KINDS = [(Judge.Kind.SCORE.value, "A score from 0 to 1"), (Judge.Kind.PAIRWISE.value, "A preference, asked both ways")]


class PercentField(forms.FloatField):
    """Entered in percent, kept as a share."""

    def __init__(self, **options: Any) -> None:
        super().__init__(min_value=0, max_value=100, **options)

    def clean(self, value: Any) -> float | None:
        number = super().clean(value)
        return None if number is None else _finite(number) / 100


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise ValidationError("A number is needed.")
    return number


class SourceForm(forms.Form):
    """Which model is asked. ``source`` is a connection's number, or a provider of the environment."""

    source = forms.ChoiceField()
    model = forms.CharField(max_length=120)

    def __init__(self, project: Project, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.connections = {str(one.pk): one for one in ProviderConnection.objects.filter(project=project)}
        source = self.fields["source"]
        assert isinstance(source, forms.ChoiceField)
        source.choices = [
            (Judge.Provider.OPENAI.value, "OpenAI, key from the environment"),
            (Judge.Provider.ANTHROPIC.value, "Anthropic, key from the environment"),
            *((pk, f"{one.name} ({one.get_kind_display()})") for pk, one in self.connections.items()),
        ]

    def clean(self) -> dict[str, Any]:
        """Turns ``source`` into ``provider`` and ``connection``, as the service wants them."""
        data = super().clean() or {}
        source = data.pop("source", "")
        connection: ProviderConnection | None = self.connections.get(source)
        return {**data, "connection": connection, "provider": connection.kind if connection else source}


class JudgeForm(SourceForm):
    """A new judge or the next version of one."""

    name = forms.CharField(max_length=100)
    criterion = forms.CharField(max_length=MAX_RUBRIC)
    threshold = forms.FloatField(min_value=0, max_value=1)
    sample_rate = PercentField()
    kind = forms.ChoiceField(choices=KINDS, required=False)
    examples = forms.IntegerField(min_value=0, max_value=few_shot.MOST, required=False)

    def clean_threshold(self) -> float:
        return _finite(self.cleaned_data["threshold"])

    def clean_examples(self) -> int:
        return self.cleaned_data["examples"] or 0

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        data["kind"] = data.get("kind") or Judge.Kind.SCORE
        if "criterion" in data:
            data["criterion"] = self._rubric(data["criterion"].replace("\r\n", "\n"), data["kind"])
        if data["kind"] == Judge.Kind.PAIRWISE and data.get("examples"):
            self.add_error("examples", "A comparison takes no examples.")
        return data

    def _rubric(self, rubric: str, kind: str) -> str:
        """Refused with the place of every variable that is not known or does not fit the kind."""
        for fault in judge_variables.faults(rubric, compares=kind == Judge.Kind.PAIRWISE):
            self.add_error("criterion", str(fault))
        return rubric


class PreviewForm(forms.Form):
    """The id of the interaction that a preview is made on; empty is the newest that fits."""

    interaction = forms.CharField(max_length=200, required=False)


class RateForm(forms.Form):
    sample_rate = PercentField()


class BackfillForm(forms.Form):
    limit = forms.IntegerField(min_value=1, max_value=MAX_BACKFILL)
    batch = forms.BooleanField(required=False)


class MoneyField(forms.DecimalField):
    """US dollars; empty is no limit."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            **{
                "required": False,
                "min_value": 0,
                "max_value": 999_999,
                "decimal_places": 8,
                "max_digits": 14,
                **options,
            }
        )


class LimitsForm(forms.Form):
    """What a version may spend and do at once. Prices are US dollars for a million tokens: both or neither."""

    day_cap_usd = MoneyField()
    at_once = forms.IntegerField(min_value=1, max_value=1000, required=False)
    per_minute = forms.IntegerField(min_value=1, max_value=100_000, required=False)
    input_price = MoneyField()
    output_price = MoneyField()

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if (data.get("input_price") is None) != (data.get("output_price") is None):
            raise ValidationError("Give both prices or neither.")
        return data


class BudgetForm(forms.Form):
    day_cap_usd = MoneyField()
    month_cap_usd = MoneyField()


class ReplayForm(forms.Form):
    """``job`` empty means all that failed."""

    job = forms.IntegerField(min_value=1, max_value=2**62, required=False)


class SwitchForm(forms.Form):
    enabled = forms.BooleanField(required=False)


class DetectorForm(forms.Form):
    """An empty threshold means the detector's own."""

    enabled = forms.BooleanField(required=False)
    threshold = forms.FloatField(min_value=0, max_value=1, required=False)

    def clean_threshold(self) -> float | None:
        threshold = self.cleaned_data["threshold"]
        return None if threshold is None else _finite(threshold)


class ConnectionForm(forms.Form):
    """The key is checked by the service and never put back into the page."""

    name = forms.CharField(max_length=80)
    kind = forms.ChoiceField(choices=ProviderConnection.Kind.choices)
    base_url = forms.CharField(max_length=300)
    key = forms.CharField(max_length=500, required=False)


class KeyForm(forms.Form):
    key = forms.CharField(max_length=500)
