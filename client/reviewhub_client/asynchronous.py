"""The same for asyncio: requests are awaited. Recording and the background sender never block the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Unpack

import httpx

from reviewhub_client import wire
from reviewhub_client.hub import PAGE, Recorder
from reviewhub_client.types import Amendment, Feedback, FeedbackKind, Fields, Interaction, ItemResult
from reviewhub_client.wire import Address, Ask, Attempts


class AsyncHub(Recorder):
    """A project of a Review Hub, for asyncio; the arguments are those of ``Hub``. It belongs to one event loop.

    ``interaction``, ``record``, ``span`` and ``wrap`` are plain calls, as in ``Hub``: they only put something into
    the queue of the background sender.
    """

    def __init__(
        self, base_url: str | None = None, key: str | None = None, *, timeout: float = 30.0, retries: int = 4,
        backoff: float = 0.5, transport: httpx.AsyncBaseTransport | None = None, defaults: Fields | None = None,
    ) -> None:  # fmt: skip
        self._address = Address.of(base_url, key)
        super().__init__(defaults)
        self._retries, self._backoff = retries, backoff
        self.base_url = self._address.url
        try:
            self._http = httpx.AsyncClient(**self._address.settings(timeout), transport=transport)
        except (httpx.InvalidURL, UnicodeEncodeError, ValueError) as error:
            raise self._address.unusable(error) from None

    async def __aenter__(self) -> AsyncHub:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Sends what waits in the background, and lets go of the connections."""
        await asyncio.to_thread(self._close_background)
        await self._http.aclose()

    async def flush(self, timeout: float | None = None) -> bool:
        """Waits until what was recorded before is sent; False if ``timeout`` seconds pass."""
        return await asyncio.to_thread(self.background().flush, timeout)

    async def record_interaction(self, interaction: Interaction | Mapping[str, Any]) -> dict[str, Any]:
        """Stores one interaction; without ``id`` it gets one, which is in the answer."""
        return await self._json(wire.interaction({**self.defaults, **interaction}))

    async def record_interactions(self, interactions: Sequence[Interaction | Mapping[str, Any]]) -> list[ItemResult]:
        """Stores many; the answers are in their order, each with a ``status`` of its own."""
        return await self._many(wire.interactions([{**self.defaults, **item} for item in interactions]))

    async def feedback(
        self, interaction_id: str, kind: FeedbackKind = "thumbs", value: Any = None, **fields: Any
    ) -> dict[str, Any]:
        """Stores what an end user said."""
        item = {"interaction_id": interaction_id, "kind": kind, "value": value, **fields}
        return await self._json(wire.feedback(item))

    async def record_feedback(self, feedback: Sequence[Feedback | Mapping[str, Any]]) -> list[ItemResult]:
        """Stores many; the answers are in their order, each with a ``status`` of its own."""
        return await self._many(wire.feedbacks(feedback))

    async def score(self, interaction_id: str, name: str, value: float | None = None, **fields: Any) -> dict[str, Any]:
        """Stores a machine's verdict."""
        return await self._json(wire.score({"interaction_id": interaction_id, "name": name, "value": value, **fields}))

    async def amend(self, interaction_id: str, **patch: Unpack[Amendment]) -> dict[str, Any]:
        """Adds what became known later: outcome, tags, metadata."""
        return await self._json(wire.amend(interaction_id, patch))

    async def read(self, interaction_id: str) -> dict[str, Any]:
        """One interaction with its spans, feedback, scores and labels."""
        return await self._json(wire.read(interaction_id))

    async def interactions(self, *, page_size: int = PAGE, **filters: Any) -> AsyncIterator[dict[str, Any]]:
        """All that fit, newest first, page by page: ``async for item in hub.interactions(feedback="negative")``."""
        cursor = ""
        while True:
            page = await self._json(wire.page(filters, page_size, cursor))
            for item in page["results"]:
                yield item
            cursor = page.get("next") or ""
            if not cursor:
                return

    async def _json(self, ask: Ask) -> dict[str, Any]:
        attempts = Attempts(self._address, self._retries, self._backoff, repeatable=ask.repeatable)
        while True:
            try:
                response = await self._http.request(ask.method, ask.path, json=ask.body, params=ask.params)
            except (httpx.TransportError, httpx.InvalidURL) as error:
                wait = attempts.failed(error)
            else:
                if response.is_success:
                    return wire.value_of(response, self.base_url)
                wait = attempts.refused(response)
            await asyncio.sleep(wait)

    async def _many(self, asks: Sequence[Ask]) -> list[Any]:
        return wire.numbered([result for ask in asks for result in (await self._json(ask))["results"]])
