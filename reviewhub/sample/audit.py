"""The lead's audit of last week: drawn by model, looked at blind by the three reviewers, and signed."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random

from annotations import audits
from annotations.audits import Plan
from annotations.models import Audit, AuditItem, Task
from projects.models import Project
from reviewhub.sample import reviews, second
from reviewhub.sample.people import Team
from reviewhub.sample.stamps import stamp
from reviewhub.sample.written import Exchange

SIZE = 40
STATEMENT = (
    "Nobody who looked knew why an answer was drawn. What fails goes to the golden set before prompt 15 is released; "
    "answers about fees come first. We draw again next Monday."
)


def hold(project: Project, exchanges: dict[str, Exchange], team: Team, now: datetime, rng: Random) -> Audit:
    """Draws, labels and signs, with the times at which that would have happened in the last days."""
    until = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=3)
    found = audits.define(
        project=project, actor=team.lead,
        plan=Plan(
            name=f"Week from {until - timedelta(days=7):%Y-%m-%d}", since=until - timedelta(days=7), until=until,
            size=SIZE, filters={"environment": "production"}, segment_by="model",
        ),
    )  # fmt: skip
    drawn = until + timedelta(hours=8)
    stamp(Audit, {found.pk: {"created_at": drawn}})
    items = AuditItem.objects.filter(audit=found, task__purpose=Task.Purpose.AUDIT, task__queue=found.queue)
    tasks = list(Task.objects.filter(audit_items__in=items).select_related("interaction", "queue").order_by("pk"))
    stamp(Task, {task.pk: {"enqueued_at": drawn, "due_at": drawn + (task.due_at - task.enqueued_at)} for task in tasks})
    votes = [
        vote
        for number, task in enumerate(task for task in tasks if task.interaction.external_id in exchanges)
        for vote in reviews.opinions(
            rng, task, exchanges[task.interaction.external_id], team, drawn + timedelta(minutes=12 * number)
        )
    ]
    votes.sort(key=lambda vote: (vote.at, vote.task.pk))
    reviews.cast(project, votes, second.Differences(team, now))
    return audits.sign(actor=team.lead, found=found, statement=STATEMENT, incomplete=True)
