"""Applying a rule to what has arrived before it: counted first, then in batches by the worker, newest first.

A batch is routed as if its facts had just come, with two differences. Only this rule draws: a draw of another rule
was made when the interaction arrived, and is made again from that rule's version of then, so that it can be written
down beside the new one. And what has been looked at already is not made into a task once more; but its task learns of
the draw, because an item that was drawn counts for rates wherever it was labelled. So the probability of every
sampled item is, before and after, that of being drawn by some rule.

The rates of a stratified rule's groups are those of today, not those of the day on which an item arrived.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, Max, Q, QuerySet
from django.db.models.functions import Mod, Now

from annotations import facts, ruleset, sampling, triage
from annotations.conditions import compiled
from annotations.facts import Item
from annotations.models import Backfill, Task, TriageRevision, TriageRule
from annotations.ruleset import Rule
from feedback.models import Interaction
from projects import audit, doorbell, leases
from projects.errors import ApiError, invalid
from projects.models import Project, User

log = logging.getLogger("reviewhub.triage")
TASK = "annotations.backfill"
ROUTES = (TriageRule.Action.QUEUE, TriageRule.Action.FORCE)
BATCH = 500
TURN_SECONDS = 2.0  # of work before the worker looks at what else there is
LEASE = timedelta(seconds=60)
TRIES = 5  # of one batch
COUNTED = 10_000  # beyond so many a share is counted


@dataclass(frozen=True, slots=True)
class BackfillCount:
    """What a backfill would do with ``of`` interactions. ``exact`` is False where it was estimated from a share."""

    of: int
    matched: int
    would_make: int
    exact: bool


def count(rule: TriageRule, *, since: datetime | None) -> BackfillCount:
    """How many interactions of the past meet the rule and how many new tasks it would make. Reads only, no locks.

    Of more than 10,000 interactions every k-th is looked at, and the figures are multiplied.
    """
    _check(rule)
    of = _past(rule, since).count()
    step = -(-of // COUNTED) or 1
    some = _past(rule, since).annotate(turn=Mod("pk", step)).filter(turn=0) if step > 1 else _past(rule, since)
    pks = list(some.order_by("-happened_at", "-pk").values_list("pk", flat=True))
    matched = made = 0
    for start in range(0, len(pks), BATCH):
        items, rules, own = _loaded(rule, pks[start : start + BATCH], lock=False)
        for item in items.values():
            matched += own.condition.met(item.facts) is not None
            made += item.open is None and triage.destination(item, ruleset.judge(rules, item)) is not None
    scale = of / len(pks) if pks else 0
    return BackfillCount(of, round(matched * scale), round(made * scale), exact=step == 1)


@transaction.atomic
def start(*, actor: User | None, rule: TriageRule, since: datetime | None) -> Backfill:
    """Lets the worker apply the rule as it is to what has arrived so far. 409 if that is under way already."""
    triage.locked(rule.project)
    rule = TriageRule.objects.get(pk=rule.pk)
    _check(rule)
    past = _past(rule, since)
    newest = past.aggregate(newest=Max("pk"))["newest"] or 0
    try:
        with transaction.atomic():
            job = Backfill.objects.create(
                project_id=rule.project_id, rule=rule, rule_version=rule.version, since=since, newest=newest,
                total=past.count(), started_by=actor,
            )  # fmt: skip
    except IntegrityError:
        raise ApiError(409, "running", "This rule is being applied to the past already.") from None
    told = since.isoformat() if since else None
    audit.record(
        rule.project, actor, "rule.backfilled", rule.slug, by="key", version=rule.version, since=told, of=job.total
    )  # fmt: skip
    doorbell.ring(TASK)
    job.refresh_from_db()
    return job


@transaction.atomic
def stop(*, actor: User | None, job: Backfill) -> Backfill:
    """Ends a backfill; what it has made stays. One that has ended stays as it is."""
    if _end(job, Backfill.State.STOPPED, "Stopped by hand."):
        audit.record(job.project, actor, "rule.backfill_stopped", job.rule.slug, by="key", version=job.rule_version)
    job.refresh_from_db()
    return job


def newest_of(rule: TriageRule) -> Backfill | None:
    """The last backfill of a rule, running or not."""
    return Backfill.objects.filter(rule=rule).order_by("-pk").first()


def work(*, seconds: float = TURN_SECONDS) -> bool:
    """Works on one backfill for a while; returns whether there is more to do. Never call it in a transaction."""
    running = Backfill.objects.filter(state=Backfill.State.RUNNING).order_by(F("leased_until").asc(nulls_first=True))
    claimed = leases.claim(running, limit=1, lease=LEASE)
    if not claimed:
        return False
    job = claimed[0]
    if job.attempts > TRIES:
        _end(job, Backfill.State.FAILED, f"A batch failed {TRIES} times; the log says why.")
        return True
    until = time.monotonic() + seconds
    try:
        while _batch(job) and time.monotonic() < until:
            pass
    except Exception:  # the next try is counted by the lease
        log.exception("backfill %s: a batch failed", job.pk)
    leases.still_held(job).update(leased_until=None)
    return Backfill.objects.filter(state=Backfill.State.RUNNING).exists()


@transaction.atomic
def _batch(job: Backfill) -> bool:
    """The next interactions, all or none; returns whether there may be more."""
    now = triage.locked(job.project)
    held = leases.still_held(job).select_for_update().filter(state=Backfill.State.RUNNING)
    fresh = held.select_related("rule", "project").first()
    if fresh is None:
        return False
    rule = fresh.rule
    if rule.version != fresh.rule_version or not rule.enabled:
        return not _end(fresh, Backfill.State.STOPPED, "The rule has changed. Count and start again.")
    left = _past(rule, fresh.since).filter(pk__lte=fresh.newest)
    if fresh.reached_at is not None:
        left = left.filter(happened_at__lte=fresh.reached_at).exclude(
            happened_at=fresh.reached_at, pk__gte=fresh.reached_id
        )
    part = list(left.order_by("-happened_at", "-pk").values_list("pk", "happened_at")[:BATCH])
    matched, made = _apply(rule, [pk for pk, _ in part], now)
    pk, at = part[-1] if part else (fresh.reached_id, fresh.reached_at)
    held.update(
        reached_id=pk, reached_at=at, seen=F("seen") + len(part), matched=F("matched") + matched,
        made=F("made") + made, attempts=0, leased_until=Now() + LEASE,
    )  # fmt: skip
    return len(part) == BATCH or not _end(fresh, Backfill.State.DONE, "")


def _apply(rule: TriageRule, pks: Sequence[int], now: datetime) -> tuple[int, int]:
    """Routes these interactions by the rule; returns how many meet it and how many new tasks there are."""
    items, rules, own = _loaded(rule, pks, lock=True)
    meeting = [item for item in items.values() if own.condition.met(item.facts) is not None]
    waiting = Task.objects.filter(interaction__in=[item.interaction.pk for item in meeting], state=Task.State.OPEN)
    before = waiting.count()
    triage.place(rule.project, meeting, rules, now)
    made = waiting.count() - before
    if own.draws and rule.sampling != TriageRule.Sampling.ALL:
        _tell(own, meeting)
    return len(meeting), made


def _tell(own: Rule, items: Iterable[Item]) -> None:
    """Brings the probabilities of all tasks of these items up to date: another rule could have drawn them."""
    by_pk = {item.interaction.pk: item for item in items}
    tasks = Task.objects.filter(
        interaction__in=by_pk, purpose__in=[Task.Purpose.REVIEW, Task.Purpose.AUDIT]
    ).order_by("pk")  # fmt: skip
    changed = []
    for task in tasks:
        before = (task.draws, task.sampled, task.inclusion_p)
        item = by_pk[task.interaction_id]
        known = {draw["rule"] for draw in task.draws}
        new = {draw["rule"]: draw for draw in [_draw(own, item), *item.past] if draw["rule"] not in known}
        task.draws = [*task.draws, *new.values()]
        if not task.sampled and own.slug in new and new[own.slug]["drawn"]:
            task.sampled, task.seed = True, own.slug
        if task.sampled:
            shares = [draw["p"] * draw.get("admission_p", 1.0) for draw in task.draws if draw["counts"]]
            task.inclusion_p = sampling.inclusion_probability(shares)
        if before != (task.draws, task.sampled, task.inclusion_p):
            changed.append(task)
    Task.objects.bulk_update(changed, ["draws", "sampled", "seed", "inclusion_p"])


def _draw(rule: Rule, item: Item) -> dict[str, Any]:
    p = ruleset.probability(rule, item)
    drawn = sampling.drawn(rule.slug, item.interaction.external_id, p)
    return ruleset.Draw(rule.slug, rule.row.version, rule.slug, p, drawn, counts=True).as_stored()


def _loaded(rule: TriageRule, pks: Sequence[int], *, lock: bool) -> tuple[dict[int, Item], list[Rule], Rule]:
    """The items with their facts and their past draws, the rules in force, and the one that is applied again."""
    rules = [replace(one, again=one.row.pk == rule.pk) for one in ruleset.load(rule.project)]
    own = next(one for one in rules if one.again)
    earlier = _earlier(rule.project, {one.row.pk for one in rules if one.draws and not one.again})
    wanted = triage.needs(rules) | ruleset.needs([one for versions in earlier.values() for _, one in versions])
    items = facts.load(rule.project, pks, needs=wanted)
    facts.add_history(items, lock=lock)
    stored = _stored_draws(items)
    came = dict(Interaction.objects.filter(pk__in=items).values_list("pk", "received_at")) if earlier else {}
    for pk, item in items.items():
        known = {draw["rule"]: draw for draw in stored.get(pk, ())}
        for slug, versions in earlier.items():
            if slug not in known and (draw := _made_then(versions, item, came[pk])):
                known[slug] = draw
        item.past, item.replayed = list(known.values()), True
    return items, rules, own


def _stored_draws(items: Iterable[int]) -> dict[int, list[dict[str, Any]]]:
    """The draws that tasks which are no longer open have kept."""
    ended = Task.objects.filter(interaction__in=list(items)).exclude(Q(state=Task.State.OPEN) | Q(draws=[]))
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for pk, draws in ended.order_by("pk").values_list("interaction", "draws"):
        found[pk] += draws
    return found


def _earlier(project: Project, pks: set[int]) -> dict[str, list[tuple[datetime, Rule]]]:
    """Every version of these rules with the time from which it was in force, oldest first."""
    found: dict[str, list[tuple[datetime, Rule]]] = defaultdict(list)
    revisions = TriageRevision.objects.filter(project=project, rule__in=pks).select_related("rule")
    rates = {rule.row.pk: rule.stratum_rates for rule in ruleset.load(project)}
    for revision in revisions.order_by("rule", "version"):
        was, now = revision.snapshot, revision.rule
        assert now is not None  # filtered by rule
        row = TriageRule(
            pk=now.pk, project=project, slug=now.slug, version=revision.version, condition=was["condition"],
            sampling=was["sampling"], rate=was["rate"], strata=was["strata"], enabled=was["enabled"],
        )  # fmt: skip
        found[now.slug].append((revision.changed_at, Rule(row, compiled(row.condition), rates.get(now.pk, {}))))
    return found


def _made_then(versions: Sequence[tuple[datetime, Rule]], item: Item, arrived: datetime) -> dict[str, Any] | None:
    """The draw that a rule made when the item arrived and that nothing has kept, as no task came of it."""
    then = [rule for start, rule in versions if start <= arrived]
    if not then or not then[-1].row.enabled or then[-1].row.sampling == TriageRule.Sampling.ALL:
        return None
    rule = then[-1]
    if rule.condition.late or rule.condition.met(item.facts) is None:
        return None  # what looks at later facts draws anew with each of them
    return {**_draw(rule, item), "drawn": False}


def _past(rule: TriageRule, since: datetime | None) -> QuerySet[Interaction]:
    past = Interaction.objects.filter(project=rule.project_id)
    return past.filter(happened_at__gte=since) if since else past


def _check(rule: TriageRule) -> None:
    if rule.action not in ROUTES:
        raise invalid("/rule", "Only a rule that puts items in a queue can be applied to the past.")
    if not rule.enabled:
        raise invalid("/rule", "Switch the rule on first.")


def _end(job: Backfill, state: Backfill.State, reason: str) -> bool:
    running = Backfill.objects.filter(pk=job.pk, state=Backfill.State.RUNNING)
    return bool(running.update(state=state, reason=reason, ended_at=Now()))
