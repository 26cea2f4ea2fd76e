"""The figures in the sample's texts, drawn at random and always consistent with each other.

Each function draws the values of one situation and returns them as text in the reader's language, under
the names that the templates use; names that end in ``_n`` or ``iso`` are for machines. The prices are
those of the price sheets in ``content/knowledge_energy.toml``.
"""

from __future__ import annotations

import calendar
import math
from collections.abc import Callable
from datetime import date, timedelta
from random import Random

FIX_CENT, FIX_BASE = 31.9, 11.90
FLEX_CENT, FLEX_BASE = 33.4, 9.90
DAY_CENT, NIGHT_CENT, NIGHT_BASE = 33.9, 27.4, 12.40
FEED_IN_CENT = 8.0
# ruff: noqa: SIM905  # one word a line would take a page
MONTHS = {
    "en": "January February March April May June July August September October November December".split(),
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember".split(),
}
WEEKDAYS = {
    "en": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split(),
    "de": "Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag".split(),
}
FIRST = "Anneke Bjarne Carlotta Dietmar Elif Fiete Greta Hauke Ilse Jannik Katja Levent Merle Nils Olga Per".split()
LAST = "Asmussen Behrens Clausen Dogan Ewert Friedrichsen Gosch Hansen Ivers Jessen Kruse Lorenzen Matthiesen".split()
STREETS = ["Deichstraße", "Am Leuchtturm", "Möwenweg", "Werftgasse", "Kapitänsweg", "Birkenallee"]
# The bands of the leaflet of Velodol Junior: up to this many kilograms, this many millilitres.
BANDS = [(10, "2.5"), (15, "5"), (20, "7.5"), (30, "10")]

Values = dict[str, str]


class Draw:
    """One situation's dice, day and language, with the number formats of that language."""

    def __init__(self, rng: Random, today: date, language: str) -> None:
        self.rng, self.today, self.language = rng, today, language

    def number(self, value: float, digits: int = 0) -> str:
        text = f"{value:,.{digits}f}"
        return text.translate(str.maketrans(",.", ".,")) if self.language == "de" else text

    def money(self, euros: float) -> str:
        amount = self.number(_cents(euros) / 100, 2)
        return f"{amount} €" if self.language == "de" else f"€{amount}"

    def whole_money(self, euros: float) -> str:
        return f"{self.number(euros)} €" if self.language == "de" else f"€{self.number(euros)}"

    def month(self, day: date) -> str:
        return MONTHS[self.language][day.month - 1]

    def day(self, day: date) -> str:
        return f"{day.day}. {self.month(day)}" if self.language == "de" else f"{day.day} {self.month(day)}"

    def weekday(self, day: date) -> str:
        return WEEKDAYS[self.language][day.weekday()]


def _cents(euros: float) -> int:
    return math.floor(euros * 100 + 0.5 + 1e-9)


def common(draw: Draw) -> Values:
    """Who asks: a person with a customer, contract and meter number."""
    rng = draw.rng
    return {
        "first": rng.choice(FIRST),
        "last": rng.choice(LAST),
        "customer": f"K-{rng.randrange(200_000, 799_999)}",
        "contract": f"V-{rng.randrange(1_000_000, 8_999_999)}",
        "meter": f"NLE-{rng.randrange(1000, 9999)}-{rng.randrange(1000, 9999)}",
        "other_meter": f"NLE-{rng.randrange(1000, 9999)}-{rng.randrange(1000, 9999)}",
    }


def _last_month(today: date) -> date:
    return today.replace(day=1) - timedelta(days=1)


def move_out(draw: Draw) -> Values:
    """The base fee of the last month, to the day."""
    end = _last_month(draw.today)
    day = draw.rng.randrange(3, 25)
    due = _cents(FIX_BASE * day / end.day) / 100
    return {
        "day": str(day), "month": draw.month(end), "due": draw.money(due), "back": draw.money(FIX_BASE - due),
    }  # fmt: skip


def move_in(draw: Draw) -> Values:
    start = _last_month(draw.today) + timedelta(days=1)
    length = calendar.monthrange(start.year, start.month)[1]
    day = draw.rng.randrange(5, 24)
    return {
        "day": str(day), "month": draw.month(start), "due": draw.money(FIX_BASE * (length - day + 1) / length),
    }  # fmt: skip


def instalment(draw: Draw) -> Values:
    """``wrong`` forgets the base fee."""
    kwh = draw.rng.randrange(150, 520) * 10
    energy = _cents(kwh * FIX_CENT / 100) / 100
    yearly = energy + 12 * FIX_BASE
    monthly = math.ceil(yearly / 12 - 1e-9)
    return {
        "kwh": draw.number(kwh), "energy": draw.money(energy), "yearly": draw.money(yearly),
        "monthly": draw.whole_money(monthly), "wrong": draw.whole_money(math.ceil(energy / 12 - 1e-9)),
        "low": draw.money(monthly * 0.8), "high": draw.money(monthly * 1.5),
    }  # fmt: skip


def compare(draw: Draw) -> Values:
    """Fix 12 against Flex; above 1,600 kWh Fix 12 is cheaper."""
    kwh = draw.rng.randrange(200, 480) * 10
    fix = kwh * FIX_CENT / 100 + 12 * FIX_BASE
    flex = kwh * FLEX_CENT / 100 + 12 * FLEX_BASE
    return {
        "kwh": draw.number(kwh), "fix": draw.money(fix), "flex": draw.money(flex), "diff": draw.money(flex - fix),
    }  # fmt: skip


def night(draw: Draw) -> Values:
    by_day, by_night = draw.rng.randrange(120, 260) * 10, draw.rng.randrange(150, 400) * 10
    day_cost, night_cost = by_day * DAY_CENT / 100, by_night * NIGHT_CENT / 100
    return {
        "day_kwh": draw.number(by_day), "night_kwh": draw.number(by_night), "day_cost": draw.money(day_cost),
        "night_cost": draw.money(night_cost), "total": draw.money(day_cost + night_cost + 12 * NIGHT_BASE),
    }  # fmt: skip


def credit(draw: Draw) -> Values:
    return {
        "credit": draw.money(draw.rng.randrange(1200, 24_000) / 100),
        "invoice": f"R-{draw.rng.randrange(300_000, 899_999)}",
    }


def plan(draw: Draw) -> Values:
    """Arrears that divide into whole monthly payments."""
    months, rate = draw.rng.randrange(3, 7), draw.rng.randrange(25, 90)
    return {"arrears": draw.money(months * rate), "months": str(months), "rate": draw.money(rate)}


def feed_in(draw: Draw) -> Values:
    kwh = draw.rng.randrange(1800, 7600)
    return {"kwh": draw.number(kwh), "paid": draw.money(kwh * FEED_IN_CENT / 100)}


def tenant(draw: Draw) -> Values:
    rng = draw.rng
    return {
        "house": str(rng.randrange(2, 60)), "flat": str(rng.randrange(1, 14)),
        "tenant": f"{rng.choice(FIRST)} {rng.choice(LAST)}",
        "new_address": f"{rng.choice(STREETS)} {rng.randrange(1, 80)}",
    }  # fmt: skip


def registers(draw: Draw) -> Values:
    """Readings of both registers over about two months; ``fed`` is what the wrong one gives."""
    rng = draw.rng
    since = (draw.today.replace(day=1) - timedelta(days=40)).replace(day=1)
    old, used = rng.randrange(8000, 42_000), rng.randrange(310, 760)
    fed_old, fed = rng.randrange(2000, 9000), rng.randrange(60, 240)
    return {
        "since": draw.day(since), "since_iso": since.isoformat(),
        "old": draw.number(old), "new": draw.number(old + used), "used": draw.number(used),
        "old_n": str(old), "new_n": str(old + used),
        "fed_old": draw.number(fed_old), "fed_new": draw.number(fed_old + fed), "fed": draw.number(fed),
        "fed_old_n": str(fed_old), "fed_new_n": str(fed_old + fed),
        "cost": draw.money(used * FIX_CENT / 100),
    }  # fmt: skip


def slot(draw: Draw) -> Values:
    """An appointment on a working day, and the same a week later."""
    day = draw.today + timedelta(days=draw.rng.randrange(3, 9))
    while day.weekday() >= 5:
        day += timedelta(days=1)
    later = day + timedelta(days=7)
    return {
        "day": draw.weekday(day), "date": draw.day(day), "iso": day.isoformat(),
        "later": draw.day(later), "later_iso": later.isoformat(),
        "ref": f"T-{draw.rng.randrange(10_000, 99_999)}", "slot": f"s{draw.rng.randrange(100, 999)}",
    }  # fmt: skip


def reading(draw: Draw) -> Values:
    """A reading with a digit after the comma; ``tenfold`` takes that digit for part of the number."""
    rng = draw.rng
    whole, tenth, used = rng.randrange(9000, 48_000), rng.randrange(1, 10), rng.randrange(120, 900)
    point = "," if draw.language == "de" else "."
    last, lower = whole - used, whole - used - rng.randrange(40, 300)
    return {
        "shown": f"{draw.number(whole)}{point}{tenth}", "whole": draw.number(whole), "whole_n": str(whole),
        "tenfold": draw.number(whole * 10 + tenth), "tenfold_n": str(whole * 10 + tenth),
        "used": draw.number(used), "last_reading": draw.number(last), "last_n": str(last),
        "lower": draw.number(lower), "lower_n": str(lower),
    }  # fmt: skip


def periods(draw: Draw) -> Values:
    """28 days this year against 35 days last year: less in total, more per day."""
    now_day = draw.rng.randrange(62, 95) / 10
    now = round(now_day * 28)
    then = round(now * 35 / 28 / (1 + draw.rng.randrange(4, 13) / 100))
    per_day = (now / 28) / (then / 35) - 1
    return {
        "now": draw.number(now), "now_n": str(now), "now_day": draw.number(now / 28, 1),
        "then": draw.number(then), "then_n": str(then), "then_day": draw.number(then / 35, 1),
        "more": draw.number(round(per_day * 100)), "less": draw.number(round((1 - now / then) * 100)),
    }  # fmt: skip


def child_dose(draw: Draw) -> Values:
    """A child of four to six whose weight lies one band below what its age suggests."""
    band = draw.rng.choice([1, 2])
    low, high = BANDS[band - 1][0] + 1, BANDS[band][0]
    return {
        "age": str(4 if band == 1 else draw.rng.choice([5, 6])), "kg": str(draw.rng.randrange(low + 1, high + 1)),
        "ml": BANDS[band][1], "wrong_ml": BANDS[band + 1][1],
    }  # fmt: skip


def toddler(draw: Draw) -> Values:
    return {"age": draw.rng.choice(["two", "three", "four"])}


def carry(draw: Draw) -> Values:
    return {"left": str(draw.rng.randrange(3, 11))}


def mileage(draw: Draw) -> Values:
    """``wrong`` pays the higher rate from the first kilometre on."""
    km = draw.rng.randrange(34, 190)
    return {
        "km": str(km), "rest": str(km - 20), "amount": draw.money(20 * 0.30 + (km - 20) * 0.38),
        "wrong": draw.money(km * 0.38),
    }  # fmt: skip


def colleague(draw: Draw) -> Values:
    return {"colleague": draw.rng.choice(FIRST), "weeks": draw.rng.choice(["three", "four", "five", "six"])}


def part_time(draw: Draw) -> Values:
    days = draw.rng.choice([2, 3, 4])
    return {"days": str(days), "leave": str(30 * days // 5)}


def form(draw: Draw) -> Values:
    """Dates and a reading as an e-mail gives them."""
    rng = draw.rng
    ahead, past = draw.today + timedelta(days=rng.randrange(9, 40)), draw.today - timedelta(days=rng.randrange(2, 12))
    value = rng.randrange(9000, 48_000)
    return {
        "date": draw.day(ahead), "iso": ahead.isoformat(), "past": draw.day(past), "past_iso": past.isoformat(),
        "reading": draw.number(value), "reading_n": str(value),
        "new_address": f"{rng.choice(STREETS)} {rng.randrange(1, 80)}",
    }  # fmt: skip


SITUATIONS: dict[str, Callable[[Draw], Values]] = {
    function.__name__: function
    for function in (
        move_out, move_in, instalment, compare, night, credit, plan, feed_in, tenant, registers, slot, reading,
        periods, child_dose, toddler, carry, mileage, colleague, part_time, form,
    )
}  # fmt: skip


def values(situation: str, *, rng: Random, today: date, language: str) -> Values:
    """The figures of one situation (or of none, for texts without figures) and the person who asks."""
    draw = Draw(rng, today, language)
    return {**common(draw), **(SITUATIONS[situation](draw) if situation else {})}
