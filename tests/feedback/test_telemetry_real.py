"""Somebody's application, instrumented by published packages, its exporter pointed at us by two variables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from feedback.models import Interaction, TelemetryTrace
from feedback.telemetry.assembly import SILENT, assemble_waiting
from projects import keys
from projects.models import Project
from tests.fakes.provider import Call, FakeProvider
from tests.fakes.server import Answer

APPLICATION = Path(__file__).with_name("instrumented_app.py")
SYSTEM = {"role": "system", "content": "Be brief."}
ASKED = {"role": "user", "content": "What does closing the account cost?"}
ANSWER = "Closing costs nothing."
PUBLISHERS = ["genai", "openinference", "openllmetry"]


def reply(call: Call) -> Any:
    """A model that streams when it is asked to, and one that is broken."""
    if call.model == "broken":
        return Answer(500, b'{"error": {"message": "overloaded"}}')
    if not call.body.get("stream"):
        return ANSWER
    chunk = {"id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 1, "model": call.model}
    pieces = [
        *({**chunk, "choices": [{"index": 0, "delta": {"role": "assistant", "content": word}, "finish_reason": None}]}
          for word in ("Closing ", "costs ", "nothing.")),
        {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {**chunk, "choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}},
    ]  # fmt: skip
    body = "".join(f"data: {json.dumps(piece)}\n\n" for piece in pieces) + "data: [DONE]\n\n"
    return Answer(200, body.encode(), content_type="text/event-stream")


@pytest.fixture
def run(live_server: Any, project: Project, provider: FakeProvider) -> Any:
    """``run("genai", "openai", "chat", …)``: the application in a process of its own; an interaction per scene."""
    secret = keys.create_key(project=project, kind="sk", name="telemetry", scopes=["ingest"])[1]
    provider.reply = reply

    def start(publisher: str, client: str, *scenes: str, **environment: str) -> list[Interaction]:
        env = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}} | {
            "OTEL_EXPORTER_OTLP_ENDPOINT": live_server.url,
            "OTEL_EXPORTER_OTLP_HEADERS": f"Authorization=Bearer%20{secret}",
            "OTEL_SERVICE_NAME": "support-bot",
            # OpenTelemetry's own instrumentations say nothing of content unless they are asked to.
            "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "span_only",
            "OPENAI_BASE_URL": provider.openai_url, "OPENAI_API_KEY": "sk-fake",
            "ANTHROPIC_BASE_URL": provider.anthropic_url, "ANTHROPIC_API_KEY": "sk-fake",
            **environment,
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, APPLICATION, publisher, client, *scenes],
            env=env, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        while assemble_waiting(pause=timedelta(0)):
            pass
        assert set(TelemetryTrace.objects.values_list("problem", flat=True)) <= {"", SILENT}
        return list(Interaction.objects.filter(project=project).order_by("created_at"))

    return start


def said(interaction: Interaction) -> tuple[Any, ...]:
    return interaction.messages, interaction.output, interaction.input_tokens, interaction.output_tokens


@pytest.mark.parametrize("publisher", PUBLISHERS)
def test_what_an_openai_application_says_is_understood(publisher: str, run: Any) -> None:
    scenes = ["chat", "stream", "responses", "tools", "failing", "within_a_request", "caught"]
    chat, stream, responses, tools, failing, request, caught = run(publisher, "openai", *scenes)
    for answered in (chat, stream, responses):
        assert said(answered) == ([SYSTEM, ASKED], ANSWER, 100, 20)
        assert (answered.model, answered.provider, answered.status) == ("gpt-4o", "openai", "ok")
        assert answered.latency_ms > 0
        assert answered.feature == "support-bot"
        assert [span.kind for span in answered.spans.all()] == ["llm"]
    assert chat.parameters == {"temperature": 0.2}
    assert chat.time_to_first_token_ms is None
    assert 0 < stream.time_to_first_token_ms <= stream.latency_ms
    assert [message["role"] for message in tools.messages] == ["user", "assistant", "tool"]
    assert tools.messages[1]["tool_calls"] == [{"id": "call-1", "name": "weather", "arguments": {"city": "Kraków"}}]
    assert (tools.messages[2]["content"], tools.messages[2]["tool_call_id"]) == ("rain", "call-1")
    assert "weather" in json.dumps(tools.tools)
    assert (failing.status, failing.model, failing.output) == ("error", "broken", "")
    assert failing.error_type.endswith("InternalServerError")
    assert "overloaded" in failing.error_message
    assert said(request) == ([SYSTEM, ASKED], ANSWER, 200, 40), "two calls in one request"
    assert sorted(span.kind for span in request.spans.all()) == ["llm", "llm", "other"]
    assert (caught.status, caught.messages) == ("error", [SYSTEM, ASKED])


@pytest.mark.parametrize("publisher", PUBLISHERS)
def test_what_an_anthropic_application_says_is_understood(publisher: str, run: Any) -> None:
    """Anthropic's client reports by itself as well: within the span, beside it, or in a trace of its own."""
    scenes = ["messages", "messages_with_tools", "messages_within_a_request"]
    plain, tools, request = run(publisher, "anthropic", *scenes)
    for answered in (plain, request):
        assert said(answered) == ([SYSTEM, ASKED], ANSWER, 100, 20)
        assert (answered.model, answered.provider) == ("claude-fake", "anthropic")
    assert plain.parameters == {"max_tokens": 100}
    assert tools.messages[1]["tool_calls"] == [{"id": "call-1", "name": "weather", "arguments": {"city": "Kraków"}}]
    assert (tools.messages[2]["role"], tools.messages[2]["content"]) == ("tool", "rain")
    assert "weather" in json.dumps(tools.tools)


def test_anthropics_client_reports_by_itself(run: Any) -> None:
    (plain,) = run("nobody", "anthropic", "messages", ANTHROPIC_OPEN_TELEMETRY_TRACES_CONTENT_MODE="content")
    assert said(plain) == ([SYSTEM, ASKED], ANSWER, 100, 20)


def test_an_application_that_keeps_its_words_to_itself_is_told_why_nothing_appears(run: Any) -> None:
    assert run("genai", "openai", "chat", OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="") == []
    assert TelemetryTrace.objects.get().problem == SILENT
