"""What was sent is what is stored, by the single door and by the batch; and one statement serves every shape."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from feedback.models import Feedback, Interaction
from tests.conftest import Api

TAGS = ["plain", "a,b", "{braces}", 'say "so"', "back\\slash", "NULL", "null", " ", "line\nbreak", "é🙂"]
ITEM: dict[str, Any] = {
    "messages": [{"role": "user", "content": 'A "quote", a \\ and a %s'}], "output": "%(output)s",
    "created_at": "2026-11-20T12:00:00.123456+02:00", "latency_ms": 0.1, "cost_usd": "0.00000001", "tags": TAGS,
    "usage": {"input_tokens": 2**53, "output_tokens": 0}, "metadata": {"a": [1, 1.5, None, True, "é"]},
}  # fmt: skip


@pytest.mark.parametrize("batch", [False, True])
def test_an_interaction_keeps_every_character_and_digit(sk: Api, batch: bool) -> None:
    item = {"id": 'an "id", with {all} of \\ it', **ITEM}
    status, _ = sk.post("/api/v1/interactions/batch", [item]) if batch else sk.post("/api/v1/interactions", item)
    assert status in (200, 201)
    stored = Interaction.objects.get(external_id=item["id"])
    assert stored.tags == TAGS
    assert stored.messages == ITEM["messages"]
    assert stored.output == "%(output)s"
    assert stored.created_at.isoformat() == "2026-11-20T10:00:00.123456+00:00"
    assert (stored.latency_ms, stored.cost_usd, stored.input_tokens) == (0.1, Decimal("0.00000001"), 2**53)
    assert stored.metadata == ITEM["metadata"]


def test_feedback_keeps_every_character_and_digit(sk: Api) -> None:
    sk.post("/api/v1/interactions", {"id": "i", "input": "?", "output": "!"})
    said = {"interaction_id": "i", "kind": "rating", "value": 2.75, "scale": 7, "comment": '%s "a" \\ {b}\n'}
    assert sk.post("/api/v1/feedback", {**said, "metadata": {"x": "'"}, "user_id": "o'neil"})[0] == 201
    stored = Feedback.objects.get()
    assert (stored.number, stored.scale, stored.comment) == (2.75, 7.0, said["comment"])
    assert (stored.metadata, stored.end_user_id) == ({"x": "'"}, "o'neil")


def test_the_server_plans_one_statement_for_every_shape_of_a_fact(sk: Api) -> None:
    # As many plans as kinds of numbers and NULLs would push each other out, and planning would cost again.
    sk.post("/api/v1/interactions", {"id": "bare", "input": "?", "output": "!"})
    sk.post("/api/v1/interactions", {"id": "rich", **ITEM})
    sk.post("/api/v1/interactions", {"id": "fast", **ITEM, "latency_ms": 10**9, "tags": [], "usage": None})
    for user, more in enumerate([{}, {"comment": "No."}, {"value": None}, {"created_at": ITEM["created_at"]}]):
        vote = {"interaction_id": "bare", "kind": "thumbs", "value": "up", "user_id": str(user), **more}
        assert sk.post("/api/v1/feedback", vote)[0] == 201
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements")
        statements = [statement for (statement,) in cursor.fetchall()]
    assert len([one for one in statements if "INTO feedback_interaction " in one]) == 1
    assert len([one for one in statements if "INTO feedback_feedback" in one]) == 1
