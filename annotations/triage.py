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
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from annotations import admission, clusters, facts, priority, routing, ruleset, sampling
from annotations.bulk import create_tasks, update_tasks
from annotations.facts import Item
from annotations.models import Queue, Task, TriageRule
from annotations.routing import Team
from annotations.ruleset import Finding, Rule
from feedback import inbox
from feedback.models import Inbox
from projects import webhooks
from projects.models import Project

SENT = "sent"  # the reason of a task that a person made
LOCK = 0x52484B  # the family of this lock; one triage at a time for a project
BATCH = 500
CALIBRATION_LABELS = 2  # of an item that is for calibration, at least
CHANGEABLE = [
    "queue_id", "lane", "needed", "score", "terms", "reasons", "enqueued_at", "due_at", "state", "done_at", "sampled",
    "inclusion_p", "seed", "draws", "certain", "rule_id", "rule_version", "queue_version", "topic", "admission_p",
]  # fmt: skip


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
    now = locked(project)
    touched, arrived, fresh = facts.touched(rows)
    rules = ruleset.load(project)
    items = facts.load(project, touched, needs=needs(rules), arrived=arrived, fresh=fresh)
    if clusters.join(project, items.values()):
        facts.add_clusters(items)
    facts.add_history(items)
    place(project, items.values(), rules, now)


def needs(rules: list[Rule]) -> set[str]:
    """The fields of an item that these rules and the topics of their queues read."""
    return ruleset.needs(rules) | routing.needs([rule.row.queue for rule in rules if rule.row.queue])


def place(project: Project, items: Iterable[Item], rules: list[Rule], now: datetime) -> int:
    """Makes, changes or drops the tasks of these items; returns of how many. In the caller's transaction, locked."""
    new: list[tuple[Task, Item]] = []
    changed: list[Task] = []
    team = Team(project.pk, [rule.row.queue for rule in rules if rule.row.queue])
    for item in items:
        finding = ruleset.judge(rules, item)
        if finding.made:
            _thin(finding, item, team)
        sampled_open = item.open is not None and item.open.sampled
        if item.open is not None:
            if _update(item, item.open, finding, team, now):
                changed.append(item.open)
        elif finding.queues and (chosen := _choose(item, finding, team)):
            known = item.dropped.get(chosen.queue.pk)
            task = known or Task(project=project, interaction_id=item.interaction.pk)
            before = task.state if known else None
            _fill(task, chosen, finding, item, now)
            if not (before == task.state == Task.State.SHED):
                if known:
                    changed.append(task)
                else:
                    new.append((task, item))
        if item.ended is not None and not sampled_open and _tell(item.ended, finding):
            changed.append(item.ended)
    update_tasks(changed, CHANGEABLE)
    _create(project, new)
    return len(new) + len(changed)


def locked(project: Project) -> datetime:
    """The database's time, with the lock: the facts of one interaction may be in the batches of two workers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK, project.pk & 0x7FFFFFFF])
        cursor.execute("SELECT statement_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment


@dataclass(frozen=True, slots=True)
class _Place:
    """A queue for an item, by which rule, with its score there and whether it is let in."""

    queue: Queue
    by: TriageRule
    topic: str
    score: float
    terms: list[dict[str, Any]]
    admitted: bool = True
    admission_p: float | None = None


def destination(item: Item, finding: Finding) -> Queue | None:
    """The queue in which a new task would wait, if one is wanted and let in."""
    queues = list(finding.queues)
    if not queues:
        return None
    team = Team(queues[0].project_id, queues)
    _thin(finding, item, team)
    chosen = _choose(item, finding, team)
    return chosen.queue if chosen and chosen.admitted else None


def _choose(item: Item, finding: Finding, team: Team) -> _Place | None:
    """The first queue of its rules that lets it in; else the first, which sheds it; None if no task is wanted.

    What somebody has looked at is wanted again only if it was not found to fail and is now complained about.
    """
    if item.looked_at_in and (item.disputed or item.failed or not item.complained):
        return None
    first = None
    for queue, by in zip(finding.queues, finding.by, strict=True):
        stands, topic = _stands(queue, item, team)
        if stands.pk in item.looked_at_in:
            continue
        found = _admit(_Place(stands, by, topic, *_weighed(finding, stands)), finding, item)
        if found.admitted:
            return found
        first = first or found
    return first


def _stands(queue: Queue, item: Item, team: Team) -> tuple[Queue, str]:
    """Where an item of this queue stands, and what somebody must know to judge it there."""
    values = item.facts.values
    feature, tags = values.get("feature") or "", values.get("tags") or ()
    stands = team.stand(queue, topic=team.topic(queue, feature, tags))
    return stands, team.topic(stands, feature, tags)


def _admit(place: _Place, finding: Finding, item: Item) -> _Place:
    """Whether the queue lets it in. A sample is never thinned, nor what is forced, nor what was shed and is then
    complained about."""
    if finding.sampled or finding.forced or (item.shed and item.complained):
        return place
    draw = next((draw for draw in finding.draws if draw.rule == place.by.slug and draw.counts), None)
    if draw is not None:  # it was thinned already, by its own rule's number
        return replace(place, admitted=False, admission_p=draw.admission_p)
    admitted, p = admission.admit(place.queue, place.score, item.interaction.external_id)
    return place if p is None else replace(place, admitted=admitted, admission_p=p)


def _thin(finding: Finding, item: Item, team: Team) -> None:
    """Thins the draws that were made just now for queues that are overloaded: each has its share of its rule's rate.

    Done to those that did not take the item as well: with what probability they could have is written down.
    """
    for number, queue in finding.made:
        draw = finding.draws[number]
        stands, _ = _stands(queue, item, team)
        if stands.admission and stands.admission_p < 1 and not finding.forced:
            p = admission.chance(stands, _weighed(finding, stands)[0])
            if p < 1:
                admitted = sampling.drawn(draw.seed, item.interaction.external_id, draw.p * p)
                finding.draws[number] = replace(draw, admission_p=p, admitted=admitted)


def _fill(task: Task, place: _Place, finding: Finding, item: Item, now: datetime) -> None:
    """A task that begins: new, or dropped or shed before and now wanted again."""
    was_shed = task.state == Task.State.SHED
    task.state = Task.State.OPEN if place.admitted else Task.State.SHED
    task.done_at = None if place.admitted else now
    task.enqueued_at = now
    if place.admission_p is not None or not was_shed:
        task.admission_p = place.admission_p
    _stand_in(task, item, place.queue, place.by, place.topic)
    task.score, task.terms = place.score, place.terms
    _keep(task, finding)
    task.due_at = _due(task, item)
    fresh = place.admitted and bool(finding.drawn_for)
    task.sampled, task.inclusion_p = fresh, finding.inclusion_p if fresh else None
    task.seed = finding.seed if fresh else ""


def _update(item: Item, task: Task, finding: Finding, team: Team, now: datetime) -> bool:
    """Brings the open task up to what is known now; returns whether anything changed.

    While somebody has it, it stays where it is and becomes no less urgent. So it is with what was assigned or
    escalated to somebody, and with what belongs to an audit, whose tasks no rule drops. What a person has sent stays in
    its queue as well, and is as urgent as it becomes.
    """
    sent = [reason for reason in task.reasons if reason["kind"] == SENT]
    before = [getattr(task, name) for name in CHANGEABLE]
    held = task.taken > 0
    bound = held or task.assigned_to_id is not None or task.lane == Task.Lane.ESCALATED
    bound |= task.purpose == Task.Purpose.AUDIT or bool(sent)
    if not finding.queues and not task.sampled and not finding.sampled:
        if bound or sent:
            return False
        task.state, task.done_at = Task.State.DROPPED, now
        return True
    if not bound and not sent and finding.queues:
        stands, topic = _stands(finding.queues[0], item, team)
        if stands.pk == task.queue_id or stands.pk not in (item.looked_at_in | item.dropped.keys()):
            _stand_in(task, item, stands, finding.by[0], topic)
    task.score, task.terms = _weighed(finding, task.queue)
    _keep(task, finding)
    task.reasons += sent
    if bound:
        soonest = task.enqueued_at + _limit(task.queue, task.score)
        task.due_at = min(task.due_at, soonest) if held else task.due_at
    else:
        task.due_at = _due(task, item)
    if finding.sampled and (task.sampled or (finding.drawn_for and item.ended is None)):
        task.sampled, task.inclusion_p, task.seed = True, finding.inclusion_p, finding.seed
    return before != [getattr(task, name) for name in CHANGEABLE]


def _tell(ended: Task, finding: Finding) -> bool:
    """Brings the probability of what was looked at up to date: what came since let more rules draw it.

    An item that was drawn counts for rates wherever it was labelled, so a task that no rule had drawn becomes one of
    the sample if one has drawn its item now. Returns whether anything changed.
    """
    if not finding.sampled or not (ended.draws if ended.sampled else finding.drawn_for):
        return False
    before = (ended.sampled, ended.inclusion_p)
    ended.sampled, ended.inclusion_p, ended.seed = True, finding.inclusion_p, finding.seed
    if before == (ended.sampled, ended.inclusion_p):
        return False
    ended.draws = [draw.as_stored() for draw in finding.draws]
    return True


def _stand_in(task: Task, item: Item, queue: Queue, by: TriageRule, topic: str) -> None:
    """Gives the task its place in the queue: some, drawn by the item alone, are for calibration (two labels, blind)."""
    task.queue = queue
    task.queue_version = queue.version
    task.lane = Task.Lane.RANDOM if queue.kind == Queue.Kind.RANDOM else Task.Lane.RISK
    task.needed = queue.overlap
    if sampling.number(f"{queue.slug} calibration", item.interaction.external_id) < queue.calibration_share:
        task.lane, task.needed = Task.Lane.CALIBRATION, max(CALIBRATION_LABELS, queue.overlap)
    task.topic = topic
    task.rule, task.rule_version = by, by.version


def _weighed(finding: Finding, queue: Queue) -> tuple[float, list[dict[str, Any]]]:
    """The score of an item in a queue, and its terms."""
    found = priority.terms(
        finding.reasons, queue.weights, forced_by=finding.forced_by, cap=finding.cap, capped_by=finding.capped_by
    )
    return priority.total(found), found


def _keep(task: Task, finding: Finding) -> None:
    task.reasons = [priority.as_stored(reason, task.queue.weights) for reason in finding.reasons]
    task.draws = [draw.as_stored() for draw in finding.draws]
    task.certain = finding.certain


def _due(task: Task, item: Item) -> datetime:
    """Until when it should be seen: by its score, or by nothing but chance where it stands in a random sample."""
    queue = task.queue
    if queue.kind != Queue.Kind.RANDOM:
        return task.enqueued_at + _limit(queue, task.score)
    number = sampling.number(f"{queue.slug} turn", item.interaction.external_id)
    limits = {"sla_min_hours": queue.sla_min_hours, "sla_max_hours": queue.sla_max_hours}
    return task.enqueued_at + priority.turn(number, **limits)


def _limit(queue: Queue, points: float) -> timedelta:
    return priority.time_limit(points, sla_min_hours=queue.sla_min_hours, sla_max_hours=queue.sla_max_hours)


def _create(project: Project, new: list[tuple[Task, Item]]) -> None:
    create_tasks([task for task, _ in new])
    if not webhooks.wants(project, "task.created"):
        return
    for task, item in new:
        if task.state == Task.State.OPEN:
            thin = {"task_id": task.pk, "queue": task.queue.slug, "interaction_id": item.interaction.external_id}
            webhooks.emit(project, "task.created", thin)
