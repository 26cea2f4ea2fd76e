"""The queue of replay attempts: a lease and a reservation, one call outside any transaction, one answer stored under
the attempt's fence. As in ``evals.judging`` a worker that is killed anywhere leaves a lease that expires."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from reviewhub_client import checks
from reviewhub_client.target_models import anthropic_body, openai_body

from evals import judging, llm, replay_spending, throttle
from evals.llm import Access, ProviderBusy, ProviderError, UnusableReply
from evals.models import Replay, ReplayAttempt
from evals.replay_spending import LEASE
from projects import leases

log = logging.getLogger("reviewhub.replaying")

MAX_ATTEMPTS, MAX_DEATHS = 5, 3
CONCURRENCY = 8
ROUND_SECONDS = 20.0
# The longest answer where the recording names no limit: what an attempt may cost must be known before it is made.
MOST_TOKENS = 4096
MAX_OUTPUT = 1_000_000

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call came to. ``again``: the fault may pass; ``unknown``: it may have cost what nobody will tell."""

    output: str = ""
    error: str = ""
    again: bool = False
    busy: bool = False
    retry_after: float | None = None
    unknown: bool = False
    input_tokens: int | None = None
    output_tokens: int | None = None
    latency_ms: float | None = None


def body_of(replay: Replay) -> Body:
    """The request as it is sent, in the provider's words; what `reviewhub eval` would send for the same input."""
    example = {"input": replay.request}
    if replay.provider == "anthropic":
        return anthropic_body(example, replay.model)
    body = openai_body(example, replay.model)
    return (
        body
        if {"max_tokens", "max_completion_tokens"} & body.keys()
        else {**body, "max_completion_tokens": MOST_TOKENS}
    )


_one_round = threading.Lock()


def work(*, seconds: float = ROUND_SECONDS, concurrency: int = CONCURRENCY) -> bool:
    """Asks what waits, up to ``seconds`` of new claims. Returns whether more is waiting that could be asked now."""
    if not _one_round.acquire(blocking=False):
        return False
    try:
        _bury()
        until = time.monotonic() + seconds
        with ThreadPoolExecutor(concurrency, thread_name_prefix="replay") as pool:
            while time.monotonic() < until:
                claimed = _claim(concurrency)
                if not claimed:
                    return False
                answers = pool.map(lambda one: ask(one[1], one[2]), claimed)
                _settle_all(zip((attempt for attempt, _, _ in claimed), answers, strict=True))
        return True
    finally:
        _one_round.release()


def _settle_all(answered: Iterable[tuple[ReplayAttempt, Answer]]) -> None:
    for attempt, answer in answered:
        try:
            settle(attempt, answer)
        except Exception:  # its lease runs out and it comes again; the others go on
            log.exception("the answer of replay attempt %s could not be stored", attempt.pk)


def _waiting() -> QuerySet[ReplayAttempt]:
    return ReplayAttempt.objects.filter(finished_at=None, not_before__lte=Now())


def _claim(free: int) -> list[tuple[ReplayAttempt, Access, Body]]:
    """Leases what can be asked now; replays that need a key, money or a provider that rests lose no attempt."""
    found = Replay.objects.filter(pk__in=_waiting().values("replay")).select_related("connection", "project")
    claimed: list[tuple[ReplayAttempt, Access, Body]] = []
    for replay in found.order_by("pk"):
        if len(claimed) >= free:
            break
        try:
            access = judging.access_of(replay)
        except judging.NeedsKey:
            continue
        if throttle.paused(replay) is None:
            body = body_of(replay)
            claimed += [(attempt, access, body) for attempt in _claim_of(replay, body, free - len(claimed))]
    return claimed


@transaction.atomic
def _claim_of(replay: Replay, body: Body, most: int) -> list[ReplayAttempt]:
    waiting = _waiting().filter(replay=replay)
    for lost in waiting.filter(leased_until__lte=Now()).select_for_update(skip_locked=True):
        lost.replay = replay
        replay_spending.settle(lost, None, unknown=True)  # its worker died: booked at the reserved price
        ReplayAttempt.objects.filter(pk=lost.pk).update(cost_usd=None, leased_until=None)
    attempts = leases.claim(waiting.order_by("not_before", "id"), limit=most, lease=LEASE)
    for attempt in attempts:
        attempt.replay = replay
    price = replay_spending.most_of(replay, body)
    fits = replay_spending.reserve(attempts, price) if attempts else 0
    for attempt in attempts[:fits]:
        attempt.cost_usd = price
    over = [attempt.pk for attempt in attempts[fits:]]
    ReplayAttempt.objects.filter(pk__in=over).update(leased_until=None, attempts=F("attempts") - 1)
    return attempts[:fits]


def ask(access: Access, body: Body) -> Answer:
    """One call. Knows no database."""
    llm.load()
    started = time.perf_counter()
    try:
        reply = llm.converse(access, body)
    except UnusableReply as bad:
        told = bad.reply.input_tokens is not None
        return Answer(error=str(bad), unknown=not told, input_tokens=bad.reply.input_tokens,
                      output_tokens=bad.reply.output_tokens)  # fmt: skip
    except ProviderBusy as busy:
        return Answer(error=str(busy), again=True, busy=True, retry_after=busy.retry_after)
    except ProviderError as error:
        return Answer(error=str(error), again=error.again, unknown=not error.free)
    except Exception:  # a fault of ours must cost this attempt and not the round
        log.exception("a replay failed in our own code")
        return Answer(error="Review Hub failed while asking this.", unknown=True)
    took = (time.perf_counter() - started) * 1000
    output = reply.text[:MAX_OUTPUT].replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    return Answer(output, input_tokens=reply.input_tokens, output_tokens=reply.output_tokens, latency_ms=took,
                  unknown=reply.input_tokens is None and reply.output_tokens is None)  # fmt: skip


@transaction.atomic
def settle(attempt: ReplayAttempt, answer: Answer) -> bool:
    """Stores what a call came to, if the attempt is still ours; returns whether it was."""
    _tell_throttle(attempt.replay, attempt, answer)
    held = leases.still_held(attempt).filter(finished_at=None)
    if not held.select_for_update().exists():
        return False
    cost = replay_spending.cost_usd(attempt.replay, answer.input_tokens, answer.output_tokens)
    replay_spending.settle(attempt, cost, unknown=answer.unknown)
    if answer.again and attempt.attempts < MAX_ATTEMPTS:
        delay = judging.delay_of(attempt.attempts, answer.retry_after)
        return bool(held.update(leased_until=None, cost_usd=None, not_before=Now() + timedelta(seconds=delay)))
    said = judged(attempt.replay, answer)
    return bool(
        held.update(
            finished_at=Now(),
            leased_until=None,
            output=answer.output,
            error=answer.error[:300],
            fails=None if said is None else not said.passed,
            checks=said.as_dicts() if said else [],
            latency_ms=answer.latency_ms,
            input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens,
            cost_usd=cost,
        )
    )


def judged(replay: Replay, answer: Answer) -> checks.Judgement | None:
    """What the replay's checks say; None where a person decides, or nothing was answered."""
    if answer.error or not replay.checks:
        return None
    return checks.judge({}, answer.output, replay.checks, spent=checks.Spent(answer.latency_ms))


def _tell_throttle(replay: Replay, attempt: ReplayAttempt, answer: Answer) -> None:
    if answer.busy:
        wish = answer.retry_after
        pause = min(judging.delay_of(attempt.attempts, None), judging.LONGEST_PAUSE) if wish is None else wish
        throttle.busy(replay, pause, CONCURRENCY)
    elif answer.again:
        throttle.failed(replay, answer.error)
    else:
        throttle.went_well(replay)


@transaction.atomic
def _bury() -> None:
    """Ends attempts whose worker died MAX_DEATHS times."""
    dead = ReplayAttempt.objects.filter(
        Q(attempts__gte=MAX_DEATHS, leased_until__lte=Now()), finished_at=None
    ).select_related("replay")
    for attempt in dead.select_for_update(of=("self",), skip_locked=True):
        replay_spending.settle(attempt, None, unknown=True)
        ReplayAttempt.objects.filter(pk=attempt.pk).update(
            finished_at=Now(), leased_until=None, error=f"The worker stopped {MAX_DEATHS} times while asking this."
        )
        log.error("replay attempt %s was given up: its worker died each time", attempt.pk)
