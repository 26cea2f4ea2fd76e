"""Whatever the network does to five events, in each of their 120 orders, all that is stored ends the same."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from django.db.models import Model

from feedback.models import Feedback, Inbox, Interaction, Score, Span
from tests.conftest import Api
from tests.feedback.bodies import full_interaction, thumbs

ONE, FEEDBACK, SCORES = "/api/v1/interactions", "/api/v1/feedback", "/api/v1/scores"
INTERACTION = full_interaction(id="req-1")
UP = thumbs("up", created_at="2026-11-20T12:01:00Z", comment="Thanks", key="up")
DOWN = thumbs("down", created_at="2026-11-20T12:02:00Z", comment="No, wrong", key="down")
BACK = thumbs(None, created_at="2026-11-20T12:03:00Z", key="back")
SCORE = {"interaction_id": "req-1", "name": "tone", "value": 0.4, "key": "s", "created_at": "2026-11-20T12:04:00Z"}
PATCH = {"outcome": {"resolved": False}, "tags": ["late"], "metadata": {"agent": "7"}}
# What depends on the moment of arrival alone, or only names a row.
MOMENTARY = {"id", "project_id", "interaction_id", "received_at", "superseded_at"}

Event = tuple[str, dict[str, Any]]
FIVE: list[Event] = [(ONE, INTERACTION), (FEEDBACK, UP), (FEEDBACK, DOWN), (FEEDBACK, BACK), (SCORES, SCORE)]
# Without a key the time decides all the same.
KEYLESS: list[Event] = [(url, {name: value for name, value in body.items() if name != "key"}) for url, body in FIVE]


def rows(model: type[Model]) -> list[dict[str, Any]]:
    """Every column of every row, and of a link whether it is there."""
    found = []
    for row in model._default_manager.values():
        kept = {name: value for name, value in row.items() if name not in MOMENTARY}
        linked = {"linked": row["interaction_id"] is not None} if "interaction_id" in row else {}
        counts = {"counts": row["superseded_at"] is None} if "superseded_at" in row else {}
        found.append(kept | linked | counts)
    return sorted(found, key=repr)


def state(api: Api) -> dict[str, Any]:
    """All that is stored and waits for the later stages, and what the API tells of it."""
    told = api.get(f"{ONE}/req-1")[1]
    facts = [(fact["kind"], fact.get("value"), fact.get("superseded")) for fact in told["feedback"]]
    return {
        **{model.__name__: rows(model) for model in (Interaction, Span, Feedback, Score)},
        "waiting": sorted(Inbox.objects.values_list("stage", "kind")),
        "told": (sorted(facts, key=repr), told["scores"][0]["value"], told["tags"], told["outcome"]),
    }


def singly(api: Api, order: tuple[Event, ...]) -> None:
    for url, body in order:
        assert api.post(url, body)[0] == 201


def in_batches(api: Api, order: tuple[Event, ...]) -> None:
    """Each in a batch of its own, twice."""
    for url, body in order:
        if url == SCORES:
            assert api.post(url, body)[0] == 201
        else:
            statuses = [result["status"] for result in api.post(f"{url}/batch", [body, body])[1]["results"]]
            assert statuses == ([201, 200] if "key" in body or url == ONE else [201, 201])


def in_one_batch(api: Api, order: tuple[Event, ...]) -> None:
    """All feedback in one batch, at the place of its first; the rest one by one."""
    votes = [body for url, body in order if url == FEEDBACK]
    for url, body in order:
        if url != FEEDBACK:
            assert api.post(url, body)[0] == 201
        elif body is votes[0]:
            assert {item["status"] for item in api.post(f"{FEEDBACK}/batch", votes)[1]["results"]} == {201}


def all_orders_agree(api: Api, events: list[Event], send: Callable[[Api, tuple[Event, ...]], None]) -> dict[str, Any]:
    """Tries every order from the same start; the state in which each has ended."""
    expected: dict[str, Any] = {}
    orders = 0
    for order in itertools.permutations(events):
        with transaction.atomic():
            send(api, order)
            found = state(api)
            transaction.set_rollback(True)
        expected = expected or found
        assert found == expected, [body.get("key", url) for url, body in order]
        orders += 1
    assert orders == 120
    return expected


def the_vote_was_taken_back(found: dict[str, Any]) -> None:
    counting = {(row["number"], row["counts"], row["linked"]) for row in found["Feedback"]}
    assert counting == {(1.0, False, True), (-1.0, False, True), (None, True, True)}
    assert len(found["waiting"]) == 3 + 3 * 2 + 2


@pytest.mark.parametrize(
    ("events", "send"), [(FIVE, singly), (KEYLESS, singly), (FIVE, in_one_batch)], ids=["keys", "no keys", "one batch"]
)
def test_120_orders_of_five_events_end_in_the_same_state(
    sk: Api, events: list[Event], send: Callable[[Api, tuple[Event, ...]], None]
) -> None:
    the_vote_was_taken_back(all_orders_agree(sk, events, send))


def test_so_they_do_when_each_comes_twice_in_a_batch(sk: Api) -> None:
    the_vote_was_taken_back(all_orders_agree(sk, FIVE, in_batches))


def test_so_they_do_when_something_is_added_to_the_interaction_in_between(sk: Api) -> None:
    """A PATCH needs its interaction, so that comes first; the four others and the PATCH in every order."""
    sk.post(ONE, INTERACTION)

    def send(api: Api, order: tuple[Event, ...]) -> None:
        for url, body in order:
            status = api.patch(f"{ONE}/req-1", body)[0] if body is PATCH else api.post(url, body)[0]
            assert status in {200, 201}

    found = all_orders_agree(sk, [*FIVE[1:], (ONE, PATCH)], send)
    the_vote_was_taken_back(found)
    assert found["told"][2:] == (["vip", "late"], {"resolved": False})
