"""The share of each group that a stratified rule draws, set once a day from what the last week brought.

The rule's rate says how much is drawn of all that meets it, its quota how much of each group at least
(``annotations.sampling.stratum_rates``). The rates are kept until they are set anew: the one in force when an item
arrives is its inclusion probability. A group that turns up in between takes the rate of the rule.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now

from annotations import facts, ruleset, sampling
from annotations.models import StratumRate, TriageRule
from annotations.ruleset import Rule
from feedback.models import Interaction
from projects.models import Project

WEEK = timedelta(days=7)
FRESH = timedelta(days=1)
LAST = 50_000  # of more interactions a week every k-th is looked at
CHUNK = 1000


def measure(project: Project) -> int:
    """Sets the rates of the project's stratified rules that are a day old or have none; returns of how many rules."""
    stratified = TriageRule.objects.filter(project=project, enabled=True, sampling=TriageRule.Sampling.STRATIFIED)
    fresh = StratumRate.objects.filter(rule__project=project, set_at__gt=Now() - FRESH).values("rule")
    stale = list(stratified.exclude(pk__in=fresh).select_related("queue"))
    for rule in ruleset.ready(stale):
        set_rates(rule)
    return len(stale)


def set_rates(rule: Rule) -> dict[str, float]:
    """Counts the groups of the last week among what meets the rule, and sets their rates; returns those."""
    volumes = _volumes(rule)
    total = sum(volumes.values())
    if not total:
        return {}
    rates = sampling.stratum_rates(volumes, labels=rule.row.rate * total, floor=float(rule.row.quota_per_week or 0))
    rows = [
        StratumRate(rule=rule.row, stratum=name, rate=rate, seen_per_week=volumes[name], set_at=Now())
        for name, rate in rates.items()
    ]
    with transaction.atomic():
        # What was not seen for a week is no group any more: if it comes back it takes the rule's rate.
        StratumRate.objects.filter(rule=rule.row).exclude(stratum__in=rates).delete()
        StratumRate.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=["rule", "stratum"],
            update_fields=["rate", "seen_per_week", "set_at"],
        )  # fmt: skip
    return rates


def _volumes(rule: Rule) -> Counter[str]:
    pks = list(
        Interaction.objects.filter(project=rule.row.project_id, happened_at__gt=Now() - WEEK)
        .order_by("pk")
        .values_list("pk", flat=True)
    )
    step = -(-len(pks) // LAST) or 1
    found = Counter(_strata(rule, pks[::step]))
    return Counter({name: count * step for name, count in found.items()})


def _strata(rule: Rule, pks: list[int]) -> Iterator[str]:
    for start in range(0, len(pks), CHUNK):
        items = facts.load(rule.row.project, pks[start : start + CHUNK], needs=ruleset.needs([rule]))
        for item in items.values():
            if rule.condition.met(item.facts) is not None:
                yield ruleset.stratum(rule, item)
