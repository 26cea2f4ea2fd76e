"""Backfills in batches: half the price, results within a day. What is sent, followed, found again and settled.

A batch is a row that has its jobs in hand. Its worker holds it by a lease; it writes down that it sends, reserves
what all its requests may cost and counts the attempt of each job, in one transaction, before it calls the provider. A
worker that dies or loses the line then leaves a batch that is looked for at the provider by its mark. One that is not
there is booked at its reserved price, because it may yet turn up, and is sent again. Results become scores as those
of single calls do, under the fence of their job; what came to nothing is judged by a call of its own, or ends with
its reason. All times are the database's.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from evals import judging, llm, llm_batches, spending
from evals.judge_prompts import Prompt
from evals.judging import NeedsKey, Outcome
from evals.llm import Access, ProviderBusy, ProviderError, UnusableReply
from evals.models import Judge, JudgeBatch, JudgeJob
from feedback.models import Interaction
from projects import doorbell, leases

# So many stand in memory at once, and so much is at stake when a batch is lost.
ITEMS = 500
EVERY = timedelta(seconds=60)
# Longer than a file up, a batch made, and its results down and stored.
LEASE = timedelta(seconds=llm_batches.TRANSFER_SECONDS * 4)
# Providers end a batch after 24 hours; the rest is for theirs and our own outages.
GIVEN_UP_AFTER = timedelta(hours=48)
MAX_SENDS, MAX_LOST = 5, 3
STORED_TOGETHER = 100
# Until the budget is looked at again, which takes making all prompts.
NO_ROOM_SECONDS = 600.0
ROUND_SECONDS = 20.0
CANCELLED = "The batch was cancelled."
_LATE = "The provider handed in no results within two days."
_NOT_STORED = "Review Hub could not store the verdict."
_LEFT_OUT = "The results of the batch leave it out."
State = JudgeBatch.State
log = logging.getLogger("reviewhub.judging")


class NotOffered(Exception):
    """The judge's provider is not known for batches at half the price."""


def offered(judge: Judge) -> bool:
    """Whether the judge's provider takes batches at half the price, by its address."""
    return urlsplit(judging.address_of(judge)).hostname in settings.BATCH_HOSTS


# ── Starting and stopping ────────────────────────────────────────────────────────────────────────────


def start(judge: Judge, *, limit: int) -> int:
    """Enqueues the newest ``limit`` interactions that the judge has not seen, in batches. Returns how many.

    Raises NotOffered.
    """
    if not offered(judge):
        raise NotOffered
    items = list(judging.not_judged(judge).only("id", "external_id")[:limit])
    total = 0
    with transaction.atomic():
        for first in range(0, len(items), ITEMS):
            chunk = items[first : first + ITEMS]
            batch = _waiting(judge, len(chunk))
            judging.enqueue([(judge, item) for item in chunk], JudgeJob.Purpose.BACKFILL, batch=batch)
            batch.items = batch.jobs.count()  # others may have asked for the same meanwhile
            total += batch.items
            if batch.items:
                batch.save(update_fields=["items"])
            else:
                batch.delete()
    return total


def _waiting(judge: Judge, items: int) -> JudgeBatch:
    return JudgeBatch.objects.create(judge=judge, mark=uuid.uuid4().hex, items=items)


def cancel(judge: Judge) -> int:
    """Stops the batches of a version; returns how many items they still have in hand.

    Those not yet sent end at once; the others when the provider has handed in what it had done by then.
    """
    with transaction.atomic():
        batches = _open(judge).filter(cancelled_at=None).select_for_update(no_key=True).order_by("pk")
        held = 0
        for batch in batches:
            held += batch.jobs.count()
            if batch.state == State.WAITING:
                _lock(batch)
                batch.jobs.update(finished_at=Now(), error=CANCELLED, batch=None)
                JudgeBatch.objects.filter(pk=batch.pk).update(state=State.ENDED, ended_at=Now(), error=CANCELLED)
            JudgeBatch.objects.filter(pk=batch.pk).update(cancelled_at=Now(), due_at=Now())
        doorbell.ring("evals.batch")
    return held


def _open(judge: Judge) -> QuerySet[JudgeBatch]:
    return JudgeBatch.objects.filter(judge=judge).exclude(state=State.ENDED)


@dataclass(frozen=True, slots=True)
class Summary:
    """The batches of a version that have not ended, in items; ``done`` are those that the provider has answered."""

    waiting: int
    sent: int
    done: int
    cancelled: bool
    reason: str


def summary(judge: Judge) -> Summary | None:
    """None where no batch is open; one query."""
    found = list(_open(judge).order_by("pk"))
    if not found:
        return None
    sent = [one for one in found if one.state != State.WAITING]
    return Summary(
        waiting=sum(one.items for one in found) - sum(one.items for one in sent), sent=sum(one.items for one in sent),
        done=sum(one.done for one in sent) // orders(judge), cancelled=all(one.cancelled_at for one in found),
        reason=next((one.error for one in found if one.error), ""),
    )  # fmt: skip


def orders(judge: Judge) -> int:
    """Requests for one item: two for a comparison."""
    return spending.asked_at_most(judge, batched=True)


# ── Working ──────────────────────────────────────────────────────────────────────────────────────────

_one_round = threading.Lock()


def work(*, seconds: float = ROUND_SECONDS) -> bool:
    """Moves on the batches that are due, for up to ``seconds`` of new ones. Returns whether more may be due.

    Runs once at a time in a process: a slow provider holds one of its threads and not all.
    """
    if not _one_round.acquire(blocking=False):
        return False
    try:
        return _round(time.monotonic() + seconds)
    finally:
        _one_round.release()


def _round(until: float) -> bool:
    due = JudgeBatch.objects.exclude(state=State.ENDED).filter(due_at__lte=Now()).order_by("due_at", "id")
    while time.monotonic() < until:
        claimed = leases.claim(due, limit=1, lease=LEASE)
        if not claimed:
            return False
        batch = JudgeBatch.objects.select_related("judge__connection", "judge__project").get(pk=claimed[0].pk)
        try:
            _move(batch)
        except Exception:  # its lease runs out and it comes again; the others go on
            log.exception("batch %s could not be moved on", batch.pk)
    return True


def _move(batch: JudgeBatch) -> None:
    try:
        access = judging.access_of(batch.judge)
    except NeedsKey as need:
        _unreached(batch, f"The judge {need}.")
        return
    if batch.state == State.WAITING:
        _send(batch, access)
    elif batch.state == State.SENDING:
        _look_for(batch, access)
    else:
        _follow(batch, access)


def _later(batch: JudgeBatch, error: str = "", *, seconds: float | None = None, **changes: Any) -> None:
    """Gives the batch back until then, or until the next time that it is asked after."""
    pause = EVERY if seconds is None else timedelta(seconds=seconds)
    leases.still_held(batch).update(
        leased_until=None, attempts=0, due_at=Now() + pause, error=error[:300], **changes
    )  # fmt: skip


def _unreached(batch: JudgeBatch, error: str, **changes: Any) -> None:
    """The provider has not told how the batch ended: later again, and after two days never."""
    if _overdue(batch):
        _finish(batch, {}, missing=Outcome(error=_LATE, again=True, unknown=1))
        _end(batch, _LATE)
    else:
        _later(batch, error, **changes)


def _overdue(batch: JudgeBatch) -> bool:
    return JudgeBatch.objects.filter(pk=batch.pk, sent_at__lte=Now() - GIVEN_UP_AFTER).exists()


def _end(batch: JudgeBatch, error: str = "") -> None:
    leases.still_held(batch).update(leased_until=None, state=State.ENDED, ended_at=Now(), error=error[:300])


# ── Sending ──────────────────────────────────────────────────────────────────────────────────────────

Attempt = tuple[JudgeJob, Prompt]


def _send(batch: JudgeBatch, access: Access) -> None:
    if not batch.judge.enabled:
        _later(batch, "The version is switched off.")
        return
    attempts = _prepare(batch, access)
    if not attempts:
        return
    requests = [one for job, prompt in attempts for one in _requests(batch, access, job, prompt)]
    try:
        name = llm_batches.create(access, requests, batch.mark)
    except ProviderError as error:
        if error.free:
            _not_sent(batch, [job for job, _ in attempts], error)
        else:
            _later(batch, str(error))
    except UnusableReply as error:
        _later(batch, str(error))
    else:
        _later(batch, state=State.RUNNING, name=name)


def _requests(
    batch: JudgeBatch, access: Access, job: JudgeJob, prompt: Prompt
) -> list[tuple[str, dict[str, Any]]]:  # fmt: skip
    both = [prompt] if prompt.swapped is None else [prompt, prompt.swapped]
    names = _names(batch, job)
    return [(name, llm.request(access, batch.judge.model, one)) for name, one in zip(names, both, strict=True)]


def _names(batch: JudgeBatch, job: JudgeJob) -> list[str]:
    """The ``custom_id`` of each request of a job."""
    return [f"{batch.mark}-{job.pk}-{number}" for number in range(orders(batch.judge))]


def _prepare(batch: JudgeBatch, access: Access) -> list[Attempt]:
    """Writes down that these jobs are sent and reserves what they may cost. What does not fit goes to a next batch."""
    with transaction.atomic():
        mine = leases.still_held(batch).filter(state=State.WAITING)
        if not mine.select_for_update(no_key=True).exists():
            return []
        attempts, rest = _fitting(batch, access)
        fits = spending.reserve(batch.judge, attempts, batch=batch) if attempts else 0
        rest = [job for job, _ in attempts[fits:]] + rest
        attempts = attempts[:fits]
        if not attempts:
            if rest:
                _later(batch, "The budget leaves no room for it.", seconds=NO_ROOM_SECONDS)
            else:
                _end(batch)
            return []
        if rest:
            JudgeJob.objects.filter(pk__in=[job.pk for job in rest]).update(batch=_waiting(batch.judge, len(rest)))
        JudgeJob.objects.filter(pk__in=[job.pk for job, _ in attempts]).update(
            fence=F("fence") + 1, attempts=F("attempts") + 1
        )
        batch.mark, batch.items, batch.sends = uuid.uuid4().hex, len(attempts), batch.sends + 1
        mine.update(
            state=State.SENDING, sent_at=Now(), leased_until=Now() + LEASE, error="", mark=batch.mark,
            items=batch.items, sends=batch.sends, cut={job.pk: prompt.cut for job, prompt in attempts if prompt.cut},
        )  # fmt: skip
    return attempts


def _fitting(batch: JudgeBatch, access: Access) -> tuple[list[Attempt], list[JudgeJob]]:
    """The first jobs whose requests fit into one batch, with the fence and attempt they will have; and the others."""
    jobs = _lock(batch)
    items = Interaction.objects.in_bulk([job.interaction_id for job in jobs])
    labels = judging.labels_for(batch.judge, items.values())
    attempts: list[Attempt] = []
    rest: list[JudgeJob] = []
    size = 0
    for job in jobs:
        job.judge, job.interaction = batch.judge, items[job.interaction_id]
        prompt = judging.prompt_for(batch.judge, job.interaction, labels.get(job.interaction_id))
        if prompt.missing:
            judging.end_without(job, prompt.missing)
            continue
        size += sum(llm_batches.size(body) for _, body in _requests(batch, access, job, prompt))
        if attempts and size > llm_batches.MAX_SENT_BYTES:
            rest.append(job)
            continue
        job.fence, job.attempts = job.fence + 1, job.attempts + 1
        attempts.append((job, prompt))
    return attempts, rest


def _lock(batch: JudgeBatch) -> list[JudgeJob]:
    """The jobs that the batch has in hand, locked in the order that holds everywhere."""
    return list(batch.jobs.select_for_update(of=("self",)).order_by("pk"))


def _not_sent(batch: JudgeBatch, jobs: Sequence[JudgeJob], error: ProviderError) -> None:
    """The provider certainly has no batch, and nothing is owed: it is sent again later, or its jobs end."""
    if not error.again or batch.sends >= MAX_SENDS:
        _finish(batch, {}, missing=Outcome(error=str(error), asked=0))
        _end(batch, str(error))
        return
    wish = error.retry_after if isinstance(error, ProviderBusy) else None
    _wait_again(batch, jobs, Outcome(error=str(error), asked=0), seconds=judging.delay_of(batch.sends, wish))


def _wait_again(batch: JudgeBatch, jobs: Sequence[JudgeJob], came: Outcome, *, seconds: float) -> None:
    """Settles each request by what ``came`` of it, and puts the batch back among those to be sent.

    One that was cancelled meanwhile ends.
    """
    if JudgeBatch.objects.filter(pk=batch.pk, cancelled_at__isnull=False).exists():
        _finish(batch, {}, missing=replace(came, error=CANCELLED))
        _end(batch, CANCELLED)
        return
    with transaction.atomic():
        if _is_ours(batch):
            spending.settle_all(batch.judge, [(job, _outcome(batch, job, {}, came).bill) for job in jobs])
            _later(batch, came.error, seconds=seconds, state=State.WAITING, sent_at=None)


def _is_ours(batch: JudgeBatch) -> bool:
    """Locks the batch for the rest of the transaction, if no other worker has taken it up meanwhile."""
    return leases.still_held(batch).select_for_update(no_key=True).exists()


def _look_for(batch: JudgeBatch, access: Access) -> None:
    """Finds out whether the provider has a batch whose sender did not live to hear it, or heard no answer."""
    assert batch.sent_at is not None
    recent = JudgeBatch.objects.filter(sent_at__gte=batch.sent_at - GIVEN_UP_AFTER)
    known = set(recent.exclude(name="").values_list("name", flat=True))
    requests = batch.items * orders(batch.judge)
    try:
        name = llm_batches.find(access, batch.mark, since=batch.sent_at, requests=requests, known=known)
    except llm_batches.Undecided:
        _unreached(batch, "The provider may have it; that shows when a batch of its size has ended there.")
    except (ProviderError, UnusableReply) as error:
        _unreached(batch, str(error))
    else:
        if name is not None:
            _later(batch, seconds=0, state=State.RUNNING, name=name)
        else:
            _lost(batch)


def _lost(batch: JudgeBatch) -> None:
    came = Outcome(error="The provider does not have the batch that was sent.", unknown=1)
    if batch.sends >= MAX_LOST:
        _finish(batch, {}, missing=came)
        _end(batch, came.error)
    else:
        _wait_again(batch, list(batch.jobs.all()), came, seconds=0)


# ── Following ────────────────────────────────────────────────────────────────────────────────────────


def _follow(batch: JudgeBatch, access: Access) -> None:
    if batch.cancelled_at:
        with suppress(ProviderError, UnusableReply):  # it may have ended already, or be about to
            llm_batches.cancel(access, batch.name)
    try:
        now = llm_batches.status(access, batch.name)
        if not now.ended:
            _unreached(batch, "", done=now.done)
            return
        found = llm_batches.Results() if now.failed else llm_batches.results(access, batch.name, now)
    except (ProviderError, UnusableReply) as error:
        _unreached(batch, str(error))
        return
    if now.failed:
        refused = "The provider refused the batch."
        _finish(batch, {}, missing=Outcome(error=refused, asked=0))
        _end(batch, refused)
    elif not found.whole and not _overdue(batch):
        _later(batch, "Its results came incomplete and are asked for again.", done=now.done)
        return
    else:
        _finish(batch, found.lines, missing=Outcome(error=_LEFT_OUT, again=True, unknown=1))
        _end(batch)
    llm_batches.forget(access, batch.name, now)


def _finish(batch: JudgeBatch, lines: Mapping[str, dict[str, Any]], *, missing: Outcome) -> None:
    """Stores what came of each job that the batch has in hand; ``missing`` is what came of a request without a line.

    In parts, so that a killed worker's successor has less to repeat: what is stored is no longer in its hand.
    """
    while True:
        with transaction.atomic():
            if not _is_ours(batch):
                return
            jobs = list(batch.jobs.select_related("interaction").order_by("pk")[:STORED_TOGETHER])
            for job in jobs:
                job.judge = batch.judge
            done = [
                (job, _outcome(batch, job, lines, missing), batch.cut.get(str(job.pk), {})) for job in jobs
            ]  # fmt: skip
            if not done:
                return
            _store(done)


def _store(done: Sequence[judging.Done]) -> None:
    """Stores results together; where one of them cannot be stored, each for itself, so that none holds up the batch."""
    try:
        judging.finish_all(done)
    except Exception:
        if len(done) > 1:
            for one in done:
                _store([one])
        else:
            job, outcome, cut = done[0]
            log.exception("the result of judge job %s could not be stored", job.pk)
            judging.finish_all([(job, replace(outcome, verdict=None, error=_NOT_STORED, again=False), cut)])


def _outcome(
    batch: JudgeBatch, job: JudgeJob, lines: Mapping[str, dict[str, Any]], missing: Outcome
) -> Outcome:  # fmt: skip
    """What came of a job. What came to nothing is judged by a call of its own, unless the batch was cancelled."""
    compares = batch.judge.kind == Judge.Kind.PAIRWISE
    each = [_line(lines[name], compares) if name in lines else missing for name in _names(batch, job)]
    outcome = each[0]
    if len(each) == 2:
        one, other = each
        outcome = judging.joined(one, other) if one.verdict else judging.joined(other, one)
    if outcome.verdict is None and batch.cancelled_at:
        return replace(outcome, error=CANCELLED, again=False)
    return replace(outcome, again=outcome.again or outcome.unusable)


def _line(line: dict[str, Any], compares: bool) -> Outcome:
    return judging.outcome_of(lambda: llm_batches.read(line), compares=compares)


def listed(judge: Judge, *, limit: int) -> QuerySet[JudgeBatch]:
    """The newest batches of a version."""
    return JudgeBatch.objects.filter(judge=judge).order_by("-pk")[:limit]
