"""The background sender: nothing lost in an outage, nothing twice, bounded memory, never in the application's way."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from reviewhub_client import Background, Hub, Refused

from tests.fakes.hub import FakeHub, answers, stores_and_hangs_up
from tests.runner.hub import free_port

KEY = "rh_sk_AbCdEf0123" + "s" * 43
ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def fake() -> Iterator[FakeHub]:
    with FakeHub() as server:
        yield server


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reviewhub_client.background.BACKOFF", 0.02)


def sender(url: str, **options: Any) -> Background:
    return Hub(url, KEY).background(**{"interval": 0.02, **options})


def item(name: str, **fields: Any) -> dict[str, Any]:
    return {"id": name, "input": "Fee?", "output": "Free.", **fields}


def until(true: Any, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "did not come true"
        time.sleep(0.005)


def test_items_travel_in_compressed_batches(fake: FakeHub) -> None:
    background = sender(fake.url, batch_items=100, interval=60)
    for number in range(250):
        background.record_interaction(item(f"i{number}"))
    until(lambda: len(fake.stored) == 200)  # two full batches; the rest is not due for a minute
    assert background.flush(5)
    assert fake.batches == [100, 100, 50]
    assert {request.headers["content-encoding"] for request in fake.requests} == {"gzip"}
    assert (background.statistics.sent, background.statistics.waiting, background.statistics.waiting_bytes) == (
        250,
        0,
        0,
    )


def test_a_lonely_item_goes_after_the_interval(fake: FakeHub) -> None:
    background = sender(fake.url, interval=0.05)
    background.record_interaction(item("a"))
    until(lambda: "a" in fake.stored)


def test_every_kind_is_sent_with_a_key_and_the_time_at_which_it_happened(fake: FakeHub) -> None:
    background = sender(fake.url)
    made = [
        background.record_interaction({"input": "x", "output": "y"}),
        background.feedback("a", "thumbs", "down", comment="wrong fee"),
        background.score("a", "length", 5),
    ]
    assert background.flush(5)
    assert set(fake.stored) == set(made)
    assert all("created_at" in body for body in fake.stored.values())
    assert fake.stored[made[1]]["comment"] == "wrong fee"


def test_what_is_sent_again_after_a_lost_answer_counts_once(fake: FakeHub) -> None:
    fake.script(stores_and_hangs_up, answers(503), stores_and_hangs_up, answers(429, **{"Retry-After": "0"}))
    background = sender(fake.url)
    names = {background.record_interaction(item(f"i{number}")) for number in range(50)}
    assert background.flush(10)
    assert set(fake.stored) == names
    assert fake.replays >= 50
    assert background.statistics.retries >= 4


def test_a_hub_that_dies_and_comes_back_gets_everything_once() -> None:
    port = free_port()
    background = sender(f"http://127.0.0.1:{port}", batch_items=40)
    stored: dict[str, Any] = {}
    names = set()
    for outage in range(3):
        names |= {background.record_interaction(item(f"{outage}-{number}")) for number in range(100)}
        with FakeHub(port) as fake:
            fake.stored = stored
            fake.script(stores_and_hangs_up)
            until(lambda: len(stored) >= 100 * outage + 60)  # noqa: B023  # asked at once
        time.sleep(0.03)
    with FakeHub(port) as fake:
        fake.stored = stored
        assert background.flush(10)
    assert set(stored) == names
    assert (background.statistics.dropped, background.statistics.failed) == (0, 0)


def test_one_refused_item_does_not_hold_the_others_back(fake: FakeHub, caplog: pytest.LogCaptureFixture) -> None:
    fake.refused = {"i3", "i7"}
    told: list[Refused] = []
    background = sender(fake.url, on_refused=told.append)
    for number in range(10):
        background.record_interaction(item(f"i{number}"))
    assert background.flush(5)
    assert len(fake.stored) == 8
    assert [(one.kind, one.id, one.status, one.error["code"]) for one in told] == [
        ("interaction", "i3", 422, "invalid"), ("interaction", "i7", 422, "invalid")]  # fmt: skip
    assert (background.statistics.sent, background.statistics.failed) == (8, 2)
    assert len([record for record in caplog.records if "was refused" in record.message]) == 1


def test_one_item_that_breaks_the_server_is_found_and_left_out(fake: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reviewhub_client.background.TRIED_ON_500", 2)
    fake.breaking = {"i37"}
    background = sender(fake.url)
    for number in range(60):
        background.record_interaction(item(f"i{number}"))
    assert background.flush(20)
    assert len(fake.stored) == 59
    assert background.statistics.failed == 1


def test_a_key_that_is_refused_is_told_and_not_tried_again(fake: FakeHub) -> None:
    fake.script(answers(401))
    background = sender(fake.url)
    background.record_interaction(item("a"))
    assert background.flush(5)
    assert (background.statistics.failed, background.statistics.last_error, len(fake.requests)) == (1, "not now", 1)


def test_a_callback_that_fails_is_the_applications_business_only(fake: FakeHub) -> None:
    fake.refused = {"a"}
    background = sender(fake.url, on_refused=lambda refused: 1 / 0)
    background.record_interaction(item("a"))
    background.record_interaction(item("b"))
    assert background.flush(5)
    assert set(fake.stored) == {"b"}


@pytest.mark.parametrize(("overflow", "kept"), [("drop_oldest", range(90, 100)), ("drop_newest", range(10))])
def test_beyond_the_limit_the_chosen_ones_are_dropped_and_counted(overflow: Any, kept: range, fake: FakeHub) -> None:
    background = sender(fake.url, max_items=10, interval=60, overflow=overflow)
    for number in range(100):
        background.record_interaction(item(f"i{number}"))
    assert background.statistics.waiting == 10
    assert background.flush(5)
    assert set(fake.stored) == {f"i{number}" for number in kept}
    assert background.statistics.dropped == 90


def test_memory_is_bounded_by_bytes_while_the_hub_is_away() -> None:
    """100,000 items of 3 kB, 300 MB, are offered to a sender that may hold 8 MB."""
    script = f"""
import resource, sys
sys.path[:0] = {[str(ROOT / "client")]!r}
from reviewhub_client import Hub
background = Hub("http://127.0.0.1:{free_port()}", {KEY!r}).background(max_bytes=8_000_000, max_items=1_000_000)
for number in range(3_000):
    background.record_interaction({{"id": f"w{{number}}", "input": "Fee?", "output": "x" * 2900}})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for number in range(100_000):
    background.record_interaction({{"id": f"i{{number}}", "input": "Fee?", "output": "x" * 2900}})
grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
told = background.statistics
assert told.waiting_bytes <= 8_000_000 and told.waiting + told.dropped == 103_000, told
background.close(0)
assert grown < 20, f"grew by {{grown:.0f}} MiB"
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_handing_over_takes_microseconds_and_never_raises(fake: FakeHub) -> None:
    background = sender(fake.url, interval=60)
    circle: dict[Any, Any] = {}
    circle["self"] = circle
    strange = [
        {"output": float("nan")}, {"output": "\ud800"}, {"output": {1, 2}}, {"metadata": circle},
        {"metadata": {("a", "b"): object()}}, {"output": b"bytes"}, {"id": 7}, {"output": "x" * 5_000_000},
    ]  # fmt: skip
    for fields in strange:
        background.record_interaction({"input": "x", **fields})
    assert background.flush(5)
    assert (background.statistics.sent, background.statistics.failed) == (7, 1), "what is too large is refused here"
    body = {"input": "Fee?", "output": "x" * 2_500, "metadata": {"a": 1}}
    began = time.process_time()
    for _ in range(2_000):
        background.record_interaction(body)
    assert (time.process_time() - began) / 2_000 < 0.0005


def test_many_threads_hand_over_at_once(fake: FakeHub) -> None:
    background = sender(fake.url, batch_items=37)

    def work(name: int) -> None:
        for number in range(200):
            background.record_interaction(item(f"{name}-{number}"))

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert background.flush(10)
    assert (len(fake.stored), fake.replays) == (1_600, 0)


def test_no_thread_before_the_first_item_and_none_after_idling(fake: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reviewhub_client.background.IDLE_SECONDS", 0.05)
    senders = lambda: [thread for thread in threading.enumerate() if thread.name == "reviewhub-sender"]  # noqa: E731
    before = len(senders())
    hub = Hub(fake.url, KEY)
    background = hub.background()
    assert len(senders()) == before
    background.record_interaction(item("a"))
    assert background.flush(5)
    until(lambda: len(senders()) <= before)
    background.record_interaction(item("b"))
    assert background.flush(5)
    assert set(fake.stored) == {"a", "b"}
    until(lambda: len(senders()) <= before)
    held = weakref.ref(background)
    del background, hub
    gc.collect()
    assert held() is None, "a sender that nobody holds goes away"


def test_flush_says_when_time_has_passed() -> None:
    background = sender(f"http://127.0.0.1:{free_port()}")
    background.record_interaction(item("a"))
    began = time.monotonic()
    assert background.flush(0.3) is False
    assert time.monotonic() - began < 2
    assert background.close(0.1) is False
    assert background.statistics.dropped == 1
    background.record_interaction(item("late"))
    assert background.statistics.dropped == 2


def test_something_recorded_in_the_middle_of_recording_does_not_lock_up(fake: FakeHub) -> None:
    """A destructor may run while the sender's lock is held, and record."""
    background = sender(fake.url)
    with background._lock:
        background.record_interaction(item("a"))
    assert background.flush(5)
    assert set(fake.stored) == {"a"}


def test_wrong_options_are_told_at_once(fake: FakeHub) -> None:
    with pytest.raises(ValueError, match="max_items"):
        sender(fake.url, max_items=0)
    with pytest.raises(ValueError, match="overflow"):
        sender(fake.url, overflow="block")
    hub = Hub(fake.url, KEY)
    hub.background()
    with pytest.raises(ValueError, match="first call"):
        hub.background(max_items=5)


PREPARE = f"""
import os, sys, threading, time
sys.path[:0] = [{str(ROOT / "client")!r}]
from reviewhub_client import Hub
hub = Hub(sys.argv[1], {KEY!r})
def put(name):
    hub.background().record_interaction({{"id": name, "input": "x", "output": "y"}})
"""


def run(fake: FakeHub, script: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", PREPARE + script, fake.url],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stderr == ""
    return done


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "import atexit; atexit.register(put, 'from-atexit')"])
def test_a_script_that_ends_sends_what_waits(fake: FakeHub, end: str) -> None:
    run(fake, f"for n in range(1200): put(f'i{{n}}')\n{end}")
    assert {f"i{number}" for number in range(1200)} <= set(fake.stored)


def test_the_end_of_a_script_does_not_wait_longer_than_it_may(fake: FakeHub) -> None:
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-c", PREPARE + "hub.background(exit_timeout=0.3)\nput('a')", f"http://127.0.0.1:{free_port()}"],
        timeout=60, check=True, capture_output=True,
    )  # fmt: skip
    assert time.monotonic() - began < 5


def test_parent_and_child_of_a_fork_send_their_own(fake: FakeHub) -> None:
    """Also where another thread of the parent held the lock at that moment."""
    run(fake, """
put("before-1"); hub.background().flush(10); put("before-2")
held, go_on = threading.Event(), threading.Event()
def hold():
    with hub.background()._lock:
        held.set(); go_on.wait()
threading.Thread(target=hold).start(); held.wait()
pid = os.fork()
if pid == 0:
    put("child"); hub.record_interaction({"id": "direct", "input": "x", "output": "y"})
    os._exit(0 if hub.background().flush(10) else 9)
go_on.set()
put("parent")
assert os.waitpid(pid, 0)[1] == 0
""")  # fmt: skip
    assert set(fake.stored) == {"before-1", "before-2", "child", "direct", "parent"}
    assert fake.replays == 0


def test_a_child_of_multiprocessing_sends_what_waits_at_its_end(fake: FakeHub) -> None:
    run(fake, """
import multiprocessing
put("parent")
child = multiprocessing.get_context("fork").Process(target=put, args=("child",))
child.start(); child.join()
assert child.exitcode == 0
""")  # fmt: skip
    assert set(fake.stored) == {"parent", "child"}


def test_importing_and_making_a_hub_starts_nothing() -> None:
    script = (
        f"import sys, threading, os; sys.path[:0] = [{str(ROOT / 'client')!r}]\n"
        f"from reviewhub_client import AsyncHub, Hub; Hub('http://127.0.0.1:1', {KEY!r}).background()\n"
        "assert threading.active_count() == 1\n"
        "assert not {'openai', 'anthropic', 'django'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], env={"PATH": os.environ["PATH"]}).returncode == 0
