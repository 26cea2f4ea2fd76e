"""A thumbs-down becomes a task: real processes, the machine's PostgreSQL, and each broker that we promise."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kombu
import psycopg
import pytest

from tests.runner.hub import Hub, in_sessions
from tests.services.conftest import BROKERS, need

pytestmark = pytest.mark.services


@pytest.fixture(params=sorted(BROKERS))
def hub(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Iterator[Hub]:
    need(request.param)
    broker = BROKERS[request.param]
    _empty(broker)
    hub = Hub(tmp_path / "a hub", DATABASE_URL=database_url, CELERY_BROKER_URL=broker)
    yield hub
    hub.clear()
    _empty(broker)


def _empty(broker: str) -> None:
    """Our queue of an earlier run must not help this one."""
    with kombu.Connection(broker) as connection:
        connection.ensure_connection(max_retries=3)
        channel = connection.channel()
        channel.queue_delete("reviewhub")


def call(hub: Hub, path: str, key: str, body: Any = None) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{hub.port}{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def waiting(hub: Hub, token: str) -> int:
    return sum(queue["open"] for queue in call(hub, "/api/v1/queues", token)["results"])


def test_a_thumbs_down_becomes_a_task_through_the_real_broker(hub: Hub) -> None:
    hub.start()
    assert set(hub.children()) == {"web", "worker"}, "nothing embedded starts where servers are given"
    made = hub.bootstrap(f"shop-{hub.port}")
    key, token = made["secret_key"], made["users"][0]["token"]
    before = waiting(hub, token)
    call(hub, "/api/v1/interactions", key, {
        "id": "r-1", "messages": [{"role": "user", "content": "What is the fee?"}], "output": "There is none.",
    })  # fmt: skip
    call(hub, "/api/v1/feedback", key, {"interaction_id": "r-1", "kind": "thumbs", "value": "down"})
    end = time.monotonic() + 60
    while waiting(hub, token) == before and time.monotonic() < end:
        time.sleep(0.2)
    assert waiting(hub, token) > before

    sessions = set(hub.children().values())
    assert hub.stop() == 0
    assert in_sessions(sessions) == []


def test_the_database_is_the_one_that_was_given(database_url: str) -> None:
    """PostgreSQL 15 is the oldest that we promise; what the machine has is at least that."""
    with psycopg.connect(database_url) as connection:
        assert connection.info.server_version >= 150000
