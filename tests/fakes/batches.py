"""The batch half of the fake provider: OpenAI's files and batches, Anthropic's message batches.

A batch moves one step each time it is asked for or listed, and works on its requests when it ends. What goes wrong
is set on ``Batches``: whole files by faults, single requests by ``outcome``.
"""

from __future__ import annotations

import email
import json
import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.fakes.server import Answer, Request

# What becomes of one request: "" a reply, else "expired", "canceled", "errored", "invalid", "missing".
Outcome = Callable[[str], str]
Run = Callable[[str, dict[str, Any], str], Answer]


@dataclass
class Batch:
    """One batch at the provider. ``requests`` are (custom_id, body)."""

    name: str
    api: str
    key: str
    requests: list[tuple[str, dict[str, Any]]]
    body: dict[str, Any]
    steps: deque[str]
    status: str
    made: float = field(default_factory=time.time)
    results: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    done: int = 0


class Batches:
    """``made`` holds every batch in order; ``charged`` counts the requests that were worked on and are paid.

    ``steps`` are the states before the end that each new batch goes through; ``ends`` is how it ends at OpenAI.
    """

    def __init__(self, run: Run) -> None:
        self.made: dict[str, Batch] = {}
        self.files: dict[str, bytes] = {}
        self.deleted: list[str] = []
        self.charged = 0
        self.steps: tuple[str, ...] = ("in_progress",)
        self.ends = "completed"
        self.outcome: Outcome = lambda name: ""
        self.creating: deque[Answer] = deque()  # instead of the answer to the next creations, which are done
        self.refusing: deque[Answer] = deque()  # instead of the next creations, which are not
        self.downloads: deque[Callable[[bytes], Answer]] = deque()
        self._run = run

    def answer(self, request: Request, key: str) -> Answer | None:
        """None where the address is none of a batch."""
        path = request.path.split("?")[0]
        if path == "/v1/files" and request.method == "POST":
            return self._upload(request)
        if found := re.fullmatch(r"/v1/files/([\w-]+)(/content)?", path):
            return self._file(request.method, found[1])
        if found := re.fullmatch(r"(/v1/messages|/v1)/batches(?:/([\w-]+))?(?:/(cancel|results))?", path):
            api = "messages" if found[1] == "/v1/messages" else "chat"
            return self._batches(request, api, key, found[2], found[3] or "")
        return None

    def _batches(self, request: Request, api: str, key: str, name: str | None, act: str) -> Answer:
        if name is None:
            return self._create(request, api, key) if request.method == "POST" else self._list(api, key)
        batch = self.made.get(name)
        if batch is None or batch.api != api or batch.key != key:
            return Answer(404, b'{"error": {"message": "no such batch"}}')
        if request.method == "DELETE":
            self.deleted.append(name)
            return _json({"id": name, "type": "message_batch_deleted"})
        if act == "results":
            return self._download(_lines([line for _, line in batch.results]))
        if act == "cancel":
            batch.steps = deque()
            batch.status = "cancelling" if api == "chat" else "canceling"
            return _json(self._told(batch))
        self._step(batch)
        return _json(self._told(batch))

    def _create(self, request: Request, api: str, key: str) -> Answer:
        if self.refusing:
            return self.refusing.popleft()
        body = json.loads(request.body)
        raw = body["requests"] if api == "messages" else [
            json.loads(line) for line in self.files[body["input_file_id"]].splitlines()]  # fmt: skip
        requests = [(one["custom_id"], one["params"] if api == "messages" else one["body"]) for one in raw]
        name = f"{'msgbatch' if api == 'messages' else 'batch'}_{len(self.made) + 1}"
        steps = deque(self.steps)
        batch = Batch(name, api, key, requests, body, steps, "validating" if api == "chat" else "in_progress")
        ids = [custom for custom, _ in requests]
        valid = len(set(ids)) == len(ids) and all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", one) for one in ids)
        if api == "messages" and not valid:
            return Answer(400, b'{"type": "error", "error": {"type": "invalid_request_error", "message": "ids"}}')
        if api == "chat" and not (
            valid and body["completion_window"] == "24h"
            and all((one["url"], one["method"]) == (body["endpoint"], "POST") for one in raw)
        ):  # fmt: skip
            batch.steps, batch.status = deque(["failed"]), "failed"
        self.made[name] = batch
        return self.creating.popleft() if self.creating else _json(self._told(batch))

    def _step(self, batch: Batch) -> None:
        if batch.steps:
            batch.status = batch.steps.popleft()
            return
        ends = {"cancelling": "cancelled", "canceling": "ended", "failed": "failed"}.get(batch.status)
        if batch.status in ("completed", "expired", "cancelled", "ended", "failed"):
            return
        cancelled = batch.status in ("cancelling", "canceling")
        batch.status = ends or (self.ends if batch.api == "chat" else "ended")
        self._work(batch, cancelled=cancelled)

    def _work(self, batch: Batch, *, cancelled: bool) -> None:
        """The results, last request first: no order is promised."""
        for custom, body in reversed(batch.requests):
            outcome = self.outcome(custom) or ("canceled" if cancelled else "")
            if outcome == "missing":
                continue
            batch.done += 1
            if not outcome:
                self.charged += 1
                reply = json.loads(self._run(batch.api, body, batch.key).body)
            line: dict[str, Any]
            if batch.api == "messages":
                fault = "invalid_request_error" if outcome == "invalid" else "overloaded_error"
                result: dict[str, Any] = {"type": "errored" if outcome == "invalid" else outcome}
                if outcome in ("invalid", "errored"):
                    result["error"] = {"type": "error", "error": {"type": fault, "message": "our secret"}}
                line = {
                    "custom_id": custom,
                    "result": {"type": "succeeded", "message": reply} if not outcome else result,
                }
            else:
                status = {"": 200, "invalid": 400, "errored": 500}.get(outcome)
                answer = reply if not outcome else {"error": {"message": "our secret"}}
                code = "batch_expired" if outcome == "expired" else "batch_cancelled"
                line = {
                    "id": f"req_{custom}", "custom_id": custom,
                    "response": {"status_code": status, "request_id": "r", "body": answer} if status else None,
                    "error": None if status else {"code": code, "message": "our secret"},
                }  # fmt: skip
            batch.results.append((outcome, line))
        if batch.api == "chat":
            for kind in ("output", "error"):
                chosen = [line for outcome, line in batch.results if bool(outcome) == (kind == "error")]
                if chosen:
                    self.files[f"file-{kind}-{batch.name}"] = b"".join(
                        json.dumps(one).encode() + b"\n" for one in chosen
                    )

    def _told(self, batch: Batch) -> dict[str, Any]:
        total = len(batch.requests)
        if batch.api == "messages":
            ended = batch.status == "ended"
            kinds = [outcome for outcome, _ in batch.results]
            counts = {
                "processing": 0 if ended else total, "succeeded": kinds.count(""), "expired": kinds.count("expired"),
                "canceled": kinds.count("canceled"), "errored": kinds.count("errored") + kinds.count("invalid"),
            }  # fmt: skip
            return {
                "id": batch.name, "type": "message_batch", "processing_status": batch.status,
                "request_counts": counts, "created_at": datetime.fromtimestamp(batch.made, UTC).isoformat(),
                "expires_at": datetime.fromtimestamp(batch.made + 86400, UTC).isoformat(),
                "ended_at": None, "archived_at": None, "cancel_initiated_at": None,
                "results_url": f"{self.url}/v1/messages/batches/{batch.name}/results" if ended else None,
            }  # fmt: skip
        good = sum(not outcome for outcome, _ in batch.results)
        files = {kind: f"file-{kind}-{batch.name}" for kind in ("output", "error")}
        return {
            "id": batch.name, "object": "batch", "endpoint": batch.body["endpoint"], "status": batch.status,
            "input_file_id": batch.body["input_file_id"], "completion_window": "24h", "created_at": int(batch.made),
            "metadata": batch.body.get("metadata"),
            "request_counts": {"total": total, "completed": good, "failed": batch.done - good},
            "output_file_id": files["output"] if files["output"] in self.files else None,
            "error_file_id": files["error"] if files["error"] in self.files else None,
        }  # fmt: skip

    url = ""  # of the provider, for the address of results

    def _list(self, api: str, key: str) -> Answer:
        mine = [one for one in self.made.values() if (one.api, one.key) == (api, key)]
        for one in mine:
            self._step(one)
        rows = [self._told(one) for one in reversed(mine)]
        return _json({"object": "list", "data": rows, "has_more": False})

    def _upload(self, request: Request) -> Answer:
        head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
        parts = email.message_from_bytes(head + request.body).get_payload()
        assert isinstance(parts, list)
        fields = {
            str(one.get_param("name", header="content-disposition")): one.get_payload(decode=True) for one in parts
        }
        if fields.get("purpose") != b"batch":
            return Answer(400, b'{"error": {"message": "purpose"}}')
        name = f"file-{len(self.files) + 1}"
        self.files[name] = bytes(fields["file"])  # type: ignore[arg-type]
        return _json({"id": name, "object": "file", "purpose": "batch", "bytes": len(self.files[name])})

    def _file(self, method: str, name: str) -> Answer:
        if method == "DELETE":
            self.deleted.append(name)
            return _json({"id": name, "object": "file", "deleted": True})
        return self._download(self.files[name])

    def _download(self, content: bytes) -> Answer:
        if self.downloads:
            return self.downloads.popleft()(content)
        return Answer(200, content, content_type="application/binary")


def half(content: bytes) -> Answer:
    """A download that ends in the middle of a line, without a sign of it in its headers."""
    return Answer(200, content[: len(content) // 2], content_type="application/binary")


def page(content: bytes) -> Answer:
    """The page of a proxy instead of the file."""
    return Answer(200, b"<html><title>502 Bad Gateway</title></html>", content_type="text/html")


def _lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def _json(value: Any) -> Answer:
    return Answer(200, json.dumps(value).encode())
