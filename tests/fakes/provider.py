"""A model provider: OpenAI chat completions and responses, Anthropic messages, batches of both, with scripted faults.

By hand: ``python -m tests.fakes.provider 9000``, then ``OPENAI_BASE_URL=http://127.0.0.1:9000/v1``,
``OPENAI_API_KEY=sk-fake`` and ``REVIEWHUB_OUTBOUND_ALLOW=127.0.0.1``.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.fakes.batches import Batches
from tests.fakes.server import Answer, Fake, Request


@dataclass
class Call:
    """One request as a model would see it: what was asked, of which model, with which key."""

    api: str  # "chat" | "responses" | "messages"
    model: str
    key: str
    system: str
    user: str
    body: dict[str, Any]

    @property
    def schema(self) -> dict[str, Any] | None:
        """The JSON schema that the answer has to follow, wherever this API carries it."""
        body = self.body
        if self.api == "chat":
            return ((body.get("response_format") or {}).get("json_schema") or {}).get("schema")
        if self.api == "responses":
            return ((body.get("text") or {}).get("format") or {}).get("schema")
        if body.get("tools"):
            return body["tools"][0]["input_schema"]
        return ((body.get("output_config") or {}).get("format") or {}).get("schema")


Respond = Callable[[Call], Any]
Fault = Callable[["FakeProvider", Call], Answer]
VERDICT = {"reasoning": "Every claim is in the documents.", "score": 0.9}


def default_reply(call: Call) -> Any:
    """A good verdict where a schema is asked for, otherwise a sentence about the question."""
    return VERDICT if call.schema else f"Fake answer to: {call.user[:200]}"


# ── Faults: ``provider.script(faults.busy(retry_after=1), faults.html)`` ──────────────────────────────


def busy(retry_after: float | str | None = None) -> Fault:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return lambda provider, call: Answer(429, b'{"error": {"message": "slow down"}}', headers)


def status(code: int, text: str = "the secret of the provider's stack trace") -> Fault:
    return lambda provider, call: Answer(code, json.dumps({"error": {"message": text}}).encode())


def html(provider: FakeProvider, call: Call) -> Answer:
    return Answer(200, b"<html><title>Welcome to nginx</title></html>", content_type="text/html")


def truncated(provider: FakeProvider, call: Call) -> Answer:
    whole = provider.envelope(call, VERDICT).body
    return Answer(200, whole[: len(whole) // 2])


def cut_off(provider: FakeProvider, call: Call) -> Answer:
    """Announces more than it sends, then closes: a connection that broke."""
    whole = provider.envelope(call, VERDICT)
    return Answer(200, whole.body, {"Content-Length": str(len(whole.body) + 100), "Connection": "close"})


def says(reply: Any) -> Fault:
    """A well-formed envelope around any verdict: extra keys, 11/10, a string, prose."""
    return lambda provider, call: provider.envelope(call, reply)


def nan(provider: FakeProvider, call: Call) -> Answer:
    return provider.envelope(call, '{"reasoning": "x", "score": NaN}')


def huge(provider: FakeProvider, call: Call) -> Answer:
    return provider.envelope(call, {"reasoning": "x" * 5_000_000, "score": 0.5})


def stopped_early(provider: FakeProvider, call: Call) -> Answer:
    return provider.envelope(call, '{"reasoning": "The ans', stop="length")


def refusal(provider: FakeProvider, call: Call) -> Answer:
    return provider.envelope(call, "I can't help with that.", stop="refusal")


def empty(provider: FakeProvider, call: Call) -> Answer:
    return provider.envelope(call, "")


def slow(seconds: float) -> Fault:
    def answer(provider: FakeProvider, call: Call) -> Answer:
        reply = provider.envelope(call, provider.reply(call))
        reply.delay = seconds
        return reply

    return answer


def drip(pause: float) -> Fault:
    def answer(provider: FakeProvider, call: Call) -> Answer:
        reply = provider.envelope(call, VERDICT)
        reply.drip = pause
        return reply

    return answer


def hang(provider: FakeProvider, call: Call) -> Answer:
    return Answer(200, delay=3600)


def hang_up(provider: FakeProvider, call: Call) -> Answer:
    return Answer(hang_up=True)


def redirect(where: str) -> Fault:
    return lambda provider, call: Answer(307, b"", {"Location": where})


class FakeProvider(Fake):
    """``calls`` is what models were asked; ``reply`` decides the answers; ``script`` sets the next faults."""

    def __init__(self, port: int = 0, reply: Respond = default_reply) -> None:
        super().__init__(port)
        self.calls: list[Call] = []
        self.reply: Respond = reply
        self.usage = (100, 20)  # input and output tokens of each answer
        self._scripted: deque[Fault] = deque()
        self.batches = Batches(self._in_batch)
        self.batches.url = self.url

    @property
    def openai_url(self) -> str:
        return f"{self.url}/v1"

    @property
    def anthropic_url(self) -> str:
        return self.url

    def script(self, *faults: Fault) -> None:
        """The next calls meet these faults, one each; afterwards all is well again."""
        self._scripted.extend(faults)

    def respond(self, request: Request) -> Answer:
        with self._lock:
            if (answer := self.batches.answer(request, _key(request))) is not None:
                return answer
        call = self._read(request)
        if call is None:
            return Answer(404, b'{"error": {"message": "no such address"}}')
        with self._lock:
            self.calls.append(call)
            fault = self._scripted.popleft() if self._scripted else None
        if not call.key:
            return status(401, "no key")(self, call)
        return fault(self, call) if fault else self.envelope(call, self.reply(call))

    def _read(self, request: Request) -> Call | None:
        path = request.path.split("?")[0]
        api = {"/v1/chat/completions": "chat", "/v1/responses": "responses", "/v1/messages": "messages"}.get(path)
        if api is None or request.method != "POST":
            return None
        return self._call(api, json.loads(request.body), _key(request))

    def _in_batch(self, api: str, body: dict[str, Any], key: str) -> Answer:
        call = self._call(api, body, key)
        self.calls.append(call)
        fault = self._scripted.popleft() if self._scripted else None
        return fault(self, call) if fault else self.envelope(call, self.reply(call))

    def _call(self, api: str, body: dict[str, Any], key: str) -> Call:
        turns = body.get("input", "") if api == "responses" else body.get("messages", [])
        if isinstance(turns, str):
            turns = [{"role": "user", "content": turns}]
        system = _text(body.get("system") or body.get("instructions") or "")
        system += "".join(_text(turn["content"]) for turn in turns if turn["role"] in ("system", "developer"))
        user = "\n".join(_text(turn["content"]) for turn in turns if turn["role"] == "user")
        return Call(api, body.get("model", ""), key, system, user, body)

    def envelope(self, call: Call, reply: Any, *, stop: str = "") -> Answer:
        """The answer of a provider around a text, a JSON value, or a ready Answer."""
        if isinstance(reply, Answer):
            return reply
        text = reply if isinstance(reply, str) else json.dumps(reply)
        body = {"chat": self._chat, "responses": self._responses, "messages": self._messages}[call.api](
            call, text, reply, stop
        )
        return Answer(200, json.dumps(body).encode())

    def _chat(self, call: Call, text: str, reply: Any, stop: str) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
        if stop == "refusal":
            message.update(content=None, refusal=text)
        reads, writes = self.usage
        return {
            "id": f"chatcmpl-fake-{len(self.calls)}", "object": "chat.completion", "created": 1, "model": call.model,
            "choices": [{"index": 0, "message": message, "logprobs": None,
                         "finish_reason": "length" if stop == "length" else "stop"}],
            "usage": {"prompt_tokens": reads, "completion_tokens": writes, "total_tokens": reads + writes},
        }  # fmt: skip

    def _responses(self, call: Call, text: str, reply: Any, stop: str) -> dict[str, Any]:
        part = {"type": "refusal", "refusal": text} if stop == "refusal" else {
            "type": "output_text", "text": text, "annotations": []}  # fmt: skip
        reads, writes = self.usage
        return {
            "id": f"resp-fake-{len(self.calls)}", "object": "response", "created_at": 1, "model": call.model,
            "status": "incomplete" if stop == "length" else "completed",
            "output": [{"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": [part]}],
            "usage": {"input_tokens": reads, "output_tokens": writes, "total_tokens": reads + writes},
        }  # fmt: skip

    def _messages(self, call: Call, text: str, reply: Any, stop: str) -> dict[str, Any]:
        block: dict[str, Any] = {"type": "text", "text": text}
        if call.body.get("tools") and isinstance(reply, dict) and not stop:
            block = {"type": "tool_use", "id": "toolu_fake", "name": call.body["tools"][0]["name"], "input": reply}
        reads, writes = self.usage
        reasons = {"length": "max_tokens", "refusal": "refusal"}
        default = "tool_use" if block["type"] == "tool_use" else "end_turn"
        return {
            "id": f"msg_fake_{len(self.calls)}", "type": "message", "role": "assistant", "model": call.model,
            "content": [block], "stop_reason": reasons.get(stop, default), "stop_sequence": None,
            "usage": {"input_tokens": reads, "output_tokens": writes},
        }  # fmt: skip


def _key(request: Request) -> str:
    return request.headers.get("x-api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text", "") for part in content if isinstance(part, dict))


if __name__ == "__main__":
    fake = FakeProvider(int(sys.argv[1]) if len(sys.argv) > 1 else 9000)
    print(f"OpenAI at {fake.openai_url}, Anthropic at {fake.anthropic_url}; Ctrl-C ends it")  # noqa: T201
    with contextlib.suppress(KeyboardInterrupt):
        fake.serve_forever()
