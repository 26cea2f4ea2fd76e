"""The form of an audit: what it shows, and what was posted as a plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.http import QueryDict
from django.utils import timezone
from django.utils.dateparse import parse_date

from annotations.audits import Plan
from annotations.models import Audit
from feedback import limits
from projects.errors import ApiError, invalid
from projects.strictjson import clean_text

FIELDS = ("name", "since", "until", "size", "segment_by", "allocation", "filter", "value", "overlap")


@dataclass
class Shown:
    """What stands in the form, as texts, and what is wrong with it."""

    values: dict[str, str]
    errors: dict[str, str] = field(default_factory=dict)


def fresh(before: Audit | None = None) -> Shown:
    """A new audit of the last whole week from Monday; or one like ``before``, of a period as long that ends today."""
    today = timezone.now().astimezone(UTC).date()
    monday = today - timedelta(days=today.weekday())
    values = {
        "name": f"Week from {monday - timedelta(days=7)}", "since": f"{monday - timedelta(days=7)}",
        "until": f"{monday - timedelta(days=1)}", "size": "40", "segment_by": "feature", "allocation": "proportional",
        "filter": "", "value": "", "overlap": "1",
    }  # fmt: skip
    if before is not None:
        first = today - (before.until - before.since)
        name, value = next(iter(before.filters.items()), ("", ""))
        values |= {
            "name": before.name, "since": f"{first}", "until": f"{today - timedelta(days=1)}", "size": f"{before.size}",
            "segment_by": before.segment_by, "allocation": before.allocation, "filter": name, "value": value,
        }  # fmt: skip
    return Shown(values)


def posted(post: QueryDict) -> Shown:
    """What was entered, as it was entered."""
    return Shown({name: clean_text(post.get(name, "")).strip() for name in FIELDS})


def plan_of(shown: Shown) -> Plan:
    """The plan, both days included, UTC; ApiError 422 where a day or number is none."""
    values, faults = shown.values, []
    taken: dict[str, Any] = {}
    for name, read in (("since", _day), ("until", _day), ("size", _whole), ("overlap", _whole)):
        try:
            taken[name] = read(values[name], f"/{name}")
        except ApiError as error:
            faults += error.details
    if values["filter"] and not values["value"]:
        faults.append({"path": "/value", "message": "Write which one."})
    if faults:
        raise ApiError(422, "invalid", faults[0]["message"], faults)
    return Plan(
        name=values["name"], since=_midnight(taken["since"]), until=_midnight(taken["until"] + timedelta(days=1)),
        size=taken["size"], filters={values["filter"]: values["value"]} if values["filter"] else {},
        segment_by=values["segment_by"], allocation=values["allocation"], overlap=taken["overlap"],
    )  # fmt: skip


def _day(text: str, path: str) -> date:
    try:
        found = parse_date(text)
    except ValueError:
        found = None
    if found is None or not limits.FIRST_YEAR < found.year < limits.LAST_YEAR:
        raise invalid(path, "A day, such as 2026-11-16.")
    return found


def _whole(text: str, path: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 6):
        raise invalid(path, "A whole number.")
    return int(text)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
