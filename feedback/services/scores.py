"""Storing machine verdicts: detectors, judges and third parties use the same door."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from django.db import transaction

from feedback import facts, inbox, locks
from feedback.facts import ScoreRow
from feedback.models import Inbox, Score
from feedback.services.batches import Batch, FactOutcome, Fresh, find_interactions, known_keys, mismatch, take_locks
from feedback.services.writing import STAGES, copy, new_ids, retried, say, spread
from projects.models import Project


@dataclass(frozen=True, slots=True)
class ScoreOutcome:
    """``created`` is False for a replay."""

    score: Score
    created: bool

    @property
    def linked(self) -> bool:
        return self.score.interaction_id is not None


COLUMNS = (
    "interaction_external_id", "name", "version", "source", "value", "label", "flagged", "explanation", "detail", "key",
    "fingerprint",
)  # fmt: skip

# Without ``orphans`` nothing is stored unless the interaction is there.
INSERT = f"""
WITH target AS (
  SELECT id FROM feedback_interaction WHERE project_id = %(project)s AND external_id = %(interaction_external_id)s
), known AS (
  SELECT id FROM feedback_score WHERE project_id = %(project)s AND key = %(key)s
), new AS (
  INSERT INTO feedback_score (project_id, interaction_id, created_at, {", ".join(COLUMNS)})
  SELECT %(project)s, (SELECT id FROM target), COALESCE(%(created_at)s, statement_timestamp()),
    {", ".join(f"%({name})s" for name in COLUMNS)}
  WHERE NOT EXISTS (SELECT FROM known) AND (%(orphans)s OR EXISTS (SELECT FROM target))
  RETURNING id, interaction_id, created_at
), told AS ({spread(Inbox.Kind.SCORE, "new", "new.interaction_id IS NOT NULL")})
SELECT known.id AS known_id, new.* FROM (SELECT 1) AS one LEFT JOIN known ON true LEFT JOIN new ON true
"""  # noqa: S608  # only constants of this module


def record_score(
    project: Project, item: dict[str, Any], *, source: str = Score.Source.API, received_at: datetime | None = None
) -> ScoreOutcome:
    """Stores one verdict, linked to its interaction if that is known; else it waits and is linked when it comes.

    With a ``key`` it is stored once, whatever is repeated. ``received_at`` backdates it. Raises ApiError 422:
    ``invalid`` with a path, ``idempotency_mismatch`` where the key has another body.
    """
    row = facts.score(item)
    return retried(lambda: _record_one(project, row, str(source), received_at))


def _record_one(project: Project, row: ScoreRow, source: str, received_at: datetime | None) -> ScoreOutcome:
    fields = {name: source if name == "source" else getattr(row, name) for name in COLUMNS}
    parameters = {
        **fields, **STAGES, **locks.one(project.pk, row.interaction_external_id), "project": project.pk,
        "created_at": row.created_at or received_at, "orphans": False,
    }  # fmt: skip
    known, *stored = say(INSERT, parameters)
    if known is None and stored[0] is None:
        known, *stored = say(locks.ONE_ARRIVAL + INSERT, {**parameters, "orphans": True})
    if known is not None:
        score = Score.objects.get(pk=known)
        if bytes(score.fingerprint) != row.fingerprint:
            raise mismatch("score")
        return ScoreOutcome(score, created=False)
    pk, interaction_id, created_at = stored
    score = Score(
        pk=pk, project=project, interaction_id=interaction_id, created_at=created_at,
        **{**fields, "detail": msgspec.json.decode(row.detail)},
    )  # fmt: skip
    score._state.adding = False
    if interaction_id is not None:
        inbox.ring(Inbox.Kind.SCORE)
    return ScoreOutcome(score, created=True)


def record_scores(
    project: Project, items: list[dict[str, Any]], *, source: str = Score.Source.API,
    received_at: datetime | None = None,
) -> list[FactOutcome]:  # fmt: skip
    """Stores up to a batch of verdicts in one transaction; one outcome for each item, in their order."""
    batch = Batch(items, lambda index, item: facts.score(item))
    return batch.outcomes(lambda good: _store(project, good, str(source), received_at))


@transaction.atomic
def _store(
    project: Project, good: list[tuple[int, ScoreRow]], source: str, received_at: datetime | None
) -> dict[int, FactOutcome]:
    now = received_at or take_locks("SELECT 1", {})
    known = known_keys(Score, project, [row.key for _, row in good if row.key])
    interactions = find_interactions(project, [row.interaction_external_id for _, row in good])
    fresh = Fresh(good, known)
    pks = new_ids("feedback_score", len(fresh.rows))
    copy(
        "feedback_score", ("id", "project_id", "interaction_id", "created_at", *COLUMNS),
        (
            (
                pk, project.pk, interactions.get(row.interaction_external_id), row.created_at or now,
                *(source if name == "source" else getattr(row, name) for name in COLUMNS),
            )
            for pk, row in zip(pks, fresh.rows, strict=True)
        ),
    )  # fmt: skip
    linked = [pk for pk, row in zip(pks, fresh.rows, strict=True) if row.interaction_external_id in interactions]
    inbox.announce(Inbox.Kind.SCORE, project.pk, linked)
    return fresh.outcomes(pks, interactions)
