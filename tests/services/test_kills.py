"""Kills at random under load: what was acknowledged is there, once. The whole product with its own PostgreSQL.

The schedule comes from a seed (REVIEWHUB_KILL_SEED; printed when the test fails). SIGKILL does not stand for a
power cut: the page cache survives it. That commits reach the disk is asserted from the server's settings instead.
Only processes that this test has started are killed, by their ids.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from reviewhub.runner.process import start_time
from tests.runner.hub import Hub

pytestmark = pytest.mark.services

CLIENTS = 6
SECONDS = 300
PATIENCE = 60.0  # a client gives up after this; by then a part has not recovered


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    hub = Hub(tmp_path / "a hub")
    yield hub
    hub.clear()


@dataclass
class History:
    """What the clients saw: an answer to each key, and the troubles on the way."""

    acknowledged: Counter[str] = field(default_factory=Counter)
    replayed: int = 0
    troubles: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    longest: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Client(threading.Thread):
    """Sends its share one by one; an answer that did not come, or a 503, is asked for again with the same key.

    Now and then it sends again what was acknowledged already, as a client does that lost the answer.
    """

    def __init__(self, port: int, key: str, numbers: range, history: History, seed: int) -> None:
        super().__init__(daemon=True)
        self.port, self.key, self.numbers, self.history = port, key, numbers, history
        self.random = random.Random(seed)
        self.line: http.client.HTTPConnection | None = None

    def run(self) -> None:
        for number in self.numbers:
            self._send(number)
            if self.random.random() < 0.1:
                self._send(number)

    def _send(self, number: int) -> None:
        name = f"k-{number}"
        body = {"interaction_id": f"i-{number % 50}", "kind": "comment", "value": f"No. {number}", "key": name}
        began = time.monotonic()
        while time.monotonic() - began < PATIENCE:
            trouble = self._try(name, body)
            if not trouble:
                with self.history.lock:
                    self.history.longest = max(self.history.longest, time.monotonic() - began)
                return
            with self.history.lock:
                self.history.troubles[trouble] += 1
            time.sleep(self.random.uniform(0.02, 0.2))
        self.history.given_up.append(name)

    def _try(self, name: str, body: dict[str, Any]) -> str:
        """What went wrong; empty when there was an answer."""
        try:
            self.line = self.line or http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            self.line.request(
                "POST", "/api/v1/feedback", json.dumps(body),
                {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
            )  # fmt: skip
            answer = self.line.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            if self.line:
                self.line.close()
            self.line = None
            return type(error).__name__
        if answer.status >= 500:
            return str(answer.status)
        with self.history.lock:
            if answer.status in {200, 201}:
                self.history.acknowledged[name] += 1
                self.history.replayed += answer.status == 200
            else:
                self.history.refused.append(f"{name}: {answer.status} {text[:200]!r}")
        return ""


def children_of(parent: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(folder.name))
    return found


def kill(hub: Hub, what: str, choice: random.Random) -> bool:
    """SIGKILL to a process of this hub; False where it is not there just now."""
    own = hub.process
    assert own
    with contextlib.suppress(OSError, KeyError, ValueError, IndexError):
        leaders = hub.children()
        leader = leaders["PostgreSQL" if what.startswith("PostgreSQL") else what.split()[0]]
        target = choice.choice(children_of(leader)) if what.endswith("child") else leader
        # Never a stranger that was given the number of a process that has ended.
        if (
            leader in children_of(own.pid)
            and (target == leader or target in children_of(leader))
            and start_time(target)
        ):
            os.kill(target, signal.SIGKILL)
            return True
    return False


TARGETS = ("web", "web child", "PostgreSQL", "PostgreSQL child", "worker")


@dataclass
class Outcome:
    history: History
    stored: dict[str, int]  # how often each key is in the table
    story: str


def ordeal(hub: Hub, feedback: int, kills: int, *, forgetful: bool = False) -> Outcome:
    """Feedback and kills together, then what is in the table. ``forgetful``: commits need not reach the disk.

    Every target is killed equally often, in an order of chance.
    """
    seed = int(os.environ.get("REVIEWHUB_KILL_SEED") or random.SystemRandom().randrange(2**32))
    choice = random.Random(seed)
    hub.start()
    key = hub.bootstrap("shop")["secret_key"]
    url = hub.database()
    with psycopg.connect(url, autocommit=True) as connection:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            assert connection.execute(f"SHOW {name}").fetchone() == ("on",), name  # type: ignore[arg-type]
        if forgetful:
            connection.execute("ALTER DATABASE reviewhub SET synchronous_commit = off")
            connection.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
            connection.execute("SELECT pg_reload_conf()")

    history = History()
    share = feedback // CLIENTS + 1
    clients = [
        Client(hub.port, key, range(n * share, min((n + 1) * share, feedback)), history, seed + n)
        for n in range(CLIENTS)
    ]
    began = time.monotonic()
    for client in clients:
        client.start()
    killed = []
    # Spread over the work, not over time: the faster the machine, the faster the kills.
    targets = [TARGETS[place % len(TARGETS)] for place in range(kills)]
    for place, what in enumerate(choice.sample(targets, kills)):
        due = feedback * (place + choice.random()) / (kills + 1)
        while len(history.acknowledged) < due and time.monotonic() - began < SECONDS:
            time.sleep(0.005)
        end = time.monotonic() + 10
        while not (done := kill(hub, what, choice)) and time.monotonic() < end:
            time.sleep(0.02)
        killed.append(what if done else f"not {what}")
    for client in clients:
        client.join(SECONDS)
    story = (
        f"seed {seed}; killed {killed}; {time.monotonic() - began:.1f} s; longest wait {history.longest:.1f} s; "
        f"troubles {dict(history.troubles)}; {history.replayed} replays\n{hub.said()}"
    )
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT key, count(*) FROM feedback_feedback GROUP BY key").fetchall()
    return Outcome(history, dict(rows), story)


def test_no_acknowledged_feedback_is_lost_or_doubled_by_kills(
    hub: Hub, record_property: Callable[[str, object], None]
) -> None:
    began = time.monotonic()
    outcome = ordeal(hub, 10_000, 20)
    history, story = outcome.history, outcome.story
    assert (history.refused, history.given_up) == ([], []), story
    assert len(history.acknowledged) == 10_000, story
    assert "'not " not in story, f"a kill missed: {story}"
    assert sum(history.troubles.values()) > 0, f"the kills were not felt: {story}"
    assert outcome.stored.keys() == history.acknowledged.keys(), story
    assert set(outcome.stored.values()) == {1}, story
    assert history.longest < 40, story
    assert hub.stop() == 0
    assert time.monotonic() - began < SECONDS, story
    record_property("story", story.partition("\n")[0])


def test_the_harness_sees_a_loss_where_commits_do_not_reach_the_disk(hub: Hub) -> None:
    """Without this the test above might pass because it cannot fail."""
    outcome = ordeal(hub, 1_000, 8, forgetful=True)
    assert outcome.history.acknowledged.keys() - outcome.stored.keys(), outcome.story
