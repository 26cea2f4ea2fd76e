"""What replays spend: they share the caps of a project with its judges (``evals.spending``), reserved before a call.

A reservation is the most that an attempt can cost: every byte sent counted as a token, and the longest answer that is
asked for. It stands in ``ReplayAttempt.cost_usd`` while the call is under way; that of a worker that died is booked as
spent when the attempt is taken up again.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import F, QuerySet
from django.utils import timezone

from evals import llm
from evals.models import JudgeBudget, Replay, ReplayAttempt, Spend
from evals.spending import Cap
from feedback import pricing

# Longer than the deadline of a call plus storing it, so that a lease never ends under a live worker.
LEASE = timedelta(seconds=llm.DEADLINE_SECONDS * 2)
_AROUND = 200  # tokens that providers add around the messages; generous


def cost_usd(replay: Replay, input_tokens: int | None, output_tokens: int | None) -> Decimal | None:
    """US dollars for these tokens by the price table of today; None if unknown."""
    return pricing.cost_usd(
        model=replay.model, provider=replay.provider, at=timezone.now(), input_tokens=input_tokens,
        output_tokens=output_tokens,
    )  # fmt: skip


def most_of(replay: Replay, body: dict[str, Any]) -> Decimal | None:
    """The most that one attempt can cost; None where the model's price is not known."""
    sent = len(json.dumps(body, ensure_ascii=False).encode()) + _AROUND
    return cost_usd(replay, sent, int(body.get("max_tokens") or body["max_completion_tokens"]))


def caps(project_id: int, day: date | None = None) -> list[Cap]:
    """The project's caps with what judges and replays have taken of each."""
    rows = {
        row.period: row.reserved_usd + row.settled_usd + row.unknown_usd
        for row in _rows(project_id, day or datetime.now(UTC).date())
    }
    budget = JudgeBudget.objects.filter(project=project_id).first() or JudgeBudget()
    told = [(Spend.Period.DAY, budget.day_cap_usd), (Spend.Period.MONTH, budget.month_cap_usd)]
    return [Cap(period, "the project", cap, rows.get(period, Decimal(0))) for period, cap in told if cap is not None]


def obstacle(replay: Replay, most: Decimal | None) -> str:
    """Why an attempt may not be paid for now, in words; "" where it may."""
    found = caps(replay.project_id)
    if found and most is None:
        return f"The project has a budget, and no price is known for {replay.model}."
    for cap in found:
        if (most or Decimal(0)) > cap.left_usd:
            return f"The budget of the {cap.period} (${cap.cap_usd:.2f}) does not suffice for another attempt."
    return ""


def reserve(attempts: list[ReplayAttempt], most: Decimal | None) -> int:
    """Reserves ``most`` for each of the first attempts that fit under the caps; returns how many.

    Call it inside the transaction that leased them; those that do not fit are the caller's to give back.
    """
    replay, day = attempts[0].replay, _day(attempts[0])
    Spend.objects.bulk_create(
        [Spend(project_id=replay.project_id, period=period, starts=starts) for period, starts in _periods(day)],
        ignore_conflicts=True,
    )
    list(_rows(replay.project_id, day).select_for_update().order_by("pk").values("pk"))
    fits = len(attempts)
    for cap in caps(replay.project_id, day):
        if most is None:
            return 0
        fits = min(fits, int(cap.left_usd // most)) if most else fits
    if most and fits:
        _rows(replay.project_id, day).update(reserved_usd=F("reserved_usd") + most * fits)
    ReplayAttempt.objects.filter(pk__in=[one.pk for one in attempts[:fits]]).update(cost_usd=most)
    return fits


def settle(attempt: ReplayAttempt, cost: Decimal | None, *, unknown: bool) -> None:
    """Turns the reservation of a leased attempt into what it cost, or books it where nobody will know."""
    reserved = attempt.cost_usd or Decimal(0)
    lost = reserved if unknown else Decimal(0)
    if not (reserved or cost):
        return
    rows = _rows(attempt.replay.project_id, _day(attempt))
    list(rows.select_for_update().order_by("pk").values("pk"))
    rows.update(
        reserved_usd=F("reserved_usd") - reserved, settled_usd=F("settled_usd") + (cost or Decimal(0)),
        unknown_usd=F("unknown_usd") + lost,
    )  # fmt: skip


def _day(attempt: ReplayAttempt) -> date:
    """The day (UTC) on which the attempt was leased: that of its reservation."""
    assert attempt.leased_until is not None
    return (attempt.leased_until - LEASE).astimezone(UTC).date()


def _periods(day: date) -> list[tuple[str, date]]:
    return [(Spend.Period.DAY, day), (Spend.Period.MONTH, day.replace(day=1))]


def _rows(project_id: int, day: date) -> QuerySet[Spend]:
    found = Spend.objects.filter(project=project_id, judge=None)
    return found.filter(period=Spend.Period.DAY, starts=day) | found.filter(
        period=Spend.Period.MONTH, starts=day.replace(day=1)
    )
