"""Both clients against a real server over HTTP: storing, reading, amending, errors, and sending in the background."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from reviewhub_client import AsyncHub, Hub, HubError

from projects import keys
from projects.models import Project
from tests.client.apart import run

pytestmark = pytest.mark.django_db(transaction=True)
SCOPES = ["read", "ingest"]


@pytest.fixture
def key(project: Project) -> str:
    return keys.create_key(project=project, kind="sk", name="app", scopes=SCOPES)[1]


@pytest.fixture
def hub(live_server: Any, key: str) -> Any:
    with Hub(live_server.url, key, backoff=0) as opened:
        yield opened


def item(name: str, **fields: Any) -> dict[str, Any]:
    return {"id": name, "input": "Fee?", "output": "Free.", **fields}


def test_what_is_recorded_can_be_read_amended_and_listed(project: Project, hub: Hub) -> None:
    results = hub.record_interactions([item(f"i{n}", feature="faq" if n % 2 else "chat") for n in range(7)])
    assert [(result["index"], result["status"]) for result in results] == [(n, 201) for n in range(7)]
    votes = hub.record_feedback([{"interaction_id": "i1", "kind": "thumbs", "value": "down", "user_id": "u"},
                                 {"interaction_id": "i2", "kind": "thumbs", "value": "sideways"}])  # fmt: skip
    assert [vote["status"] for vote in votes] == [201, 422]
    assert "up" in votes[1]["error"]["message"]
    hub.score("i1", "faithfulness", 0.3, explanation="not in the documents")
    hub.amend("i1", outcome={"resolved": True}, tags=["vip"])
    read = hub.read("i1")
    assert (read["outcome"], read["tags"], read["feedback"][0]["value"]) == ({"resolved": True}, ["vip"], "down")
    assert read["scores"][0]["value"] == 0.3
    listed = list(hub.interactions(feature=["faq", "none"], page_size=2))
    assert sorted(row["id"] for row in listed) == ["i1", "i3", "i5"]


def test_more_than_a_batch_goes_in_parts(project: Project, hub: Hub) -> None:
    results = hub.record_interactions([item(f"i{n}") for n in range(1_001)])
    assert [result["index"] for result in results] == list(range(1_001))
    assert project.interactions.count() == 1_001


def test_errors_say_status_code_and_place(hub: Hub, live_server: Any) -> None:
    with pytest.raises(HubError) as refused:
        hub.record_interaction({"messages": [{"role": 5}], "output": "x"})
    assert (refused.value.status, refused.value.code) == (422, "invalid")
    assert refused.value.details[0]["path"] == "/messages/0/role"
    assert "/messages/0/role" in str(refused.value)
    with pytest.raises(HubError) as missing:
        hub.read("no/such?id")
    assert missing.value.status == 404
    with pytest.raises(HubError) as wrong, Hub(live_server.url, "rh_sk_wrong") as other:
        other.read("a")
    assert wrong.value.status == 401


def test_a_lost_answer_is_asked_for_again_and_counts_once(project: Project, live_server: Any, key: str) -> None:
    class Lossy(httpx.HTTPTransport):
        lost = 0

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            response = super().handle_request(request)
            self.lost += 1
            if self.lost % 2:
                response.close()
                raise httpx.ReadError("the connection broke")
            return response

    with Hub(live_server.url, key, backoff=0, transport=Lossy()) as hub:
        assert hub.record_interaction({"input": "x", "output": "y"})["replayed"] is True
        hub.feedback("a", "comment", comment="x")
    assert (project.interactions.count(), project.feedback.count()) == (1, 1)


def test_waits_as_long_as_the_server_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("reviewhub_client.hub.time.sleep", waited.append)
    answers = iter([
        httpx.Response(503, headers={"Retry-After": "7"}), httpx.Response(429, headers={"Retry-After": "1e9"}),
        httpx.Response(503, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}), httpx.Response(502),
        httpx.Response(200, json={"id": "a"}),
    ])  # fmt: skip
    with Hub("http://hub", "k", transport=httpx.MockTransport(lambda request: next(answers))) as hub:
        hub.read("a")
    assert waited[0] == 7
    assert waited[2] == 0
    assert 2 <= waited[3] <= 4


@pytest.mark.parametrize(("status", "asked"), [(503, 5), (502, 1), (422, 1)])
def test_what_has_no_id_is_sent_again_only_if_nothing_was_stored(status: int, asked: int) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(status)

    with Hub("http://hub", "k", backoff=0, transport=httpx.MockTransport(answer)) as hub, pytest.raises(HubError):
        hub.freeze("golden")
    assert len(seen) == asked


def test_the_asynchronous_twin_does_the_same(project: Project, live_server: Any, key: str) -> None:
    async def application() -> Any:
        async with AsyncHub(live_server.url, key, defaults={"release": "7"}) as hub:
            await hub.record_interactions([item(f"i{n}") for n in range(5)])
            made = await hub.record_interaction({"input": "x", "output": "y"})
            await hub.feedback(made["id"], "thumbs", "down")
            await hub.record_feedback([{"interaction_id": "i1", "kind": "comment", "comment": "wrong"}])
            await hub.score("i1", "length", 5)
            await hub.amend("i1", tags=["vip"])
            with hub.interaction(id="traced", input="Fee?") as call:
                call.output = "Free."
            assert await hub.flush(10)
            with pytest.raises(HubError) as missing:
                await hub.read("none")
            assert missing.value.status == 404
            listed = [row["id"] async for row in hub.interactions(page_size=3)]
            return await hub.read("i1"), listed

    read, listed = run(application())
    assert (read["release"], read["tags"], len(read["feedback"]), len(read["scores"])) == ("7", ["vip"], 1, 1)
    assert len(listed) == len(set(listed)) == 7
    assert "traced" in listed


def test_the_background_sender_and_the_server_agree(project: Project, hub: Hub) -> None:
    background = hub.background(batch_items=50)
    names = [background.record_interaction({"input": "Fee?", "output": "Free."}) for _ in range(120)]
    background.feedback(names[0], "thumbs", "down", user_id="u-7", comment="wrong fee")
    background.score(names[0], "length", 5)
    background.record_interaction({"id": "bad", "messages": "no list", "output": "x"})
    with hub.interaction(id="traced", session_id="s-1", input="Fee?") as call:
        with call.span("search", "retriever", "fee") as step:
            step.output = ["kb-1"]
        call.output, call.usage = "Free.", {"input_tokens": 5, "output_tokens": 2}
    assert background.flush(20)
    assert (background.statistics.sent, background.statistics.failed) == (123, 1)
    assert project.interactions.count() == 121
    assert hub.read(names[0])["feedback"][0]["comment"] == "wrong fee"
    read = hub.read("traced")
    assert [(span["kind"], span["name"]) for span in read["spans"]] == [("retriever", "search")]
    assert (read["usage"]["input_tokens"], read["session_id"]) == (5, "s-1")
