"""Times from outside, as one moment in UTC.

ISO 8601 and Python allow offsets of up to 24 hours; PostgreSQL refuses those of 16 and more. In UTC there is
nothing left to refuse.
"""

from __future__ import annotations

from datetime import UTC, datetime

from django.utils.dateparse import parse_datetime


def utc(moment: datetime) -> datetime | None:
    """The same moment in UTC, where no zone is said it is that; None beyond the years 1 to 9999."""
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError:
        return None


def read(text: str) -> datetime | None:
    """The moment that a text names, in UTC; None where it names none."""
    try:
        moment = parse_datetime(text)
    except ValueError:  # the form is right, but there is no 13th month
        return None
    return None if moment is None else utc(moment)
