"""The lead's reading queue: answers that nobody had complained about, open notes on them, and the groups so far."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from annotations import coding, queue_settings, sending
from annotations.models import Task, Verdict
from feedback.models import Interaction
from projects.models import Project
from reviewhub.sample import reviews, second
from reviewhub.sample.content import OpenNote, read
from reviewhub.sample.people import Team
from reviewhub.sample.reviews import Vote
from reviewhub.sample.stamps import stamp
from reviewhub.sample.written import Exchange

QUEUE = {
    "name": "First reading", "phase": "open", "sla_max_hours": 240,
    "description": "What nobody complained about: say in your own words what is wrong, if anything is.",
}  # fmt: skip
FINE = 6  # good answers among them: whoever only sees faults finds some everywhere
READ_AFTER = timedelta(hours=12)  # the lead sends what came the day before
JUST_SENT = timedelta(hours=20)  # and the newest waits for its reviewer
LEFT_FREE = 5  # of the notes, the newest: the lead has not come to them
NO_ANSWER = "No answer came"


def hold(project: Project, exchanges: dict[str, Exchange], team: Team, now: datetime, rng: Random) -> int:
    """Sends, notes and groups, with the times at which that would have happened; returns how many notes."""
    written = _written(project, exchanges, rng)
    queue = queue_settings.save(project=project, actor=team.lead, queue=None, fields=QUEUE)
    items = Interaction.objects.filter(project=project, external_id__in=written, created_at__lt=now - READ_AFTER)
    sending.send(project, team.lead, list(items.values_list("pk", flat=True)), queue)
    tasks = list(queue.tasks.select_related("interaction", "queue").order_by("interaction__created_at", "pk"))
    for task in tasks:
        at = task.interaction.created_at + READ_AFTER
        task.enqueued_at, task.due_at = at, at + (task.due_at - task.enqueued_at)
    stamp(Task, {task.pk: {"enqueued_at": task.enqueued_at, "due_at": task.due_at} for task in tasks})
    votes = [
        _vote(rng, task, exchanges[task.interaction.external_id], written[task.interaction.external_id], team)
        for task in tasks if task.enqueued_at < now - JUST_SENT
    ]  # fmt: skip
    votes = sorted((vote for vote in votes if vote.at < now - timedelta(minutes=10)), key=lambda vote: vote.at)
    reviews.cast(project, votes, second.Differences(team, now))
    _group(project, team, {task.pk: written[task.interaction.external_id] for task in tasks})
    return sum(vote.body["verdict"] == Verdict.FAIL for vote in votes)


def _written(project: Project, exchanges: dict[str, Exchange], rng: Random) -> dict[str, OpenNote | None]:
    """The items to be read, with the note on each, by id; None for those that are fine. No note is used twice."""
    notes: dict[str, list[OpenNote]] = defaultdict(list)
    for note in read().open_notes:
        notes[note.pattern].append(note)
    known = set(Task.objects.filter(project=project).values_list("interaction__external_id", flat=True))
    unseen = {ident: one for ident, one in exchanges.items() if ident not in known}
    found: dict[str, OpenNote | None] = {
        ident: notes[one.pattern.key].pop(0) for ident, one in unseen.items() if one.faulty and notes[one.pattern.key]
    }
    fine = sorted(ident for ident, one in unseen.items() if not one.faulty and one.answer)
    return found | dict.fromkeys(rng.sample(fine, FINE))


def _vote(rng: Random, task: Task, exchange: Exchange, note: OpenNote | None, team: Team) -> Vote:
    body: dict[str, Any] = {"submission_id": str(UUID(int=rng.getrandbits(128), version=4)), "verdict": Verdict.PASS}
    if note is not None:
        body |= {"verdict": Verdict.FAIL, "note": note.text}
    return Vote(task, reviews.reviewer_of(team, exchange), reviews.worked_at(rng, task), reviews.seconds(rng), body)


def _group(project: Project, team: Team, written: dict[int, OpenNote | None]) -> None:
    """What the lead has put together so far, the groups in the order in which they came up."""
    groups: dict[str, list[int]] = defaultdict(list)
    said = list(coding.open_notes(project).values_list("pk", "task"))
    for pk, task in said[:-LEFT_FREE]:
        note = written.get(task)
        if group := note.group if note else "" if task in written else NO_ANSWER:
            groups[group].append(pk)
    for name, notes in reversed(groups.items()):  # a new group stands first
        coding.place(project=project, actor=team.lead, notes=notes, name=name)
