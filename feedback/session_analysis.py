"""Behaviour that says what nobody clicked: implicit feedback, derived from how a session went on."""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta
from itertools import pairwise
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now

from feedback import limits, locks, services, sessions
from feedback.models import Feedback, Inbox, Interaction, Score
from feedback.services.batches import take_locks
from feedback.sessions import Signal, Turn
from projects import doorbell
from projects.models import Project

log = logging.getLogger("reviewhub.sessions")

# How far back the search for abandoned sessions looks: after a longer stop of the worker some stay unfound.
LOOK_BACK = timedelta(hours=2)
BATCH = 500
_FIELDS = ("id", "project_id", "external_id", "session_id", "end_user_id", "created_at", "messages", "status")
# The name of the score that says that an answer was refused.
REFUSAL = "refusal"

Talk = tuple[str, str]  # session and user


@transaction.atomic
def derive(interaction_ids: Iterable[int]) -> None:
    """Makes the feedback that follows from these interactions and their neighbours in the session.

    Again and again with the same end, in whatever order they arrive: what an interaction that came late
    disproves is taken back. Interactions without a session say nothing. The number of queries depends on the
    number of projects, not of interactions.
    """
    fresh = Interaction.objects.filter(pk__in=list(interaction_ids)).exclude(session_id="")
    found: dict[int, list[Interaction]] = defaultdict(list)
    for one in fresh.only("project_id", "external_id", "session_id", "end_user_id", "created_at"):
        found[one.project_id].append(one)
    projects = Project.objects.in_bulk(found)
    for project_id in sorted(found):
        _derive(projects[project_id], found[project_id])


def _derive(project: Project, fresh: list[Interaction]) -> None:
    named = {one.session_id for one in fresh}
    # Two workers with interactions of one session must not both decide on what they saw before.
    take_locks(locks.MANY, locks.many(locks.SESSION, project.pk, named))
    talks = _talks(project, fresh, named)
    signals: list[Signal] = []
    looked_at: dict[str, Turn] = {}
    overtaken: set[str] = set()
    new = {one.external_id for one in fresh}
    for talk in talks.values():
        near = {place + step for place, turn in enumerate(talk) if turn.external_id in new for step in (-1, 0)}
        about = {talk[place].external_id: talk[place] for place in near if place >= 0}
        looked_at |= about
        signals += [signal for signal in sessions.signals(talk) if signal.about.external_id in about]
        overtaken |= {turn.external_id for turn, after in pairwise(talk) if after.at - turn.at < sessions.ABANDONED}
    _settle(project, looked_at, signals, overtaken)


def _talks(project: Project, fresh: list[Interaction], named: set[str]) -> dict[Talk, list[Turn]]:
    """The turns around the fresh ones, by session and user, in order."""
    times = [one.created_at for one in fresh]
    near = Interaction.objects.filter(
        project=project, session_id__in=named, end_user_id__in={one.end_user_id for one in fresh},
        created_at__gte=min(times) - sessions.ABANDONED, created_at__lte=max(times) + sessions.ABANDONED,
    )  # fmt: skip
    talks: dict[Talk, list[Turn]] = defaultdict(list)
    for one in near.only(*_FIELDS).order_by("created_at", "external_id"):
        talks[one.session_id, one.end_user_id].append(_turn(one))
    return talks


def _turn(one: Interaction, *, failed: bool | None = None) -> Turn:
    spoken = [message.get("role") for message in one.messages if message.get("role") != "system"]
    failed = one.status == Interaction.Status.ERROR if failed is None else failed
    return Turn(one.external_id, one.created_at, one.question, asked=spoken[-1:] == ["user"], failed=failed)


def _settle(project: Project, about: dict[str, Turn], signals: list[Signal], overtaken: set[str]) -> None:
    """Stores what is new, corrects what is there, and takes back what no longer holds."""
    stored = {
        str(one.key): one
        for one in Feedback.objects.filter(
            project=project, interaction_external_id__in=about, source=Feedback.Source.DERIVED
        )
    }
    wanted = {key_of(signal): signal for signal in signals}
    touched = []
    for key, one in stored.items():
        signal = wanted.pop(key, None)
        if signal is None and one.label == "abandoned" and one.interaction_external_id not in overtaken:
            continue  # found by the search below; nothing has come since
        metadata = one.metadata if signal is None else metadata_of(signal)
        at = one.created_at if signal is None else signal.at
        if (one.superseded_at is None, one.metadata, one.created_at) != (signal is not None, metadata, at):
            superseded_at: Any = Now() if signal is None else None
            Feedback.objects.filter(pk=one.pk).update(superseded_at=superseded_at, metadata=metadata, created_at=at)
            touched.append(one.pk)
    _store(project, list(wanted.values()))
    # Triage looks again; it is not measured twice.
    Inbox.objects.bulk_create(
        Inbox(stage=Inbox.Stage.TRIAGE, kind=Inbox.Kind.FEEDBACK, project_id=project.pk, object_id=pk) for pk in touched
    )
    if touched:
        doorbell.ring(f"inbox.{Inbox.Stage.TRIAGE}")


def _store(project: Project, signals: list[Signal]) -> int:
    if not signals:
        return 0
    users = dict(
        Interaction.objects.filter(
            project=project, external_id__in=[signal.about.external_id for signal in signals]
        ).values_list("external_id", "end_user_id")
    )
    items = [
        {
            "interaction_id": signal.about.external_id, "kind": "implicit", "value": signal.value,
            "key": key_of(signal), "user_id": users.get(signal.about.external_id) or None,
            "created_at": signal.at.isoformat(), "metadata": metadata_of(signal),
        }
        for signal in signals
    ]  # fmt: skip
    made = 0
    for start in range(0, len(items), limits.BATCH_ITEMS):
        part = items[start : start + limits.BATCH_ITEMS]
        for outcome in services.record_feedback_batch(project, part, source=Feedback.Source.DERIVED):
            made += outcome.status == 201
            if outcome.error is not None:  # somebody else has used our key
                log.warning("a derived signal was refused: %s", outcome.error["message"])
    return made


def key_of(signal: Signal) -> str:
    """One feedback for each rule and answer; long ids are represented by their hash."""
    key = f"derived:{signal.rule}:{signal.about.external_id}"
    if len(key) <= limits.KEY:
        return key
    return f"derived:{signal.rule}:sha256:{hashlib.sha256(signal.about.external_id.encode()).hexdigest()}"


def metadata_of(signal: Signal) -> dict[str, Any]:
    return {"rule": signal.rule, "version": signal.version, "evidence": signal.evidence}


@transaction.atomic
def find_abandoned(*, batch: int = BATCH) -> bool:
    """Marks the last answers of sessions that ended in a failure half an hour ago; whether there may be more.

    At most once per answer, by the key; time is the database's.
    """
    refused = Score.objects.filter(interaction=OuterRef("pk"), name=REFUSAL, flagged=True)
    later = Interaction.objects.filter(
        project=OuterRef("project"), session_id=OuterRef("session_id"), end_user_id=OuterRef("end_user_id"),
        created_at__gt=OuterRef("created_at"), created_at__lt=OuterRef("created_at") + sessions.ABANDONED,
    ).exclude(session_id="")  # fmt: skip
    marked = Feedback.objects.filter(
        project=OuterRef("project"), interaction_external_id=OuterRef("external_id"),
        source=Feedback.Source.DERIVED, label="abandoned",
    )  # fmt: skip
    ended = (
        Interaction.objects.filter(
            created_at__lte=Now() - sessions.ABANDONED, created_at__gte=Now() - sessions.ABANDONED - LOOK_BACK
        )
        .exclude(session_id="")
        .filter(Q(status=Interaction.Status.ERROR) | Exists(refused))
        .filter(~Exists(later), ~Exists(marked))
        .annotate(now=Now())
        .only(*_FIELDS)
        .order_by("created_at")[:batch]
    )
    found: dict[int, list[Signal]] = defaultdict(list)
    for one in ended:
        signal = sessions.abandoned(_turn(one, failed=True), None, one.now)
        if signal is not None:
            found[one.project_id].append(signal)
    projects = Project.objects.in_bulk(found)
    made = sum(_store(projects[project_id], signals) for project_id, signals in sorted(found.items()))
    return made == batch
