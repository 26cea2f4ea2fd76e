"""What judges may spend: reserved in the database before a call, settled after it, never above a cap.

A reservation is the most that an attempt can cost: every byte of what is sent counted as a token (no tokenizer makes
more of it), the longest reply that is asked for, both twice, because an unusable reply is asked for once more
(a comparison four times, for its two orders). Claims
of one project take turns at the rows of its periods, so that two workers cannot both see the last cent. An attempt
whose cost nobody will know, because its worker died or the line broke, stays in the sums at its reserved price.
In a batch everything costs half, and nothing is asked for once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_UP, Decimal

from django.db import transaction
from django.db.models import DecimalField, F, OuterRef, Q, Subquery
from django.db.models.functions import Now
from django.utils import timezone

from evals import llm
from evals.judge_prompts import REPAIR, SCHEMA, Prompt
from evals.models import Judge, JudgeBatch, JudgeBudget, JudgeCall, JudgeJob, Spend
from feedback import pricing

EIGHT = Decimal("1e-8")
MILLION = Decimal(1_000_000)
ASKED_AT_MOST = 2
# Of the price of single calls, at OpenAI and at Anthropic alike.
BATCH_SHARE = Decimal("0.5")
# What providers add around each message and the schema, in tokens; generous.
AROUND = 200 + len(str(SCHEMA))
_MONEY = DecimalField(max_digits=14, decimal_places=8)


@dataclass(frozen=True, slots=True)
class Cap:
    """One cap and what is taken of it: ``period`` is day or month, ``of`` the judge or the project."""

    period: str
    of: str
    cap_usd: Decimal
    taken_usd: Decimal

    @property
    def left_usd(self) -> Decimal:
        return max(self.cap_usd - self.taken_usd, Decimal(0))


def cost_usd(
    judge: Judge, input_tokens: int | None, output_tokens: int | None, *, batched: bool = False
) -> Decimal | None:  # fmt: skip
    """US dollars for these tokens: by the judge's own prices, else by the price table of today; None if unknown."""
    whole = _whole_usd(judge, input_tokens, output_tokens)
    return (whole * BATCH_SHARE).quantize(EIGHT, ROUND_UP) if batched and whole is not None else whole


def _whole_usd(judge: Judge, input_tokens: int | None, output_tokens: int | None) -> Decimal | None:
    if judge.input_price is not None and judge.output_price is not None:
        if input_tokens is None and output_tokens is None:
            return None
        total: Decimal = (input_tokens or 0) * judge.input_price + (output_tokens or 0) * judge.output_price
        return (total / MILLION).quantize(EIGHT, ROUND_UP)
    return pricing.cost_usd(
        model=judge.model, provider=judge.provider, at=timezone.now(),
        input_tokens=input_tokens, output_tokens=output_tokens,
    )  # fmt: skip


def most_of(judge: Judge, prompt: Prompt, *, batched: bool = False) -> Decimal | None:
    """The most that one attempt can cost in US dollars; None where the model's price is not known."""
    sent = len(prompt.system.encode()) + len(prompt.user.encode()) + len(REPAIR) + AROUND
    once = cost_usd(judge, sent, llm.MAX_REPLY_TOKENS, batched=batched)
    return None if once is None else once * asked_at_most(judge, batched=batched)


def asked_at_most(judge: Judge, *, batched: bool = False) -> int:
    """How many requests an attempt may take: one more after an unusable reply, of each order in a comparison."""
    return (1 if batched else ASKED_AT_MOST) * (2 if judge.kind == Judge.Kind.PAIRWISE else 1)


def today() -> date:
    """The day of a reservation; days and months of budgets are UTC's."""
    return datetime.now(UTC).date()


def _periods(judge: Judge, day: date) -> list[tuple[int | None, str, date]]:
    """The rows that a call of this judge counts in, in the order in which they are locked."""
    return [
        (None, Spend.Period.DAY, day), (None, Spend.Period.MONTH, day.replace(day=1)),
        (judge.pk, Spend.Period.DAY, day), (judge.pk, Spend.Period.MONTH, day.replace(day=1)),
    ]  # fmt: skip


def _rows(judge: Judge, day: date) -> Q:
    chosen = Q()
    for owner, period, starts in _periods(judge, day):
        chosen |= Q(project=judge.project_id, judge=owner, period=period, starts=starts)
    return chosen


def caps(judge: Judge) -> list[Cap]:
    """The caps that hold for this judge today, with what is taken of each; two queries."""
    rows = {
        (row.judge_id, row.period): row.reserved_usd + row.settled_usd + row.unknown_usd
        for row in Spend.objects.filter(_rows(judge, today()))
    }
    budget = JudgeBudget.objects.filter(project=judge.project_id).first() or JudgeBudget()
    told = [
        (judge.pk, Spend.Period.DAY, "this version", judge.day_cap_usd),
        (None, Spend.Period.DAY, "all judges", budget.day_cap_usd),
        (None, Spend.Period.MONTH, "all judges", budget.month_cap_usd),
    ]
    return [Cap(period, of, cap, rows.get((owner, period), Decimal(0))) for owner, period, of, cap in told
            if cap is not None]  # fmt: skip


def obstacle(judge: Judge) -> str:
    """Why the judge may not spend now, in words; "" where it may."""
    found = caps(judge)
    if found and cost_usd(judge, 1, 1) is None:
        return f"has a budget, and no price is known for {judge.model}; give its prices or lift the budget"
    for cap in found:
        if cap.left_usd <= 0:
            return f"has spent the budget of the {cap.period} of {cap.of} (${cap.cap_usd:.2f})"
    return ""


def reserve(judge: Judge, attempts: Sequence[tuple[JudgeJob, Prompt]], *, batch: JudgeBatch | None = None) -> int:
    """Writes a call for each of the first attempts that fit under all caps; returns how many. ``batch`` holds them.

    Call it inside the transaction that claimed the jobs; those that do not fit are the caller's to give back.
    """
    day = today()
    wanted = [most_of(judge, prompt, batched=batch is not None) for _, prompt in attempts]
    _take_turn(judge, day)
    found = caps(judge)
    fits, total = 0, Decimal(0)
    for amount in wanted:
        if found and (amount is None or any(total + amount > cap.left_usd for cap in found)):
            break
        fits, total = fits + 1, total + (amount or 0)
    if total:
        Spend.objects.filter(_rows(judge, day)).update(reserved_usd=F("reserved_usd") + total)
    JudgeCall.objects.bulk_create(
        JudgeCall(judge=judge, job=job, fence=job.fence, batch=batch, day=day, reserved_usd=amount)
        for (job, _), amount in zip(attempts[:fits], wanted, strict=False)
    )
    return fits


def _take_turn(judge: Judge, day: date) -> None:
    """Makes the rows of the judge's periods where they are missing, and holds them for the rest of the transaction."""
    Spend.objects.bulk_create(
        [Spend(project_id=judge.project_id, judge_id=owner, period=period, starts=starts)
         for owner, period, starts in _periods(judge, day)],
        ignore_conflicts=True,
    )  # fmt: skip
    list(Spend.objects.select_for_update().filter(_rows(judge, day)).order_by("pk").values("pk"))


def hold(judge: Judge, most: Decimal | None) -> date | None:
    """Books the most that a call without a job can cost before it is made; None where it does not fit under a cap.

    It is booked as unknown at once: a process that dies during the call leaves it so, and nobody has to look for it.
    """
    day = today()
    with transaction.atomic():
        _take_turn(judge, day)
        found = caps(judge)
        if found and (most is None or any(most > cap.left_usd for cap in found)):
            return None
        _move(judge, day, reserved=Decimal(0), settled=Decimal(0), unknown=most or Decimal(0))
    return day


def release(judge: Judge, day: date, most: Decimal | None, *, spent: Decimal | None) -> None:
    """Puts what a call has cost in the place of what ``hold`` booked for it on that day."""
    with transaction.atomic():
        settled, unknown = spent or Decimal(0), -(most or Decimal(0))
        _move(judge, day, reserved=Decimal(0), settled=settled, unknown=unknown)


@dataclass(frozen=True, slots=True)
class Bill:
    """What an attempt came to: tokens of all replies that told them, and how many requests told none but may cost."""

    asked: int = 0
    unknown: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    error: str = ""
    reply: str = ""


def settle(judge: Judge, job: JudgeJob, bill: Bill) -> None:
    """Turns the reservation of an attempt into what it cost. See ``settle_all``."""
    settle_all(judge, [(job, bill)])


def settle_all(judge: Judge, bills: Sequence[tuple[JudgeJob, Bill]]) -> None:
    """Turns the reservations of attempts of one judge into what they cost; the periods' rows are written once.

    Also for an attempt that was given up as lost meanwhile: better late than at its reserved price.
    """
    with transaction.atomic(savepoint=False):
        wanted = {(job.pk, job.fence): bill for job, bill in bills}
        calls = JudgeCall.objects.select_for_update().filter(job__in=[job.pk for job, _ in bills]).order_by("pk")
        moves: dict[date, list[Decimal]] = {}
        for call in calls:
            bill = wanted.get((call.job_id, call.fence))
            if bill is None or call.state == JudgeCall.State.SETTLED:
                continue
            batched = call.batch_id is not None
            most = asked_at_most(judge, batched=batched)
            known = cost_usd(judge, bill.input_tokens, bill.output_tokens, batched=batched)
            spent, reserved = known or Decimal(0), call.reserved_usd or Decimal(0)
            unknown = (reserved * min(bill.unknown, most) / most).quantize(EIGHT, ROUND_UP)
            moved = moves.setdefault(call.day, [Decimal(0)] * 3)
            moved[0] -= reserved if call.state == JudgeCall.State.OPEN else Decimal(0)
            moved[1] += spent
            moved[2] += unknown - (call.unknown_usd or 0)
            priced = call.reserved_usd is not None
            JudgeCall.objects.filter(pk=call.pk).update(
                state=JudgeCall.State.UNKNOWN if bill.unknown else JudgeCall.State.SETTLED, ended_at=Now(),
                settled_usd=spent if priced else known, unknown_usd=unknown if priced else None, asked=bill.asked,
                input_tokens=bill.input_tokens, output_tokens=bill.output_tokens, error=bill.error[:300],
                reply=bill.reply[: llm.MAX_KEPT].replace("\0", "\ufffd"),
            )  # fmt: skip
        for day in sorted(moves):
            reserved, spent, unknown = moves[day]
            _move(judge, day, reserved=reserved, settled=spent, unknown=unknown)


def give_up_lost() -> int:
    """Books calls whose worker has died at their reserved price; returns how many. Any worker may call it.

    Not those of jobs that a batch has in hand: it settles them, or gives them up itself.
    """
    done = 0
    held = JudgeJob.objects.filter(pk=OuterRef("job"), leased_until__gt=Now()).values("fence")
    lost = JudgeCall.objects.filter(state=JudgeCall.State.OPEN, job__batch=None).annotate(live=Subquery(held))
    with transaction.atomic():
        gone = lost.filter(~Q(live=F("fence")) | Q(live=None)).select_related("judge")
        for call in gone.select_for_update(of=("self",), skip_locked=True).order_by("pk")[:1000]:
            reserved = call.reserved_usd or Decimal(0)
            _move(call.judge, call.day, reserved=-reserved, settled=Decimal(0), unknown=reserved)
            priced = call.reserved_usd is not None
            done += JudgeCall.objects.filter(pk=call.pk).update(
                state=JudgeCall.State.UNKNOWN, ended_at=Now(), unknown_usd=call.reserved_usd,
                settled_usd=Decimal(0) if priced else None, error="The worker stopped during the call.",
            )  # fmt: skip
    return done


def _move(judge: Judge, day: date, *, reserved: Decimal, settled: Decimal, unknown: Decimal) -> None:
    if reserved or settled or unknown:
        # Locked in one order first: an UPDATE takes rows in any.
        rows = Spend.objects.filter(_rows(judge, day))
        list(rows.select_for_update().order_by("pk").values("pk"))
        rows.update(
            reserved_usd=F("reserved_usd") + reserved, settled_usd=F("settled_usd") + settled,
            unknown_usd=F("unknown_usd") + unknown,
        )  # fmt: skip
