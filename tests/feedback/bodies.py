"""Bodies as a client sends them."""

from __future__ import annotations

from typing import Any


def interaction(**changes: Any) -> dict[str, Any]:
    """A small interaction; ``None`` as a value leaves a field out."""
    body: dict[str, Any] = {
        "id": "req-1",
        "messages": [{"role": "user", "content": "Why was I charged 4.90?"}],
        "output": "It is the monthly fee.",
        **changes,
    }
    return {name: value for name, value in body.items() if value is not None}


def full_interaction(**changes: Any) -> dict[str, Any]:
    """An interaction that uses every field."""
    return {
        "id": "req-8f2", "session_id": "s-1", "user_id": "u-7", "created_at": "2026-11-20T12:00:00Z",
        "feature": "billing-faq", "environment": "production", "release": "2026.11.2", "variant": "control",
        "provider": "openai", "model": "gpt-x", "parameters": {"temperature": 0.2},
        "prompt": {"name": "support", "version": "14", "template": "Answer {q}", "variables": {"q": "x"}},
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What does it cost?"}],
        "output": "It costs **4.90** a month.",
        "documents": [{"id": "kb-12", "title": "Fees", "content": "4.90 a month", "score": 0.83, "metadata": {}}],
        "spans": [
            {"id": "a1", "parent_id": None, "kind": "chain", "name": "answer", "started_at": "2026-11-20T12:00:00Z",
             "ended_at": "2026-11-20T12:00:02Z", "status": "ok", "input": {"q": 1}, "output": {}, "attributes": {}},
            {"id": "a2", "parent_id": "a1", "kind": "llm", "name": "generate", "started_at": "2026-11-20T12:00:01Z",
             "ended_at": "2026-11-20T12:00:02Z", "status": "error"},
        ],
        "usage": {"input_tokens": 512, "output_tokens": 120, "cached_input_tokens": 0}, "cost_usd": "0.0031",
        "latency_ms": 1840, "time_to_first_token_ms": 320, "status": "ok", "output_schema": {"type": "string"},
        "outcome": {"resolved": True}, "tags": ["vip"], "metadata": {"shop": "Kraków"},
        **changes,
    }  # fmt: skip


def thumbs(value: Any = "down", **changes: Any) -> dict[str, Any]:
    return {"interaction_id": "req-1", "kind": "thumbs", "value": value, "user_id": "u-1", **changes}
