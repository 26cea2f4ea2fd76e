"""The database is away: 503, and what is sent again is taken. The broker is away: clients do not notice.

The hub reaches both over roads that the test closes and opens.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import psycopg
import pytest

from tests.runner.hub import Hub
from tests.services.conftest import PORTS, need

pytestmark = pytest.mark.services


class Road:
    """A way to a port of this machine. ``closed`` refuses, ``silent`` takes what comes and never answers."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.state: Literal["open", "closed", "silent"] = "open"
        self.ends: list[socket.socket] = []
        self.port = 0
        self.listen()

    def listen(self) -> None:
        self.door = socket.create_server(("127.0.0.1", self.port))
        self.port = self.door.getsockname()[1]
        threading.Thread(target=self._welcome, args=(self.door,), daemon=True).start()

    def _welcome(self, door: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the door is closed
            while True:
                guest, _ = door.accept()
                self.ends.append(guest)
                if self.state == "open":
                    host = socket.create_connection(("127.0.0.1", self.target))
                    self.ends.append(host)
                    for ways in ((guest, host), (host, guest)):
                        threading.Thread(target=self._carry, args=ways, daemon=True).start()

    @staticmethod
    def _carry(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                target.sendall(piece)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def become(self, state: Literal["open", "closed", "silent"]) -> None:
        """From now on; what is under way breaks."""
        was, self.state = self.state, state
        if state == "closed" and was != "closed":
            self.door.shutdown(socket.SHUT_RDWR)
            self.door.close()
        if state != "closed" and was == "closed":
            self.listen()
        for end in self.ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
                end.close()
        self.ends.clear()


@pytest.fixture
def roads() -> Iterator[dict[str, Road]]:
    need("postgres")
    need("redis")
    roads = {name: Road(PORTS[name]) for name in ("postgres", "redis")}
    yield roads
    for road in roads.values():
        road.become("closed")


@pytest.fixture
def hub(database_url: str, roads: dict[str, Road], tmp_path: Path) -> Iterator[Hub]:
    hub = Hub(
        tmp_path / "a hub",
        DATABASE_URL=database_url.replace(":5432", f":{roads['postgres'].port}"),
        CELERY_BROKER_URL=f"redis://127.0.0.1:{roads['redis'].port}/9",
    )
    hub.start()
    yield hub
    hub.clear()


def give(hub: Hub, key: str, name: str) -> tuple[int, dict[str, str], Any]:
    line = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=20)
    with contextlib.closing(line):
        body = {"interaction_id": "req-1", "kind": "comment", "value": name, "key": name}
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        line.request("POST", "/api/v1/feedback", json.dumps(body), headers)
        answer = line.getresponse()
        return answer.status, {key.lower(): value for key, value in answer.getheaders()}, json.loads(answer.read())


def stored(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT key FROM feedback_feedback WHERE key IS NOT NULL ORDER BY key").fetchall()
        return [key for (key,) in rows]


def test_while_the_database_is_away_clients_are_asked_to_come_again(
    hub: Hub, roads: dict[str, Road], database_url: str
) -> None:
    key = hub.bootstrap("away")["secret_key"]
    assert give(hub, key, "before")[0] == 201
    roads["postgres"].become("closed")
    for _ in range(5):
        status, headers, body = give(hub, key, "meanwhile")
        assert (status, body["error"]["code"]) == (503, "unavailable")
        assert int(headers["retry-after"]) > 0
    assert hub.get("/healthz")[0] == 200
    assert hub.get("/readyz")[0] == 503
    roads["postgres"].become("open")
    end = time.monotonic() + 20
    while (status := give(hub, key, "meanwhile")[0]) == 503 and time.monotonic() < end:
        time.sleep(0.1)
    assert status == 201
    assert give(hub, key, "meanwhile")[0] == 200
    assert [name for name in stored(database_url) if name in {"before", "meanwhile"}] == ["before", "meanwhile"]


def latencies(hub: Hub, key: str, name: str) -> list[float]:
    """Milliseconds of 100 feedbacks, each of which is taken."""
    found = []
    for number in range(100):
        began = time.perf_counter()
        assert give(hub, key, f"{name}-{number}")[0] == 201
        found.append((time.perf_counter() - began) * 1000)
    return found


@pytest.mark.parametrize("away", ["closed", "silent"])
def test_while_the_broker_is_away_nothing_changes_for_clients(
    hub: Hub, roads: dict[str, Road], database_url: str, away: Literal["closed", "silent"],
    record_property: Callable[[str, object], None],
) -> None:  # fmt: skip
    key = hub.bootstrap(f"no-broker-{away}")["secret_key"]
    latencies(hub, key, f"{away}-warm")
    there = latencies(hub, key, f"{away}-there")
    roads["redis"].become(away)
    gone = latencies(hub, key, f"{away}-gone")
    record_property("p50_ms", [round(statistics.median(times), 1) for times in (there, gone)])
    record_property("p99_ms", [round(statistics.quantiles(times, n=100)[98], 1) for times in (there, gone)])
    assert statistics.median(gone) < 2 * statistics.median(there) + 5
    assert max(gone) < 2 * max(there) + 250, "nobody waits for a broker"
    assert sum(name.startswith(f"{away}-gone") for name in stored(database_url)) == 100


def claimable(hub: Hub, token: str, name: str) -> bool:
    """Whether the reviewer is handed this item; then they give it back."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def post(path: str) -> Any:
        line = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=20)
        with contextlib.closing(line):
            line.request("POST", path, "{}", headers)
            return json.loads(line.getresponse().read() or b"{}")

    told = post("/api/v1/queues/negative-feedback/claim")
    if claim := told.get("claim"):
        post(f"/api/v1/claims/{claim['token']}/release")
    return name in json.dumps(told)


@pytest.mark.parametrize("away", ["closed", "silent"])
def test_a_thumbs_down_is_claimable_within_fifteen_seconds_while_the_broker_is_away(
    hub: Hub, roads: dict[str, Road], away: Literal["closed", "silent"]
) -> None:
    made = hub.bootstrap(f"watch-{away}")
    key, token = made["secret_key"], made["users"][0]["token"]
    roads["redis"].become(away)
    name = f"item-{away}"
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    for path, body in (
        ("interactions", {"id": name, "messages": [{"role": "user", "content": "Fee?"}], "output": "None."}),
        ("feedback", {"interaction_id": name, "kind": "thumbs", "value": "down"}),
    ):
        line = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=20)
        with contextlib.closing(line):
            line.request("POST", f"/api/v1/{path}", json.dumps(body), headers)
            assert line.getresponse().status == 201
    began = time.monotonic()
    while not (there := claimable(hub, token, name)) and time.monotonic() < began + 15:
        time.sleep(0.2)
    assert there


def test_a_trace_becomes_an_interaction_while_the_broker_is_away(hub: Hub, roads: dict[str, Road]) -> None:
    key = hub.bootstrap("watch-traces")["secret_key"]
    roads["redis"].become("closed")
    trace, now = "4bf92f3577b34da6a3ce929d0e0e4736", time.time_ns()
    said = {
        "gen_ai.operation.name": "chat",
        "gen_ai.input.messages": '[{"role": "user", "parts": [{"type": "text", "content": "Fee?"}]}]',
        "gen_ai.output.messages": '[{"role": "assistant", "parts": [{"type": "text", "content": "None."}]}]',
    }
    span = {
        "traceId": trace, "spanId": "00f067aa0ba902b7", "name": "chat",
        "startTimeUnixNano": str(now - 10**9), "endTimeUnixNano": str(now),
        "attributes": [{"key": name, "value": {"stringValue": value}} for name, value in said.items()],
    }  # fmt: skip
    export = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    assert asked(hub, key, "POST", "/v1/traces", export) == 200
    began = time.monotonic()
    while (status := asked(hub, key, "GET", f"/api/v1/interactions/{trace}")) != 200 and time.monotonic() < began + 20:
        time.sleep(0.3)
    assert status == 200


def asked(hub: Hub, key: str, method: str, path: str, body: Any = None) -> int:
    line = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=20)
    with contextlib.closing(line):
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        line.request(method, path, None if body is None else json.dumps(body), headers)
        return line.getresponse().status
