from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from feedback.pricing import cost_usd

AT = datetime(2026, 6, 1, tzinfo=UTC)


def test_a_known_model_has_its_list_price() -> None:
    # gpt-4o: 2.50 and 10.00 US dollars a million tokens (OpenAI's price list)
    price = cost_usd(model="gpt-4o", provider="openai", at=AT, input_tokens=1_000_000, output_tokens=100_000)
    assert price == Decimal("3.50")


def test_cached_tokens_cost_less() -> None:
    full = cost_usd(model="gpt-4o", at=AT, input_tokens=1000, output_tokens=0)
    cached = cost_usd(model="gpt-4o", at=AT, input_tokens=1000, output_tokens=0, cached_input_tokens=900)
    assert full is not None
    assert cached is not None
    assert cached < full


def test_a_dated_name_and_a_telemetry_provider_are_understood() -> None:
    assert cost_usd(model="gpt-4o-2024-08-06", provider="azure.ai.openai", at=AT, input_tokens=9, output_tokens=1)


def test_an_unknown_model_or_unknown_tokens_have_an_unknown_cost() -> None:
    assert cost_usd(model="our-own-llama", at=AT, input_tokens=10, output_tokens=10) is None
    assert cost_usd(model="gpt-4o", at=AT, input_tokens=None, output_tokens=None) is None
    assert cost_usd(model="", at=AT, input_tokens=10, output_tokens=10) is None
