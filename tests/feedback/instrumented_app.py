"""A chat application that somebody else wrote: it knows OpenTelemetry and its model's client, and nothing of us.

``python instrumented_app.py genai openai chat tools`` asks the model that OPENAI_BASE_URL or ANTHROPIC_BASE_URL
names. Where its telemetry goes is said by OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_HEADERS, by nothing else.
"""

from __future__ import annotations

import importlib
import sys

import anthropic
import openai
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

QUESTION = "What does closing the account cost?"
TALK = [{"role": "user", "content": QUESTION}]
WITH_SYSTEM = [{"role": "system", "content": "Be brief."}, *TALK]
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
GENAI, OPENINFERENCE = "opentelemetry.instrumentation.genai", "openinference.instrumentation"
OPENLLMETRY = "opentelemetry.instrumentation"
PUBLISHERS = {"genai": GENAI, "openinference": OPENINFERENCE, "openllmetry": OPENLLMETRY}
INSTRUMENTORS = {"openai": "OpenAIInstrumentor", "anthropic": "AnthropicInstrumentor"}


def chat() -> None:
    openai.OpenAI().chat.completions.create(model="gpt-4o", messages=WITH_SYSTEM, temperature=0.2)


def stream() -> None:
    options = {"include_usage": True}
    for _ in openai.OpenAI().chat.completions.create(
        model="gpt-4o", messages=WITH_SYSTEM, stream=True, stream_options=options
    ):
        pass


def responses() -> None:
    openai.OpenAI().responses.create(model="gpt-4o", instructions="Be brief.", input=QUESTION)


def tools() -> None:
    """The model asks for a tool, then answers."""
    client = openai.OpenAI()
    offered = [{"type": "function", "function": {"name": "weather", "parameters": WEATHER}}]
    call = {"id": "call-1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Kraków"}'}}
    history = [
        *TALK,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call-1", "content": "rain"},
    ]
    client.chat.completions.create(model="gpt-4o", messages=history, tools=offered)


def failing() -> None:
    try:
        openai.OpenAI(max_retries=0).chat.completions.create(model="broken", messages=WITH_SYSTEM)
    except openai.APIStatusError:
        return
    raise AssertionError("the provider was told to fail")


def messages() -> None:
    anthropic.Anthropic().messages.create(model="claude-fake", max_tokens=100, system="Be brief.", messages=TALK)


def messages_with_tools() -> None:
    offered = [{"name": "weather", "description": "The weather", "input_schema": WEATHER}]
    history = [
        *TALK,
        {"role": "assistant", "content": [
            {"type": "tool_use", "id": "call-1", "name": "weather", "input": {"city": "Kraków"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call-1", "content": "rain"}]},
    ]  # fmt: skip
    anthropic.Anthropic().messages.create(model="claude-fake", max_tokens=100, messages=history, tools=offered)


def within_a_request() -> None:
    """Two calls within a span of the application's own, as in every web application."""
    with trace.get_tracer("shop").start_as_current_span("POST /chat"):
        chat()
        chat()


def messages_within_a_request() -> None:
    with trace.get_tracer("shop").start_as_current_span("POST /chat"):
        messages()


def caught() -> None:
    """The application survives its model's failure and answers nothing."""
    with trace.get_tracer("shop").start_as_current_span("POST /chat"):
        failing()


def main(publisher: str, client: str, *scenes: str) -> None:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    if publisher in PUBLISHERS:  # else the client reports by itself
        module = importlib.import_module(f"{PUBLISHERS[publisher]}.{client}")
        getattr(module, INSTRUMENTORS[client])().instrument()
    for scene in scenes:
        globals()[scene]()
    provider.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
