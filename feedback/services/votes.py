"""Storing feedback: before or after its interaction, once per key, and one vote per user that counts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from feedback import facts, inbox, locks
from feedback.facts import FeedbackRow
from feedback.models import Feedback, Inbox
from feedback.services.batches import (
    Batch,
    FactOutcome,
    Fresh,
    find_interactions,
    known_keys,
    mismatch,
    take_locks,
)
from feedback.services.writing import STAGES, copy, new_ids, retried, say, say_prepared, spread
from projects import webhooks
from projects.models import Project

EVENT = "feedback.received"
EVENT_FIELDS = ("pk", "interaction_external_id", "interaction_id", "kind", "verified")


@dataclass(frozen=True, slots=True)
class FeedbackOutcome:
    """``created`` is False for a replay; ``linked`` says whether the interaction is known by now; ``sanitized``,
    whether its text had to be replaced. No model is made of it: that takes longer than reading the request."""

    pk: int
    created: bool
    linked: bool
    sanitized: bool


COLUMNS = (
    "interaction_external_id", "kind", "number", "scale", "label", "comment", "correction", "end_user_id", "source",
    "verified", "key", "fingerprint", "sanitized", "metadata",
)  # fmt: skip

# Nearly every feedback: its interaction is known, its key is new, and its user has not voted on this answer before.
# The unique indexes say so better than a look beforehand could; where one of them objects, or the interaction is not
# there, nothing is stored and INSERT decides what is to be done. Nothing has to be locked: who votes at the same
# moment meets the same index.
INSERT_FIRST = f"""
WITH new AS (
  INSERT INTO feedback_feedback (project_id, interaction_id, received_at, created_at, {", ".join(COLUMNS)})
  SELECT %(project)s, target.id, COALESCE(%(received_at)s, statement_timestamp()),
    COALESCE(%(created_at)s, %(received_at)s, statement_timestamp()), {", ".join(f"%({name})s" for name in COLUMNS)}
  FROM feedback_interaction AS target
  WHERE target.project_id = %(project)s AND target.external_id = %(target)s
  ON CONFLICT DO NOTHING
  RETURNING id, interaction_id
), told AS ({spread(Inbox.Kind.FEEDBACK, "new")})
SELECT id, interaction_id FROM new"""  # noqa: S608  # only constants of this module

# ``rival`` is the vote of this user that counts so far. The stronger of two is, in this order, the verified one,
# the newer one (a clock that runs ahead counts as the time of arrival), the one with the larger fingerprint: a
# total order of the votes themselves, so that every order of arrival ends in the same state.
# ``beaten`` is read by ``new`` so that the old vote has left the unique index before the new one enters it.
# Without ``orphans`` nothing is stored unless the interaction is there.
INSERT = f"""
WITH target AS (
  SELECT id FROM feedback_interaction WHERE project_id = %(project)s AND external_id = %(interaction_external_id)s
), known AS (
  SELECT id FROM feedback_feedback WHERE project_id = %(project)s AND key = %(key)s
), go AS (
  SELECT (SELECT id FROM target) AS interaction_id
  WHERE NOT EXISTS (SELECT FROM known) AND (%(orphans)s OR EXISTS (SELECT FROM target))
), rival AS (
  SELECT id, (verified, LEAST(created_at, received_at), fingerprint)
    > (%(verified)s, LEAST(%(created_at)s, COALESCE(%(received_at)s, statement_timestamp())), %(fingerprint)s)
    AS stronger
  FROM feedback_feedback
  WHERE %(votes)s AND project_id = %(project)s AND interaction_external_id = %(interaction_external_id)s
    AND end_user_id = %(end_user_id)s AND kind = %(kind)s AND superseded_at IS NULL
), beaten AS (
  UPDATE feedback_feedback AS old SET superseded_at = statement_timestamp() FROM rival, go
  WHERE old.id = rival.id AND NOT rival.stronger RETURNING old.id
), new AS (
  INSERT INTO feedback_feedback
    (project_id, interaction_id, received_at, created_at, superseded_at, {", ".join(COLUMNS)})
  SELECT %(project)s, go.interaction_id, COALESCE(%(received_at)s, statement_timestamp()),
    COALESCE(%(created_at)s, %(received_at)s, statement_timestamp()),
    CASE WHEN EXISTS (SELECT FROM rival WHERE stronger) THEN statement_timestamp() END,
    {", ".join(f"%({name})s" for name in COLUMNS)}
  FROM go, (SELECT count(*) FROM beaten) AS after_beaten
  RETURNING id, interaction_id
), told AS ({spread(Inbox.Kind.FEEDBACK, "new", "new.interaction_id IS NOT NULL")})
SELECT known.id AS known_id, new.id, new.interaction_id
FROM (SELECT 1) AS one LEFT JOIN known ON true LEFT JOIN new ON true
"""  # noqa: S608  # only constants of this module


def record_feedback(
    project: Project, item: dict[str, Any], *, source: str = Feedback.Source.SERVER, verified: bool = True,
    received_at: datetime | None = None, sanitized: bool = False,
) -> FeedbackOutcome:  # fmt: skip
    """Stores one feedback, linked to its interaction if that is known; else it waits and is linked when it comes.

    With a ``key`` it is stored once, whatever is repeated. ``verified`` is False for what a publishable key
    alone vouches for: such a vote never displaces a verified one. ``received_at`` backdates the arrival.
    Raises ApiError 422: ``invalid`` with a path, ``idempotency_mismatch`` where the key has another body.
    """
    browser = source == Feedback.Source.BROWSER
    row = facts.feedback(item, browser=browser, sanitized=sanitized, kinds=project.masking)
    fields = {name: getattr(row, name, None) for name in COLUMNS}
    fields |= {"source": str(source), "verified": verified}
    if not webhooks.wants(project, EVENT):
        return retried(lambda: _record_one(project, row, fields, received_at))
    with transaction.atomic():  # the event is told in the transaction of the fact, or not at all
        outcome = retried(lambda: _record_one(project, row, fields, received_at))
        if outcome.created:
            event = _event(outcome.pk, row.interaction_external_id, row.kind, outcome.linked, verified)
            webhooks.emit(project, EVENT, event)
    return outcome


def _event(pk: int, target: str, kind: str, linked: bool, verified: bool) -> dict[str, Any]:
    return {"feedback": pk, "interaction_id": target, "kind": kind, "linked": linked, "verified": verified}


def _record_one(
    project: Project, row: FeedbackRow, fields: dict[str, Any], received_at: datetime | None
) -> FeedbackOutcome:
    parameters = {
        **fields, "feedback_stages": STAGES["feedback_stages"], "project": project.pk,
        "target": row.interaction_external_id, "created_at": row.created_at, "received_at": received_at,
    }  # fmt: skip
    stored: Sequence[Any] = say_prepared(INSERT_FIRST, parameters)
    if not stored:
        parameters |= {**locks.one(project.pk, row.interaction_external_id), "votes": row.votes, "orphans": False}
        vote_lock = locks.ONE_VOTE if row.votes else ""
        known, *stored = say(vote_lock + INSERT, parameters)
        if known is None and stored[0] is None:
            known, *stored = say(vote_lock + locks.ONE_ARRIVAL + INSERT, {**parameters, "orphans": True})
        if known is not None:
            return _replayed(known, row)
    pk, interaction_id = stored
    if interaction_id is not None:
        inbox.ring(Inbox.Kind.FEEDBACK)
    return FeedbackOutcome(pk, True, interaction_id is not None, row.sanitized)


def _replayed(pk: int, row: FeedbackRow) -> FeedbackOutcome:
    stored = Feedback.objects.only("fingerprint", "interaction_id", "sanitized").get(pk=pk)
    if bytes(stored.fingerprint) != row.fingerprint:
        raise mismatch("feedback")
    return FeedbackOutcome(pk, False, stored.interaction_id is not None, stored.sanitized)


def record_feedback_batch(
    project: Project, items: list[dict[str, Any]], *, source: str = Feedback.Source.SERVER, verified: bool = True,
    received_at: datetime | None = None, sanitized: Collection[int] = (),
) -> list[FactOutcome]:  # fmt: skip
    """Stores up to a batch of feedback in one transaction; one outcome for each item, in their order.

    The rules are those of ``record_feedback``; a faulty item is refused alone.
    """
    batch = Batch(
        items,
        lambda index, item: facts.feedback(
            item, browser=source == Feedback.Source.BROWSER, sanitized=index in sanitized, kinds=project.masking
        ),
    )
    return batch.outcomes(lambda good: _store(project, good, str(source), verified, received_at))


@dataclass(slots=True)
class _Vote:
    """A vote that counts at this point of a batch: its place in the total order, and where its row is."""

    strength: tuple[bool, datetime, bytes]
    pk: int


@transaction.atomic
def _store(
    project: Project, good: list[tuple[int, FeedbackRow]], source: str, verified: bool, received_at: datetime | None
) -> dict[int, FactOutcome]:
    ids = [row.interaction_external_id for _, row in good]
    now = take_locks(locks.MANY, locks.many(locks.VOTE, project.pk, ids))
    began_at = received_at or now
    known = known_keys(Feedback, project, [row.key for _, row in good if row.key])
    interactions = find_interactions(project, ids)
    counting = _counting(project, [row for _, row in good if row.votes])
    fresh = Fresh(good, known)
    pks = new_ids("feedback_feedback", len(fresh.rows))
    lines: dict[int, list[Any]] = {}
    beaten: list[int] = []
    for place, (pk, row) in enumerate(zip(pks, fresh.rows, strict=True)):
        arrived_at = began_at + timedelta(microseconds=place)  # the order of the batch is the order of arrival
        created_at = row.created_at or arrived_at
        superseded_at = None
        if row.votes:
            who = (row.interaction_external_id, row.end_user_id, row.kind)
            strength, rival = (verified, min(created_at, arrived_at), row.fingerprint), counting.get(who)
            if rival and rival.strength > strength:
                superseded_at = now
            else:
                counting[who] = _Vote(strength, pk)
                if rival and rival.pk in lines:
                    lines[rival.pk][4] = now
                elif rival:
                    beaten.append(rival.pk)
        fields = {"source": source, "verified": verified}
        lines[pk] = [
            pk, interactions.get(row.interaction_external_id), arrived_at, created_at, superseded_at, project.pk,
            *(fields[name] if name in fields else getattr(row, name) for name in COLUMNS),
        ]  # fmt: skip
    Feedback.objects.filter(pk__in=beaten).update(superseded_at=now)
    copy(
        "feedback_feedback",
        ("id", "interaction_id", "received_at", "created_at", "superseded_at", "project_id", *COLUMNS),
        lines.values(),
    )
    inbox.announce(Inbox.Kind.FEEDBACK, project.pk, [line[0] for line in lines.values() if line[1] is not None])
    if webhooks.wants(project, EVENT):
        for pk, target, interaction_id, kind, trusted in Feedback.objects.filter(pk__in=lines).values_list(
            *EVENT_FIELDS
        ):
            webhooks.emit(project, EVENT, _event(pk, target, kind, interaction_id is not None, trusted))
    return fresh.outcomes(pks, interactions)


def _counting(project: Project, votes: list[FeedbackRow]) -> dict[tuple[str, str, str], _Vote]:
    """The votes that count so far, by interaction, user and kind."""
    stored = Feedback.objects.filter(
        project=project, interaction_external_id__in={row.interaction_external_id for row in votes},
        kind__in=facts.VOTES, superseded_at=None,
    )  # fmt: skip
    return {
        (vote.interaction_external_id, vote.end_user_id, vote.kind): _Vote(
            (vote.verified, min(vote.created_at, vote.received_at), bytes(vote.fingerprint)), vote.pk
        )
        for vote in stored.defer("comment", "correction", "metadata")
    }
