"""Who works which queue, where an item goes when nobody there can, and what belongs to one person.

* **Members.** Whoever may review in the project works a queue that is open to all; any other queue only its members.
* **Topics.** A queue may name topics. A task's topic is the item's feature, or else the first of its tags, that is
  among them; a task without one is for everybody. A member is offered the topics they know, one without any everything.
* **Fallbacks.** Where a queue is paused, or nobody of its members knows the topic, what would come here goes to its
  fallback, and so on. If that ends nowhere, the item stays in the first queue and waits. What waits already stays.
* **Assignment.** A task that is assigned to somebody is offered to them before anything else, and to nobody else,
  until it is due; then it is everybody's again. Whoever assigns a task that is due gives its person the queue's
  shortest time limit. While it is assigned triage neither moves it nor lets it wait longer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Greatest, Now

from annotations.models import Queue, QueueMember, Task
from projects import audit
from projects.access import RIGHTS, Right
from projects.errors import ApiError, invalid
from projects.models import Membership, Project, User

REVIEWERS = sorted(role for role, rights in RIGHTS.items() if Right.REVIEW in rights)
RELEASED = 500  # assignments that one sweep ends


class Team:
    """The queues of a project with who works them, read once for a batch and only if a queue needs it."""

    def __init__(self, project_id: int, queues: Iterable[Queue] = ()) -> None:
        self._project = project_id
        self._queues = {queue.pk: queue for queue in queues}
        self._complete = False
        self._topics: dict[int, list[list[str]]] | None = None

    def topic(self, queue: Queue, feature: str, tags: Sequence[str]) -> str:
        """What somebody must know to judge an item of this feature with these tags here; empty for nothing."""
        if not queue.topics:
            return ""
        return next((value for value in (feature, *tags) if value in queue.topics), "")

    def stand(self, queue: Queue, *, topic: str) -> Queue:
        """The queue in which an item that belongs to this one stands, see ``stand``."""
        seen: set[int] = set()
        place: Queue | None = queue
        while place is not None and place.pk not in seen:
            if place.paused_at is None and self._knows(place, topic):
                return place
            seen.add(place.pk)
            place = self._of(place.fallback_id)
        return queue

    def _knows(self, queue: Queue, topic: str) -> bool:
        if queue.open_to_all or not topic:
            return True
        return any(not known or topic in known for known in self._members().get(queue.pk, ()))

    def _members(self) -> dict[int, list[list[str]]]:
        if self._topics is None:
            found: dict[int, list[list[str]]] = defaultdict(list)
            active = Membership.objects.filter(project=self._project, user=OuterRef("user"), role__in=REVIEWERS)
            members = QueueMember.objects.filter(Exists(active), queue__project=self._project, user__is_active=True)
            for queue, topics in members.values_list("queue", "topics"):
                found[queue].append(topics)
            self._topics = found
        return self._topics

    def _of(self, pk: int | None) -> Queue | None:
        if pk is not None and pk not in self._queues and not self._complete:
            self._complete = True
            for queue in Queue.objects.filter(project=self._project).exclude(pk__in=self._queues):
                self._queues[queue.pk] = queue
        return self._queues.get(pk) if pk is not None else None


def stand(queue: Queue, *, topic: str) -> Queue:
    """The queue in which an item that belongs to this one stands: itself, or where its fallbacks lead.

    It is left where it is paused, or where nobody of its members knows the topic; itself if no fallback is better.
    """
    return Team(queue.project_id, [queue]).stand(queue, topic=topic)


def may_work(user: User, queue: Queue) -> bool:
    """Whether this person may take tasks from the queue: a reviewer of the project, and a member if it has members."""
    return workable(user, queue.project).filter(pk=queue.pk).exists()


def workable(user: User, project: Project) -> QuerySet[Queue]:
    """The queues of the project that this person may take tasks from, in their order; paused ones too."""
    if not Membership.objects.filter(project=project, user=user, role__in=REVIEWERS).exists():
        return Queue.objects.none()
    mine = QueueMember.objects.filter(queue=OuterRef("pk"), user=user)
    return Queue.objects.filter(Q(open_to_all=True) | Q(Exists(mine)), project=project).order_by("position", "id")


def workers(queue: Queue) -> QuerySet[User]:
    """Who may take tasks from the queue."""
    people = User.objects.filter(
        is_active=True, memberships__project=queue.project_id, memberships__role__in=REVIEWERS
    ).order_by("name", "email")  # fmt: skip
    return people if queue.open_to_all else people.filter(queue_memberships__queue=queue)


@transaction.atomic
def assign(*, actor: User | None, task: Task, user: User | None) -> Task:
    """Gives an open task to one person, or to nobody in particular again (``user`` is None).

    ApiError 409 if it is not open, if somebody else is working on it, or if it is a check that is one person's
    anyway; 422 if the person may not work its queue.
    """
    task = Task.objects.select_for_update(of=("self",)).select_related("queue__project").get(pk=task.pk)
    if task.purpose in {Task.Purpose.GOLD, Task.Purpose.REPEAT}:
        raise ApiError(409, "not_assignable", "This task is a check of one person and stays theirs.")
    if task.state != Task.State.OPEN:
        raise ApiError(409, "not_open", "Only a task that waits can be assigned.")
    if user is not None and not may_work(user, task.queue):
        raise invalid("/assigned_to", f"{user} does not work the queue {task.queue.name}.")
    if user is not None and task.taken >= task.needed and not task.claims.filter(reviewer=user).exists():
        raise ApiError(409, "in_work", "Somebody is working on it right now.")
    if task.assigned_to_id == (user.pk if user else None):
        return task
    least = timedelta(hours=task.queue.sla_min_hours)
    due = Greatest(F("due_at"), Now() + least) if user else F("due_at")
    Task.objects.filter(pk=task.pk).update(assigned_to=user, due_at=due)
    action = "task.assigned" if user else "task.unassigned"
    audit.record(task.project, actor, action, str(task.pk), by="key", user=user.email if user else "")
    task.refresh_from_db(fields=["assigned_to", "due_at"])
    return task


@transaction.atomic
def release_assignments(limit: int = RELEASED) -> int:
    """Ends assignments of tasks that are due and that their person is not working on; returns how many.

    Also of people who may no longer review in the project: what is theirs alone would be nobody's.
    """
    gone = ~Exists(
        Membership.objects.filter(project=OuterRef("project"), user=OuterRef("assigned_to"), role__in=REVIEWERS)
    )
    ended = Task.objects.filter(
        Q(due_at__lte=Now()) | gone, state=Task.State.OPEN, assigned_to__isnull=False, taken=0,
        purpose__in=[Task.Purpose.REVIEW, Task.Purpose.AUDIT],
    )  # fmt: skip
    locked = ended.select_for_update(of=("self",), skip_locked=True).order_by("pk")
    pks = list(locked.values_list("pk", flat=True)[:limit])
    return Task.objects.filter(pk__in=pks).update(assigned_to=None) if pks else 0


def needs(queues: Collection[Queue]) -> set[str]:
    """The fields of an item from which the topics of these queues are read."""
    return {"feature", "tags"} if any(queue.topics for queue in queues) else set()
