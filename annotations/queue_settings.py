"""What leads set of a queue: who works it, how urgent its tasks are, and where they go when nobody can."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from annotations import triage
from annotations.checking import Settings, flag, free_slug, hundred, maybe, number, one_of, shares, text, whole, words
from annotations.models import Queue, QueueMember, Task, TriageRevision
from annotations.priority import WEIGHTS
from projects import audit
from projects.access import RIGHTS, Right
from projects.errors import ApiError, invalid
from projects.models import Membership, Project, User

SETTINGS = ("name", "description", "kind", "overlap", "blind", "phase", "calibration_share", "gold_share",
            "repeat_share", "lease_seconds",
            "sla_min_hours", "sla_max_hours", "paused", "open_to_all", "members", "topics", "fallback", "weights",
            "lanes", "admission", "admission_below", "capacity_per_day")  # fmt: skip
# The rest is words, or about claims: no task would have been made or ordered otherwise.
TELLS_ONLY = {"name", "description", "paused", "lease_seconds", "gold_share", "repeat_share", "phase"}
LANES = (*Task.Lane.values, "oldest")
YEAR_HOURS = 8760
MOST, TOPICS, MEMBERS = 100, 50, 500


@dataclass(frozen=True)
class _Member:
    user: User
    topics: list[str]

    def told(self) -> dict[str, Any]:
        return {"user": self.user.email, "topics": self.topics}


@transaction.atomic
def save(*, project: Project, actor: User | None, queue: Queue | None, fields: dict[str, Any]) -> Queue:
    """A new queue (``queue`` is None), or changes of one; absent fields stay as they are.

    ``fallback`` is a slug; ``members`` are ``{"user": e-mail or id, "topics": […]}``. What decides on tasks raises
    the version and keeps a revision, whoever is routing has finished. Tasks that wait keep what they have.
    ApiError 422 with everything that is wrong; 404 if the queue has been removed, 409 if there are too many.
    """
    triage.locked(project)
    rows = list(Queue.objects.select_related("fallback").filter(project=project))
    old = _current(queue, rows)
    if old is None and len(rows) >= MOST:
        raise ApiError(409, "too_many", f"A project has at most {MOST} queues. Remove one first.")
    before = _members(old)
    settings = Settings(fields)
    draft, members = _drafted(project, old, rows, before, settings)
    settings.done()
    was = snapshot(old, before) if old else None
    now = snapshot(draft, members)
    changed = {name: now[name] for name in now if was is None or was[name] != now[name]}
    if old and not changed:
        return old
    decides = not TELLS_ONLY.issuperset(changed)
    if old:
        keep_revision(old)
        draft.version += decides
    draft.save()
    _set_members(draft, before, members)
    if decides:
        keep_revision(draft, actor)
    action = "queue.changed" if old else "queue.created"
    audit.record(project, actor, action, draft.slug, by="key", version=draft.version, changed=changed)
    draft.refresh_from_db(fields=["paused_at"])
    return draft


@transaction.atomic
def remove(*, actor: User | None, queue: Queue) -> None:
    """Deletes a queue that nothing hangs on. 409 with what to do if rules fill it, or tasks stand or stood in it."""
    triage.locked(queue.project)
    hindrances = []
    rules = list(queue.rules.order_by("position").values_list("name", flat=True))
    if rules:
        hindrances.append(f"Rules put items here: {', '.join(rules)}. Give them another queue, or remove them.")
    if falls := list(queue.falls_here.values_list("name", flat=True)):
        hindrances.append(f"It is the fallback of {', '.join(falls)}. Choose another one there.")
    tasks = queue.tasks.count()
    if tasks:
        waiting = queue.tasks.filter(state=Task.State.OPEN).count()
        hindrances.append(
            f"{tasks:,} tasks belong to it, {waiting:,} of them wait: labels and rates are computed from them. Pause "
            "the queue instead; with a fallback, what would come here goes there."
        )
    if hindrances:
        raise ApiError(
            409, "in_use", f"{queue.name} cannot be removed. {hindrances[0]}",
            [{"path": "/", "message": hindrance} for hindrance in hindrances],
        )  # fmt: skip
    was = snapshot(queue)
    audit.record(queue.project, actor, "queue.removed", queue.slug, by="key", version=queue.version, was=was)
    queue.delete()


def snapshot(queue: Queue, members: Sequence[_Member] | None = None) -> dict[str, Any]:
    """All that is set of a queue: what its revisions keep and what the API tells."""
    told = [member.told() for member in (_members(queue) if members is None else members)]
    return {
        "name": queue.name, "description": queue.description, "kind": str(queue.kind), "overlap": queue.overlap,
        "blind": queue.blind, "phase": str(queue.phase), "calibration_share": queue.calibration_share,
        "gold_share": queue.gold_share,
        "repeat_share": queue.repeat_share, "lease_seconds": queue.lease_seconds, "sla_min_hours": queue.sla_min_hours,
        "sla_max_hours": queue.sla_max_hours, "paused": queue.paused_at is not None,
        "open_to_all": queue.open_to_all, "members": sorted(told, key=lambda member: member["user"]),
        "topics": queue.topics, "fallback": queue.fallback.slug if queue.fallback else None,
        "weights": queue.weights, "lanes": queue.lanes, "admission": queue.admission,
        "admission_below": queue.admission_below, "capacity_per_day": queue.capacity_per_day,
    }  # fmt: skip


def keep_revision(queue: Queue, actor: User | None = None) -> None:
    """Stores what the queue's settings are at their version, unless that is stored already."""
    TriageRevision.objects.get_or_create(
        queue=queue, version=queue.version,
        defaults={"project_id": queue.project_id, "snapshot": snapshot(queue), "changed_by": actor},
    )  # fmt: skip


def _current(queue: Queue | None, rows: Sequence[Queue]) -> Queue | None:
    if queue is None:
        return None
    for row in rows:
        if row.pk == queue.pk:
            return row
    raise ApiError(404, "not_found", "This queue has been removed.")


def _members(queue: Queue | None) -> list[_Member]:
    if queue is None:
        return []
    rows = QueueMember.objects.select_related("user").filter(queue=queue)
    return [_Member(row.user, row.topics) for row in rows.order_by("user__email")]


def _set_members(queue: Queue, before: Sequence[_Member], members: Sequence[_Member]) -> None:
    if list(before) == list(members):
        return
    QueueMember.objects.filter(queue=queue).delete()
    QueueMember.objects.bulk_create(
        [QueueMember(queue=queue, user=member.user, topics=member.topics) for member in members]
    )


def _drafted(
    project: Project, old: Queue | None, rows: Sequence[Queue], before: list[_Member], settings: Settings
) -> tuple[Queue, list[_Member]]:
    settings.know(SETTINGS)
    draft = (
        copy.copy(old) if old else Queue(project=project, position=1 + max((row.position for row in rows), default=0))
    )
    if old is None:
        settings.need("name", "A queue has a name.")
    draft.name = settings.take("name", draft.name, text(120))
    draft.description = settings.take("description", draft.description, text(300, empty=True))
    draft.kind = settings.take("kind", draft.kind, one_of(Queue.Kind.values))
    draft.overlap = settings.take("overlap", draft.overlap, whole(1, 9))
    draft.blind = settings.take("blind", draft.blind, flag)
    draft.phase = settings.take("phase", draft.phase, one_of(Queue.Phase.values))
    draft.calibration_share = settings.take("calibration_share", draft.calibration_share, number(0, 0.5))
    draft.gold_share = settings.take("gold_share", draft.gold_share, number(0, 0.5))
    draft.repeat_share = settings.take("repeat_share", draft.repeat_share, number(0, 0.5))
    draft.lease_seconds = settings.take("lease_seconds", draft.lease_seconds, whole(60, 86_400))
    if settings.take("paused", draft.paused_at is not None, flag) != (draft.paused_at is not None):
        draft.paused_at = None if draft.paused_at else Now()
    draft.topics = settings.take("topics", draft.topics, words(60, TOPICS))
    if old is None:
        draft.slug = free_slug(draft.name, {row.slug for row in rows}, "queue")
    _limits(draft, settings)
    _admission(draft, settings)
    _fallback(draft, rows, settings)
    return draft, _staff(project, draft, before, settings)


def _limits(draft: Queue, settings: Settings) -> None:
    """Time limits, points and lanes: how urgent a task is and when its turn comes."""
    hours = number(0, YEAR_HOURS, above=True)
    draft.sla_min_hours = settings.take("sla_min_hours", draft.sla_min_hours, hours)
    draft.sla_max_hours = settings.take("sla_max_hours", draft.sla_max_hours, hours)
    if draft.sla_min_hours > draft.sla_max_hours:
        path = "/sla_max_hours" if "sla_max_hours" in settings.fields else "/sla_min_hours"
        settings.refuse(path, "The longest time limit may not be shorter than the shortest.")
    draft.weights = settings.take("weights", draft.weights, shares(WEIGHTS, "points"))
    if draft.weights and not hundred({**WEIGHTS, **draft.weights}.values()):
        total = sum({**WEIGHTS, **draft.weights}.values())
        settings.refuse("/weights", f"All points together, with the default ones, make {total:g}; they must make 100.")
    draft.lanes = settings.take("lanes", draft.lanes, shares(LANES, "per cent"))
    if draft.lanes and not hundred(draft.lanes.values()):
        settings.refuse("/lanes", f"The shares make {sum(draft.lanes.values()):g} %; they must make 100 %.")


def _admission(draft: Queue, settings: Settings) -> None:
    draft.admission = settings.take("admission", draft.admission, flag)
    draft.admission_below = settings.take("admission_below", draft.admission_below, number(0, 100))
    draft.capacity_per_day = settings.take(
        "capacity_per_day", draft.capacity_per_day, maybe(number(0, 1_000_000, above=True))
    )
    if not draft.admission:
        draft.admission_p = 1.0


def _fallback(draft: Queue, rows: Sequence[Queue], settings: Settings) -> None:
    """Another queue of the project; following fallbacks must come to an end."""
    known = {row.slug: row for row in rows}
    by_pk = {row.pk: row for row in rows}

    def check(value: Any, path: str) -> Queue:
        found = known.get(value) if isinstance(value, str) else None
        if found is None:
            raise invalid(path, f"There is no queue {str(value)[:60]!r} in this project.")
        seen = [draft.name]
        place: Queue | None = found
        while place is not None:
            seen.append(place.name)
            if place.pk == draft.pk:
                raise invalid(path, f"Items would go round in circles: {' → '.join(seen)}.")
            place = by_pk.get(place.fallback_id or 0)
        return found

    draft.fallback = settings.take("fallback", draft.fallback, maybe(check))


def _staff(project: Project, draft: Queue, before: list[_Member], settings: Settings) -> list[_Member]:
    """Who works the queue: people of the project who may review."""
    able = [role for role, rights in RIGHTS.items() if Right.REVIEW in rights]
    people = {
        row.user.email.lower(): row.user
        for row in Membership.objects.select_related("user").filter(project=project, role__in=able)
    }
    by_pk = {user.pk: user for user in people.values()}

    def check(value: Any, path: str) -> list[_Member]:
        if not isinstance(value, list) or len(value) > MEMBERS:
            raise invalid(path, f"A list of at most {MEMBERS} members.")
        found: dict[int, _Member] = {}
        for place, entry in enumerate(value):
            at = f"{path}/{place}"
            if not isinstance(entry, dict) or not {"user"} <= set(entry) <= {"user", "topics"}:
                raise invalid(at, 'A member is {"user": e-mail, "topics": [what this person knows]}.')
            who = entry["user"]
            user = people.get(who.lower()) if isinstance(who, str) else by_pk.get(who) if type(who) is int else None
            if user is None:
                raise invalid(f"{at}/user", "Nobody of this project who may review.")
            if user.pk in found:
                raise invalid(f"{at}/user", "This person is in the list already.")
            found[user.pk] = _Member(user, words(60, TOPICS)(entry.get("topics", []), f"{at}/topics"))
        return sorted(found.values(), key=lambda member: member.user.email)

    members = settings.take("members", before, check)
    draft.open_to_all = settings.take("open_to_all", draft.open_to_all, flag)
    if not draft.open_to_all and not members and not settings.faulty("/members"):
        path = "/members" if "members" in settings.fields else "/open_to_all"
        settings.refuse(path, "Nobody could work this queue. Name its members, or open it to all who may review.")
    return members
