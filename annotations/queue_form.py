"""The form of a queue's settings: what it shows, and what was posted as ``queue_settings`` takes it.

Nothing is checked here: texts that are no numbers are passed on as they are, and the service says what it wants.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet
from django.http import QueryDict

from annotations import queue_settings, wording
from annotations.models import Queue
from annotations.priority import WEIGHTS
from annotations.routing import REVIEWERS
from projects.models import Project, User
from projects.strictjson import clean_text

# The schedule of a queue that sets no shares of its own (the claim statement has it).
LANES = {"risk": 60.0, "random": 20.0, "calibration": 10.0, "oldest": 10.0}
NUMBERS = ("overlap", "sla_min_hours", "sla_max_hours", "admission_below")
PERCENTS = ("calibration_share", "gold_share", "repeat_share")
FLAGS = ("blind", "paused", "open_to_all", "admission")


@dataclass(frozen=True, slots=True)
class Share:
    """A number by name: the points of a term, or the part of a lane. ``usual`` stands where nothing is entered."""

    name: str
    label: str
    usual: str
    value: str


@dataclass(frozen=True, slots=True)
class Person:
    user: User
    chosen: bool
    topics: str


@dataclass(slots=True)
class Shown:
    """What stands in the form, as texts."""

    values: dict[str, Any]
    people: list[Person]
    weights: list[Share]
    lanes: list[Share]
    errors: dict[str, list[str]] = field(default_factory=dict)


def reviewers(project: Project) -> QuerySet[User]:
    """Who may be a member: people of the project who may review."""
    return User.objects.filter(memberships__project=project, memberships__role__in=REVIEWERS).order_by("name", "email")


def fields_of(post: QueryDict, project: Project) -> dict[str, Any]:
    """The posted settings as the service takes them."""
    said = {name: clean_text(post.get(name, "")).strip() for name in ("name", "description", "kind", "phase")}
    fields: dict[str, Any] = {**said, **{name: name in post for name in FLAGS if name != "open_to_all"}}
    fields["open_to_all"] = post.get("open_to_all") != "no"
    fields |= {name: _number(post.get(name, "")) for name in NUMBERS}
    minutes = _number(post.get("lease_minutes", ""))
    fields["lease_seconds"] = round(minutes * 60) if isinstance(minutes, int | float) else minutes
    for name in PERCENTS:
        percent = _number(post.get(name, "") or "0")
        fields[name] = percent / 100 if isinstance(percent, int | float) else percent
    capacity = post.get("capacity_per_day", "").strip()
    fields["capacity_per_day"] = _number(capacity) if capacity else None
    fields["fallback"] = clean_text(post.get("fallback", "")) or None
    fields["topics"] = _words(post.get("topics", ""))
    chosen = set(post.getlist("members"))
    fields["members"] = [
        {"user": user.pk, "topics": _words(post.get(f"topics-{user.pk}", ""))}
        for user in reviewers(project) if str(user.pk) in chosen
    ]  # fmt: skip
    for name, known in (("weights", WEIGHTS), ("lanes", LANES)):
        fields[name] = {
            part: _number(text) for part in known if (text := post.get(f"{name}-{part}", "").strip())
        }  # fmt: skip
    if all(fields["weights"].get(term, usual) == usual for term, usual in WEIGHTS.items()):
        fields["weights"] = {}
    return fields


def shown(project: Project, queue: Queue | None) -> Shown:
    """The form of a queue, or of a new one."""
    row = queue or Queue(project=project, sla_max_hours=24)
    values = {
        **queue_settings.snapshot(row, None if queue else []), "lease_minutes": f"{row.lease_seconds / 60:g}",
        "topics": ", ".join(row.topics),
    }  # fmt: skip
    for name in (*NUMBERS, "capacity_per_day"):
        values[name] = "" if values[name] is None else f"{values[name]:g}"
    values |= {name: f"{100 * values[name]:g}" for name in PERCENTS}
    members = {row.user_id: row.topics for row in queue.memberships.all()} if queue else {}
    people = [Person(user, user.pk in members, ", ".join(members.get(user.pk, ()))) for user in reviewers(project)]
    return Shown(values, people, _shares(WEIGHTS, wording.TERMS, row.weights), _shares(LANES, wording.LANES, row.lanes))


def posted(post: QueryDict, project: Project, faults: list[dict[str, str]]) -> Shown:
    """The form as it was sent, with what is wrong with it at each control."""
    names = (
        "name",
        "description",
        "kind",
        "phase",
        "lease_minutes",
        "capacity_per_day",
        "fallback",
        "topics",
        *NUMBERS,
        *PERCENTS,
    )
    values: dict[str, Any] = {name: post.get(name, "") for name in names}
    values |= {name: name in post for name in FLAGS} | {"open_to_all": post.get("open_to_all") != "no"}
    chosen = set(post.getlist("members"))
    people = [Person(user, str(user.pk) in chosen, post.get(f"topics-{user.pk}", "")) for user in reviewers(project)]
    weights = {term: post.get(f"weights-{term}", "") for term in WEIGHTS}
    lanes = {lane: post.get(f"lanes-{lane}", "") for lane in LANES}
    found = Shown(values, people, _shares(WEIGHTS, wording.TERMS, weights), _shares(LANES, wording.LANES, lanes))
    for fault in faults:
        found.errors.setdefault(fault["path"].split("/")[1], []).append(fault["message"])
    return found


def _shares(usual: dict[str, float], labels: dict[str, str], values: dict[str, Any]) -> list[Share]:
    return [
        Share(name, labels.get(name, name), f"{points:g}",
              f"{value:g}" if isinstance(value := values.get(name, ""), int | float) else str(value))
        for name, points in usual.items()
    ]  # fmt: skip


def _number(text: str) -> Any:
    """The number that a text says, else the text: a comma is a decimal point for half of the world."""
    plain = text.strip().replace(",", ".")
    try:
        value = float(plain)
    except ValueError:
        return clean_text(text)
    if not math.isfinite(value):
        return clean_text(text)
    return int(value) if value.is_integer() else value


def _words(text: str) -> list[str]:
    return [word for part in clean_text(text).split(",") if (word := part.strip())]
