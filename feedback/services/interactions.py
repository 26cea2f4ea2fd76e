"""Storing interactions: once per id, whatever the client repeats, together with what came before them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import DataError, connection, transaction

from feedback import inbox, limits, locks, rows, schema
from feedback.models import Inbox, Interaction
from feedback.rows import INTERACTION_COLUMNS, SPAN_COLUMNS, InteractionRow
from feedback.schema import InteractionPatch
from feedback.services.writing import STAGES, copy, new_ids, retried, say_prepared
from projects.errors import ApiError, error_body, invalid
from projects.models import Project

CREATED, REPLAYED, REFUSED = 201, 200, 422


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one interaction: ``status`` is 201 (stored), 200 (was here already) or 422 (``error``)."""

    index: int
    status: int
    external_id: str | None = None
    pk: int | None = None
    error: dict[str, Any] | None = None
    sanitized: bool = False


_NEW_SPANS = f"""
spans AS (
  INSERT INTO feedback_span (interaction_id, {", ".join(SPAN_COLUMNS)})
  SELECT new.id, span.* FROM new, jsonb_to_recordset(%(spans)s::jsonb) AS span (
    external_id text, parent_external_id text, kind text, name text, started_at timestamptz, ended_at timestamptz,
    status text, input jsonb, output jsonb, attributes jsonb)
),"""  # noqa: S608  # only constants of this module


def _insert_one(spans: str) -> str:
    columns = ", ".join(f'"{name}"' for name in INTERACTION_COLUMNS)
    values = ", ".join(f"%({name})s" for name in INTERACTION_COLUMNS)
    return f"""
WITH new AS (
  INSERT INTO feedback_interaction (received_at, created_at, {columns})
  SELECT COALESCE(%(received_at)s, statement_timestamp()),
    COALESCE(%(created_at)s, %(received_at)s, statement_timestamp()), {values}
  FROM ({locks.ONE_ARRIVAL_SHARED}) AS locked
  ON CONFLICT (project_id, external_id) DO NOTHING RETURNING id
),{spans}
arrived AS (
  SELECT new.id, linked.* FROM new, feedback_interaction_arrived(%(project_id)s::bigint, new.id, %(external_id)s::text,
    %(interaction_stages)s::text[], %(feedback_stages)s::text[], %(score_stages)s::text[]) AS linked
)
SELECT * FROM arrived"""  # noqa: S608  # only constants of this module


# One interaction, its spans, the feedback and scores that came before it, and all their inbox rows. The function
# (see the migration arrival_in_one_statement) begins after the lock was taken, and looks for what was committed
# by then; the statement around it does not see that.
INSERT_ONE, INSERT_ONE_WITH_SPANS = _insert_one(""), _insert_one(_NEW_SPANS)
KNOWN = """
SELECT id, external_id, fingerprint FROM feedback_interaction
WHERE project_id = %(project)s AND external_id = ANY(%(external_ids)s::text[])"""
LINK_MANY = """
UPDATE feedback_{table} AS fact SET interaction_id = new.id
FROM unnest(%(ids)s::bigint[], %(external_ids)s::text[]) AS new (id, external_id)
WHERE fact.project_id = %(project)s AND fact.interaction_external_id = new.external_id AND fact.interaction_id IS NULL
RETURNING fact.id"""


def record_interaction(
    project: Project, item: dict[str, Any], *, received_at: datetime | None = None, sanitized: bool = False
) -> Outcome:
    """Stores one interaction and links the feedback and scores that were waiting for it, in one transaction.

    The same id with the same body again is a replay and changes nothing. ``received_at`` backdates the arrival
    (imports, samples); ``sanitized`` says that the parser already had to replace text. Raises ApiError 422:
    ``invalid`` with the path of a fault, ``idempotency_mismatch`` where the id has another body.
    """
    row = rows.interaction(project, item, sanitized=sanitized)
    return retried(lambda: _record_one(project, row, received_at))


def _record_one(project: Project, row: InteractionRow, received_at: datetime | None) -> Outcome:
    parameters = dict(zip(INTERACTION_COLUMNS, row.values, strict=True))
    parameters |= {"received_at": received_at, "created_at": row.created_at, **STAGES}
    parameters |= locks.one(project.pk, row.external_id)
    if row.spans:
        parameters["spans"] = rows.spans_document(row.spans)
    stored = say_prepared(INSERT_ONE_WITH_SPANS if row.spans else INSERT_ONE, parameters)
    if not stored:
        outcome = _repeated(0, row, *_known(project, [row.external_id])[row.external_id])
        if outcome.error:
            raise ApiError(REFUSED, outcome.error["code"], outcome.error["message"], outcome.error["details"])
        return outcome
    pk, feedback, scores = stored
    inbox.ring(Inbox.Kind.INTERACTION)
    if feedback:
        inbox.ring(Inbox.Kind.FEEDBACK)
    if scores:
        inbox.ring(Inbox.Kind.SCORE)
    return Outcome(0, CREATED, row.external_id, pk, sanitized=row.sanitized)


def record_interactions(
    project: Project, items: list[dict[str, Any]], *, received_at: datetime | None = None,
    sanitized: Collection[int] = (),
) -> list[Outcome]:  # fmt: skip
    """Stores up to a batch of interactions in one transaction; one outcome for each item, in their order.

    A faulty item is refused alone. ``sanitized`` holds the indexes of items whose text the parser replaced.
    """
    outcomes: dict[int, Outcome] = {}
    good: list[tuple[int, InteractionRow]] = []
    for index, item in enumerate(items):
        try:
            good.append((index, rows.interaction(project, item, sanitized=index in sanitized)))
        except ApiError as error:
            outcomes[index] = Outcome(index, REFUSED, _id_of(item), error=error.body()["error"])
    outcomes.update(_record_many(project, good, received_at))
    return [outcomes[index] for index in range(len(items))]


def _id_of(item: Any) -> str | None:
    external_id = item.get("id") if isinstance(item, dict) else None
    return external_id if isinstance(external_id, str) else None


def _record_many(
    project: Project, good: list[tuple[int, InteractionRow]], received_at: datetime | None
) -> dict[int, Outcome]:
    if not good:
        return {}
    try:
        return retried(lambda: _store(project, good, received_at))
    except DataError as error:
        if len(good) == 1:  # a value that our checks let through and PostgreSQL does not take
            index, row = good[0]
            problem = invalid("/", f"The item cannot be stored: {error.__cause__}").body()["error"]
            return {index: Outcome(index, REFUSED, row.external_id, error=problem)}
        return {index: outcome for one in good for index, outcome in _record_many(project, [one], received_at).items()}


@transaction.atomic
def _store(
    project: Project, good: list[tuple[int, InteractionRow]], received_at: datetime | None
) -> dict[int, Outcome]:
    with connection.cursor() as cursor:
        cursor.execute(locks.MANY_SHARED, locks.many(locks.ARRIVAL, project.pk, (row.external_id for _, row in good)))
        cursor.execute("SELECT statement_timestamp()")
        now = received_at or cursor.fetchone()[0]
    known = _known(project, [row.external_id for _, row in good])
    fresh: dict[str, InteractionRow] = {}
    for _, row in good:
        if row.external_id not in known:
            fresh.setdefault(row.external_id, row)
    pks = dict(zip(fresh, new_ids("feedback_interaction", len(fresh)), strict=True))
    copy(
        "feedback_interaction", ("id", "received_at", "created_at", *INTERACTION_COLUMNS),
        ((pks[row.external_id], now, row.created_at or now, *row.values) for row in fresh.values()),
    )  # fmt: skip
    if any(row.spans for row in fresh.values()):
        copy(
            "feedback_span", ("interaction_id", *SPAN_COLUMNS),
            ((pks[row.external_id], *values) for row in fresh.values() for values in rows.span_values(row.spans)),
        )  # fmt: skip
    inbox.announce(Inbox.Kind.INTERACTION, project.pk, list(pks.values()))
    _link(project, pks)
    outcomes = {}
    for index, row in good:
        first = fresh.get(row.external_id)
        if first is row:
            outcomes[index] = Outcome(index, CREATED, row.external_id, pks[row.external_id], sanitized=row.sanitized)
        elif first is not None:
            outcomes[index] = _repeated(index, row, pks[row.external_id], first.fingerprint)
        else:
            outcomes[index] = _repeated(index, row, *known[row.external_id])
    return outcomes


def _link(project: Project, pks: dict[str, int]) -> None:
    parameters: dict[str, Any] = {"project": project.pk, "ids": list(pks.values()), "external_ids": list(pks)}
    for table, kind in (("feedback", Inbox.Kind.FEEDBACK), ("score", Inbox.Kind.SCORE)):
        with connection.cursor() as cursor:
            cursor.execute(LINK_MANY.format(table=table), parameters)
            linked = [pk for (pk,) in cursor.fetchall()]
        inbox.announce(kind, project.pk, linked)


def _known(project: Project, external_ids: list[str]) -> dict[str, tuple[int, bytes]]:
    """Primary key and fingerprint of those that are stored."""
    with connection.cursor() as cursor:
        cursor.execute(KNOWN, {"project": project.pk, "external_ids": external_ids})
        return {external_id: (pk, bytes(fingerprint)) for pk, external_id, fingerprint in cursor.fetchall()}


def _repeated(index: int, row: InteractionRow, pk: int, fingerprint: bytes) -> Outcome:
    if fingerprint == row.fingerprint:
        return Outcome(index, REPLAYED, row.external_id, pk, sanitized=row.sanitized)
    message = "An interaction with this id and another body is stored. It was not changed."
    details = [{"path": "/id", "message": message}]
    error = error_body("idempotency_mismatch", message, details)["error"]
    return Outcome(index, REFUSED, row.external_id, pk, error=error)


def amend_interaction(project: Project, external_id: str, patch: dict[str, Any]) -> Interaction:
    """Adds what became known later: ``outcome`` and ``metadata`` are merged by key, ``tags`` are added.

    Raises Interaction.DoesNotExist for an id that this project does not have, ApiError 422 with a path.
    """
    patch, _, _ = schema.canonical(patch)
    sent = schema.check(patch, InteractionPatch)
    with transaction.atomic():
        interaction = Interaction.objects.select_for_update().get(project=project, external_id=external_id)
        if isinstance(sent.outcome, dict):
            interaction.outcome = {**(interaction.outcome or {}), **sent.outcome}
        elif sent.outcome is None:
            interaction.outcome = None
        if isinstance(sent.metadata, dict):
            interaction.metadata = {**interaction.metadata, **sent.metadata}
        if isinstance(sent.tags, list):
            interaction.tags = list(dict.fromkeys([*interaction.tags, *sent.tags]))
        _check_growth(interaction)
        interaction.save(update_fields=["outcome", "tags", "metadata"])
    return interaction


def _check_growth(interaction: Interaction) -> None:
    if len(interaction.tags) > limits.TAGS:
        raise invalid("/tags", f"The interaction would have more than {limits.TAGS} tags.")
    for name in ("outcome", "metadata"):
        if len(getattr(interaction, name) or {}) > limits.METADATA_KEYS:
            raise invalid(f"/{name}", f"The interaction would have more than {limits.METADATA_KEYS:,} keys here.")
