"""Second opinions: what colleagues say of what two people label blind, and how the lead settles differences."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

from annotations import adjudication, queue_settings
from annotations.adjudication import Decision
from annotations.models import Adjudication, Annotation, Label, Queue, Task, Verdict
from projects.models import Project, User
from reviewhub.sample.people import Team
from reviewhub.sample.stamps import stamp

SHARE = 0.3  # of what comes into each queue
OTHER_VERDICT, OTHER_MODE, OTHER_SEVERITY = 0.15, 0.2, 0.25  # of second opinions
LOOKS_AFTER, STILL_OPEN = timedelta(hours=30), 2  # the lead, at differences; and never at the newest ones
MILD = "It reads well and nobody is harmed; I would let it stand."
STRICT = "Right, but the user still does not know what to do next."


class Ruling(NamedTuple):
    """Why the lead decided as they did, and what the guide says since."""

    cause: str
    reason: str
    guide_note: str = ""


RULINGS = [
    Ruling(
        "guideline_gap", "The guide did not say whether an answer without the next step is complete. It is not.",
        "An answer that leaves the user without the next step is Incomplete, however right it is.",
    ),
    Ruling("annotator_error", "The source says so in its second sentence; it was overlooked."),
    Ruling(
        "edge_case", "The figure is right for most customers. This one has a tariff of before the change.",
        "Check the date of the contract before calling a figure right.",
    ),
    Ruling("subjective_disagreement", "Both readings hold. The stricter one costs us nothing."),
    Ruling("ambiguous_text", "The user may have meant either meter. The answer should have asked."),
]  # fmt: skip


def ask_for_them(project: Project, team: Team) -> None:
    """A share of every queue goes to two reviewers."""
    for queue in Queue.objects.filter(project=project):
        queue_settings.save(project=project, actor=team.lead, queue=queue, fields={"calibration_share": SHARE})


def colleagues(team: Team, reviewer: User) -> list[User]:
    """Who else could have a say, in a fixed order."""
    return [user for user in (team.service, team.billing, team.pharmacist) if user != reviewer]


def opinion(rng: Random, first: Mapping[str, Any]) -> dict[str, Any]:
    """What somebody else says of it who has not seen ``first``: mostly the same, in other words."""
    body = {**first, "submission_id": str(UUID(int=rng.getrandbits(128), version=4)), "golden": False}
    if rng.random() < OTHER_VERDICT:
        if first["verdict"] == Verdict.FAIL:
            return {**_bare(body), "verdict": "pass", "note": MILD}
        return {**_bare(body), "verdict": "fail", "primary_category": "incomplete", "severity": 2, "note": STRICT}
    if first["verdict"] != Verdict.FAIL:
        return {**body, "note": ""}
    if first["categories"] and rng.random() < OTHER_MODE:
        body["primary_category"], body["categories"] = first["categories"][0], [first["primary_category"]]
    if rng.random() < OTHER_SEVERITY:
        body["severity"] = max(1, min(4, first["severity"] + rng.choice((-1, 1))))
    return body


def _bare(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in ("submission_id", "suggestion_seen")}


class Differences:
    """The disputed tasks that the lead has not looked at yet; ``until(moment)`` settles those whose time has come.

    The newest ones always wait: a project in use has some.
    """

    def __init__(self, team: Team, now: datetime) -> None:
        self._lead, self._now, self._settled = team.lead, now, 0
        self._waiting: list[tuple[datetime, int]] = []

    def came_up(self, task: Task, at: datetime) -> None:
        """The task's votes differ since then."""
        self._waiting.append((at + LOOKS_AFTER, task.pk))

    def until(self, moment: datetime) -> dict[int, datetime]:
        """Settles what the lead had looked at by then; tasks with the time of it."""
        ripe = [one for one in sorted(self._waiting)[:-STILL_OPEN] if one[0] <= min(moment, self._now)]
        self._waiting = [one for one in self._waiting if one not in ripe]
        for at, pk in ripe:
            self._resolve(Task.objects.get(pk=pk), at)
        return {pk: at for at, pk in ripe}

    def _resolve(self, task: Task, at: datetime) -> None:
        votes = list(Annotation.objects.filter(task=task, state=Annotation.State.COUNTED).order_by("pk"))
        # Who says what would have been right; else who lets it stand.
        taken = max(votes, key=lambda vote: (bool(vote.desired_output), vote.verdict == Verdict.PASS, -vote.pk))
        ruling = RULINGS[self._settled % len(RULINGS)]
        self._settled += 1
        label = adjudication.resolve(
            actor=self._lead, task=task,
            decision=Decision(ruling.cause, ruling.reason, take=taken.pk, guide_note=ruling.guide_note),
        )  # fmt: skip
        stamp(Adjudication, {label.adjudication.pk: {"created_at": at}})
        stamp(Label, {label.pk: {"settled_at": at}})
