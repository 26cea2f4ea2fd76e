"""What a model call cost, from a dated price table that comes with the ``genai-prices`` package.

Works without a network. A model that the table does not know has an unknown cost, never 0.
"""

from __future__ import annotations

import logging
from datetime import datetime
from decimal import Decimal
from functools import lru_cache

from genai_prices import Usage, calc_price

log = logging.getLogger("reviewhub.pricing")
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
    return _price(
        model,
        provider,
        at.date().isoformat() if at else None,
        input_tokens or 0,
        output_tokens or 0,
        cached_input_tokens or 0,
    )


@lru_cache(maxsize=4096)
def _known(model: str, provider: str) -> bool:
    return _calculate(model, provider, None, 1, 1, 0) is not None


def _price(model: str, provider: str, day: str | None, given: int, got: int, cached: int) -> Decimal | None:
    # Unknown models are common (self-hosted ones), and a failed look-up is the slowest: remember those.
    return _calculate(model, provider, day, given, got, min(cached, given)) if _known(model, provider) else None


def _calculate(model: str, provider: str, day: str | None, given: int, got: int, cached: int) -> Decimal | None:
    usage = Usage(input_tokens=given, output_tokens=got, cache_read_tokens=cached or None)
    when = datetime.fromisoformat(f"{day}T12:00:00+00:00") if day else None
    name = PROVIDERS.get(provider.lower(), provider.lower()) or None
    for attempt in (name, None):
        try:
            price = calc_price(usage, model_ref=model, provider_id=attempt, genai_request_timestamp=when)
        except LookupError:
            continue
        except Exception:
            log.exception("the price of %s could not be computed", model)
            return None
        return price.total_price.quantize(Decimal("1e-8"))
    return None
