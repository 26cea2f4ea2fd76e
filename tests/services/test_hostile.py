"""What is built to exhaust a server is refused within a second and leaves it as small as it was.

Measured at the real server: the peak of the resident memory of each of its processes, against what they had after
an ordinary start.
"""

from __future__ import annotations

import gzip
import http.client
import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.runner.hub import Hub
from tests.services.test_kills import children_of

pytestmark = pytest.mark.services

MIB = 1024**2
SINGLE, BATCH, FEEDBACK = "/api/v1/interactions", "/api/v1/interactions/batch", "/api/v1/feedback"
ZIPPED = {"Content-Encoding": "gzip"}
KEYS = json.dumps(dict.fromkeys(map(str, range(100_000)), 1)).encode()
DEEP = b'{"metadata": ' + b'{"a": ' * 1000 + b"1" + b"}" * 1001
DIGITS = b'{"latency_ms": ' + b"9" * 5000 + b"}"
LINES = {**ZIPPED, "Content-Type": "application/x-ndjson"}
HOSTILE: dict[str, tuple[str, Callable[[], bytes], dict[str, str]]] = {
    "a gzip bomb of 1 GiB": (BATCH, lambda: gzip.compress(bytes(32 * MIB), 9) * 32, ZIPPED),
    "a gzip bomb for one interaction": (SINGLE, lambda: gzip.compress(bytes(256 * MIB), 6), ZIPPED),
    "a gzip bomb of spans": ("/v1/traces", lambda: gzip.compress(bytes(256 * MIB), 6), ZIPPED),
    "16 MiB of brackets": (BATCH, lambda: gzip.compress(b"[" * (16 * MIB - 1)), ZIPPED),
    "16 MiB of line breaks": (BATCH, lambda: gzip.compress(b"\n" * (16 * MIB - 1)), LINES),
    "8 million blank lines": (BATCH, lambda: gzip.compress(b" \n" * (8 * MIB - 1)), LINES),
    "8 million lines": (BATCH, lambda: gzip.compress(b"1\n" * (8 * MIB - 1)), LINES),
    "depth 1,000": (SINGLE, lambda: DEEP, {}),
    "depth 1,000 in an item": (BATCH, lambda: b"[" + DEEP + b"]", {}),
    "depth 1,000 of feedback": (FEEDBACK, lambda: DEEP, {}),
    "100,000 keys": (SINGLE, lambda: b'{"metadata": ' + KEYS + b"}", {}),
    "100,000 keys in each of ten items": (BATCH, lambda: b"[" + b",".join([KEYS] * 10) + b"]", {}),
    "100,000 keys of a span": ("/v1/traces", lambda: KEYS, {}),
    "an integer of 5,000 digits": (SINGLE, lambda: DIGITS, {}),
    "1,000 integers of 5,000 digits": (BATCH, lambda: b"[" + b",".join([DIGITS] * 1000) + b"]", {}),
    "an integer of 4 million digits": (SINGLE, lambda: b'{"latency_ms": ' + b"9" * 4_000_000 + b"}", {}),
}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Hub]:
    if not request.config.getoption("--services", default=False):
        pytest.skip("the services tier runs with --services")
    hub = Hub(tmp_path_factory.mktemp("hostile") / "a hub")
    hub.start()
    yield hub
    hub.stop()
    hub.clear()


@pytest.fixture(scope="module")
def key(hub: Hub) -> str:
    key: str = hub.bootstrap("shop")["secret_key"]
    whole = [{"id": str(number), "input": "x" * 2000, "output": "y"} for number in range(1000)]
    for _ in range(8):  # what a working server has loaded and pooled is not growth
        assert send(hub, key, BATCH, json.dumps(whole).encode(), {})[0] == 200
    return key


def send(hub: Hub, key: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    line = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=30)
    try:
        said = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", **headers}
        line.request("POST", path, body, said)
        answer = line.getresponse()
        return answer.status, answer.read()
    finally:
        line.close()


class Use:
    """Processor seconds and the peak of memory, of the server's processes. ``again`` starts both again."""

    def __init__(self, hub: Hub) -> None:
        leader = hub.children()["web"]
        self.processes = [Path(f"/proc/{pid}") for pid in (leader, *children_of(leader))]
        self.memory = self._memory("VmRSS")
        self.again()

    def again(self) -> None:
        for process in self.processes:
            (process / "clear_refs").write_text("5")
        self.processor = self._processor()

    def _memory(self, name: str) -> list[int]:
        lines = [(process / "status").read_text().splitlines() for process in self.processes]
        return [int(line.split()[1]) * 1024 for part in lines for line in part if line.startswith(f"{name}:")]

    def _processor(self) -> float:
        fields = [(process / "stat").read_text().rpartition(")")[2].split() for process in self.processes]
        return sum(int(field[11]) + int(field[12]) for field in fields) / os.sysconf("SC_CLK_TCK")

    def growth(self) -> int:
        """The most by which one process has been larger than at the start, at any moment since ``again``."""
        return max(peak - before for peak, before in zip(self._memory("VmHWM"), self.memory, strict=True))

    def seconds(self) -> float:
        return self._processor() - self.processor


@pytest.fixture(scope="module")
def use(hub: Hub, key: str) -> Use:
    return Use(hub)


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_refused_within_a_second_and_memory_does_not_grow(
    hub: Hub, key: str, use: Use, name: str, record_property: Callable[[str, object], None]
) -> None:
    path, make, headers = HOSTILE[name]
    body = make()
    use.again()
    status, text = send(hub, key, path, body, headers)
    seconds, growth = use.seconds(), use.growth()
    record_property("processor_ms", round(seconds * 1000))
    record_property("growth_mib", round(growth / MIB, 1))
    assert 400 <= status < 500 or all(400 <= one["status"] < 500 for one in json.loads(text)["results"]), text[:300]
    assert seconds < 1
    assert growth < 50 * MIB


WHOLE = json.dumps({"id": "chunked", "input": "?", "output": "!"}).encode()
HEAD = (
    "POST /api/v1/interactions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n"
    "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
)


@pytest.mark.parametrize(
    ("chunks", "statuses"),
    [
        (b"5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (WHOLE[:5], len(WHOLE) - 5, WHOLE[5:]), {b"201"}),
        (b"3\r\n{}}\r\n0\r\n\r\n", {b"400"}),
        (b"100000\r\n%b\r\n" % bytes(MIB) * 5 + b"0\r\n\r\n", {b"413"}),
        (b"zz\r\nhello\r\n", {b"400", b""}),
        (b"-5\r\nhello\r\n0\r\n\r\n", {b"400", b""}),
        (b"ffffffffffffffffff\r\nhello\r\n", {b"400", b"413", b""}),
        (b"5\r\nhelloXX\r\n0\r\n\r\n", {b"400", b""}),
    ],
    ids=["whole", "no JSON", "too much", "no size", "a negative size", "a huge size", "a wrong size"],
)
def test_a_body_in_chunks_is_read_or_refused(hub: Hub, key: str, chunks: bytes, statuses: set[bytes]) -> None:
    with socket.create_connection(("127.0.0.1", hub.port), timeout=10) as line:
        line.sendall(HEAD.format(key).encode() + chunks)
        answer = line.recv(65536)
    assert answer[9:12] in statuses, answer[:200]
    assert hub.get("/healthz")[0] == 200


def test_the_measure_sees_memory_that_is_used(hub: Hub, key: str, use: Use) -> None:
    """Without this the test above might pass because it cannot fail."""
    use.again()
    body = json.dumps([{"id": f"big-{number}", "input": "x" * 15_000, "output": "y"} for number in range(1000)])
    assert send(hub, key, BATCH, body.encode(), {})[0] == 200
    assert use.growth() > 10 * MIB
    assert use.seconds() > 0
