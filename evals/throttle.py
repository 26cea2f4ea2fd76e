"""When a provider is left alone, and how many calls it is given: one row for each, shared by all workers.

A 429 pauses the provider for as long as it asks and halves its places; they double again for each half minute
without another. Five failures in a row within a minute open the breaker; it stays open for half a minute, then twice
as long each time, and closes with the first success of the one call that is let through to try.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models.functions import Now
from django.utils import timezone

from evals import llm
from evals.models import Judge, JudgeCall, JudgeJob, ProviderState, Replay

FAILURES, WITHIN = 5, timedelta(seconds=60)
# The call that tries may take as long as any.
DEADLINE = timedelta(seconds=llm.DEADLINE_SECONDS + 5)
OPEN, LONGEST = timedelta(seconds=30), timedelta(minutes=10)
RECOVERS = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(hours=1)


def key_of(judge: Judge | Replay) -> str:
    """The provider's name in ``ProviderState``: its connection, or the environment's key."""
    return f"connection:{judge.connection_id}" if judge.connection_id else f"environment:{judge.provider}"


def paused(judge: Judge | Replay) -> ProviderState | None:
    """The state of a provider that is being left alone now; None where it is not."""
    return ProviderState.objects.filter(key=key_of(judge), paused_until__gt=Now()).first()


def room(judge: Judge, most: int) -> int:
    """How many more calls this judge may start now, at most ``most``.

    Takes the provider's row for the rest of the transaction, so that two workers do not both take the last place.
    """
    state = ProviderState.objects.select_for_update().filter(key=key_of(judge)).first()
    if state is None:
        ProviderState.objects.bulk_create([ProviderState(key=key_of(judge))], ignore_conflicts=True)
        state = ProviderState.objects.select_for_update().get(key=key_of(judge))
    now = timezone.now()
    if state.paused_until and state.paused_until > now:
        return 0
    if state.failures >= FAILURES:  # the breaker was open: one call tries, and the others wait for how it ends
        ProviderState.objects.filter(pk=state.pk).update(paused_until=now + DEADLINE, probing=True)
        return min(most, 1)
    if state.at_once is not None and state.slowed_at and now - state.slowed_at > RECOVERS:
        state.at_once = None if state.at_once * 2 >= most else state.at_once * 2
        state.slowed_at = now
        state.save(update_fields=["at_once", "slowed_at"])
    limits = [one for one in (judge.at_once, state.at_once) if one is not None]
    if limits:
        running = JudgeJob.objects.filter(judge=judge, leased_until__gt=Now(), finished_at=None).count()
        most = min(most, min(limits) - running)
    if judge.per_minute is not None:
        recent = JudgeCall.objects.filter(judge=judge, batch=None, created_at__gt=Now() - WITHIN).count()
        most = min(most, judge.per_minute - recent)
    return max(most, 0)


def went_well(judge: Judge | Replay) -> None:
    """A provider has answered: the breaker closes. One cheap query where nothing was wrong."""
    ProviderState.objects.filter(key=key_of(judge), failures__gt=0).update(
        failures=0, openings=0, failing_since=None, paused_until=None, probing=False, reason=""
    )


def failed(judge: Judge | Replay, reason: str) -> None:
    """A call failed: counts towards the breaker, and opens it at the fifth in a row within a minute."""
    state = _locked(judge)
    now = timezone.now()
    if state.failures < FAILURES and state.failing_since and now - state.failing_since > WITHIN:
        state.failures, state.failing_since = 0, None
    state.failing_since = state.failing_since or now
    state.failures = min(state.failures + 1, FAILURES)
    # Calls that began before it opened fail as well; they are no news.
    if state.failures >= FAILURES and (state.probing or state.openings == 0):
        state.paused_until = now + min(OPEN * 2**state.openings, LONGEST)
        state.openings, state.probing = min(state.openings + 1, 10), False
        state.reason = reason[:120]
    state.save()


def busy(judge: Judge | Replay, seconds: float, at_once: int) -> None:
    """A provider asked for a pause of ``seconds``; ``at_once`` is how many calls it is given when all is well."""
    state = _locked(judge)
    now = timezone.now()
    state.paused_until = _later(state.paused_until, now + min(timedelta(seconds=seconds), LONGEST_PAUSE))
    state.reason = "The provider is busy."
    # The other calls of the same moment bring the same news.
    if state.slowed_at is None or now - state.slowed_at > timedelta(seconds=2):
        state.at_once = max(1, (state.at_once or at_once) // 2)
        state.slowed_at = now
    state.save()


def _locked(judge: Judge | Replay) -> ProviderState:
    ProviderState.objects.bulk_create([ProviderState(key=key_of(judge))], ignore_conflicts=True)
    return ProviderState.objects.select_for_update().get(key=key_of(judge))


def _later(one: datetime | None, other: datetime) -> datetime:
    return other if one is None or one < other else one
