"""What the rules of a project say of an item: all of them, read once from top to bottom.

A rule that is met adds its queue and its reasons; a rule that drops ends the reading, so that what stands
above it is kept and what stands below is not asked. Rules that draw do so with a probability that is written
down for every rule that could have drawn the item, whether it did or not: what a rate is computed with later.

A rule that looks only at what came with the item draws when it arrives. One that looks at what comes after it,
feedback and scores, draws whenever it is asked, always with the same number: so over time an item is drawn if its
number lies below the highest probability that it has had, and that is the probability that is kept.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from annotations import frequency, priority, sampling
from annotations.conditions import Condition, compiled
from annotations.facts import Item
from annotations.frequency import Frequency
from annotations.models import Queue, StratumRate, TriageRule
from annotations.priority import Reason
from projects.errors import ApiError
from projects.models import Project

log = logging.getLogger("reviewhub.triage")
Action, Sampling = TriageRule.Action, TriageRule.Sampling
BY_VERDICTS = {Sampling.UNCERTAINTY, Sampling.DISAGREEMENT}
CLUSTER_REVIEWED = "cluster_reviewed"
JUDGE, DETECTOR = "judge", "detector"
RANDOM = "random"
STRATUM = 200
SEED = 60


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule with its condition ready, and the share of each group where it has groups.

    ``again``: it may draw what arrived long ago, too, because it is being applied to the past.
    """

    row: TriageRule
    condition: Condition
    stratum_rates: dict[str, float] = field(default_factory=dict)
    again: bool = False

    @property
    def slug(self) -> str:
        return self.row.slug

    @property
    def draws(self) -> bool:
        return self.row.sampling != Sampling.ALL or self.row.rate < 1

    @property
    def late(self) -> bool:
        """Whether it draws by what comes after the item."""
        return self.condition.late or self.row.sampling in BY_VERDICTS


@dataclass(frozen=True, slots=True)
class Draw:
    """That a rule could have drawn an item: with which seed and probability, and whether it did.

    ``admission_p`` is the share of such draws that its queue let in, ``admitted`` whether this one was among them.
    """

    rule: str
    version: int
    seed: str
    p: float
    drawn: bool
    counts: bool
    admission_p: float = 1.0
    admitted: bool = True

    @property
    def taken(self) -> bool:
        """Whether it makes the item part of a sample."""
        return self.counts and self.drawn and self.admitted

    @property
    def share(self) -> float:
        """With what probability it would have been taken."""
        return self.p * self.admission_p

    def as_stored(self) -> dict[str, Any]:
        kept = {
            "rule": self.rule, "version": self.version, "seed": self.seed, "p": self.p, "drawn": self.drawn,
            "counts": self.counts,
        }  # fmt: skip
        return kept if self.admission_p >= 1 else {**kept, "admission_p": self.admission_p, "admitted": self.admitted}


@dataclass(slots=True)
class Finding:
    """What the rules say of an item: the queues it belongs to in order, why, and how it was drawn.

    ``by`` are the rules in the order of ``queues``; ``made`` the places in ``draws`` of those made just now, with the
    queue that each is for; ``certain`` that a rule takes every such item; ``cap`` the highest score it may get, and
    ``capped_by`` and ``forced_by`` the names of the rules that say so.
    """

    queues: list[Queue] = field(default_factory=list)
    by: list[TriageRule] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    draws: list[Draw] = field(default_factory=list)
    made: list[tuple[int, Queue]] = field(default_factory=list)
    certain: bool = False
    forced_by: str = ""
    cap: float = 100.0
    capped_by: str = ""
    dropped_by: str = ""

    @property
    def forced(self) -> bool:
        """Whether it goes first."""
        return bool(self.forced_by)

    @property
    def drawn_for(self) -> list[Queue]:
        """The queues for whose samples it has been drawn just now."""
        return [queue for place, queue in self.made if self.draws[place].taken]

    @property
    def sampled(self) -> bool:
        """Whether some rule that counts has drawn it, now or before."""
        return any(draw.taken for draw in self.draws)

    @property
    def inclusion_p(self) -> float | None:
        """With what probability some rule that counts drew it; None if none did."""
        if not self.sampled:
            return None
        return sampling.inclusion_probability(draw.share for draw in self.draws if draw.counts)

    @property
    def seed(self) -> str:
        return ",".join(draw.seed for draw in self.draws if draw.taken)[:SEED]


def load(project: Project) -> list[Rule]:
    """The rules in force, in their order. One that cannot be read any more is left out and logged."""
    rows = TriageRule.objects.select_related("queue").filter(project=project, enabled=True)
    return ready(rows.order_by("position", "id"))


def ready(rows: Iterable[TriageRule]) -> list[Rule]:
    """Rules with their conditions compiled; what cannot be read harms no other rule."""
    rules = []
    rates: dict[int, dict[str, float]] = {}
    rows = list(rows)
    stratified = [row.pk for row in rows if row.sampling == Sampling.STRATIFIED]
    if stratified:
        for pk, stratum, rate in StratumRate.objects.filter(rule__in=stratified).values_list("rule", "stratum", "rate"):
            rates.setdefault(pk, {})[stratum] = rate
    for row in rows:
        try:
            rules.append(Rule(row, compiled(row.condition), rates.get(row.pk or 0, {})))
        except ApiError as error:
            log.error("rule %s of project %s cannot be read: %s", row.slug, row.project_id, error)
    return rules


def needs(rules: Iterable[Rule]) -> set[str]:
    """The fields that these rules read."""
    found: set[str] = set()
    for rule in rules:
        found |= rule.condition.needs
        if rule.row.strata:
            found.add(rule.row.strata)
        if rule.row.sampling == Sampling.NOVELTY:
            found.add(CLUSTER_REVIEWED)
    return found


def judge(rules: Sequence[Rule], item: Item) -> Finding:
    """Evaluates every rule on one item. The draws of its open task are kept; those of ended ones have their part in
    the probability and no more."""
    finding = Finding()
    kept = {draw["rule"]: Draw(**draw) for draw in item.open.draws} if item.open else {}
    past = {draw["rule"]: Draw(**draw) for draw in item.past if draw["rule"] not in kept}
    facts = item.facts
    for rule in rules:
        met = rule.condition.met(facts)
        if met is None and not (kept and rule.slug in kept):
            continue
        action = rule.row.action
        if action == Action.DROP:
            if met is not None:
                finding.dropped_by = rule.slug
                break
        elif action == Action.CAP:
            if met is not None and rule.row.cap is not None and rule.row.cap < finding.cap:
                finding.cap, finding.capped_by = rule.row.cap, rule.row.name
        else:
            _ask(finding, rule, item, met, kept.pop(rule.slug, None), past.pop(rule.slug, None))
    for draw in kept.values():  # of rules that are switched off or gone by now
        finding.draws.append(draw)
        if draw.drawn:
            finding.reasons.append(_drawn_reason(draw))
    finding.draws += past.values()
    if finding.reasons:
        if not any(reason.kind == "disagreement" for reason in finding.reasons):
            finding.reasons += facts.signals.get("disagreement", ())  # tells and counts, although no rule asks for it
        if item.frequency is not None:
            _compare(finding, item, item.frequency)
        finding.reasons = priority.ordered(_once(finding.reasons))
    return finding


def _compare(finding: Finding, item: Item, cluster: Frequency) -> None:
    """What the items like it say: the head carries their number, and what is known already waits behind the rest."""
    if not item.looked_at_in and finding.cap > frequency.CAP and frequency.capped(cluster, finding.reasons):
        finding.cap, finding.capped_by = frequency.CAP, frequency.DUPLICATE
    finding.reasons += frequency.reasons(cluster)


def _ask(
    finding: Finding, rule: Rule, item: Item, met: list[Reason] | None, known: Draw | None, past: Draw | None
) -> None:
    row = rule.row
    queue = row.queue
    assert queue is not None  # rule_queue_iff_it_routes
    draw, fresh = _draw(rule, item, met is not None, known or past)
    if draw is not None:
        finding.draws.append(draw)
        if fresh and draw.counts:
            finding.made.append((len(finding.draws) - 1, queue))
        if not draw.drawn or (met is None and not draw.counts) or (known is None and not fresh):
            return
    elif rule.draws:
        return
    reasons = list(met or ())
    if draw is not None and draw.counts:
        reasons.append(_drawn_reason(draw))
    elif met is not None:
        finding.certain |= draw is None
    if row.severity:
        reasons.append(Reason("severity", "severity", row.severity, "flag", row.name))
    if not reasons:
        reasons = [Reason("rule", "", 0.0, "filter", row.name)]
    finding.queues.append(queue)
    finding.by.append(row)
    if row.action == Action.FORCE and met is not None and not finding.forced_by:
        finding.forced_by = row.name
    for reason in reasons:
        finding.reasons.append(
            Reason(reason.kind, reason.term, reason.strength, reason.icon, reason.text, reason.quote, reason.title,
                   row.slug, row.version)
        )  # fmt: skip


def _draw(rule: Rule, item: Item, met: bool, before: Draw | None) -> tuple[Draw | None, bool]:
    """The draw of a rule on an item, and whether it is to be acted on now; ``before`` is the one it made earlier."""
    row = rule.row
    if not rule.draws or (before is not None and not (met and rule.late and before.version == row.version)):
        return before, False
    p = probability(rule, item)
    if before is not None:
        if p <= before.p:
            return before, False
        now = _drawn(row.slug, item, p)
        return replace(before, p=p, drawn=now), now and not before.drawn
    if not p:
        return None, False
    drawn = _drawn(row.slug, item, p)
    draw = Draw(row.slug, row.version, row.slug, p, drawn, row.sampling != Sampling.ALL)
    if rule.late or item.arrived or rule.again:
        return draw, True
    # It drew when the item arrived, and did not take it. If it would today its rate has been raised, and what it was
    # is not known; else today's is as good as known.
    return (None if drawn or item.replayed or not draw.counts else draw), False


def probability(rule: Rule, item: Item) -> float:
    """With what probability this rule draws this item, which meets its condition; 0 where it cannot tell yet."""
    row = rule.row
    if row.sampling == Sampling.STRATIFIED:
        return rule.stratum_rates.get(stratum(rule, item), row.rate)
    need = 1.0
    if row.sampling == Sampling.NOVELTY:
        need = sampling.novelty(item.facts.values.get(CLUSTER_REVIEWED) or 0)
    elif row.sampling == Sampling.UNCERTAINTY:
        values = [score.value for score in item.facts.scores if score.source == JUDGE and score.value is not None]
        if not values:
            return 0.0
        need = max(sampling.uncertainty(min(max(value, 0.0), 1.0)) for value in values)
    elif row.sampling == Sampling.DISAGREEMENT:
        verdicts = _verdicts(item)
        if len(verdicts) < 2:
            return 0.0
        need = sampling.disagreement(verdicts)
    else:
        return row.rate
    return sampling.probability(need, most=row.rate)


def stratum(rule: Rule, item: Item) -> str:
    """The group of an item under a stratified rule."""
    value = item.facts.values.get(rule.row.strata)
    return "" if value is None else str(value)[:STRATUM]


def _verdicts(item: Item) -> list[float]:
    """What users and judges think of an item, each 0 (good) to 1 (bad); silent detectors think nothing."""
    users = [1.0 if voice.negative else 0.0 for voice in item.facts.voices
             if voice.verified and (voice.negative or voice.value == "up")]  # fmt: skip
    scores = item.facts.scores
    return users + [float(one.flagged) for one in scores if one.source != DETECTOR and one.flagged is not None]


def _once(reasons: Iterable[Reason]) -> list[Reason]:
    """Each reason once, by the first rule that gave it: two rules may ask for the same signal."""
    found: dict[tuple[str, str, str], Reason] = {}
    for reason in reasons:
        found.setdefault((reason.kind, reason.text, reason.quote), reason)
    return list(found.values())


def _drawn(seed: str, item: Item, p: float) -> bool:
    return sampling.drawn(seed, item.interaction.external_id, p)


def _drawn_reason(draw: Draw) -> Reason:
    return Reason(
        RANDOM, "", 0.0, "dice", f"Random {draw.p * 100:.3g} % sample",
        title="Counts towards the unbiased quality rate", rule=draw.rule, rule_version=draw.version,
    )  # fmt: skip
