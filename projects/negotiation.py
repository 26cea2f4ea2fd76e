"""Which form an answer has. There is one, JSON, so most requests need no negotiation about it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

ANYTHING = frozenset({"", "*/*", "application/json", "application/json, */*"})


class Negotiation(DefaultContentNegotiation):
    """DRF's, except that whoever takes anything or JSON gets the view's first form at once."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> Any:
        """The renderer and its media type; NotAcceptable if none of them is."""
        chosen: Any = next(iter(renderers))
        asked = request.META.get("HTTP_ACCEPT", "")
        plain = not request.META.get("QUERY_STRING") and format_suffix is None
        if plain and asked in ANYTHING and (asked in {"", "*/*"} or chosen.media_type == "application/json"):
            return chosen, chosen.media_type
        return super().select_renderer(request, renderers, format_suffix)
