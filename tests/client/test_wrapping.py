"""Clients of OpenAI and Anthropic, the real libraries, recorded while the application notices nothing."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from reviewhub_client import AsyncHub, Hub

from tests.client.apart import run
from tests.client.streams import ANSWER, reply
from tests.fakes.hub import FakeHub
from tests.fakes.provider import FakeProvider
from tests.runner.hub import free_port

KEY = "rh_sk_AbCdEf0123" + "s" * 43
SYSTEM = {"role": "system", "content": "Be brief."}
ASKED = {"role": "user", "content": "What does closing cost?"}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
ANTHROPIC_TOOL = {"name": "weather", "input_schema": {"type": "object"}}
CALLED = {"name": "weather", "arguments": '{"city": "Kraków"}'}


@pytest.fixture
def fake() -> Iterator[FakeHub]:
    with FakeHub() as server:
        yield server


@pytest.fixture
def models() -> Iterator[FakeProvider]:
    with FakeProvider(reply=reply) as server:
        yield server


@pytest.fixture
def hub(fake: FakeHub) -> Iterator[Hub]:
    with Hub(fake.url, KEY, defaults={"environment": "test"}) as opened:
        yield opened


def sync_openai(models: FakeProvider) -> openai.OpenAI:
    return openai.OpenAI(base_url=models.openai_url, api_key="sk-fake", max_retries=0)


def sync_anthropic(models: FakeProvider) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=models.anthropic_url, api_key="sk-fake", max_retries=0)


def recorded(hub: Hub | AsyncHub, fake: FakeHub) -> list[dict[str, Any]]:
    assert hub.background().flush(10)
    return list(fake.stored.values())


def chat(client: Any, **more: Any) -> Any:
    return client.chat.completions.create(model="gpt-4o", messages=[SYSTEM, ASKED], temperature=0.2, **more)


def responses(client: Any, **more: Any) -> Any:
    return client.responses.create(model="gpt-4o", instructions="Be brief.", input=ASKED["content"], **more)


def message(client: Any, **more: Any) -> Any:
    return client.messages.create(model="claude-4", system="Be brief.", messages=[ASKED], max_tokens=50, **more)


CALLS = [(sync_openai, chat), (sync_openai, responses), (sync_anthropic, message)]


@pytest.mark.parametrize(("make", "call"), CALLS)
def test_an_answer_is_recorded_and_given_unchanged(make: Any, call: Any, hub: Hub, fake: FakeHub, models: Any) -> None:
    bare, client = make(models), make(models)
    assert hub.wrap(client) is client
    want, got = call(bare), call(client)
    assert type(got) is type(want)
    skip = {"id", "_request_id"}
    assert {k: v for k, v in got.to_dict().items() if k not in skip} == {
        k: v for k, v in want.to_dict().items() if k not in skip
    }
    (item,) = recorded(hub, fake)
    assert [(turn["role"], turn["content"]) for turn in item["messages"]] == [
        ("system", "Be brief."), ("user", ASKED["content"])]  # fmt: skip
    assert (item["output"], item["usage"]) == (ANSWER, {"input_tokens": 100, "output_tokens": 20})
    assert (item["provider"], item["environment"]) == (make(models).__class__.__module__.split(".")[0], "test")
    assert item["metadata"] == {"response_id": got.id}
    assert item["latency_ms"] > 0
    assert item["id"] == hub.last_id()
    assert "status" not in item


@pytest.mark.parametrize(("make", "call"), CALLS)
def test_a_stream_is_recorded_while_it_passes(make: Any, call: Any, hub: Hub, fake: FakeHub, models: Any) -> None:
    bare, client = make(models), hub.wrap(make(models))
    more = {"stream_options": {"include_usage": True}} if call is chat else {}
    want, got = call(bare, stream=True, **more), call(client, stream=True, **more)
    assert type(got) is type(want)
    first = next(got)
    assert fake.stored == {}, "it is not over"
    assert [first, *got] == list(want)
    (item,) = recorded(hub, fake)
    assert (item["output"], item["usage"]["input_tokens"], item["usage"]["output_tokens"]) == (ANSWER, 100, 20)
    assert item["usage"]["cached_input_tokens"] == (0 if call is responses else 64)
    assert 0 < item["time_to_first_token_ms"] <= item["latency_ms"]


def test_asynchronous_clients_answers_and_streams(fake: FakeHub, models: FakeProvider) -> None:
    async def application() -> list[dict[str, Any]]:
        async with AsyncHub(fake.url, KEY) as hub:
            gpt = hub.wrap(openai.AsyncOpenAI(base_url=models.openai_url, api_key="sk", max_retries=0))
            claude = hub.wrap(anthropic.AsyncAnthropic(base_url=models.anthropic_url, api_key="sk", max_retries=0))
            for call, client in ((chat, gpt), (responses, gpt), (message, claude)):
                await call(client)
                async for _ in await call(client, stream=True):
                    pass
            async with claude.messages.stream(model="claude-4", messages=[ASKED], max_tokens=5) as stream:
                assert [text async for text in stream.text_stream]
            async with gpt.chat.completions.stream(model="gpt-4o", messages=[ASKED]) as chats:
                await chats.get_final_completion()
            with pytest.raises(openai.BadRequestError):
                await gpt.chat.completions.create(model="broken", messages=[ASKED])
            assert await hub.flush(10)
            await gpt.close()
            await claude.close()
        return list(fake.stored.values())

    items = run(application())
    assert [item.get("output") for item in items] == [ANSWER] * 8 + [None]
    assert items[-1]["error"]["type"] == "openai.BadRequestError"


def test_the_helpers_of_the_libraries_are_recorded_once(hub: Hub, fake: FakeHub, models: FakeProvider) -> None:
    gpt, claude = hub.wrap(sync_openai(models)), hub.wrap(sync_anthropic(models))
    with claude.messages.stream(model="claude-4", messages=[ASKED], max_tokens=5) as stream:
        assert "".join(stream.text_stream) == ANSWER
        assert stream.get_final_text() == ANSWER
    with gpt.chat.completions.stream(model="gpt-4o", messages=[ASKED]) as chats:
        assert chats.get_final_completion().choices[0].message.content == ANSWER
    with gpt.responses.stream(model="gpt-4o", input="What does closing cost?") as events:
        assert events.get_final_response().output_text == ANSWER
    raw = gpt.chat.completions.with_raw_response.create(model="gpt-4o", messages=[ASKED])
    assert raw.headers["content-type"] == "application/json"
    assert raw.parse().choices[0].message.content == ANSWER
    chat(gpt.with_options(timeout=7))
    items = recorded(hub, fake)
    assert [item["output"] for item in items] == [ANSWER] * 5
    hub.wrap(gpt)
    chat(gpt)
    assert len(recorded(hub, fake)) == 6, "a client that is wrapped twice is recorded once"
    with gpt.chat.completions.with_streaming_response.create(model="gpt-4o", messages=[ASKED]) as bytes_wanted:
        assert b"Closing" in bytes_wanted.read()
    assert len(recorded(hub, fake)) == 6, "who reads the bytes is left alone"


@pytest.mark.parametrize("streamed", [False, True])
def test_calls_of_tools_are_the_answer(streamed: bool, hub: Hub, fake: FakeHub, models: FakeProvider) -> None:
    gpt, claude = hub.wrap(sync_openai(models)), hub.wrap(sync_anthropic(models))
    for answer in (chat(gpt, tools=[TOOL], stream=streamed), message(claude, tools=[ANTHROPIC_TOOL], stream=streamed)):
        if streamed:
            list(answer)
    for item in recorded(hub, fake):
        (said,) = item["output"]
        function = said["tool_calls"][0]["function"]
        if isinstance(function["arguments"], dict):
            function["arguments"] = json.dumps(function["arguments"], ensure_ascii=False)
        assert (said["role"], said["content"], function) == ("assistant", None, CALLED)
        assert item["tools"]


def test_what_the_provider_refuses_is_recorded_and_raised(hub: Hub, fake: FakeHub, models: FakeProvider) -> None:
    gpt = hub.wrap(sync_openai(models))
    with pytest.raises(openai.BadRequestError):
        gpt.chat.completions.create(model="broken", messages=[ASKED])
    with pytest.raises(openai.APIError, match="fell over"):
        list(gpt.chat.completions.create(model="breaks-off", messages=[ASKED], stream=True))
    refused, broken = recorded(hub, fake)
    assert (refused["status"], refused["error"]["type"]) == ("error", "openai.BadRequestError")
    assert "overloaded" in refused["error"]["message"]
    assert (broken["status"], broken["output"]) == ("error", "Closing costs ")


def test_a_stream_that_nobody_finishes_is_recorded_as_far_as_it_came(hub: Hub, fake: FakeHub, models: Any) -> None:
    gpt = hub.wrap(sync_openai(models))
    with chat(gpt, stream=True) as closed:
        for chunk in closed:
            if chunk.choices[0].delta.content:
                break
    dropped = chat(gpt, stream=True)
    del dropped, closed
    gc.collect()
    assert [item["output"] for item in recorded(hub, fake)] == ["Closing ", ""]


def test_within_an_interaction_calls_are_its_steps(hub: Hub, fake: FakeHub, models: FakeProvider) -> None:
    gpt = hub.wrap(sync_openai(models), feature="unused here")
    with hub.interaction(id="req-1", session_id="s-1", feature="faq") as call:
        with hub.span("search", "retriever", "closing") as step:
            step.output = ["kb-1"]
            chat(gpt)
        call.documents = [{"id": "kb-1", "content": "Closing is free."}]
        stream = chat(gpt, stream=True, stream_options={"include_usage": True})
    assert recorded(hub, fake) == [], "its stream still runs"
    list(stream)
    (item,) = recorded(hub, fake)
    assert (item["id"], item["session_id"], item["feature"], item["output"]) == ("req-1", "s-1", "faq", ANSWER)
    assert item["usage"] == {"input_tokens": 200, "output_tokens": 40, "cached_input_tokens": 64}
    names = {span["id"]: span["name"] for span in item["spans"]}
    assert [(span["kind"], span["name"], names.get(span["parent_id"])) for span in item["spans"]] == [
        ("llm", "gpt-4o", "search"), ("retriever", "search", None), ("llm", "gpt-4o", None)]  # fmt: skip
    assert 0 < item["time_to_first_token_ms"] <= item["latency_ms"]


def test_pictures_and_objects_of_the_library_among_the_messages(hub: Hub, fake: FakeHub, models: FakeProvider) -> None:
    gpt = hub.wrap(sync_openai(models))
    first = chat(gpt, tools=[TOOL]).choices[0].message
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 500_000}}
    turns = [{"role": "user", "content": [picture]}, first, {"role": "tool", "tool_call_id": "call-1", "content": "x"}]
    gpt.chat.completions.create(model="gpt-4o", messages=turns, n=openai.NOT_GIVEN)
    item = recorded(hub, fake)[1]
    assert item["messages"][0]["content"][0]["image_url"]["url"].endswith("… (500,022 characters)")
    assert item["messages"][1]["tool_calls"][0]["function"] == CALLED
    assert "parameters" not in item
    assert len(models.requests[-1].body) > 500_000, "the provider got the picture"


def test_a_schema_that_was_asked_for_goes_along(hub: Hub, fake: FakeHub, models: FakeProvider) -> None:
    schema = {"type": "object", "properties": {"fee": {"type": "number"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "fee", "schema": schema}}
    chat(hub.wrap(sync_openai(models)), response_format=wanted)
    assert recorded(hub, fake)[0]["output_schema"] == schema


def test_the_application_works_while_the_hub_is_away(models: FakeProvider) -> None:
    hub = Hub(f"http://127.0.0.1:{free_port()}", KEY)
    assert chat(hub.wrap(sync_openai(models))).choices[0].message.content == ANSWER
    assert hub.background().close(0.05) is False


def test_a_library_that_is_built_otherwise_is_left_alone(hub: Hub, fake: FakeHub) -> None:
    class Completions:
        def create(self, **kwargs: Any) -> Any:
            return iter(["a", "b"])

        def stream(self, **kwargs: Any) -> Any:
            return self

    class Odd:
        class chat:
            completions = Completions()

    odd = hub.wrap(Odd())
    assert list(odd.chat.completions.create(model="m", messages=object(), stream=True)) == ["a", "b"]
    assert odd.chat.completions.stream() is odd.chat.completions
    assert recorded(hub, fake) == []
    with pytest.raises(TypeError, match="OpenAI or Anthropic"):
        hub.wrap(object())
