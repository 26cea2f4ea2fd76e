"""From what came in to what is to be looked at: every rule of the project in one pass over new facts.

An interaction has at most one open task. It stands in the first queue whose rule it meets, carries the
reasons of all rules, and is due by its score. Later facts change it at once: a new complaint brings it
forward, a vote that was taken back may remove it. What a task was drawn for is never forgotten: an item of
the random sample that is complained about moves to the complaints and still counts for the rate.

Whoever has been looked at is not asked for again, with one exception: what was not found to fail, and is
then complained about by somebody who is vouched for, comes back in the first queue of its rules in which it
has not been. (In the same queue it would meet the same question with the same answer in sight.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from django.db import connection

from annotations import evidence, priority, sampling
from annotations.models import Label, Queue, Task, TriageRule, Verdict
from annotations.priority import Reason
from feedback import inbox
from feedback.models import Feedback, Inbox, Interaction, Score
from projects import webhooks
from projects.models import Project

LOCK = 0x52484B  # the family of this lock; one triage at a time for a project
BATCH = 500
RANDOM = "random"
SIGNALS = ("negative_feedback", "flagged_score", "error", "disagreement", RANDOM)
CHANGEABLE = [
    "queue", "lane", "needed", "score", "terms", "reasons", "enqueued_at", "due_at", "state", "done_at", "sampled",
    "inclusion_p", "seed",
]  # fmt: skip


@dataclass
class _Item:
    """An interaction with everything that the rules look at, and the tasks it has had."""

    interaction: Interaction
    arrived: bool = False
    reasons: dict[str, list[Reason]] = field(default_factory=dict)
    complained: bool = False
    open: Task | None = None
    dropped: dict[int, Task] = field(default_factory=dict)
    looked_at_in: set[int] = field(default_factory=set)
    disputed: bool = False
    failed: bool = False


@dataclass(frozen=True)
class _Finding:
    """What the rules say of an item: the queues it belongs to in order, why, and whether it was drawn."""

    queues: list[Queue]
    reasons: list[Reason]
    drawn_for: list[Queue]
    inclusion_p: float | None
    seed: str


def run(*, batch: int = BATCH) -> None:
    """Routes everything that waits."""
    inbox.drain(Inbox.Stage.TRIAGE, route, batch=batch)


def route(rows: list[Inbox]) -> None:
    """Makes, changes or drops the tasks of the interactions that these facts are about. In the caller's transaction."""
    by_project: dict[int, list[Inbox]] = defaultdict(list)
    for row in rows:
        by_project[row.project_id].append(row)
    for project in Project.objects.filter(pk__in=by_project).order_by("pk"):
        _route(project, by_project[project.pk])


def _route(project: Project, rows: list[Inbox]) -> None:
    now = _locked(project)
    rules = list(TriageRule.objects.select_related("queue").filter(project=project, enabled=True))
    new: list[Task] = []
    changed: list[Task] = []
    for item in _items(project, rows).values():
        finding = _judge(rules, item)
        if item.open is not None:
            if _update(item, item.open, finding, now):
                changed.append(item.open)
        elif queue := _place(item, finding):
            known = item.dropped.get(queue.pk)
            task = known or Task(project=project, interaction=item.interaction)
            _fill(task, queue, finding, now)
            (changed if known else new).append(task)
    # One statement for any number of rows; bulk_update's CASE for each column takes six times as long.
    Task.objects.bulk_create(changed, update_conflicts=True, unique_fields=["pk"], update_fields=CHANGEABLE)
    _create(project, new)


def _locked(project: Project) -> datetime:
    """The database's time, with the lock: the facts of one interaction may be in the batches of two workers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK, project.pk & 0x7FFFFFFF])
        cursor.execute("SELECT statement_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment


def _items(project: Project, rows: Iterable[Inbox]) -> dict[int, _Item]:
    ids: dict[str, set[int]] = defaultdict(set)
    for row in rows:
        ids[row.kind].add(row.object_id)
    touched = set(ids[Inbox.Kind.INTERACTION])
    for kind, model in ((Inbox.Kind.FEEDBACK, Feedback), (Inbox.Kind.SCORE, Score)):
        facts = model._default_manager.filter(pk__in=ids[kind], interaction__isnull=False)
        touched |= set(facts.values_list("interaction_id", flat=True))
    lean = Interaction.objects.filter(project=project, pk__in=touched).only(
        "id", "external_id", "status", "error_type", "error_message"
    )
    items = {row.pk: _Item(row, arrived=row.pk in ids[Inbox.Kind.INTERACTION]) for row in lean}
    users, machines = evidence.voices(items, ids[Inbox.Kind.FEEDBACK]), evidence.machines(items)
    for pk, item in items.items():
        item.complained = users[pk].complained
        item.reasons = {
            "negative_feedback": users[pk].reasons,
            "flagged_score": machines[pk].reasons,
            "error": evidence.error(item.interaction),
            "disagreement": evidence.disagreement(users[pk], machines[pk]),
        }
    _add_history(items)
    return items


def _add_history(items: dict[int, _Item]) -> None:
    tasks = Task.objects.select_for_update(of=("self",)).select_related("queue").filter(interaction__in=items)
    for task in tasks.order_by("pk"):
        item = items[task.interaction_id]
        if task.state == Task.State.OPEN:
            item.open = task
        elif task.state == Task.State.DROPPED:
            item.dropped[task.queue_id] = task
        else:
            item.looked_at_in.add(task.queue_id)
            item.disputed |= task.state == Task.State.DISPUTED
    failed = Label.objects.filter(interaction__in=items, superseded_at=None, verdict=Verdict.FAIL)
    for pk in failed.values_list("interaction_id", flat=True):
        items[pk].failed = True


def _judge(rules: list[TriageRule], item: _Item) -> _Finding:
    """Evaluates every rule. The random ones draw once, when the interaction arrives; their draw is then kept."""
    queues: list[Queue] = []
    reasons: list[Reason] = []
    drawn_for: list[Queue] = []
    shares, seeds = [], []
    stored = _stored_draws(item.open)
    for rule in rules:
        signal = rule.condition.get("signal") if isinstance(rule.condition, dict) else None
        external_id = item.interaction.external_id
        if signal == RANDOM:
            shares.append(rule.rate)
            met = [stored.pop(rule.slug)] if rule.slug in stored else []
            if not met and item.arrived and sampling.drawn(rule.slug, external_id, rule.rate):
                met = [_draw(rule)]
                seeds.append(rule.slug)
                drawn_for.append(rule.queue)
        else:
            met = item.reasons.get(str(signal), [])
            if met and rule.rate < 1 and not sampling.drawn(rule.slug, external_id, rule.rate):
                met = []
        if met:
            queues.append(rule.queue)
            reasons += [replace(reason, rule=rule.slug, rule_version=rule.version) for reason in met]
    if "disagreement" not in {reason.kind for reason in reasons} and reasons:
        reasons += item.reasons["disagreement"]  # tells and counts, although no rule asks for it
    reasons += stored.values()  # draws of rules that are switched off by now
    probability = sampling.inclusion_probability(shares) if drawn_for else None
    return _Finding(queues, priority.ordered(reasons), drawn_for, probability, ",".join(seeds)[:60])


def _draw(rule: TriageRule) -> Reason:
    text = f"Random {rule.rate * 100:g} % sample"
    return Reason(RANDOM, "", 0.0, "dice", text, title="Counts towards the unbiased quality rate")


def _stored_draws(task: Task | None) -> dict[str, Reason]:
    if task is None:
        return {}
    kept = (stored for stored in task.reasons if stored.get("kind") == RANDOM)
    return {
        stored["rule"]: Reason(**{name: stored[name] for name in priority.FIELDS if name in stored}) for stored in kept
    }


def _place(item: _Item, finding: _Finding) -> Queue | None:
    """The queue in which a new task is wanted, if one is."""
    wanted = finding.queues
    if item.looked_at_in and (item.disputed or item.failed or not item.complained):
        wanted = finding.drawn_for
    return next((queue for queue in wanted if queue.pk not in item.looked_at_in), None)


def _fill(task: Task, queue: Queue, finding: _Finding, now: datetime) -> None:
    """A task that begins: new, or dropped before and now wanted again."""
    task.state, task.done_at = Task.State.OPEN, None
    task.enqueued_at = now
    _stand_in(task, queue)
    _weigh(task, finding)
    task.due_at = now + _limit(queue, task.score)
    task.sampled, task.inclusion_p, task.seed = bool(finding.drawn_for), finding.inclusion_p, finding.seed


def _update(item: _Item, task: Task, finding: _Finding, now: datetime) -> bool:
    """Brings the open task up to what is known now; returns whether anything changed.

    While somebody has it, it stays where it is and becomes no less urgent.
    """
    before = (task.state, task.queue_id, task.reasons, task.score, task.due_at, task.sampled)
    claimed = task.taken > 0
    if not finding.reasons:
        if claimed:
            return False
        task.state, task.done_at = Task.State.DROPPED, now
        return True
    if not claimed and finding.queues:
        occupied = item.looked_at_in | item.dropped.keys()
        if finding.queues[0].pk not in occupied:
            _stand_in(task, finding.queues[0])
    _weigh(task, finding)
    due = task.enqueued_at + _limit(task.queue, task.score)
    task.due_at = min(task.due_at, due) if claimed else due
    if finding.drawn_for and not task.sampled:
        task.sampled, task.inclusion_p, task.seed = True, finding.inclusion_p, finding.seed
    return before != (task.state, task.queue_id, task.reasons, task.score, task.due_at, task.sampled)


def _stand_in(task: Task, queue: Queue) -> None:
    task.queue = queue
    task.lane = Task.Lane.RANDOM if queue.kind == Queue.Kind.RANDOM else Task.Lane.RISK
    task.needed = queue.overlap


def _weigh(task: Task, finding: _Finding) -> None:
    task.score = priority.score(finding.reasons)
    task.terms = priority.terms(finding.reasons)
    task.reasons = [priority.as_stored(reason) for reason in finding.reasons]


def _limit(queue: Queue, points: float) -> timedelta:
    return priority.time_limit(points, sla_min_hours=queue.sla_min_hours, sla_max_hours=queue.sla_max_hours)


def _create(project: Project, tasks: list[Task]) -> None:
    Task.objects.bulk_create(tasks)
    if not webhooks.wants(project, "task.created"):
        return
    for task in tasks:
        thin = {"task_id": task.pk, "queue": task.queue.slug, "interaction_id": task.interaction.external_id}
        webhooks.emit(project, "task.created", thin)
