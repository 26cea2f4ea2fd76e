"""Audits: a stratified random sample of a period that people look at blind, reported with intervals and signed.

The sample has a fixed size. Within each segment the interactions with the smallest permanent random numbers
(``sampling.number`` under the audit's seed) are taken: a simple random sample of n_h of N_h, each with the probability
n_h/N_h, that anybody can draw again. With the N_h known, ``estimation.rate`` is the stratified estimator with finite
population correction (Cochran 1977, chapter 5; docs/agreement.md).

What already has a label that people gave is not looked at again. The rest waits in one blind queue of the project. What
a lead has signed is final: the figures are kept as they were, and the database refuses to change them.
"""

from __future__ import annotations

import secrets
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, QuerySet
from django.db.models.functions import Now

from annotations import priority, queue_settings, sampling
from annotations.estimation import Estimate, Unit, rate
from annotations.models import Audit, AuditItem, Label, Queue, Task, Verdict
from annotations.priority import Reason
from annotations.triage import SENT, locked
from feedback.models import Interaction
from projects import audit as audit_log
from projects.errors import ApiError, invalid
from projects.models import Project, User
from projects.strictjson import clean_text

QUEUE = "audits"
# By what a population can be narrowed and split.
SEGMENTS = {
    "feature": "Feature", "model": "Model", "release": "Release", "environment": "Environment", "variant": "Variant",
    "prompt_version": "Prompt version", "language": "Language", "status": "Status",
}  # fmt: skip
MOST, MOST_SEGMENTS, MOST_POPULATION = 1_000, 30, 1_000_000
NAME, STATEMENT, VALUE = 120, 4_000, 200
NONE = "(none)"  # the segment of what says nothing of it


@dataclass(frozen=True)
class Plan:
    """What to look at: ``size`` interactions of ``since`` to ``until`` for which every filter field has its value.

    ``allocation`` shares them out by segment, in proportion or equally; ``overlap`` people see each.
    """

    name: str
    since: datetime
    until: datetime
    size: int
    filters: Mapping[str, str]
    segment_by: str = ""
    allocation: str = Audit.Allocation.PROPORTIONAL
    overlap: int = 1


# -- drawing --------------------------------------------------------------------------------------------------------


def allocated(volumes: Mapping[str, int], size: int, *, equal: bool) -> dict[str, int]:
    """How many of each segment: equally, or in proportion (largest remainders), each at least one and at most all.

    They add up to ``size``, or to everything there is. A segment gets more than its share only where others have too
    few. ValueError where there are more segments than items.
    """
    names = sorted(name for name, volume in volumes.items() if volume > 0)
    if size < len(names):
        raise ValueError("every segment needs at least one item")
    size = min(size, sum(volumes[name] for name in names))
    given = dict.fromkeys(names, 1)
    weights = {name: 1.0 if equal else float(volumes[name]) for name in names}
    total = sum(weights.values())
    for _ in range(size - len(names)):
        free = [name for name in names if given[name] < volumes[name]]
        # The one furthest below its share gets the next item.
        given[max(free, key=lambda name: (size * weights[name] / total - given[name], name))] += 1
    return given


def population(project: Project, plan: Plan) -> QuerySet[Interaction]:
    """The interactions that the audit speaks for."""
    rows = Interaction.objects.filter(project=project, happened_at__gte=plan.since, happened_at__lt=plan.until)
    return rows.filter(**dict(plan.filters))


@transaction.atomic
def define(*, project: Project, actor: User | None, plan: Plan) -> Audit:
    """Draws the sample and puts what has no label yet into the queue of audits.

    ApiError 422 with all faults, also where there is nothing to draw from or more segments than items.
    """
    plan = _checked(plan)
    now = locked(project)
    by_segment: dict[str, list[tuple[str, int]]] = defaultdict(list)
    fields = ("pk", "external_id", *([plan.segment_by] if plan.segment_by else []))
    rows = population(project, plan).values_list(*fields)[: MOST_POPULATION + 1]
    for row in rows:
        by_segment[(row[2] or NONE) if plan.segment_by else ""].append((row[1], row[0]))
    volumes = {name: len(items) for name, items in by_segment.items()}
    _drawable(plan, volumes)
    counts = allocated(volumes, plan.size, equal=plan.allocation == Audit.Allocation.EQUAL)
    found = Audit(
        project=project, queue=_queue(project, actor), name=plan.name, since=plan.since, until=plan.until,
        filters=dict(plan.filters), segment_by=plan.segment_by, allocation=plan.allocation, size=sum(counts.values()),
        population=sum(volumes.values()), segments=volumes, seed=secrets.token_hex(8), created_by=actor,
    )  # fmt: skip
    found.save()
    items = [
        AuditItem(audit=found, interaction_id=pk, segment=name, inclusion_p=counts[name] / volumes[name])
        for name in sorted(by_segment)
        for pk in _first(found.seed, by_segment[name], counts[name])
    ]
    tasks = _tasks(found, [item.interaction_id for item in items], plan.overlap, now)
    for item in items:
        item.task = tasks.get(item.interaction_id)
    AuditItem.objects.bulk_create(items)
    audit_log.record(project, actor, "audit.defined", found.name, by="key", audit=found.pk, size=found.size)
    return found


def _first(seed: str, items: Sequence[tuple[str, int]], count: int) -> list[int]:
    """The keys of those with the smallest random numbers."""
    return [pk for _, pk in sorted((sampling.number(seed, name), pk) for name, pk in items)[:count]]


def _checked(plan: Plan) -> Plan:
    faults = []
    name = " ".join(clean_text(plan.name).split())
    if not 0 < len(name) <= NAME:
        faults.append({"path": "/name", "message": f"A name of up to {NAME} characters."})
    if plan.until <= plan.since:
        faults.append({"path": "/until", "message": "The period ends after it begins."})
    if not 1 <= plan.size <= MOST:
        faults.append({"path": "/size", "message": f"A whole number from 1 to {MOST:,}."})
    if not 1 <= plan.overlap <= 3:
        faults.append({"path": "/overlap", "message": "1 to 3 people for each item."})
    if plan.segment_by not in {"", *SEGMENTS}:
        faults.append({"path": "/segment_by", "message": f"One of {', '.join(SEGMENTS)}."})
    if plan.allocation not in Audit.Allocation.values:
        faults.append({"path": "/allocation", "message": f"One of {', '.join(Audit.Allocation.values)}."})
    for field, value in plan.filters.items():
        if field not in SEGMENTS:
            faults.append({"path": f"/filters/{field}", "message": f"One of {', '.join(SEGMENTS)}."})
        elif not value or len(value) > VALUE or "\0" in value:
            faults.append({"path": f"/filters/{field}", "message": f"A value of up to {VALUE} characters."})
    if faults:
        raise ApiError(422, "invalid", faults[0]["message"], faults)
    return Plan(**{**plan.__dict__, "name": name})


def _drawable(plan: Plan, volumes: Mapping[str, int]) -> None:
    if not volumes:
        raise invalid("/since", "There is no interaction in this period that fits.")
    if sum(volumes.values()) > MOST_POPULATION:
        raise invalid("/since", f"More than {MOST_POPULATION:,} interactions: make the period shorter.")
    if len(volumes) > min(MOST_SEGMENTS, plan.size):
        raise invalid(
            "/segment_by",
            f"{len(volumes)} segments are too many for {plan.size} items (at most {MOST_SEGMENTS}, one item each).",
        )


def _queue(project: Project, actor: User | None) -> Queue:
    """The project's queue of audits: blind, in an order of nothing but chance, without known items or repeats."""
    found = Queue.objects.filter(project=project, slug=QUEUE).first()
    if found is not None:
        return found
    fields = {
        "name": "Audits", "description": "Samples that leads have drawn, looked at blind", "kind": Queue.Kind.RANDOM,
        "blind": True, "overlap": 1,
    }  # fmt: skip
    return queue_settings.save(project=project, actor=actor, queue=None, fields=fields)


def _tasks(found: Audit, pks: Collection[int], overlap: int, now: datetime) -> dict[int, Task]:
    """A task for each of these interactions without a label of people's own.

    One that waits elsewhere moves here, unless somebody has it; what it was drawn for there stays with it.
    """
    labelled = set(_labels(pks).values_list("interaction_id", flat=True))
    wanted = [pk for pk in pks if pk not in labelled]
    settling = Task.objects.select_for_update().filter(
        interaction__in=wanted, purpose__in=[Task.Purpose.REVIEW, Task.Purpose.AUDIT]
    )
    tasks: dict[int, Task] = {}
    for task in settling.order_by("pk"):
        if task.state == Task.State.OPEN or (task.queue_id == found.queue_id and task.interaction_id not in tasks):
            tasks[task.interaction_id] = task
    due = now + timedelta(hours=found.queue.sla_max_hours)
    why = Reason(SENT, "", 0.0, "dice", f"Drawn for the audit {found.name}", title="A random sample of a period")
    reasons = [priority.as_stored(why, found.queue.weights)]
    for task in tasks.values():
        _adopt(task, found.queue, overlap, due, now)
    new = [
        Task(
            project_id=found.project_id, interaction_id=pk, queue=found.queue, queue_version=found.queue.version,
            lane=Task.Lane.RANDOM, purpose=Task.Purpose.AUDIT, needed=overlap, reasons=reasons, enqueued_at=now,
            due_at=due,
        )
        for pk in wanted
        if pk not in tasks
    ]  # fmt: skip
    Task.objects.bulk_create(new)
    return tasks | {task.interaction_id: task for task in new}


def _adopt(task: Task, queue: Queue, overlap: int, due: datetime, now: datetime) -> None:
    task.purpose = Task.Purpose.AUDIT
    been_here = task.queue_id != queue.pk and queue.tasks.filter(interaction=task.interaction_id).exists()
    if task.state in {Task.State.DROPPED, Task.State.SHED}:
        task.state, task.done_at, task.enqueued_at, task.due_at = Task.State.OPEN, None, now, due
    if task.state == Task.State.OPEN and not task.taken and task.assigned_to_id is None:
        if not been_here:
            task.queue, task.queue_version, task.lane = queue, queue.version, Task.Lane.RANDOM
        task.needed = max(task.needed, overlap)
    task.save()


# -- what came of it ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """One segment, or all of them: ``population`` interactions, ``drawn`` of them, what labels say, and the rate."""

    segment: str
    population: int
    drawn: int
    passed: int
    failed: int
    unsure: int
    value: float | None
    low: float | None
    high: float | None
    enough: bool

    @property
    def labelled(self) -> int:
        return self.passed + self.failed + self.unsure


@dataclass(frozen=True)
class Result:
    """The figures of an audit: by segment and together, failure modes by name, and how many labels were given blind."""

    lines: list[Line]
    total: Line
    modes: list[tuple[str, int]]
    blind: int

    @property
    def waiting(self) -> int:
        """Items without a label."""
        return self.total.drawn - self.total.labelled

    def as_json(self) -> dict[str, Any]:
        """As it is kept when it is signed, and as the API tells it."""
        return {
            "total": self.total.__dict__, "segments": [line.__dict__ for line in self.lines],
            "categories": [{"label": label, "items": count} for label, count in self.modes], "blind": self.blind,
        }  # fmt: skip

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Result:
        """From what was kept."""
        return cls(
            [Line(**line) for line in kept["segments"]], Line(**kept["total"]),
            [(one["label"], one["items"]) for one in kept["categories"]], kept["blind"],
        )  # fmt: skip


def _labels(pks: Collection[int]) -> QuerySet[Label]:
    """The labels that count and that somebody gave to the item itself."""
    return Label.objects.filter(interaction__in=pks, superseded_at=None, applied_from=None)


def result(found: Audit) -> Result:
    """What the labels say now; of a signed audit what they said then. Two queries."""
    if found.result is not None:
        return Result.of(found.result)
    items = list(found.items.values_list("interaction_id", "segment", "inclusion_p"))
    labels = {label.interaction_id: label for label in
              _labels([pk for pk, _, _ in items]).select_related("primary_category")}  # fmt: skip
    by_segment: dict[str, list[Unit]] = defaultdict(list)
    verdicts: dict[str, Counter[str]] = defaultdict(Counter)
    for pk, segment, p in items:
        verdict = labels[pk].verdict if pk in labels else ""
        value = {Verdict.FAIL: 1.0, Verdict.PASS: 0.0}.get(Verdict(verdict)) if verdict else None
        by_segment[segment].append(Unit(value, p, segment))
        verdicts[segment][verdict] += 1
    lines = [
        _line(name, rate(by_segment[name], sizes={name: volume}), volume, verdicts[name])
        for name, volume in sorted(found.segments.items())
    ]
    units = [unit for units in by_segment.values() for unit in units]
    total = _line("", rate(units, sizes=found.segments), found.population, sum(verdicts.values(), Counter()))
    fails = [label for label in labels.values() if label.verdict == Verdict.FAIL and label.primary_category]
    modes = Counter(str(label.primary_category) for label in fails)
    return Result(lines, total, modes.most_common(), sum(label.blind for label in labels.values()))


def labelled(pks: Collection[int]) -> dict[int, int]:
    """How many items of each of these audits have a label. One query."""
    given = _labels_of_items()
    rows = AuditItem.objects.filter(Exists(given), audit__in=pks).values_list("audit").annotate(n=Count("pk"))
    return dict(rows.order_by())


def _labels_of_items() -> QuerySet[Label]:
    return Label.objects.filter(interaction=OuterRef("interaction"), superseded_at=None, applied_from=None)


def _line(segment: str, found: Estimate, volume: int, verdicts: Counter[str]) -> Line:
    return Line(
        segment, volume, verdicts.total(), verdicts[Verdict.PASS], verdicts[Verdict.FAIL], verdicts[Verdict.UNSURE],
        found.value, found.low, found.high, found.enough,
    )  # fmt: skip


@transaction.atomic
def sign(*, actor: User, found: Audit, statement: str, incomplete: bool = False) -> Audit:
    """A lead puts their name under it, with what they conclude. From then on nothing of it changes.

    What still waits for it is let go, except what was also drawn by a rule. ApiError 422 without a statement, or where
    items have no label and ``incomplete`` does not say that this is known; 409 if it is signed.
    """
    found = Audit.objects.select_for_update(of=("self",)).select_related("project", "queue").get(pk=found.pk)
    if found.signed_at is not None:
        raise ApiError(409, "already_signed", "This audit has been signed. Nothing was changed.")
    statement = clean_text(statement).strip()
    if not 0 < len(statement) <= STATEMENT:
        raise invalid("/statement", f"Write what you conclude, in up to {STATEMENT:,} characters.")
    figures = result(found)
    if figures.waiting and not incomplete:
        raise invalid(
            "/incomplete", f"{figures.waiting} of {found.size} items have no label. Say so, or wait for them."
        )
    waiting = Task.objects.filter(
        audit_items__audit=found, queue=found.queue, state=Task.State.OPEN, taken=0, sampled=False
    )
    others = AuditItem.objects.filter(task__in=waiting, audit__signed_at=None).exclude(audit=found).values("task")
    Task.objects.filter(pk__in=list(waiting.exclude(pk__in=others).values_list("pk", flat=True))).update(
        state=Task.State.DROPPED, done_at=Now()
    )
    Audit.objects.filter(pk=found.pk).update(
        signed_by=actor, signed_at=Now(), statement=statement, result=figures.as_json()
    )
    audit_log.record(found.project, actor, "audit.signed", found.name, audit=found.pk, labelled=figures.total.labelled)
    return Audit.objects.select_related("signed_by", "created_by", "queue").get(pk=found.pk)
