"""What the three reviewers have done so far: votes through the ordinary door, with the times they were cast."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID
from zlib import crc32

from annotations import claims, labelling
from annotations.models import Annotation, Claim, Label, Task
from projects.models import Project, User
from reviewhub.sample import second
from reviewhub.sample.people import Team
from reviewhub.sample.stamps import stamp
from reviewhub.sample.written import Exchange

# By queue: what came in within so many hours is mostly still waiting. What is older has been seen.
FRESH_HOURS = {"negative-feedback": 60, "flagged": 90, "random-sample": 22}
FRESH_SHARE = 0.2
WORKDAY = range(7, 17)  # hours of a day, UTC
OVERSEEN = 0.05  # of the faults, by a reviewer in a hurry
PASS_NOTES = {
    "complained": [
        "The rule is unpopular, the answer is right.",
        "Right and complete. The thumbs-down is about the price, not about the answer.",
        "Nothing wrong here. The user wanted a person.",
    ],
    "flagged": [
        "All of it is in the sources; only the wording differs.",
        "False alarm: paraphrased, not invented.",
    ],
}
NO_ANSWERS = [
    "No answer came: the provider failed. Nothing to judge; the retry worked.",
    "Nothing to judge, the model was away. The customer asked again a minute later.",
    "Error instead of an answer. No idea what it would have said.",
    "Empty: time-out at the provider. Not the assistant's fault.",
    "The request failed, so there is no answer to look at.",
    "Only an error message. Please let these be answered again by themselves.",
    "No reply from the provider here either.",
    "Failed before the first word.",
]


@dataclass(frozen=True, slots=True)
class Vote:
    """A vote that is to be cast, and when."""

    task: Task
    reviewer: User
    at: datetime
    seconds: float
    body: dict[str, Any]


def plan(rng: Random, tasks: list[Task], exchanges: dict[str, Exchange], team: Team, now: datetime) -> list[Vote]:
    """Who votes when, and how, in order of time. Tasks that are not in it keep waiting."""
    votes = []
    golden: set[tuple[str, bool]] = set()
    for task in tasks:
        fresh = timedelta(hours=FRESH_HOURS[task.queue.slug])
        left = task.enqueued_at > now - fresh and rng.random() > FRESH_SHARE
        at = worked_at(rng, task)
        if left or at > now - timedelta(minutes=10):
            continue
        exchange = exchanges[task.interaction.external_id]
        votes += [vote for vote in opinions(rng, task, exchange, team, at) if vote.at < now - timedelta(minutes=10)]
    votes.sort(key=lambda vote: (vote.at, vote.task.pk))
    for vote in votes:
        # One golden example for each way to fail, and now and then a good answer that must stay good.
        exchange = exchanges[vote.task.interaction.external_id]
        seen = (exchange.pattern.key, vote.body["verdict"] == "fail")
        right = exchange.faulty is (vote.body["verdict"] == "fail")
        wanted = right and vote.reviewer == reviewer_of(team, exchange) and (exchange.faulty or rng.random() < 0.25)
        if wanted and seen not in golden and not vote.task.interaction.error_type:
            golden.add(seen)
            vote.body["golden"] = True
    return votes


def opinions(rng: Random, task: Task, exchange: Exchange, team: Team, at: datetime) -> list[Vote]:
    """One vote, or two of what two people see; where their verdicts differ a third of who knows the subject least."""
    reviewer, body = reviewer_of(team, exchange), _opinion(rng, task, exchange)
    votes = [Vote(task, reviewer, at, seconds(rng), body)]
    if task.needed < 2:
        return votes
    body["suggestion_seen"] = False  # nobody sees one who labels blind
    for other in second.colleagues(team, reviewer):
        later = votes[-1].at + timedelta(minutes=rng.uniform(15, 600))
        votes.append(Vote(task, other, later, seconds(rng), second.opinion(rng, body)))
        if len({vote.body["verdict"] for vote in votes}) == 1:
            break
    return votes


def seconds(rng: Random) -> float:
    return round(rng.lognormvariate(3.9, 0.6), 1)


def worked_at(rng: Random, task: Task) -> datetime:
    """Within working hours, sooner for what is more urgent."""
    patience = min(task.due_at - task.enqueued_at, timedelta(hours=30))
    at = task.enqueued_at + patience * rng.uniform(0.05, 0.9)
    if at.hour not in WORKDAY or at.weekday() == 6:
        at = at.replace(hour=rng.choice(WORKDAY)) + timedelta(days=1 if at.hour >= WORKDAY.stop else 0)
        if at.weekday() == 6:
            at += timedelta(days=1)
    return max(at, task.enqueued_at + timedelta(minutes=rng.uniform(4, 40)))


def reviewer_of(team: Team, exchange: Exchange) -> User:
    """The pharmacist has the leaflets, billing the money, customer service the rest."""
    if exchange.pattern.assistant == "leaflet":
        return team.pharmacist
    if exchange.pattern.feature in {"billing", "tariffs"} or exchange.pattern.assistant == "staff-desk":
        return team.billing
    return team.service


def _opinion(rng: Random, task: Task, exchange: Exchange) -> dict[str, Any]:
    """The body of a submission."""
    body: dict[str, Any] = {"submission_id": str(UUID(int=rng.getrandbits(128), version=4))}
    # Only what the machine has flagged comes with a suggestion, and not everybody opens it.
    body["suggestion_seen"] = task.queue.slug == "flagged" and rng.random() < 0.5
    opinion = exchange.opinion
    if task.interaction.status == "error":
        return {
            **body,
            "verdict": "unsure",
            "note": NO_ANSWERS[crc32(task.interaction.external_id.encode()) % len(NO_ANSWERS)],
        }
    if opinion is not None and rng.random() >= OVERSEEN:
        return {
            **body, "verdict": "fail", "primary_category": opinion.category, "categories": opinion.secondary,
            "severity": opinion.severity, "spans": opinion.spans, "desired_output": opinion.desired,
            "note": opinion.note, "assertions": opinion.assertions,
        }  # fmt: skip
    kind = {"negative-feedback": "complained", "flagged": "flagged"}.get(task.queue.slug)
    note = rng.choice(PASS_NOTES[kind]) if kind and opinion is None and rng.random() < 0.6 else ""
    return {**body, "verdict": "pass", "note": note}


def cast(project: Project, votes: list[Vote], differences: second.Differences) -> int:
    """Claims and submits each vote, then gives claims, votes, labels and tasks their times. Returns the labels.

    Differences are settled on the way, when their time has come: what follows reads labels in the order of settling.
    """
    annotated: dict[int, Vote] = {}
    ended: dict[int, datetime] = {}
    for vote in votes:
        ended |= differences.until(vote.at)
        claim = claims.claim_task(user=vote.reviewer, task=vote.task)
        if claim is None:
            continue
        submission = labelling.parse_submission(project, {**vote.body, "seconds": vote.seconds})
        done = labelling.submit(user=vote.reviewer, token=claim.token, submission=submission)
        annotated[done.annotation.pk] = vote
        ended[vote.task.pk] = vote.at
        vote.task.refresh_from_db(fields=["state"])
        if vote.task.state == Task.State.DISPUTED:
            differences.came_up(vote.task, vote.at)
    ended |= differences.until(datetime.max.replace(tzinfo=UTC))
    rows = list(Annotation.objects.filter(pk__in=annotated).values_list("pk", "claim_id"))
    stamp(Annotation, {pk: {"created_at": annotated[pk].at} for pk, _ in rows})
    stamp(
        Claim,
        {
            claim: {
                "claimed_at": annotated[pk].at - timedelta(seconds=annotated[pk].seconds),
                "expires_at": annotated[pk].at + timedelta(minutes=9), "ended_at": annotated[pk].at,
            }
            for pk, claim in rows
        },
    )  # fmt: skip
    over = set(Task.objects.filter(pk__in=ended).exclude(state=Task.State.OPEN).values_list("pk", flat=True))
    stamp(Task, {task: {"done_at": ended[task]} for task in over})
    labels = Label.objects.filter(project=project).values_list("pk", "task_id")
    stamp(Label, {pk: {"settled_at": ended[task]} for pk, task in labels if task in ended})
    return len(labels)
