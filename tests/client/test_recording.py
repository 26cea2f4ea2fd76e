"""Interactions, steps and decorated functions: what is recorded, and that the application notices nothing."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest
from reviewhub_client import AsyncHub, Hub

from tests.client.apart import run
from tests.fakes.hub import FakeHub

KEY = "rh_sk_AbCdEf0123" + "s" * 43


@pytest.fixture
def fake() -> Iterator[FakeHub]:
    with FakeHub() as server:
        yield server


@pytest.fixture
def hub(fake: FakeHub) -> Iterator[Hub]:
    with Hub(fake.url, KEY, defaults={"environment": "test", "release": "7"}) as opened:
        yield opened


def recorded(hub: Hub, fake: FakeHub) -> list[dict[str, Any]]:
    assert hub.background().flush(10)
    return list(fake.stored.values())


def test_a_block_is_an_interaction_with_everything_that_was_set(hub: Hub, fake: FakeHub) -> None:
    with hub.interaction(id="req-1", session_id="s-1", user_id="u-7", input="Fee?", release="8") as call:
        assert (call.id, hub.current(), hub.last_id()) == ("req-1", call, "req-1")
        call.first_token()
        call.output, call.tags, call.usage = "Free.", ["vip"], {"input_tokens": 5}
        call.documents.append({"id": "kb-1", "content": "It is free.", "score": 0.9})
        call.outcome["resolved"] = True
    assert hub.current() is None
    (item,) = recorded(hub, fake)
    assert datetime.fromisoformat(item.pop("created_at")).tzinfo
    assert 0 < item.pop("time_to_first_token_ms") <= item.pop("latency_ms")
    assert item == {
        "id": "req-1", "session_id": "s-1", "user_id": "u-7", "environment": "test", "release": "8", "input": "Fee?",
        "output": "Free.", "tags": ["vip"], "usage": {"input_tokens": 5}, "outcome": {"resolved": True},
        "documents": [{"id": "kb-1", "content": "It is free.", "score": 0.9}],
    }  # fmt: skip


def test_an_exception_is_recorded_and_raised_again(hub: Hub, fake: FakeHub) -> None:
    with pytest.raises(KeyError), hub.interaction(input="Fee?"), hub.span("look up", "tool", {"key": "fee"}):
        raise KeyError("fee")
    (item,) = recorded(hub, fake)
    assert (item["status"], item["error"], "output" in item) == (
        "error", {"type": "KeyError", "message": "'fee'"}, False)  # fmt: skip
    (span,) = item["spans"]
    assert (span["status"], span["input"], span["attributes"]["error"]["type"]) == (
        "error", {"key": "fee"}, "KeyError")  # fmt: skip


def test_an_unknown_field_is_told_before_the_block_runs(hub: Hub) -> None:
    with pytest.raises(TypeError, match="sesion_id"), hub.interaction(sesion_id="s-1"):
        pytest.fail("the block ran")


def test_what_cannot_be_recorded_does_not_fail_the_application(hub: Hub, fake: FakeHub) -> None:
    class Hostile:
        def __str__(self) -> str:
            raise RuntimeError

        __repr__ = __str__

    class Untold(Exception):
        __str__ = Hostile.__str__

    with hub.interaction(input="x") as call:
        call.output, call.metadata = Hostile(), {"a": Hostile()}
    with pytest.raises(Untold), hub.interaction(input="x"):
        raise Untold
    with hub.interaction(input="x") as call:
        call.tags, call.documents = 5, 7  # type: ignore[assignment]
    assert len(recorded(hub, fake)) == 3


def test_long_texts_are_cut_with_a_note_and_not_refused(hub: Hub, fake: FakeHub) -> None:
    with hub.interaction(input="x" * 150_000) as call:
        call.output = "y" * 90_001
    (item,) = recorded(hub, fake)
    assert item["input"].endswith("… (60,000 more characters were not recorded)")
    assert item["output"].endswith("… (1 more characters were not recorded)")


def test_steps_beyond_the_limit_are_counted(hub: Hub, fake: FakeHub) -> None:
    with hub.interaction(input="x"):
        for _ in range(1_003):
            with hub.span("again"):
                pass
    (item,) = recorded(hub, fake)
    assert (len(item["spans"]), item["metadata"]) == (1_000, {"spans_not_recorded": 3})


def test_decorated_functions_nest(hub: Hub, fake: FakeHub) -> None:
    @hub.record(kind="retriever")
    def search(query: str, k: int = 3) -> list[str]:
        return ["kb-1"]

    @hub.record
    def rewrite(question: str) -> str:
        return search(question)[0]

    @hub.record(feature="faq", user_id="u-7")
    def answer(question: str) -> str:
        """Answers."""
        return f"see {rewrite(question)}"

    assert search("on its own") == ["kb-1"]
    assert recorded(hub, fake) == [], "a retriever on its own is no answer to anybody"
    assert answer("Fee?") == "see kb-1"
    assert (answer.__name__, answer.__doc__) == ("answer", "Answers.")
    (item,) = recorded(hub, fake)
    assert (item["input"], item["output"], item["feature"], item["user_id"]) == ("Fee?", "see kb-1", "faq", "u-7")
    inner, outer = item["spans"]
    assert (inner["name"], inner["kind"], inner["input"], inner["output"]) == (
        "search", "retriever", {"query": "Fee?"}, ["kb-1"])  # fmt: skip
    assert (outer["name"], outer["kind"], inner["parent_id"], outer["parent_id"]) == (
        "rewrite", "chain", outer["id"], None)  # fmt: skip


def test_what_counts_as_the_question(hub: Hub, fake: FakeHub) -> None:
    class Bot:
        @hub.record
        def ask(self, messages: list[Any], style: str) -> dict[str, int]:
            return {"fee": 0}

        @hub.record
        def compare(self, left: str, right: str) -> list[Any]:
            return [{"role": "assistant", "content": "same"}]

    Bot().ask([{"role": "user", "content": "Fee?"}], "brief")
    Bot().compare("a", right="b")
    first, second = recorded(hub, fake)
    assert (first["messages"], first["output"]) == ([{"role": "user", "content": "Fee?"}], '{"fee": 0}')
    assert second["input"] == '{"left": "a", "right": "b"}'
    assert second["output"] == [{"role": "assistant", "content": "same"}]


def test_a_decorated_generator_is_recorded_when_it_ends(hub: Hub, fake: FakeHub) -> None:
    @hub.record
    def speak(question: str) -> Iterator[str]:
        got = yield "It "
        assert (got, hub.current() is not None) == ("go on", True)
        yield "is free."
        return 5

    assert inspect.isgeneratorfunction(speak)
    running = speak("Fee?")
    assert fake.stored == {}
    assert next(running) == "It "
    assert hub.current() is None, "between its pieces the context is the consumer's"
    assert running.send("go on") == "is free."  # type: ignore[attr-defined]
    with pytest.raises(StopIteration) as ended:
        next(running)
    assert ended.value.value == 5
    (item,) = recorded(hub, fake)
    assert item["output"] == "It is free."
    assert 0 <= item["time_to_first_token_ms"] <= item["latency_ms"]


def test_a_generator_that_is_left_or_fails_keeps_what_it_said(hub: Hub, fake: FakeHub) -> None:
    closed = []

    @hub.record
    def speak(question: str) -> Iterator[str]:
        try:
            yield "It "
            raise ValueError(question)
        finally:
            closed.append(question)

    left = speak("left")
    next(left)
    left.close()  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="failed"):
        list(speak("failed"))
    assert closed == ["left", "failed"]
    stopped, failed = recorded(hub, fake)
    assert ("status" in stopped, stopped["output"]) == (False, "It ")
    assert (failed["status"], failed["output"], failed["error"]["message"]) == ("error", "It ", "failed")


def test_coroutines_and_asynchronous_generators_side_by_side(fake: FakeHub) -> None:
    hub = AsyncHub(fake.url, KEY)

    @hub.record(kind="tool")
    async def look_up(name: str) -> str:
        await asyncio.sleep(0.001)
        return f"fee of {name}"

    @hub.record
    async def answer(question: str) -> str:
        return await look_up(question)

    @hub.record
    async def speak(question: str) -> AsyncIterator[str]:
        yield await look_up(question)
        yield "!"

    async def consume(question: str) -> str:
        return "".join([piece async for piece in speak(question)])

    async def application() -> list[str]:
        said = await asyncio.gather(*(answer(f"a{n}") for n in range(10)), *(consume(f"s{n}") for n in range(10)))
        await hub.close()
        return said

    assert run(application())[0] == "fee of a0"
    items = {item["input"]: item for item in fake.stored.values()}
    assert len(items) == 20
    for question, item in items.items():
        assert item["output"] == f"fee of {question}" + ("!" if question[0] == "s" else "")
        assert [span["input"] for span in item["spans"]] == [{"name": question}]


def test_threads_are_told_the_context_by_the_application(hub: Hub, fake: FakeHub) -> None:
    def work(number: int) -> None:
        with hub.span(f"step {number}", "tool"):
            pass

    with hub.interaction(input="x") as call, ThreadPoolExecutor(4) as pool:
        for number in range(8):
            pool.submit(contextvars.copy_context().run, work, number)
        pool.submit(work, 99)  # in a context of its own there is no interaction
        with call.span("waits"):
            pass
    (item,) = recorded(hub, fake)
    assert {span["name"] for span in item["spans"]} == {"waits", *(f"step {number}" for number in range(8))}


def test_feedback_and_tokens_of_an_interaction(hub: Hub, fake: FakeHub) -> None:
    with hub.interaction(input="Fee?") as call:
        call.output = "Free."
    key = call.feedback("thumbs", "down", user_id="u-7")
    assert hub.background().flush(10)
    assert fake.stored[key]["interaction_id"] == call.id
    assert hub.interaction_token(call.id, "u-7").count(".") == 1
