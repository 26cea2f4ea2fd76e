"""Known items and repeats: how right a reviewer is, and how true to themselves.

Some of a reviewer's claims, by the queue's shares, are an item whose label is known and that a lead has let be served
(``Label.gold_check``), or an item that they labelled themselves at least two weeks ago. Neither is marked as such.
Which claims these are follows from the reviewer, the queue and the number of the claim alone, so two tabs agree and a
test can say it beforehand. No item is served twice within ninety days to the same person as a check, and nobody is
held against a label of their own.

The votes settle nothing (``settlement``). A rate is a Beta distribution that begins with nothing known: Beta(1 +
right, 1 + wrong), told by its mean and the bound above which it lies with 95 %. Unsure is neither right nor wrong.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from annotations.models import Annotation, Claim, FailureMode, Label, Queue, QueueMember, Task, Turn, Verdict
from projects import audit
from projects.errors import ApiError
from projects.models import Project, User

AGAIN_AFTER = timedelta(days=90)
REPEAT_AFTER = timedelta(days=14)
CANDIDATES = 500  # of which one is drawn
FEW = 10  # under so many checks nobody is flagged
LOW = 0.7
CHECKS = [Task.Purpose.GOLD, Task.Purpose.REPEAT]
SETTLING = [Task.Purpose.REVIEW, Task.Purpose.AUDIT]
LOWER = 0.05


def share_of(reviewer: int, queue: int, number: int) -> float:
    """From 0 to 1, evenly spread, and always the same for this reviewer's n-th claim in this queue."""
    digest = hashlib.sha256(f"{reviewer}:{queue}:{number}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def due(user: User, queue: Queue) -> Task | None:
    """The check that this reviewer's next claim here is to be, if it is to be one; made now, assigned to them.

    None where they hold a lease or a check here already, or where no item fits. Call it before the claim, which
    hands out what is assigned first.
    """
    if not (queue.gold_share or queue.repeat_share) or queue.paused_at is not None or _busy(user, queue):
        return None
    topics = QueueMember.objects.filter(queue=queue, user=user).values_list("topics", flat=True).first()
    if topics is None and not queue.open_to_all:
        return None
    number = Turn.objects.filter(reviewer=user, queue=queue).values_list("claims", flat=True).first() or 0
    share = share_of(user.pk, queue.pk, number)
    if share < queue.gold_share:
        return _known_item(user, queue, number, topics or [])
    if share < queue.gold_share + queue.repeat_share:
        return _repeat(user, queue, number)
    return None


def _busy(user: User, queue: Queue) -> bool:
    held = Claim.objects.filter(
        reviewer=user, state=Claim.State.LEASED, expires_at__gt=Now(), task__queue=queue, task__state=Task.State.OPEN
    )
    waiting = Task.objects.filter(assigned_to=user, queue=queue, state=Task.State.OPEN, purpose__in=CHECKS)
    return held.exists() or waiting.exists()


def _lately(user: User, interaction: str) -> Exists:
    """Whether this person has had the interaction as a check of late; ``interaction``: its field in the outer rows."""
    return Exists(
        Task.objects.filter(
            assigned_to=user, purpose__in=CHECKS, enqueued_at__gt=Now() - AGAIN_AFTER, interaction=OuterRef(interaction)
        )
    )


def _known_item(user: User, queue: Queue, number: int, topics: list[str]) -> Task | None:
    """Of the known items that this person has had no part in and not been checked with lately, one."""
    theirs = Annotation.objects.filter(reviewer=user, task__interaction=OuterRef("interaction"))
    theirs = theirs.exclude(task__purpose=Task.Purpose.GOLD)
    waiting = Task.objects.filter(interaction=OuterRef("interaction"), state=Task.State.OPEN, purpose__in=SETTLING)
    labels = known_items(queue.project).filter(~Exists(theirs), ~Exists(waiting), ~_lately(user, "interaction"))
    labels = labels.exclude(adjudication__adjudicator=user)
    if topics:
        labels = labels.filter(task__topic__in=["", *topics])
    found = _drawn(list(labels.order_by("pk").values_list("pk", flat=True)[:CANDIDATES]), user, queue, number)
    if found is None:
        return None
    label = Label.objects.select_related("task").get(pk=found)
    assert label.task is not None
    return _made(user, queue, label.task, purpose=Task.Purpose.GOLD, known=label)


def _repeat(user: User, queue: Queue, number: int) -> Task | None:
    """Of what this person labelled in this queue at least two weeks ago, one."""
    votes = Annotation.objects.filter(
        ~_lately(user, "task__interaction"), reviewer=user, project=queue.project_id, state=Annotation.State.COUNTED,
        task__queue=queue, task__purpose__in=SETTLING, created_at__lte=Now() - REPEAT_AFTER,
    )  # fmt: skip
    found = _drawn(list(votes.order_by("pk").values_list("pk", flat=True)[:CANDIDATES]), user, queue, number)
    if found is None:
        return None
    vote = Annotation.objects.select_related("task").get(pk=found)
    return _made(user, queue, vote.task, purpose=Task.Purpose.REPEAT, repeats=vote)


def _drawn(keys: list[int], user: User, queue: Queue, number: int) -> int | None:
    return min(keys, key=lambda key: share_of(user.pk, queue.pk, number ^ key << 20), default=None)


def _made(user: User, queue: Queue, before: Task, **fields: Any) -> Task | None:
    """A task that looks as the item's own task did. None where another tab of theirs has just made it."""
    lane = Task.Lane.RISK if before.lane == Task.Lane.ESCALATED else before.lane
    try:
        with transaction.atomic():
            return Task.objects.create(
                project_id=queue.project_id, queue=queue, interaction_id=before.interaction_id, assigned_to=user,
                lane=lane, due_at=Now() + timedelta(hours=queue.sla_max_hours), score=before.score, terms=before.terms,
                reasons=before.reasons, topic=before.topic, queue_version=queue.version, **fields,
            )  # fmt: skip
    except IntegrityError:
        return None


# -- known items ------------------------------------------------------------------------------------------------


def known_items(project: Project) -> QuerySet[Label]:
    """The labels that may be served as known items: they count, and say pass or fail of an item somebody looked at."""
    return Label.objects.filter(
        project=project, gold_check=True, superseded_at=None, applied_from=None, task__isnull=False
    ).exclude(verdict=Verdict.UNSURE)  # fmt: skip


def may_be_known(label: Label) -> bool:
    """Whether it counts, says pass or fail, and rests on votes of its own."""
    fit = label.superseded_at is None and label.applied_from_id is None and label.task_id is not None
    return fit and label.verdict != Verdict.UNSURE


@transaction.atomic
def set_known(*, actor: User, label: Label, known: bool) -> None:
    """Lets the label be served as a known item, or no longer; ApiError 409 where it cannot be one."""
    label = Label.objects.select_for_update(of=("self",)).select_related("interaction", "project").get(pk=label.pk)
    if known and not may_be_known(label):
        raise ApiError(409, "not_fit", "Only a label that counts, says pass or fail and rests on votes can be known.")
    if label.gold_check != known:
        Label.objects.filter(pk=label.pk).update(gold_check=known)
        action = "label.known" if known else "label.no_longer_known"
        audit.record(label.project, actor, action, label.interaction.external_id, label=label.pk)


# -- what checks say of a reviewer ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Standing:
    """How often a reviewer's verdict was that of the known label, or their own of before.

    ``unsure`` counts for neither. Of those that failed and were right to, ``same_category`` of ``categories`` also
    named the same failure mode.
    """

    right: int = 0
    wrong: int = 0
    unsure: int = 0
    categories: int = 0
    same_category: int = 0

    @property
    def checked(self) -> int:
        return self.right + self.wrong

    @property
    def mean(self) -> float:
        """Of Beta(1 + right, 1 + wrong)."""
        return (1 + self.right) / (2 + self.checked)

    @property
    def lower(self) -> float:
        """The true share lies above it with 95 % probability."""
        return beta_quantile(LOWER, 1 + self.right, 1 + self.wrong)

    @property
    def interval(self) -> tuple[float, float]:
        """The true share lies between with 95 % probability."""
        return tuple(beta_quantile(p, 1 + self.right, 1 + self.wrong) for p in (0.025, 0.975))  # type: ignore[return-value]

    @property
    def low(self) -> bool:
        """Whether there is something to talk about: enough checks, and the mean under 0.7. It blocks nobody."""
        return self.checked >= FEW and self.mean < LOW


HELD_AGAINST = {Task.Purpose.GOLD: "known", Task.Purpose.REPEAT: "repeats"}  # the field of a task


def gold_standing(user: User, project: Project, *, since: datetime | None = None) -> Standing:
    """How right this reviewer is on known items."""
    return _standing(_pairs(_checked(project, Task.Purpose.GOLD, since).filter(reviewer=user), Task.Purpose.GOLD))


def self_consistency(user: User, project: Project, *, since: datetime | None = None) -> Standing:
    """How often this reviewer says again what they said before."""
    return _standing(_pairs(_checked(project, Task.Purpose.REPEAT, since).filter(reviewer=user), Task.Purpose.REPEAT))


def standings(project: Project, purpose: str, *, since: datetime | None = None) -> dict[int, Standing]:
    """The standing of every reviewer who was checked in this way, by key."""
    by_reviewer: dict[int, list[tuple[Annotation, Label | Annotation]]] = defaultdict(list)
    for vote, known in _pairs(_checked(project, purpose, since), purpose):
        by_reviewer[vote.reviewer_id].append((vote, known))
    return {reviewer: _standing(pairs) for reviewer, pairs in by_reviewer.items()}


def _checked(project: Project, purpose: str, since: datetime | None) -> QuerySet[Annotation]:
    """The first vote on each check: what was said before anything was shown."""
    first = Q(state=Annotation.State.COUNTED) | Q(reveal=Annotation.Reveal.CHANGED)
    votes = Annotation.objects.filter(first, project=project, task__purpose=purpose, supersedes=None)
    votes = votes.select_related("primary_category")
    return votes.filter(created_at__gte=since) if since else votes


def _pairs(votes: QuerySet[Annotation], purpose: str) -> list[tuple[Annotation, Label | Annotation]]:
    """Each vote with what it is held against."""
    field = HELD_AGAINST[Task.Purpose(purpose)]
    rows = votes.select_related(f"task__{field}__primary_category")
    return [(vote, against) for vote in rows if (against := getattr(vote.task, field)) is not None]


def _standing(pairs: Sequence[tuple[Annotation, Label | Annotation]]) -> Standing:
    sure = [(vote, known) for vote, known in pairs if Verdict.UNSURE not in {vote.verdict, known.verdict}]
    right = [(vote, known) for vote, known in sure if vote.verdict == known.verdict]
    failing = [(vote, known) for vote, known in right if known.verdict == Verdict.FAIL and known.primary_category]
    same = sum(_mode(vote.primary_category) == _mode(known.primary_category) for vote, known in failing)
    return Standing(len(right), len(sure) - len(right), len(pairs) - len(sure), len(failing), same)


def _mode(mode: FailureMode | None) -> int | None:
    """The failure mode, or the one it was merged into: a change of the taxonomy is nobody's mistake."""
    while mode is not None and mode.merged_into is not None:
        mode = mode.merged_into
    return mode.pk if mode else None


def beta_quantile(p: float, a: int, b: int) -> float:
    """The p-quantile of Beta(a, b) for whole numbers: its distribution is then a binomial tail. To 1e-9."""
    low, high = 0.0, 1.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if _beta_below(middle, a, b) < p else (low, middle)
    return (low + high) / 2


def _beta_below(x: float, a: int, b: int) -> float:
    """P(Beta(a, b) <= x) = P(Binomial(a + b - 1, x) >= a)."""
    n = a + b - 1
    logs = (
        math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * math.log(x) + (n - k) * math.log1p(-x)
        for k in range(a, n + 1)
    )
    return math.fsum(math.exp(one) for one in logs)
