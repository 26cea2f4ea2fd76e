"""Sending without waiting: a bounded queue, and a thread that empties it in batches.

What is promised to the application: a call takes microseconds, never raises and never waits for the network.
Memory is bounded by count and by bytes. Everything carries an id from the moment it is handed over, so what is sent
again after a lost answer counts once. Nothing is started before the first item, and after some idle seconds the
thread ends, so that a sender that nobody holds any more goes away.
"""

from __future__ import annotations

import atexit
import gzip
import logging
import os
import sys
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, TypedDict, Unpack

import httpx

from reviewhub_client import wire
from reviewhub_client.encoding import encode
from reviewhub_client.types import FeedbackKind, Interaction
from reviewhub_client.wire import RETRIED, Address, fresh_id, pause, refusal

log = logging.getLogger("reviewhub_client")

MIB = 1024 * 1024
OVERHEAD = 200  # bytes that an item takes in the queue beside its JSON
BATCH_BYTES = 4 * MIB  # of the server's 16
BATCH_ITEMS = 500  # of the server's 1,000
LARGEST = {"interaction": 4 * MIB, "feedback": 256 * 1024, "score": 256 * 1024}  # the server's limits
PATHS = {"interaction": "/api/v1/interactions/batch", "feedback": "/api/v1/feedback/batch", "score": "/api/v1/scores"}
IDLE_SECONDS = 10.0
BACKOFF = 0.5
HURRIED = 0.25  # between attempts while somebody waits in flush() or close()
LOG_EVERY = 60.0
TRIED_ON_500 = 10  # about four minutes, then the batch is halved: one item may be what breaks the server

Kind = Literal["interaction", "feedback", "score"]


@dataclass(frozen=True, slots=True)
class Refused:
    """An item that the hub will not take, and why; sending it again would not help."""

    kind: Kind
    id: str
    status: int
    error: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counted since the start of this process, in items."""

    waiting: int
    waiting_bytes: int
    sent: int
    dropped: int  # no room, or no time left at the end
    failed: int  # refused by the hub, or not to be said in JSON
    retries: int
    last_error: str


class Options(TypedDict, total=False):
    """Of a background sender: see ``Background``."""

    max_items: int
    max_bytes: int
    batch_items: int
    interval: float
    overflow: Literal["drop_oldest", "drop_newest"]
    exit_timeout: float
    on_refused: Callable[[Refused], None]


class _Item(NamedTuple):
    number: int
    kind: Kind
    id: str
    body: bytes
    at: float


class Background:
    """A hub's background sender; ``hub.background(…)`` makes it.

    ``max_items``, ``max_bytes``: what may wait. Beyond, ``overflow`` decides: "drop_oldest" or "drop_newest".
    ``batch_items``, ``interval``: a batch goes when it has that many items or its oldest has waited so many seconds.
    ``exit_timeout``: seconds that the end of the process may take to send the rest.
    ``on_refused``: called in the sender's thread with each item that the hub does not take.
    """

    def __init__(
        self, address: Address, *, transport: httpx.BaseTransport | None = None, timeout: float = 30.0,
        **options: Unpack[Options],
    ) -> None:  # fmt: skip
        self._address, self._transport, self._timeout = address, transport, timeout
        self._max_items = options.get("max_items", 10_000)
        self._max_bytes = options.get("max_bytes", 64 * MIB)
        self._batch_items = min(options.get("batch_items", BATCH_ITEMS), BATCH_ITEMS)
        self._interval = options.get("interval", 0.5)
        self._overflow = options.get("overflow", "drop_oldest")
        self._exit_timeout = options.get("exit_timeout", 5.0)
        self._on_refused = options.get("on_refused")
        if min(self._max_items, self._max_bytes, self._batch_items) < 1 or self._interval < 0:
            raise ValueError("max_items, max_bytes and batch_items are at least 1, interval at least 0.")
        if self._overflow not in ("drop_oldest", "drop_newest"):
            raise ValueError('overflow is "drop_oldest" or "drop_newest".')
        self._closed = False
        self._begin()
        _senders.add(self)

    def _begin(self) -> None:
        """An empty queue without a thread: at the start, and in a process that was forked off.

        What waited when a process forked belongs to the parent, which sends it. The old connections and locks may be
        in use there, so they are left alone.
        """
        # A condition stands on a lock that its holder may take again: a destructor or a signal handler that records
        # something may run in the middle of any of the blocks below.
        self._lock = threading.Condition(threading.RLock())
        self._hurry = threading.Event()
        self._queue: deque[_Item] = deque()
        self._bytes = 0  # of what waits, with what is being sent
        self._sending: deque[_Item] = deque()
        self._number = 0
        self._waiters = 0
        self._deadline: float | None = None
        self._thread: threading.Thread | None = None
        self._http: httpx.Client | None = None
        self._counts: Counter[str] = Counter()
        self._last_error = ""
        self._logged: dict[str, float] = {}

    # ── What the application calls ────────────────────────────────────────────────────────────────

    def record_interaction(self, item: Interaction | Mapping[str, Any]) -> str:
        """Hands over one interaction; the id under which it will be stored."""
        full = {"id": fresh_id(), "created_at": _now(), **item}
        self._offer("interaction", str(full["id"]), full)
        return str(full["id"])

    def feedback(self, interaction_id: str, kind: FeedbackKind = "thumbs", value: Any = None, **fields: Any) -> str:
        """Hands over what an end user said; its key."""
        item = {"interaction_id": interaction_id, "kind": kind, "value": value, **fields}
        return self._keyed("feedback", item)

    def score(self, interaction_id: str, name: str, value: float | None = None, **fields: Any) -> str:
        """Hands over a machine's verdict; its key."""
        return self._keyed("score", {"interaction_id": interaction_id, "name": name, "value": value, **fields})

    def flush(self, timeout: float | None = None) -> bool:
        """Waits until what was handed over before is sent, refused or dropped; False if ``timeout`` seconds pass."""
        end = None if timeout is None else time.monotonic() + timeout
        with self._lock:
            last = self._number
            self._waiters += 1
            try:
                self._ensure_thread()
                self._hurry.set()
                self._lock.notify_all()
                while self._waits_for(last):
                    left = None if end is None else end - time.monotonic()
                    if (left is not None and left <= 0) or self._thread is None:
                        return False
                    self._lock.wait(left)
            finally:
                self._waiters -= 1
        return True

    def close(self, timeout: float | None = None) -> bool:
        """Sends the rest for at most ``timeout`` seconds (``exit_timeout`` if absent) and ends the thread.

        What is then left is dropped and counted; False if there was any. Later items are dropped too.
        """
        with self._lock:
            if self._closed and self._thread is None and not self._queue:
                return True
            self._closed = True
            seconds = self._exit_timeout if timeout is None else timeout
            self._deadline = time.monotonic() + seconds
            thread = self._thread
            self._hurry.set()
            self._lock.notify_all()
        if thread is None:
            self._run()  # a thread can no longer be started when the interpreter ends
        elif thread is not threading.current_thread():
            thread.join(seconds)
        with self._lock:
            left = len(self._queue) + len(self._sending)
            self._count("dropped", left)
            self._queue.clear()
            self._sending.clear()
            self._bytes = 0
            if self._thread is None and self._http is not None and self._transport is None:
                self._http.close()
        if left:
            self._say("left", f"{left:,} items were not sent before the end: {self._last_error or 'no time left'}")
        return not left

    @property
    def statistics(self) -> Statistics:
        """What has become of everything so far."""
        with self._lock:
            counts = self._counts
            return Statistics(
                len(self._queue) + len(self._sending), self._bytes, counts["sent"], counts["dropped"],
                counts["failed"], counts["retries"], self._last_error,
            )  # fmt: skip

    # ── The queue ─────────────────────────────────────────────────────────────────────────────────

    def _keyed(self, kind: Kind, item: dict[str, Any]) -> str:
        full = {"key": fresh_id(), "created_at": _now(), **item}
        self._offer(kind, str(full["key"]), full)
        return str(full["key"])

    def _offer(self, kind: Kind, id: str, item: Mapping[str, Any]) -> None:
        try:
            body = encode(item)
            if len(body) > LARGEST[kind]:
                self._refuse(kind, id, 413, {"code": "too_large", "message": f"More than {LARGEST[kind]:,} bytes."})
                return
            with self._lock:
                self._put(kind, id, body)
        except Exception as error:
            with self._lock:
                self._count("failed")
            self._say("offer", f"An item could not be recorded: {error!r}")

    def _put(self, kind: Kind, id: str, body: bytes) -> None:
        size = len(body) + OVERHEAD
        while not self._closed and self._queue and self._overflow == "drop_oldest" and not self._fits(size):
            self._bytes -= _size(self._queue.popleft())
            self._count("dropped")
        if self._closed or not self._fits(size):
            self._count("dropped")
            return
        self._number += 1
        self._queue.append(_Item(self._number, kind, id, body, time.monotonic()))
        self._bytes += size
        if len(self._queue) in (1, self._batch_items):
            self._ensure_thread()
            self._lock.notify_all()

    def _fits(self, size: int) -> bool:
        return len(self._queue) + len(self._sending) < self._max_items and self._bytes + size <= self._max_bytes

    def _ensure_thread(self) -> None:
        if self._thread is not None or not self._queue:
            return
        _clean_up_at_exit()
        thread = threading.Thread(target=self._run, name="reviewhub-sender", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is ending; close() sends the rest
            return
        self._thread = thread

    def _waits_for(self, number: int) -> bool:
        return any(part and part[0].number <= number for part in (self._sending, self._queue))

    # ── The thread ────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        while self._take():
            by_kind: dict[Kind, list[_Item]] = {}
            for item in self._sending:
                by_kind.setdefault(item.kind, []).append(item)
            for kind, items in by_kind.items():
                size = 1 if kind == "score" else len(items)
                for start in range(0, len(items), size):
                    self._deliver(kind, items[start : start + size])
            with self._lock:
                self._bytes -= sum(map(_size, self._sending))
                self._sending.clear()
                self._lock.notify_all()

    def _take(self) -> bool:
        """Moves a batch to ``_sending`` when it is due. False: nothing came for a while, or it is the end."""
        with self._lock:
            while not self._due():
                wait = self._queue[0].at + self._interval - time.monotonic() if self._queue else IDLE_SECONDS
                ended = self._closed and not self._queue
                if ended or (not self._lock.wait(wait) and not self._queue):
                    return self._leave()
            if self._out_of_time():
                return self._leave()
            size = 0
            while self._queue and len(self._sending) < self._batch_items:
                size += _size(self._queue[0])
                if self._sending and size > BATCH_BYTES:
                    break
                self._sending.append(self._queue.popleft())
            return True

    def _leave(self) -> bool:
        self._thread = None  # while the lock is held: whoever hands something over now starts another thread
        self._lock.notify_all()
        return False

    def _due(self) -> bool:
        if not self._queue:
            return False
        full = len(self._queue) >= self._batch_items or self._bytes >= BATCH_BYTES
        return full or self._closed or self._waiters > 0 or time.monotonic() >= self._queue[0].at + self._interval

    def _deliver(self, kind: Kind, items: list[_Item]) -> None:
        """Sends until every item is stored, refused, or there is no time left."""
        parts, attempt = [items], 0
        while parts:
            left, wait = self._attempt(kind, parts.pop(), attempt)
            parts += left
            if wait is None:
                continue
            if self._out_of_time():
                with self._lock:
                    self._count("dropped", sum(map(len, parts)))
                return
            self._say("outage", f"{self._last_error}; what waits will be sent later")
            with self._lock:
                self._count("retries")
            self._rest(wait)
            attempt += 1

    def _attempt(self, kind: Kind, items: list[_Item], attempt: int) -> tuple[list[list[_Item]], float | None]:
        """One request: the parts that are still to be sent, and the seconds to wait before (None: go on at once)."""
        try:
            response = self._post(kind, items)
            if response.is_success:
                again = self._settle(kind, items, response)
                return ([again], pause(attempt, BACKOFF)) if again else ([], None)
        except Exception as problem:
            self._last_error = f"{self._address.url} does not answer: {problem or type(problem).__name__}"
            return [items], pause(attempt, BACKOFF)
        status, error = response.status_code, refusal(response)
        self._last_error = str(error)
        isolate = status in (400, 413, 422) or (status == 500 and attempt >= TRIED_ON_500)
        if isolate and len(items) > 1:
            return [items[: len(items) // 2], items[len(items) // 2 :]], None
        if not isolate and (status in RETRIED or status >= 500):
            return [items], pause(attempt, BACKOFF, response.headers.get("Retry-After"))
        for item in items:
            self._refuse(kind, item.id, status, {"code": error.code, "message": str(error), "details": error.details})
        return [], None

    def _post(self, kind: Kind, items: list[_Item]) -> httpx.Response:
        if self._http is None:
            timeout = httpx.Timeout(self._timeout, connect=min(5.0, self._timeout))
            self._http = httpx.Client(**self._address.settings(self._timeout), transport=self._transport)
            self._http.timeout = timeout
        if kind == "score":
            return self._http.post(PATHS[kind], content=items[0].body, headers={"Content-Type": "application/json"})
        body = gzip.compress(b"\n".join(item.body for item in items), compresslevel=3)
        headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
        return self._http.post(PATHS[kind], content=body, headers=headers)

    def _settle(self, kind: Kind, items: list[_Item], response: httpx.Response) -> list[_Item]:
        """Counts what an answered batch has stored and refused; the items that are to be sent again."""
        if kind == "score":
            results: list[dict[str, Any]] = [{"index": 0, "status": response.status_code}]
        else:
            results = list(response.json()["results"])
        again, stored = [], 0
        for item, result in zip(items, results, strict=False):
            status = result.get("status", 0)
            if status in (200, 201):
                stored += 1
            elif status == 429 or status >= 500:
                again.append(item)
            else:
                self._refuse(kind, item.id, status, result.get("error") or {})
        again += items[len(results) :]
        with self._lock:
            self._count("sent", stored)
        return again

    def _rest(self, seconds: float) -> None:
        """Waits before the next attempt, but not while somebody waits for us."""
        if self._waiters or self._closed:
            time.sleep(min(seconds, HURRIED))
        elif self._hurry.wait(seconds):
            self._hurry.clear()

    def _out_of_time(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    # ── Telling ───────────────────────────────────────────────────────────────────────────────────

    def _refuse(self, kind: Kind, id: str, status: int, error: Mapping[str, Any]) -> None:
        message = str(error.get("message", ""))
        with self._lock:
            self._count("failed")
            self._last_error = message
        self._say(f"{status} {error.get('code')}", f"The {kind} {id} was refused ({status}): {message}")
        if self._on_refused is not None:
            try:
                self._on_refused(Refused(kind, id, status, error))
            except Exception:
                log.exception("on_refused raised")

    def _count(self, what: str, number: int = 1) -> None:
        self._counts[what] += number

    def _say(self, about: str, message: str) -> None:
        """A warning in the log, at most once a minute about one thing."""
        now = time.monotonic()
        if now - self._logged.get(about, -LOG_EVERY) >= LOG_EVERY:
            self._logged[about] = now
            log.warning("Review Hub: %s", message)


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _size(item: _Item) -> int:
    return len(item.body) + OVERHEAD


# ── The end of a process, and forks ───────────────────────────────────────────────────────────────

_senders: weakref.WeakSet[Background] = weakref.WeakSet()
_registered: set[str] = set()


def _clean_up_at_exit() -> None:
    """Has everything sent when the process ends, and queues begun anew in a forked one. Once, at the first thread."""
    if "exit" not in _registered:
        _registered.add("exit")
        atexit.register(_close_all)
    if "fork" not in _registered and hasattr(os, "register_at_fork"):
        _registered.add("fork")
        os.register_at_fork(after_in_child=_after_fork)
    if "multiprocessing" not in _registered and "multiprocessing.util" in sys.modules:
        # its children end without atexit, but with finalizers of their own
        _registered.add("multiprocessing")
        sys.modules["multiprocessing.util"].Finalize(None, _close_all, exitpriority=10)


def _close_all() -> None:
    for sender in list(_senders):
        sender.close()


def _after_fork() -> None:
    _registered.discard("multiprocessing")
    for sender in list(_senders):
        wire.inherited.append(sender._http)
        sender._begin()
