"""The same thing sent by many at once to a real server with two processes is stored once."""

from __future__ import annotations

import http.client
import json
import random
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.runner.hub import Hub

pytestmark = pytest.mark.services

ITEMS, CLIENTS = 1000, 8
PLACE = threading.local()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    hub = Hub(tmp_path / "a hub")
    yield hub
    hub.clear()


def feedback(number: int) -> dict[str, Any]:
    return {"interaction_id": f"i-{number}", "kind": "thumbs", "value": "down", "user_id": "u", "key": f"k-{number}"}


def interaction(number: int) -> dict[str, Any]:
    return {"id": f"i-{number}", "input": "What does it cost?", "output": f"{number} a month."}


def score(number: int) -> dict[str, Any]:
    return {"interaction_id": f"i-{number}", "name": "tone", "value": 0.5, "key": f"k-{number}"}


KINDS = {"interactions": interaction, "feedback": feedback, "scores": score}


def send(port: int, key: str, kind: str, number: int, batch: bool) -> tuple[str, int, int]:
    """One request on this thread's connection; the status of the item."""
    if not hasattr(PLACE, "line") or PLACE.line.port != port:
        PLACE.line = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    item = KINDS[kind](number)
    path, body = (f"/api/v1/{kind}/batch", [item]) if batch else (f"/api/v1/{kind}", item)
    PLACE.line.request(
        "POST", path, json.dumps(body), {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    )
    answer = PLACE.line.getresponse()
    said = json.loads(answer.read())
    return kind, number, said["results"][0]["status"] if batch else answer.status


def test_what_is_sent_one_to_five_times_in_parallel_is_stored_once(hub: Hub) -> None:
    hub.start()
    key = hub.bootstrap("shop")["secret_key"]
    choice = random.Random(4)
    # The copies of one item stand together, so that they meet; half of them travel in batches.
    sent = [
        (kind, number, kind != "scores" and choice.random() < 0.5)
        for number in range(ITEMS)
        for kind in KINDS
        for _ in range(choice.randint(1, 5))
    ]
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(lambda one: send(hub.port, key, *one), sent))

    statuses: dict[tuple[str, int], Counter[int]] = defaultdict(Counter)
    for kind, number, status in answers:
        statuses[kind, number][status] += 1
    assert len(answers) == len(sent) > 2.5 * ITEMS * len(KINDS)
    assert {frozenset(counts) for counts in statuses.values()} <= {frozenset({201}), frozenset({201, 200})}
    assert {counts[201] for counts in statuses.values()} == {1}, "one answer of each says that it was stored"
    with psycopg.connect(hub.database()) as connection:
        for table, name in (("interaction", "external_id"), ("feedback", "key"), ("score", "key")):
            rows = connection.execute(f"SELECT {name}, count(*) FROM feedback_{table} GROUP BY 1").fetchall()  # type: ignore[arg-type]
            assert (len(rows), {count for _, count in rows}) == (ITEMS, {1}), table
        unlinked = connection.execute("SELECT count(*) FROM feedback_feedback WHERE interaction_id IS NULL").fetchone()
    assert unlinked == (0,)
