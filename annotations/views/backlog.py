"""A queue's row on the queues page: how much waits, for how long, how soon it is due, in the words of the page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.safestring import SafeString

from annotations.models import Queue
from annotations.queries import QueueRow
from annotations.workload import DAYS, Load
from projects.charts import spark
from projects.models import User
from projects.templatetags.ui import duration

NEAR = timedelta(hours=4)
# What the counts of QueueRow.ages mean, in the order of the bar: key, tone, words.
AGES = (
    ("under_4h", "", "under 4 hours"),
    ("over_4h", "d3", "over 4 hours"),
    ("near_due", "warn", "due within 4 hours"),
    ("past_due", "fail", "past due"),
)


@dataclass(frozen=True)
class Bar:
    """A part of the backlog bar, in percent of its width."""

    x: float
    width: float
    tone: str


@dataclass(frozen=True)
class Backlog:
    """What the page shows of one queue."""

    queue: Queue
    open: int
    waited: timedelta | None
    due: str
    tone: str
    people: list[User]
    bars: list[Bar]
    bar_says: str
    spark: SafeString
    pace: str
    load: Load
    flow: str
    flow_tone: str
    past_due: int
    urgency: datetime


def picture(row: QueueRow, load: Load) -> Backlog:
    """From the figures to the row."""
    now = timezone.now()
    left = row.next_due_at - now if row.next_due_at else None
    return Backlog(
        queue=row.queue,
        open=row.open,
        waited=now - row.oldest_enqueued_at if row.oldest_enqueued_at else None,
        due=_due(left),
        tone=_tone(left),
        people=list(row.leased_by),
        bars=_bars(row),
        bar_says=_bar_in_words(row),
        spark=spark(row.done_by_day),
        pace=f"{amount(sum(row.done_by_day) / DAYS)} a day",
        load=load,
        flow=_flow(load),
        flow_tone="warn" if load.share is not None and load.share > 1 else "",
        past_due=row.ages.get("past_due", 0),
        urgency=row.next_due_at or now + timedelta(days=3650),
    )


def amount(number: float) -> str:
    """``61``, ``4.3``, ``0``: as many digits as mean something."""
    return f"{number:,.0f}" if number >= 10 or number == int(number) else f"{number:.1f}"


def _flow(load: Load) -> str:
    """What comes in beside what can be done, in words."""
    if load.share is None or load.capacity is None:
        return f"{amount(load.inflow)} a day come in"
    said = f"{amount(load.inflow)} of {amount(load.capacity)} a day come in: {load.share:.0%}".replace("%", "\u00a0%")
    if load.admitted is not None:
        said += f", {load.admitted * 100:.0f}\u00a0% of low scores let in"
    return said


def _due(left: timedelta | None) -> str:
    if left is None:
        return ""
    return f"due in {duration(left)}" if left >= timedelta(0) else f"due {duration(-left)} ago"


def _tone(left: timedelta | None) -> str:
    if left is None or left > NEAR:
        return ""
    return "warn" if left >= timedelta(0) else "fail"


def _bars(row: QueueRow) -> list[Bar]:
    total = sum(row.ages.values())
    bars, start = [], 0.0
    for key, tone, _ in AGES:
        if share := 100 * row.ages.get(key, 0) / total if total else 0:
            bars.append(Bar(x=round(start, 1), width=round(share, 1), tone=tone))
            start += share
    return bars


def _bar_in_words(row: QueueRow) -> str:
    parts = [f"{row.ages[key]} {words}" for key, _, words in AGES if row.ages.get(key)]
    return f"{row.open} waiting" + (f": {', '.join(parts)}" if parts else "")
