"""Reading settings that people send: all faults at once, each with its path."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.utils.text import slugify

from projects.errors import ApiError, invalid

RESERVED = {"new", "preview"}  # parts of addresses
T = TypeVar("T")
Check = Callable[[Any, str], T]  # of a value and its path: what to keep, or ApiError 422


@dataclass
class Settings:
    """What was sent for some thing, and what is wrong with it. Absent fields keep what they were."""

    fields: Mapping[str, Any]
    faults: list[dict[str, str]] = field(default_factory=list)

    def know(self, names: Collection[str]) -> None:
        """Refuses fields that do not exist."""
        for name in sorted(set(map(str, self.fields)) - set(names)):
            self.refuse(f"/{name}", f"There is no such setting. Settings: {', '.join(names)}.")

    def take(self, name: str, before: T, check: Check[T]) -> T:
        """The new value if one was sent and is fine, else the one before."""
        if name not in self.fields:
            return before
        try:
            return check(self.fields[name], f"/{name}")
        except ApiError as error:
            self.faults += error.details
            return before

    def need(self, name: str, message: str) -> None:
        """Refuses that a field is absent."""
        if name not in self.fields:
            self.refuse(f"/{name}", message)

    def refuse(self, path: str, message: str) -> None:
        """Notes a fault; the first of each path stands."""
        if not self.faulty(path):
            self.faults.append({"path": path, "message": message})

    def faulty(self, path: str) -> bool:
        """Whether something is wrong at this place or inside it."""
        return any(fault["path"] == path or fault["path"].startswith(f"{path}/") for fault in self.faults)

    def done(self) -> None:
        """ApiError 422 with everything that is wrong, if anything is."""
        if self.faults:
            raise ApiError(422, "invalid", self.faults[0]["message"], self.faults)


def text(longest: int, *, empty: bool = False) -> Check[str]:
    """A text in one line."""

    def check(value: Any, path: str) -> str:
        if not isinstance(value, str) or "\0" in value:
            raise invalid(path, "A text.")
        words = " ".join(value.split())
        if not words and not empty:
            raise invalid(path, "This may not be empty.")
        if len(words) > longest:
            raise invalid(path, f"At most {longest} characters.")
        return words

    return check


def number(low: float, high: float, *, above: bool = False) -> Check[float]:
    """A number between two ends, both included; the lower one not if ``above``."""
    said = f"A number {'above' if above else 'from'} {low:g} {'and up to' if above else 'to'} {high:g}."

    def check(value: Any, path: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise invalid(path, said)
        if not low <= value <= high or (above and value == low):
            raise invalid(path, said)
        return float(value)

    return check


def whole(low: int, high: int) -> Check[int]:
    """A whole number between two ends, both included."""

    def check(value: Any, path: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise invalid(path, f"A whole number from {low} to {high}.")
        return value

    return check


def flag(value: Any, path: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise invalid(path, "true or false.")
    return value


def one_of(known: Iterable[str]) -> Check[str]:
    """One of several words."""
    names = tuple(known)

    def check(value: Any, path: str) -> str:
        if not isinstance(value, str) or value not in names:
            raise invalid(path, f"One of: {', '.join(names)}.")
        return value

    return check


def maybe(check: Check[T]) -> Check[T | None]:
    """What the check takes, or null."""
    return lambda value, path: None if value is None else check(value, path)


def words(longest: int, most: int) -> Check[list[str]]:
    """A list of different texts, in their order."""
    one = text(longest)

    def check(value: Any, path: str) -> list[str]:
        if not isinstance(value, list) or len(value) > most:
            raise invalid(path, f"A list of at most {most} texts.")
        return list(dict.fromkeys(one(part, f"{path}/{place}") for place, part in enumerate(value)))

    return check


def shares(known: Iterable[str], what: str) -> Check[dict[str, float]]:
    """Numbers from 0 to 100 by name, for example points by term."""
    names, points = tuple(known), number(0, 100)

    def check(value: Any, path: str) -> dict[str, float]:
        if not isinstance(value, dict):
            raise invalid(path, f"An object: {what} by name.")
        unknown = sorted(set(map(str, value)) - set(names))
        if unknown:
            raise invalid(f"{path}/{unknown[0]}", f"Known here: {', '.join(names)}.")
        return {name: points(part, f"{path}/{name}") for name, part in value.items()}

    return check


def hundred(parts: Iterable[float]) -> bool:
    """Whether percentages add up; thirds may be rounded in the last digit of a float, and no earlier."""
    return math.isclose(sum(parts), 100.0, abs_tol=1e-9)


def free_slug(name: str, taken: Collection[str], otherwise: str) -> str:
    """The part of an address that follows from a name: ``refunds``, or ``refunds-2`` if that is taken."""
    base = slugify(name)[:50].strip("-") or otherwise
    slug, count = base, 1
    while slug in taken or slug in RESERVED:
        count += 1
        slug = f"{base}-{count}"
    return slug
