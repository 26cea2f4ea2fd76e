from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from genai_prices import Usage, calc_price

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


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5", "gemini-2.5-pro", "gemini-1.5-pro"])
@pytest.mark.parametrize("tokens", [(0, 0, 0), (1, 0, 0), (512, 120, 0), (90_000, 7, 80_001), (700_000, 65_000, 3)])
def test_every_price_is_what_the_table_says_tiers_and_caches_included(model: str, tokens: tuple[int, int, int]) -> None:
    given, got, cached = tokens
    usage = Usage(input_tokens=given, output_tokens=got, cache_read_tokens=cached or None)
    table = calc_price(usage, model_ref=model, genai_request_timestamp=AT).total_price.quantize(Decimal("1e-8"))
    assert cost_usd(model=model, at=AT, input_tokens=given, output_tokens=got, cached_input_tokens=cached) == table
