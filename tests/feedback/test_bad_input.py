"""What nobody should send: the right 4xx with a path, quickly, and never a 500."""

from __future__ import annotations

import gzip
import json
import time
import tracemalloc
import zlib
from typing import Any

import pytest
from django.test import Client

from feedback.models import Feedback, Interaction
from tests.conftest import Api
from tests.feedback.bodies import interaction, thumbs

URL, FEEDBACK, BATCH = "/api/v1/interactions", "/api/v1/feedback", "/api/v1/interactions/batch"
BROKEN = {
    "blanks": b" \n", "half": b'{"id": "a"', "words": b"hello", "a list": b"[]", "a number": b"7", "null": b"null",
    "NaN": b'{"latency_ms": NaN}', "Infinity": b'{"latency_ms": -Infinity}', "1e400": b'{"latency_ms": 1e400}',
    "a huge integer": b'{"latency_ms": ' + b"9" * 5000 + b"}", "duplicate keys": b'{"id": "a", "id": "b"}',
    "not UTF-8": b'{"id": "\xff\xfe"}', "a byte order mark": b"\xef\xbb\xbf{}",
    "depth 1,000": b"[" * 1000 + b"]" * 1000,
    "depth 1,000 in a field": b'{"metadata": ' + b'{"a":' * 1000 + b"1" + b"}" * 1001,
    "100,000 keys": json.dumps({"metadata": {str(n): n for n in range(100_000)}}).encode(),
    "NUL in a key": b'{"a\\u0000b": 1}', "trailing": b"{} {}", "single quotes": b"{'id': 1}", "NUL": b"\0",
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("url", [URL, FEEDBACK, "/api/v1/scores", f"{URL}/req-1"])
def test_a_body_that_is_no_json_object_is_refused(sk: Api, url: str, name: str) -> None:
    began = time.process_time()
    status, body = sk.call("PATCH" if url.endswith("req-1") else "POST", url, BROKEN[name])
    if name == "100,000 keys" and url != URL:  # larger than such bodies may be
        assert status == 413
        return
    assert status == (422 if name in {"a list", "a number", "null"} else 400), body
    assert body["error"]["code"] == ("invalid" if status == 422 else "malformed_json")
    assert time.process_time() - began < 1
    assert not Interaction.objects.exists()


@pytest.mark.parametrize("name", [name for name in BROKEN if name != "a list"])
@pytest.mark.parametrize("url", [BATCH, "/api/v1/feedback/batch"])
def test_a_batch_that_is_none_is_refused(sk: Api, url: str, name: str) -> None:
    status, _ = sk.post(url, BROKEN[name])
    assert status in {400, 422}


@pytest.mark.parametrize("name", [name for name in BROKEN if name != "blanks"])
def test_a_broken_item_of_a_batch_is_refused_alone(sk: Api, name: str) -> None:
    if name in {
        "not UTF-8",
        "a byte order mark",
        "NUL",
        "half",
        "words",
        "trailing",
        "single quotes",
        "NaN",
        "Infinity",
    }:
        lines = b"\n".join([json.dumps(interaction()).encode(), BROKEN[name]])
        _, body = sk.call("POST", BATCH, lines, content_type="application/x-ndjson")
    else:
        status, body = sk.post(BATCH, b"[" + json.dumps(interaction()).encode() + b"," + BROKEN[name] + b"]")
        if name.startswith("depth"):  # too deep to be taken apart at all
            assert status in {200, 400}
            return
    first, second = body["results"]
    assert first["status"] == 201
    assert second["status"] in {400, 422}
    assert second["error"]["message"]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"messages": "hello"}, "/messages"),
        ({"messages": [{"content": "x"}]}, "/messages/0"),
        ({"messages": [{"role": "user", "content": "x"}, {"role": 7}]}, "/messages/1/role"),
        ({"messages": [{"role": "user", "content": {"a": 1}}]}, "/messages/0/content"),
        ({"messages": [{"role": "user", "content": [{"text": "x" * 100_001}]}]}, "/messages/0/content"),
        ({"messages": None}, "/messages"),
        ({"input": "x"}, "/input"),
        ({"output": None}, "/output"),
        ({"output": 7}, "/output"),
        ({"output": [{"role": "assistant", "content": 1}]}, "/output/0/content"),
        ({"output": "x" * 1_000_000}, "/output"),
        ({"id": ""}, "/id"), ({"id": 7}, "/id"), ({"id": "x" * 201}, "/id"), ({"id": "a\0b"}, "/id"),
        ({"session_id": "a\ud800"}, "/session_id"), ({"user_id": "x" * 201}, "/user_id"),
        ({"created_at": "yesterday"}, "/created_at"), ({"created_at": "2026-11-20T12:00:00"}, "/created_at"),
        ({"created_at": "0001-01-01T00:00:00Z"}, "/created_at"),
        ({"created_at": "9999-12-31T23:59:59Z"}, "/created_at"),
        ({"created_at": 1e300}, "/created_at"),
        ({"created_at": "2199-12-31T23:59:59-23:59"}, "/created_at"),
        ({"created_at": "0001-01-01T00:00:00+23:59"}, "/created_at"),
        ({"latency_ms": -1}, "/latency_ms"), ({"latency_ms": True}, "/latency_ms"),
        ({"latency_ms": "12"}, "/latency_ms"),
        ({"latency_ms": 1e300}, "/latency_ms"),
        ({"cost_usd": "NaN"}, "/cost_usd"), ({"cost_usd": "-1"}, "/cost_usd"), ({"cost_usd": 1e300}, "/cost_usd"),
        ({"cost_usd": "1000000"}, "/cost_usd"), ({"cost_usd": "Infinity"}, "/cost_usd"),
        ({"cost_usd": "1e999999"}, "/cost_usd"), ({"cost_usd": "999999.999999999"}, "/cost_usd"),
        ({"usage": {"input_tokens": -1}}, "/usage/input_tokens"),
        ({"usage": {"input_tokens": 2**62}}, "/usage/input_tokens"),
        ({"usage": {"input_tokens": 1.5}}, "/usage/input_tokens"), ({"usage": []}, "/usage"),
        ({"status": "fine"}, "/status"), ({"error": "boom"}, "/error"), ({"error": {"type": 5}}, "/error/type"),
        ({"tags": ["a", 7]}, "/tags/1"), ({"tags": "vip"}, "/tags"), ({"tags": [""]}, "/tags/0"),
        ({"metadata": []}, "/metadata"), ({"parameters": "x"}, "/parameters"), ({"outcome": True}, "/outcome"),
        ({"documents": {}}, "/documents"), ({"documents": [{"content": 7}]}, "/documents/0/content"),
        ({"documents": [{"score": "high"}]}, "/documents/0/score"), ({"prompt": "v3"}, "/prompt"),
        ({"spans": [{"name": "x"}]}, "/spans/0"), ({"spans": [{"id": "a", "kind": "magic"}]}, "/spans/0/kind"),
        ({"spans": [{"id": "a"}, {"id": "a"}]}, "/spans/1/id"),
        ({"spans": [{"id": "a", "status": "odd"}]}, "/spans/0/status"),
        ({"spans": [{"id": "a", "started_at": "1066-10-14T09:00:00Z"}]}, "/spans/0/started_at"),
        ({"spans": [{"id": "a", "attributes": 1}]}, "/spans/0/attributes"), ({"tools": [1]}, "/tools/0"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("batch", [False, True])
def test_a_field_that_does_not_fit_is_named(sk: Api, changes: dict[str, Any], path: str, batch: bool) -> None:
    body = {**interaction(), **changes}
    status, answer = sk.post(BATCH, [body]) if batch else sk.post(URL, body)
    if batch:
        status, answer = answer["results"][0]["status"], answer["results"][0]
    assert status == 422, answer
    assert answer["error"]["details"][0]["path"] == path
    assert not Interaction.objects.exists()


@pytest.mark.parametrize("text", ["a\0b", "cut \ud83d off", "\udc00"])
def test_nul_and_lone_surrogates_in_free_text_are_replaced_and_reported(sk: Api, text: str) -> None:
    body = interaction(output=text, metadata={"note": text}, messages=[{"role": "user", "content": [{"text": text}]}])
    assert sk.post(URL, body) == (201, {"id": "req-1", "replayed": False, "sanitized": True})
    assert sk.post(URL, body)[0] == 200
    assert sk.post(FEEDBACK, thumbs(comment=text, correction=text))[1]["sanitized"] is True
    stored, feedback = Interaction.objects.get(), Feedback.objects.get()
    assert stored.sanitized
    assert feedback.sanitized
    assert "\ufffd" in stored.output
    assert "\ufffd" in feedback.comment
    _, got = sk.get(f"{URL}/req-1")
    assert got["metadata"]["note"] == stored.output
    _, answer = sk.post(BATCH, [interaction(id="b", output=text)])
    assert answer["results"][0]["sanitized"] is True


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "{{ 7*7 }}", "%s %(a)s {0}", "'; DROP TABLE x; --", "\\", "\u202e"]
)
def test_hostile_text_is_kept_as_it_is(sk: Api, text: str) -> None:
    body = interaction(
        output=text, feature=text, model=text, tags=[text], metadata={"a": text}, session_id=text, release=text
    )
    assert sk.post(URL, body)[0] == 201
    sk.post(BATCH, [{**body, "id": "batched"}])
    for name in ("req-1", "batched"):
        _, got = sk.get(f"{URL}/{name}")
        assert [got[field] for field in ("output", "feature", "model", "session_id", "release")] == [text] * 5
        assert got["tags"] == [text]


class TestMediaTypes:
    @pytest.mark.parametrize(
        "media_type", ["text/plain", "application/xml", "multipart/form-data", "", "application/x-ndjson"]
    )
    def test_only_json_is_read(self, sk: Api, media_type: str) -> None:
        status, body = sk.call("POST", URL, b"{}", content_type=media_type)
        assert (status, body["error"]["code"]) == (415, "unsupported_media_type")

    @pytest.mark.parametrize(
        "media_type", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.api+json"]
    )
    def test_json_may_be_said_in_several_ways(self, sk: Api, media_type: str) -> None:
        assert sk.call("POST", URL, json.dumps(interaction()).encode(), content_type=media_type)[0] == 201

    def test_an_answer_that_cannot_be_given_is_refused_even_without_a_key(self, nobody: Api, sk: Api) -> None:
        for caller in (nobody, sk):
            status, body = caller.post(FEEDBACK, thumbs(), Accept="text/html")
            assert (status, body["error"]["code"]) == (406, "not_acceptable")

    def test_other_charsets_and_encodings_are_refused(self, sk: Api) -> None:
        assert sk.call("POST", URL, b"{}", content_type="application/json; charset=utf-16")[0] == 415
        assert sk.post(URL, b"{}", **{"Content-Encoding": "br"})[0] == 415


class TestSizes:
    def test_a_body_over_the_limit_is_refused_before_it_is_read(self, sk: Api) -> None:
        for url, limit in ((FEEDBACK, 256 * 1024), (URL, 4 * 1024**2), (BATCH, 16 * 1024**2)):
            exact = b'{"x": "' + b"a" * (limit - 9) + b'"}'
            assert len(exact) == limit
            assert sk.post(url, exact)[0] == 422  # read, and found wanting
            status, body = sk.post(url, exact + b" ")
            assert (status, body["error"]["code"]) == (413, "too_large")

    @pytest.mark.parametrize("members", [1, 2])
    def test_a_gzip_bomb_is_refused_without_growing(self, sk: Api, members: int) -> None:
        bomb = gzip.compress(b"[" + b" " * (100 * 1024**2), 9) * members
        assert len(bomb) < 300_000
        sk.get(URL)
        tracemalloc.start()
        began = time.process_time()
        status, _ = sk.post(BATCH, bomb, **{"Content-Encoding": "gzip"})
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert status == 413
        assert time.process_time() - began < 1
        assert peak < 50 * 1024**2

    @pytest.mark.parametrize(
        "body",
        [
            b"{}",
            gzip.compress(b"[]")[:-4],
            gzip.compress(b"[]")[:12],
            zlib.compress(b"[]"),
            gzip.compress(b"[]") + b"x",
        ],
        ids=["plain", "no end", "no body", "zlib", "trailing"],  # gzip holds the time: names would differ by process
    )
    def test_what_is_not_gzip_is_refused(self, sk: Api, body: bytes) -> None:
        status, answer = sk.post(BATCH, body, **{"Content-Encoding": "gzip"})
        assert (status, answer["error"]["code"]) == (400, "malformed_gzip")

    def test_gzip_in_several_members_is_read(self, sk: Api) -> None:
        whole = json.dumps([interaction(), interaction(id="b")]).encode()
        body = gzip.compress(whole[:40]) + gzip.compress(whole[40:])
        assert sk.post(BATCH, body, **{"Content-Encoding": "gzip"})[0] == 200
        assert Interaction.objects.count() == 2

    def test_a_batch_has_at_most_a_thousand_items(self, sk: Api) -> None:
        items = [interaction(id=str(n)) for n in range(1001)]
        assert sk.post(BATCH, items)[0] == 413
        assert not Interaction.objects.exists()
        status, body = sk.post(BATCH, items[:1000])
        assert (status, len(body["results"])) == (200, 1000)
        assert Interaction.objects.count() == 1000


@pytest.mark.parametrize(
    ("exact", "over", "path"),
    [
        ({"output": "x" * 100_000}, {"output": "x" * 100_001}, "/output"),
        ({"id": "é" * 200}, {"id": "é" * 201}, "/id"),
        ({"feature": "x" * 200}, {"feature": "x" * 201}, "/feature"),
        ({"tags": ["t"] * 50}, {"tags": ["t"] * 51}, "/tags"),
        ({"tags": ["x" * 200]}, {"tags": ["x" * 201]}, "/tags/0"),
        ({"metadata": {str(n): n for n in range(1000)}}, {"metadata": {str(n): n for n in range(1001)}}, "/metadata"),
        ({"documents": [{}] * 200}, {"documents": [{}] * 201}, "/documents"),
        (
            {"documents": [{"content": "x" * 100_000}]}, {"documents": [{"content": "x" * 100_001}]},
            "/documents/0/content",
        ),
        ({"spans": [{"id": str(n)} for n in range(1000)]}, {"spans": [{"id": str(n)} for n in range(1001)]}, "/spans"),
        (
            {"messages": [{"role": "user"}] * 1000}, {"messages": [{"role": "user"}] * 1001}, "/messages",
        ),
        ({"usage": {"output_tokens": 2**53}}, {"usage": {"output_tokens": 2**53 + 1}}, "/usage/output_tokens"),
        ({"cost_usd": "999999.99999999"}, {"cost_usd": "1000000"}, "/cost_usd"),
    ],
)  # fmt: skip
def test_each_limit_of_an_interaction_holds_at_n_and_not_at_one_more(
    sk: Api, exact: dict[str, Any], over: dict[str, Any], path: str
) -> None:
    assert sk.post(URL, interaction(**exact))[0] == 201
    status, body = sk.post(URL, interaction(**{"id": "two", **over}))
    assert (status, body["error"]["details"][0]["path"]) == (422, path)


@pytest.mark.parametrize(
    ("exact", "over", "path"),
    [
        ({"comment": "x" * 10_000}, {"comment": "x" * 10_001}, "/comment"),
        ({"correction": "x" * 100_000}, {"correction": "x" * 100_001}, "/correction"),
        ({"key": "k" * 180}, {"key": "k" * 181}, "/key"),
        ({"interaction_id": "i" * 200}, {"interaction_id": "i" * 201}, "/interaction_id"),
    ],
)
def test_each_limit_of_a_feedback_holds_at_n_and_not_at_one_more(
    sk: Api, pk: Api, exact: dict[str, Any], over: dict[str, Any], path: str
) -> None:
    assert sk.post(FEEDBACK, thumbs(**exact))[0] == 201
    assert pk.post(FEEDBACK, thumbs(**exact), Origin="https://chat.example.com")[0] == 201
    status, body = sk.post(FEEDBACK, thumbs(**over))
    assert (status, body["error"]["details"][0]["path"]) == (422, path)


@pytest.mark.parametrize(
    "key", ["", "rh_sk_", "rh_sk_abc", "Basic x", "rh_sk_\x00", "é", "rh_xx_" + "a" * 60, "a" * 5000]
)
def test_keys_that_are_none_are_refused(db: None, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    response = Client().post(URL, "{}", content_type="application/json", headers=headers)
    assert response.status_code == 401
    assert response["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_other_methods_are_refused(sk: Api, method: str) -> None:
    assert sk.call(method, URL)[0] == 405


@pytest.mark.parametrize("external_id", ["%00", "a%00b", "%ff%fe", "x" * 500, "%F0%9F%98%80", "..%2f..%2fetc"])
def test_an_id_that_cannot_be_is_not_found(sk: Api, external_id: str) -> None:
    assert sk.get(f"{URL}/{external_id}")[0] == 404


def test_a_time_with_an_offset_that_postgresql_refuses_is_the_same_moment_in_utc(sk: Api) -> None:
    span = {"id": "a", "started_at": "2026-01-01T12:00:00+23:59", "ended_at": "2026-01-01T12:00:01+23:59"}
    odd = {"created_at": "2026-01-01T00:00:00-23:59", "spans": [span]}
    assert sk.post(URL, interaction(id="one", **odd))[0] == 201
    results = sk.post(BATCH, [interaction(id="many", **odd), interaction(id="next")])[1]["results"]
    assert [result["status"] for result in results] == [201, 201]
    assert sk.post(FEEDBACK, thumbs(interaction_id="one", created_at=odd["created_at"]))[0] == 201
    for external_id in ("one", "many"):
        body = sk.get(f"{URL}/{external_id}")[1]
        assert (body["created_at"], body["spans"][0]["started_at"]) == ("2026-01-01T23:59:00Z", "2025-12-31T12:01:00Z")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("since=2026-01-01T00:00:00-23:59", 200),
        ("until=2026-01-01T00:00:00%2B23:59", 200),
        ("since=2026-13-45", 422),
        ("since=2026-13-45T00:00:00", 422),
        ("until=9999-12-31", 422),
        ("until=9999-12-31T23:59:59-23:59", 422),
        ("since=0001-01-01T00:00:00%2B23:59", 422),
    ],
)
def test_a_list_asked_for_at_odd_times(sk: Api, query: str, expected: int) -> None:
    assert sk.get(f"{URL}?{query}")[0] == expected
