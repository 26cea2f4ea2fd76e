"""What a model call cost, from a dated price table that comes with the ``genai-prices`` package.

Works without a network. A model that the table does not know has an unknown cost, never 0.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

from genai_prices import Usage, calc_price
from genai_prices.types import PriceCalculation

log = logging.getLogger("reviewhub.pricing")
EIGHT_PLACES = Decimal("1e-8")
MILLION = 1_000_000
# The names that telemetry and people use, by the table's own.
PROVIDERS = {
    "azure_openai": "azure", "az.ai.openai": "azure", "azure.ai.openai": "azure", "azure.ai.inference": "azure",
    "aws.bedrock": "aws", "gcp.gemini": "google", "gcp.gen_ai": "google", "gcp.vertex_ai": "google",
    "vertexai": "google", "mistral_ai": "mistral", "x_ai": "x-ai", "xai": "x-ai",
}  # fmt: skip


def cost_usd(
    *, model: str, provider: str = "", at: datetime | None, input_tokens: int | None, output_tokens: int | None,
    cached_input_tokens: int | None = None,
) -> Decimal | None:  # fmt: skip
    """US dollars by the prices in force at ``at`` (None: now); None where model or tokens are unknown.

    ``input_tokens`` includes the cached ones, as the GenAI conventions count them.
    """
    if not model or (input_tokens is None and output_tokens is None):
        return None
    given, got = input_tokens or 0, output_tokens or 0
    cached = min(cached_input_tokens or 0, given)
    day = (at or datetime.now(UTC)).date().isoformat()
    rates = _rates(model, provider, day)
    if rates is None:
        return None
    if rates.flat:
        total = (given - cached) * rates.given + cached * rates.cached + got * rates.got
    elif price := _calculate(model, provider, day, given, got, cached):
        total = price.total_price
    else:
        return None
    return total.quantize(EIGHT_PLACES)


@dataclass(frozen=True, slots=True)
class Rates:
    """US dollars for one token. ``flat`` says that this is all there is to know: no tiers, no price of a request."""

    given: Decimal
    cached: Decimal
    got: Decimal
    flat: bool


@lru_cache(maxsize=4096)
def _rates(model: str, provider: str, day: str) -> Rates | None:
    """What the table says, asked once for a model and a day: its own answer takes longer than storing what is priced.

    None for unknown models too, which are common (self-hosted ones): a failed look-up is the slowest.
    """
    given = _calculate(model, provider, day, MILLION, 0, 0)
    cached = _calculate(model, provider, day, MILLION, 0, MILLION)
    got = _calculate(model, provider, day, 0, MILLION, 0)
    if given is None or cached is None or got is None:
        return None
    prices = {name: price for name, price in vars(given.model_price).items() if price is not None}
    flat = "requests_kcount" not in prices and all(isinstance(price, Decimal) for price in prices.values())
    return Rates(given.total_price / MILLION, cached.total_price / MILLION, got.total_price / MILLION, flat)


def _calculate(model: str, provider: str, day: str, given: int, got: int, cached: int) -> PriceCalculation | None:
    usage = Usage(input_tokens=given, output_tokens=got, cache_read_tokens=cached or None)
    when = datetime.fromisoformat(f"{day}T12:00:00+00:00")
    name = PROVIDERS.get(provider.lower(), provider.lower()) or None
    for attempt in (name, None):
        try:
            return calc_price(usage, model_ref=model, provider_id=attempt, genai_request_timestamp=when)
        except LookupError:
            continue
        except Exception:
            log.exception("the price of %s could not be computed", model)
            return None
    return None
