"""The fakes as fixtures, with loopback put on the operator's list of permitted hosts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.provider import FakeProvider
from tests.fakes.receiver import FakeReceiver


@pytest.fixture
def provider(settings: Any) -> Iterator[FakeProvider]:
    """A model provider; both kinds of key in the environment's settings lead to it."""
    with FakeProvider() as fake:
        settings.OUTBOUND_ALLOW = [*settings.OUTBOUND_ALLOW, "127.0.0.1"]
        settings.BATCH_HOSTS = [*settings.BATCH_HOSTS, "127.0.0.1"]
        settings.OPENAI_API_KEY, settings.OPENAI_BASE_URL = "sk-openai-canary", fake.openai_url
        settings.ANTHROPIC_API_KEY, settings.ANTHROPIC_BASE_URL = "sk-anthropic-canary", fake.anthropic_url
        yield fake


@pytest.fixture
def receiver(settings: Any) -> Iterator[FakeReceiver]:
    """A webhook receiver at ``receiver.url``."""
    with FakeReceiver() as fake:
        settings.OUTBOUND_ALLOW = [*settings.OUTBOUND_ALLOW, "127.0.0.1"]
        yield fake
