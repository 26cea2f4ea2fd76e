"""A Review Hub as a sender sees it: items by id, each once, in memory, with scripted faults. For outages and forks."""

from __future__ import annotations

import gzip
import json
from collections import deque
from collections.abc import Callable
from typing import Any

from tests.fakes.server import Answer, Fake, Request

Fault = Callable[["FakeHub", Request], Answer]


def answers(status: int, **headers: str) -> Fault:
    """Refuses without storing anything."""
    body = json.dumps({"error": {"code": f"e{status}", "message": "not now", "details": []}}).encode()
    return lambda hub, request: Answer(status, body, headers)


def stores_and_hangs_up(hub: FakeHub, request: Request) -> Answer:
    """The worst moment: everything is stored, and the answer is lost."""
    hub.store(request)
    return Answer(hang_up=True)


class FakeHub(Fake):
    """``stored``: bodies by id or key. ``poison``: an id that is refused with 422, or breaks the server with 500."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.stored: dict[str, dict[str, Any]] = {}
        self.replays = 0
        self.refused: set[str] = set()
        self.breaking: set[str] = set()
        self.batches: list[int] = []
        self._scripted: deque[Fault] = deque()

    def script(self, *faults: Fault) -> None:
        self._scripted.extend(faults)

    def respond(self, request: Request) -> Answer:
        with self._lock:
            fault = self._scripted.popleft() if self._scripted else None
            return fault(self, request) if fault else self.store(request)

    def store(self, request: Request) -> Answer:
        raw = gzip.decompress(request.body) if request.headers.get("content-encoding") == "gzip" else request.body
        items = [json.loads(line) for line in raw.splitlines()]
        if self.breaking & {item.get("id") for item in items}:
            return Answer(500, b"<h1>Server Error (500)</h1>", content_type="text/html")
        self.batches.append(len(items))
        results = [{"index": place, **self._one(item)} for place, item in enumerate(items)]
        single = not request.path.endswith("/batch")
        return Answer(201 if single else 200, json.dumps(results[0] if single else {"results": results}).encode())

    def _one(self, item: dict[str, Any]) -> dict[str, Any]:
        name = item.get("id") or item["key"]
        if name in self.refused:
            return {"status": 422, "id": name, "error": {"code": "invalid", "message": "Expected str", "details": []}}
        if name in self.stored:
            self.replays += 1
            assert self.stored[name] == item, "the same id with another body"
            return {"status": 200, "id": name, "replayed": True}
        self.stored[name] = item
        return {"status": 201, "id": name}
