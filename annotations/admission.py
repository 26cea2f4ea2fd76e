"""What an overloaded queue lets in: what is severe always, of the rest a share at random, with its probability.

Ordering alone does not help for long where more comes in than gets done: the line grows until even what is severe
waits behind what is merely old (``tests/annotations/test_overload.py`` has the figures). So a queue may thin what
scores less than ``admission_below``. The share p that it lets in is set every ten minutes so that

    inflow at or above the limit + p · inflow below it  ≤  0.92 · capacity

and whether an item is let in follows from its permanent random number under a seed of the queue and its version: the
same item, the same answer. What is not let in is kept as a task in the state *shed*: it can be found, counted (with
1/p) and pulled in, and a complaint that comes later brings it in at once.

Never thinned: random queues, what a rule forces, and what a random rule drew into any other queue, whose own rule
draws with p times its rate instead, so that the probability that is written down remains the true one.

Capacity is what the reviewers get done in a day, the mean of seven. That only tells what they *can* do while enough
waits for them; of a queue that keeps up it is a lower bound, and thinning by it would make it smaller and smaller. So:
a measured capacity falls only while the queue is behind, by more than a day's work; a queue that is not behind and not
thinning lets everything in; and one that keeps up while it thins is believed to be able to do a tenth more each day,
until it lets everything in or falls behind. A lead may set the capacity instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import sqrt

from django.db import transaction
from django.db.models import Count, F, Min, Q
from django.utils import timezone

from annotations import sampling
from annotations.models import Label, Queue, Task
from projects import audit
from projects.errors import ApiError
from projects.models import Project, User

SPARE = 0.92  # of the capacity that may be planned for: the rest is for what varies
LEAST = 0.01  # of what is below the limit; what could not have been let in could not be spoken for
DAYS = 7
GROWTH = 1.1  # a day
FEW = 10  # tasks that wait are no backlog, however few get done


def share(*, above: float, below: float, capacity: float) -> float:
    """The share of what is below the limit that is let in, 0.01 to 1; all three in items of the same time."""
    if above + below <= SPARE * capacity or below <= 0:
        return 1.0
    return min(1.0, max(LEAST, (SPARE * capacity - above) / below))


def capacity(*, before: float | None, done: float, waiting: float, thinning: bool, days: float) -> float:
    """What reviewers can do a day: ``before`` is what was thought, ``done`` what they did a day, ``waiting`` how much
    waits, ``days`` the time since the last look."""
    if before is None or behind(done=done, waiting=waiting):
        return done
    return max(before, done) * (GROWTH**days if thinning else 1.0)


def behind(*, done: float, waiting: float) -> bool:
    """Whether more than a day's work waits."""
    return waiting > max(done, FEW)


def chance(queue: Queue, score: float) -> float:
    """With what probability the queue lets in an item of this score."""
    thins = queue.admission and queue.admission_p < 1 and queue.kind != Queue.Kind.RANDOM
    return queue.admission_p if thins and score < queue.admission_below else 1.0


def admit(queue: Queue, score: float, external_id: str) -> tuple[bool, float | None]:
    """Whether the queue lets in an item of this score, and with what probability; None where it thins nothing."""
    p = chance(queue, score)
    if p >= 1:
        return True, None
    return sampling.drawn(f"{queue.slug}:{queue.version}", external_id, p), p


def inflow(*, week: tuple[int, int], today: tuple[int, int], days: float) -> tuple[float, float]:
    """Items a day at or above the limit, and below it; from how many came in so many days (at most seven) and in the
    last one, each with how many of them were below. The mean of the days, or the last one where it brought more than
    chance would: a flood is met the same day."""
    everything, below = (count / days for count in week)
    if today[0] > everything + 2 * sqrt(everything):
        everything, below = float(today[0]), float(today[1])
    return everything - below, below


@dataclass(frozen=True, slots=True)
class _Flow:
    """A queue's traffic in items a day, what was shed included; ``waiting`` counts what is open and in nobody's hands.

    ``below`` is what may be thinned: what scores less than the limit and was not drawn.
    """

    above: float
    below: float
    done: float
    waiting: int


def measure(project: Project) -> int:
    """Measures what each queue of the project gets done, and sets what those that thin let in; returns how many
    queues thin something now. Idempotent; what it sets is no setting and raises no version."""
    thinning = 0
    now = timezone.now()
    for queue in project.queues.all():
        flow = _flow(queue, now)
        days = (now - queue.measured_at) / timedelta(days=1) if queue.measured_at else 0.0
        guessing = queue.admission_p < 1 and queue.capacity_per_day is None
        can = capacity(
            before=queue.measured_per_day, done=flow.done, waiting=flow.waiting, thinning=guessing, days=days
        )  # fmt: skip
        p = _share(queue, flow, can)
        same = Queue.objects.filter(pk=queue.pk, version=queue.version)
        same.update(measured_per_day=can, measured_at=now, admission_p=p)
        thinning += p < 1
    return thinning


def _share(queue: Queue, flow: _Flow, measured: float) -> float:
    if not queue.admission or queue.kind == Queue.Kind.RANDOM:
        return 1.0
    if queue.capacity_per_day is not None:
        return share(above=flow.above, below=flow.below, capacity=queue.capacity_per_day)
    if not flow.done or (queue.admission_p >= 1 and not behind(done=flow.done, waiting=flow.waiting)):
        return 1.0  # nobody has begun, or they keep up: what they could do is not known
    return share(above=flow.above, below=flow.below, capacity=measured)


def _flow(queue: Queue, now: datetime) -> _Flow:
    week = Task.objects.filter(queue=queue, enqueued_at__gt=now - timedelta(days=DAYS))
    low = Q(score__lt=queue.admission_below, sampled=False)
    day = Q(enqueued_at__gt=now - timedelta(days=1))
    came = week.aggregate(
        all=Count("pk"), low=Count("pk", filter=low), today=Count("pk", filter=day),
        low_today=Count("pk", filter=low & day), first=Min("enqueued_at"),
    )  # fmt: skip
    age = (now - came["first"]) / timedelta(days=1) if came["first"] else 0.0
    days = min(max(age, 1.0), float(DAYS))
    above, below = inflow(week=(came["all"], came["low"]), today=(came["today"], came["low_today"]), days=days)
    labels = Label.objects.filter(task__queue=queue, settled_at__gt=now - timedelta(days=DAYS))
    done = labels.values("task").distinct().count() / days
    waiting = Task.objects.filter(queue=queue, state=Task.State.OPEN, taken__lt=F("needed")).count()
    return _Flow(above, below, done, waiting)


@transaction.atomic
def pull_in(*, actor: User | None, task: Task) -> Task:
    """Lets in a task that its queue had shed. ApiError 409 if it is not shed, or its item waits in another queue.

    It keeps ``admission_p``, and is not counted by chance: somebody wanted it.
    """
    task = Task.objects.select_for_update(of=("self",)).select_related("queue", "project").get(pk=task.pk)
    if task.state != Task.State.SHED:
        raise ApiError(409, "not_shed", "This task has not been shed.")
    purposes = [Task.Purpose.REVIEW, Task.Purpose.AUDIT]
    same = Task.objects.filter(interaction=task.interaction_id, state=Task.State.OPEN, purpose__in=purposes)
    if (other := same.select_related("queue").first()) is not None:
        raise ApiError(409, "waits_elsewhere", f"It waits in the queue {other.queue.name} already.")
    Task.objects.filter(pk=task.pk).update(state=Task.State.OPEN, done_at=None)
    audit.record(task.project, actor, "task.pulled_in", str(task.pk), by="key", queue=task.queue.slug)
    task.refresh_from_db(fields=["state", "done_at"])
    return task
