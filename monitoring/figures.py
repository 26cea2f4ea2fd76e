"""Figures as people read them: with unit, interval and change, in the words of the product. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from django.contrib.humanize.templatetags.humanize import intcomma

from monitoring.metrics import Unit, Value
from projects.templatetags import ui

NO_BREAK = ui.NO_BREAK


def text(unit: Unit, value: float | None) -> str:
    """``0.041`` → ``4.1 %``, ``4800`` ms → ``4.8 s``, ``48210`` → ``48,210``; a dash where nothing is known."""
    if value is None:
        return "–"
    if unit == Unit.SHARE:
        return ui.percent(value, 2 if 0 < value < 0.01 else 1)
    if unit == Unit.MILLISECONDS:
        return ui.milliseconds(value)
    if unit == Unit.USD:
        return ui.usd(value)
    return f"{value:,.2f}" if unit == Unit.PER_MINUTE else str(intcomma(round(value)))


def tick(unit: Unit, value: float) -> str:
    """The same for an axis, as short as it can be told."""
    if unit == Unit.SHARE:
        return f"{value * 100:.3g}{NO_BREAK}%"
    if unit == Unit.MILLISECONDS:
        return f"{value / 1000:.3g}{NO_BREAK}s" if value >= 1000 or value == 0 else f"{value:.3g}{NO_BREAK}ms"
    if unit == Unit.USD:
        return f"${value:.3g}" if value < 1000 else f"${value:,.0f}"
    return f"{value:,.3g}" if value < 1000 else str(intcomma(round(value)))


def interval(unit: Unit, value: Value) -> str:
    """``3.6 to 4.7 %``; open where the data do not bound a side; empty for counts."""
    if value.low is None and value.high is None:
        return ""
    if value.high is None:
        return f"at least {text(unit, value.low)}"
    if value.low is None:
        return f"at most {text(unit, value.high)}"
    low, high = text(unit, value.low), text(unit, value.high)
    number, _, sign = low.partition(NO_BREAK)
    shared = sign and high.endswith(NO_BREAK + sign)
    return f"{number if shared else low} to {high}"


@dataclass(frozen=True, slots=True)
class Change:
    """From the period before to this one. ``kind`` is good or bad where it is more than chance explains, else ""."""

    arrow: str
    words: str
    kind: str


def change(unit: Unit, now: Value, before: Value, worse: str, *, scale: float = 1.0) -> Change | None:
    """The change in words, or None where there is nothing to compare.

    ``worse`` is the bad direction (up, down or neither); ``scale`` the part of this period that has passed, by
    which counts of the period before are shortened.
    """
    if now.value is None or before.value is None:
        return None
    delta = now.value - before.value * scale
    if unit == Unit.SHARE:
        words = f"{abs(delta) * 100:.1f} pts"
    elif unit == Unit.MILLISECONDS:
        words = ui.milliseconds(abs(delta))
    elif before.value * scale:
        words = f"{abs(delta) / (before.value * scale) * 100:.1f}{NO_BREAK}%"
    else:
        return None
    direction = "up" if delta > 0 else "down"
    kind = ""
    if worse and certain(now, before):
        kind = "bad" if direction == worse else "good"
    return Change("▲" if delta > 0 else "▼" if delta < 0 else "", words, kind)


def certain(now: Value, before: Value) -> bool:
    """Whether the 95 % interval of the difference leaves out zero.

    The interval is put together from those of both values: d - sqrt((p - l)² + (U - P)²) and its mirror image, the
    square-and-add method of R. G. Newcombe, "Interval estimation for the difference between independent
    proportions", Stat. Med. 17 (1998), 873-890, method 10.
    """
    ends = (now.value, now.low, now.high, before.value, before.low, before.high)
    if any(end is None for end in ends):
        return False
    p, low, high, q, below, above = (float(end) for end in ends if end is not None)
    delta = p - q
    return delta - math.hypot(p - low, above - q) > 0 or delta + math.hypot(high - p, q - below) < 0
