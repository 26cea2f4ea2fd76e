"""What a reviewer's client gets with a lease: the item and why it is there, read by one prepared statement.

The long parts are JSON already and go from the database to the client as they are, without being taken apart.
"""

from __future__ import annotations

from typing import Any

import msgspec
from django.db import connection

from feedback import detail
from feedback.models import Interaction
from feedback.services.writing import say_prepared

# What would tell a reviewer of a blind queue who gave the answer, or what others think of it.
HIDDEN_WHERE_BLIND = {"model", "provider", "release", "variant", "prompt", "parameters", "outcome", "tags", "metadata"}
# What ``detail.summary`` reads, and documents and tools, in the model's order, as ``from_db`` takes them; of these,
# the JSON that nobody looks into.
FIELDS = (
    "id", "external_id", "session_id", "end_user_id", "created_at", "received_at", "feature", "environment", "release",
    "variant", "language", "provider", "model", "prompt_name", "prompt_version", "prompt", "messages", "output",
    "output_messages", "documents", "tools", "input_tokens", "output_tokens", "cached_input_tokens", "cost_usd",
    "latency_ms", "time_to_first_token_ms", "status", "error_type", "error_message", "outcome", "tags", "metadata",
    "sanitized",
)  # fmt: skip
PASSED_ON = frozenset({"messages", "output_messages", "documents", "tools", "outcome", "metadata"})
PARSED = frozenset({"prompt"})
LEASE = ("(l.c).token", "(l.c).expires_at", "(l.c).draft", "(l.t).id", "(l.q).slug", "(l.q).blind", "(l.t).reasons",
         "(l.t).score", "(l.t).terms", "(l.t).due_at", "(l.t).lane")  # fmt: skip
COLUMNS = (*LEASE, *(f'(l.i)."{name}"' for name in FIELDS))
ITEM = f"SELECT {', '.join(COLUMNS)} FROM annotations_leased(%(claim)s) AS l"  # noqa: S608  # constants only


def lease_as_json(claim_pk: int) -> dict[str, Any]:
    """The lease, and the item with why it is there; ready for msgspec. Blind queues do not say why."""
    return row_as_json(say_prepared(ITEM, {"claim": claim_pk}))


def row_as_json(row: tuple[Any, ...]) -> dict[str, Any]:
    """The same from a row of COLUMNS."""
    token, expires_at, draft, task, queue, blind, reasons, score, terms, due_at, lane = row[: len(LEASE)]
    interaction = _interaction(row[len(LEASE) :])
    item = detail.summary(interaction) | {"documents": interaction.documents, "tools": interaction.tools}
    if blind:
        item = {name: value for name, value in item.items() if name not in HIDDEN_WHERE_BLIND}
    return {
        "claim": {"token": token, "expires_at": expires_at},
        "task": {
            "id": str(task),
            "queue": queue,
            "interaction": item,
            "reasons": [] if blind else _passed_on(reasons),
            "score": None if blind else score,
            "terms": [] if blind else _passed_on(terms),
            "due_at": due_at,
            "lane": lane,
        },
        "draft": _passed_on(draft),
    }


def _interaction(values: tuple[Any, ...]) -> Interaction:
    ready = [
        _passed_on(value) if name in PASSED_ON else msgspec.json.decode(value) if name in PARSED and value else value
        for name, value in zip(FIELDS, values, strict=True)
    ]
    return Interaction.from_db(connection.alias, list(FIELDS), ready)


def _passed_on(text: str | None) -> msgspec.Raw | None:
    return None if text is None else msgspec.Raw(text.encode())
