"""From what came in to what is to be looked at: every rule of the project in one pass over new facts.

An interaction has at most one open task. It stands in the first queue whose rule it meets, carries the
reasons of all rules, and is due by its score. Later facts change it at once: a new complaint brings it
forward, a vote that was taken back may remove it. What a task was drawn for is never forgotten: an item of
the random sample that is complained about moves to the complaints and still counts for the rate.
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


@dataclass
class _Item:
    """An interaction with everything that the rules look at."""

    interaction: Interaction
    arrived: bool = False
    reasons: dict[str, list[Reason]] = field(default_factory=dict)
    task: Task | None = None
    seen_in: set[int] = field(default_factory=set)
    passed: bool = False
    settled: bool = False


@dataclass(frozen=True)
class _Decision:
    queue: Queue
    reasons: list[Reason]
    sampled: bool
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
    with connection.cursor() as cursor:  # feedback and score of one interaction may be in two workers' batches
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK, project.pk])
    rules = list(TriageRule.objects.select_related("queue").filter(project=project, enabled=True))
    items = _items(project, rows)
    new, changed = [], []
    now = _now()
    for item in items.values():
        decision = _decide(rules, item)
        if item.task is None:
            if decision is not None and _is_news(item, decision):
                new.append(_task(project, item, decision, now))
        elif decision is None and not item.task.sampled and item.task.taken == 0:
            changed.append(_dropped(item.task, now))
        elif decision is not None:
            changed.append(_updated(item.task, decision))
    _create(project, new)
    Task.objects.bulk_update(
        changed,
        ["queue", "lane", "score", "terms", "reasons", "due_at", "state", "done_at", "sampled", "inclusion_p", "seed"],
    )


def _items(project: Project, rows: Iterable[Inbox]) -> dict[int, _Item]:
    ids: dict[str, set[int]] = defaultdict(set)
    for row in rows:
        ids[row.kind].add(row.object_id)
    touched = set(ids[Inbox.Kind.INTERACTION])
    for kind, model in ((Inbox.Kind.FEEDBACK, Feedback), (Inbox.Kind.SCORE, Score)):
        if ids[kind]:
            facts = model._default_manager.filter(pk__in=ids[kind], interaction__isnull=False)
            touched |= set(facts.values_list("interaction_id", flat=True))
    lean = Interaction.objects.filter(project=project, pk__in=touched).only(
        "id", "external_id", "status", "error_type", "error_message", "received_at"
    )
    items = {row.pk: _Item(row, arrived=row.pk in ids[Inbox.Kind.INTERACTION]) for row in lean}
    complaints, flags = evidence.negative_feedback(items), evidence.flagged_scores(items)
    praised = evidence.liked(items)
    for pk, item in items.items():
        flagged = flags.get(pk, [])
        item.reasons = {
            "negative_feedback": complaints.get(pk, []),
            "flagged_score": [*flagged, *evidence.disagreement(flagged, pk in praised)],
            "error": evidence.error(item.interaction),
        }
    for task in Task.objects.select_for_update(of=("self",)).filter(interaction__in=items).order_by("pk"):
        item = items[task.interaction_id]
        item.seen_in.add(task.queue_id)
        item.settled = item.settled or task.state != Task.State.DROPPED
        if task.state == Task.State.OPEN:
            item.task = task
    labels = Label.objects.filter(interaction__in=items, superseded_at=None, verdict=Verdict.PASS)
    for pk in labels.values_list("interaction_id", flat=True):
        items[pk].passed = True
    return items


def _decide(rules: list[TriageRule], item: _Item) -> _Decision | None:
    """What the rules say: the first queue that is met, with the reasons of all rules that are."""
    queue: Queue | None = None
    reasons: list[Reason] = []
    shares, seeds = [], []
    drawn = False
    for rule in rules:
        signal = _signal(rule)
        if signal == "random":
            seed = f"{rule.slug}:{rule.condition.get('seed', 1)}"
            shares.append(rule.rate)
            if not item.arrived or not sampling.drawn(seed, item.interaction.external_id, rule.rate):
                continue
            drawn = True
            seeds.append(seed)
            met = [
                Reason(
                    "random",
                    "",
                    0.0,
                    "dice",
                    f"Random {rule.rate * 100:g} % sample",
                    title="Counts towards the unbiased quality rate",
                )
            ]
        else:
            met = item.reasons.get(signal, [])
        if met:
            queue = queue or rule.queue
            reasons += [replace(reason, rule=rule.slug, rule_version=rule.version) for reason in met]
    if item.task is not None and item.task.sampled:
        reasons += [_reason(stored) for stored in item.task.reasons if stored["kind"] == "random" and not drawn]
    if queue is None:
        if not reasons or item.task is None:
            return None
        queue = item.task.queue  # only the draw is left of it
    probability = sampling.inclusion_probability(shares) if drawn else None
    return _Decision(queue, priority.ordered(reasons), drawn, probability, ",".join(seeds))


def _signal(rule: TriageRule) -> str:
    """The condition of a rule as the name of what it looks for."""
    condition = rule.condition
    if condition.get("feedback") == "negative":
        return "negative_feedback"
    if condition.get("score") == "flagged":
        return "flagged_score"
    if condition.get("status") == "error":
        return "error"
    return "random" if condition.get("always") else ""


def _reason(stored: dict[str, object]) -> Reason:
    return Reason(**{name: stored[name] for name in Reason.__dataclass_fields__})  # type: ignore[arg-type]


def _is_news(item: _Item, decision: _Decision) -> bool:
    """Whether a new task is wanted: nobody has looked yet, or somebody passed it and now a user complains."""
    if decision.queue.pk in item.seen_in:
        return False
    complained = any(reason.kind == "negative_feedback" and reason.points > 0 for reason in decision.reasons)
    return not item.settled or (item.passed and complained)


def _task(project: Project, item: _Item, decision: _Decision, now: datetime) -> Task:
    points = priority.score(decision.reasons)
    return Task(
        project=project,
        queue=decision.queue,
        interaction=item.interaction,
        lane=_lane(decision),
        needed=decision.queue.overlap,
        score=points,
        terms=priority.terms(decision.reasons),
        reasons=[priority.as_stored(reason) for reason in decision.reasons],
        enqueued_at=now,
        due_at=now + _limit(decision.queue, points),
        sampled=decision.sampled,
        inclusion_p=decision.inclusion_p,
        seed=decision.seed,
    )


def _updated(task: Task, decision: _Decision) -> Task:
    """The open task with what is known now. It never becomes less urgent while somebody has it."""
    claimed = task.taken > 0
    if not claimed:
        task.queue = decision.queue
        task.lane = Task.Lane.RANDOM if decision.queue.kind == Queue.Kind.RANDOM else Task.Lane.RISK
    task.score = priority.score(decision.reasons)
    task.terms = priority.terms(decision.reasons)
    task.reasons = [priority.as_stored(reason) for reason in decision.reasons]
    due = task.enqueued_at + _limit(task.queue, task.score)
    task.due_at = min(task.due_at, due) if claimed else due
    if decision.sampled and not task.sampled:
        task.sampled, task.inclusion_p, task.seed = True, decision.inclusion_p, decision.seed
    return task


def _dropped(task: Task, now: datetime) -> Task:
    task.state, task.done_at = Task.State.DROPPED, now
    return task


def _lane(decision: _Decision) -> str:
    return Task.Lane.RANDOM if decision.queue.kind == Queue.Kind.RANDOM else Task.Lane.RISK


def _limit(queue: Queue, points: float) -> timedelta:
    return priority.time_limit(points, sla_min_hours=queue.sla_min_hours, sla_max_hours=queue.sla_max_hours)


def _now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        moment: datetime = cursor.fetchone()[0]
    return moment


def _create(project: Project, tasks: list[Task]) -> None:
    Task.objects.bulk_create(tasks)
    for task in tasks:
        webhooks.emit(
            project,
            "task.created",
            {"task_id": task.pk, "queue": task.queue.slug, "interaction_id": task.interaction.external_id},
        )
