"""Requests that nobody should send, made by chance from a seed: the same number makes the same request again."""

from __future__ import annotations

import copy
import gzip
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.feedback.bodies import full_interaction, thumbs

ORIGIN = "https://chat.example.com"
SPAN = {"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": "chat",
        "startTimeUnixNano": "1544712660000000000", "endTimeUnixNano": 1544712661000000000, "kind": 1,
        "status": {"code": 1, "message": "ok"},
        "attributes": [
            {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
            {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "7"}},
            {"key": "list", "value": {"arrayValue": {"values": [{"doubleValue": 0.5}, {"boolValue": True}]}}},
            {"key": "map", "value": {"kvlistValue": {"values": [{"key": "a", "value": {"bytesValue": "AA=="}}]}}},
        ],
        "events": [{"name": "gen_ai.user.message", "timeUnixNano": "1544712660000000000", "attributes": [
            {"key": "content", "value": {"stringValue": "Why?"}}]}]}  # fmt: skip
SCORE = {"interaction_id": "req-1", "name": "tone", "value": 0.4, "label": "fine", "explanation": "…", "version": "1",
         "flagged": False, "detail": {"a": 1}, "created_at": "2026-11-20T12:00:00Z", "key": "k"}  # fmt: skip
BODIES: dict[str, Callable[[], Any]] = {
    "/api/v1/interactions": full_interaction,
    "/api/v1/interactions/batch": lambda: {"interactions": [full_interaction(), full_interaction(id="b")]},
    "/api/v1/interactions/req-8f2": lambda: {"outcome": {"resolved": True}, "tags": ["a"], "metadata": {"b": [1]}},
    "/api/v1/feedback": lambda: thumbs(comment="Hm", correction="So", key="k", metadata={"a": 1}, scale=5),
    "/api/v1/feedback/batch": lambda: [thumbs(), thumbs("up", kind="rating"), {"kind": "comment", "comment": "x"}],
    "/api/v1/feedback/beacon": lambda: {"key": "rh_pk_x", "token": "t.t.t", "feedback": thumbs()},
    "/api/v1/scores": lambda: dict(SCORE),
    "/api/public/scores": lambda: {"traceId": "t", "name": "thumbs", "value": 1, "comment": "x", "id": "1",
                                   "dataType": "NUMERIC", "metadata": {}},
    "/feedback": lambda: {"run_id": "r", "trace_id": "t", "key": "user_score", "score": 1, "comment": "c",
                          "correction": {"text": "x"}, "feedback_source": {"type": "app"}, "extra": {}, "id": "9"},
    "/v1/traces": lambda: {"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [
        {"scope": {"name": "s"}, "spans": [copy.deepcopy(SPAN)]}]}]},
}  # fmt: skip
# Fragments of JSON, or of what is none, that stand in the place of a value.
VALUES = [
    b"null", b"true", b"0", b"-1", b"1e400", b"-1e-400", b"NaN", b"-Infinity", b"9" * 5000, b"1." + b"0" * 5000,
    b"9223372036854775808", b"-9223372036854775809", b"0.1e", b"01", b"{}", b"[]", b"[null]", b'{"": {}}',
    b'""', b'"\\u0000"', b'"\\ud800"', b'"\\udc00x"', b'"\xff\xfe"', b'"\xed\xa0\x80"', b'"\\ufffd"', b'"\\x"',
    b'"' + b"x" * 300_000 + b'"', b'"' + b"\xf0\x9f\x98\x80" * 30_000 + b'"', b"[" * 1000 + b"]" * 1000,
    b'{"a":' * 1000 + b"1" + b"}" * 1000, b"[" + b"1," * 2000 + b"1]", b'{"a": 1, "a": 2}', b"'single'",
    b'"2026-13-45T99:99:99Z"', b'"0001-01-01T00:00:00+23:59"', b'"9999-12-31T23:59:60Z"', b'"2026-11-20"',
    b'"1e999999"', b'"NaN"', b'"../../etc/passwd"', b'"%s%n{0}{{7*7}}"', b"/* comment */ 1", b"", b"\0",
    b'"\\u202e\\u0007\\u001b[31m"', b'"rh_sk_x"', b"18446744073709551616", b'"18446744073709551616"', b'"-5"', b"1e15",
    b'{"stringValue": 5}', b'{"intValue": "x"}', b'{"arrayValue": null}', b'{"kvlistValue": {"values": [null]}}',
]  # fmt: skip
KEYS = ["", "\0", "\ud800", "x" * 201, "__proto__", "id", "kind", "interactions", "$ref", "a.b", "é", " "]
WHOLE = [
    b"", b" ", b"\0", b"null", b"[]", b"{}", b'"x"', b"7", b"\xff" * 100, b"\xef\xbb\xbf{}",
    '{"id": "é"}'.encode("utf-16"), b"[" * 100_000, b"{" * 100_000,
    json.dumps({str(n): n for n in range(100_000)}).encode(), b"\n" * 100_000, b"[" + b"{}," * 5000 + b"{}]",
    b"{}\n" * 1500, b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x02\x12\x00" * 500, b"PK\x03\x04", b"a=1&b=2",
    b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--x--", b"5\r\nhello\r\n0\r\n\r\n",
]  # fmt: skip
BOMB = gzip.compress(bytes(20 * 1024**2), 9)
TYPES = [
    "text/plain", "application/x-ndjson", "application/x-protobuf", "application/xml",
    "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "", "application/json; charset=utf-16",
    "application/json; charset=\"", ";;;", "APPLICATION/JSON", "application/vnd.api+json", "a/b/c",
    "application/json; " + "x" * 5000,
]  # fmt: skip
IDS = [
    "../../../etc/passwd", "..%2f..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e", "%00", "a%00b", "%ff%fe", "%ed%a0%80",
    "x" * 5000, "%0a", "%0d%0aSet-Cookie:%20a=b", "'; DROP TABLE x; --", "%25%32%65", "//", "?", "%", "%zz", "batch/",
    "\\..\\", "%F0%9F%98%80", "{id}", "1e999",
]  # fmt: skip
QUERIES = [
    "limit=0", "limit=201", "limit=9999999999", "limit=%D9%A3", "limit=", "limit=-1", "limit=1e2", "limit=1&limit=2",
    "cursor=x", "cursor=%00", "cursor=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "q=%00", "q=" + "x" * 300, "q=%25_\\",
    "since=2026-13-45", "since=0001-01-01T00:00:00%2B23:59", "until=9999-12-31", "since=%00", "tag=%ff",
    "tag=a&tag=b", "feedback=odd", "unknown=1", "%00=1", "model=%ed%a0%80", "status=ok&status=error",
    "session=" + "%F0%9F%98%80" * 200, "name=cost&since=x", "name=cost&bucket=1s", "name=%00", "group_by=model",
    "q=%22", "q=-", "q=a:*%26!(", "linked=false", "linked=no", "state=odd", "min_cost_usd=NaN",
    "max_latency_ms=1e400", "min_latency_ms=-1", "score=:", "score=a:over",
]  # fmt: skip
PLACES = [
    "/api/v1/interactions/{}", "/api/v1/datasets/{}/versions", "/api/v1/datasets/x/versions/{}/export",
    "/api/v1/runs/{}", "/api/v1/queues/{}/claim", "/api/v1/claims/{}/heartbeat",
]  # fmt: skip
LISTS = [
    "/api/v1/interactions",
    "/api/v1/metrics",
    "/api/v1/feedback",
    "/api/v1/datasets",
    "/api/v1/queues",
    "/metrics",
]
HEADERS = {
    "Idempotency-Key": ["", "x" * 181, "é", "\ufffd", "k", "a b", "\x7f"],
    "X-Interaction-Token": ["", ".", "..", "a.b.c", "é.é.é", "x" * 9000, "eyJhbGciOiJub25lIn0.e30."],
    "Origin": ["", "null", ORIGIN, "https://evil.example.com", "é", "x" * 5000],
    "Accept": ["", "text/html", "*", "application/json; q=x", "application/x-protobuf", ";", "image/*, */*;q=0"],
    "Content-Encoding": ["gzip", "x-gzip", "br", "gzip, gzip", "identity", "é", "deflate"],
    "X-Forwarded-For": ["", "::::", "1.2.3.4, é", "x" * 2000, "%00"],
    "Authorization": ["", "Bearer", "Bearer \x7f", "Bearer é", "Basic eA==", "Basic é", "Bearer rh_sk_" + "a" * 5000],
    "x-api-key": ["", "é", "x" * 5000],
    "Content-Length": ["0", "1", "99999999"],
}  # fmt: skip


LARGEST = 20 * 1024**2  # a little more than any body may have


@dataclass
class Hostile:
    """One request, ready for ``Client.generic``."""

    method: str
    path: str
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.path[:300]} {self.content_type[:80]} {self.headers} {self.body[:600]!r}"


def request(chance: random.Random, key: str) -> Hostile:
    """A request of this stream of chance, by somebody with this key."""
    kind = chance.random()
    if kind < 0.12:
        made = Hostile("GET", f"{chance.choice(LISTS)}?{'&'.join(chance.choices(QUERIES, k=chance.randint(1, 3)))}")
    elif kind < 0.2:
        path = chance.choice(PLACES).format(chance.choice(IDS))
        made = Hostile(chance.choice(["GET", "POST", "PATCH", "PUT"]), path, b"{}")
    else:
        made = _posted(chance)
    made.headers = {"Authorization": f"Bearer {key}", "Origin": ORIGIN} | made.headers
    for name in chance.sample(sorted(HEADERS), chance.choice([0, 0, 0, 1, 2])):
        made.headers[name] = chance.choice(HEADERS[name])
    if chance.random() < 0.1:
        made.content_type = chance.choice(TYPES)
    if chance.random() < 0.03:
        made.method = chance.choice(["GET", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE", "BREW"])
    return made


def _posted(chance: random.Random) -> Hostile:
    path = chance.choice(sorted(BODIES))
    made = Hostile("PATCH" if path.endswith("req-8f2") else "POST", path)
    if path.endswith("beacon"):
        made.content_type = "text/plain"
    tree = BODIES[path]()
    if isinstance(tree, list) and chance.random() < 0.3:
        made.content_type = "application/x-ndjson"
        made.body = b"\n".join(_mutated(chance, item) for item in tree)
    else:
        made.body = chance.choice(WHOLE) if chance.random() < 0.1 else _mutated(chance, tree)
    if path == "/v1/traces" and chance.random() < 0.4:
        made.content_type = "application/x-protobuf"
        made.body = chance.choice([chance.randbytes(chance.randint(0, 300)), made.body])
    if chance.random() < 0.15:
        made.body = _damaged(chance, made.body)
    if chance.random() < 0.1:
        made.headers["Content-Encoding"] = "gzip"
        packed = BOMB if chance.random() < 0.1 else gzip.compress(made.body, 1)
        made.body = chance.choice([packed, packed[: chance.randint(0, len(packed))], packed + b"x", packed * 2])
    return made


def _mutated(chance: random.Random, tree: Any) -> bytes:
    """The tree with one to four places in it replaced, removed, renamed or doubled."""
    fragments: dict[bytes, bytes] = {}
    for number in range(chance.choice([0, 1, 1, 1, 2, 4])):
        places = list(_places(tree))
        if not places:
            break
        holder, place = chance.choice(places)
        deed = chance.random()
        if deed < 0.7:
            mark = f"@{number}@"
            fragments[f'"{mark}"'.encode()] = chance.choice(VALUES)
            holder[place] = mark
        elif deed < 0.8:
            del holder[place]
        elif isinstance(holder, dict):
            holder[chance.choice(KEYS)] = holder[place] if deed < 0.9 else holder.pop(place)
        else:
            holder.extend([holder[place]] * chance.choice([1, 60, 1100]))
            break  # copies of copies would fill our own memory, not the server's
    body = json.dumps(tree).encode()
    for mark, fragment in fragments.items():
        body = body.replace(mark, fragment, max(1, LARGEST // max(len(fragment), 1)))
    return body


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for place, value in list(pairs):
        yield tree, place
        yield from _places(value)


def _damaged(chance: random.Random, body: bytes) -> bytes:
    """Bytes cut off, changed, or put in between."""
    at = chance.randint(0, len(body))
    return chance.choice([
        body[:at], body[at:], body[:at] + chance.randbytes(chance.randint(1, 8)) + body[at:],
        body[:at] + bytes([chance.randrange(256)]) + body[at + 1 :], body + body,
    ])  # fmt: skip
