"""What both clients share: the requests as values, when to try again, and what an error says."""

from __future__ import annotations

import email.utils
import os
import random
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import quote

import httpx

DEFAULT_URL = "http://127.0.0.1:8000"
USER_AGENT = "reviewhub-client/0.1"
RETRIED = frozenset({408, 425, 429, 502, 503, 504})
NOTHING_WAS_STORED = frozenset({425, 429, 503})
LONGEST_WAIT = 60.0
BATCH = 1_000  # items that the server takes at a time


# Connections that a forked process has from its parent. Closing one takes a lock that may be held for ever.
inherited: list[object] = []


class HubError(Exception):
    """What Review Hub answered instead of what was asked for. ``status`` is 0 where there was no answer at all.

    ``code`` is the error's short name, ``details`` the places of the fault: ``{"path": …, "message": …}``.
    """

    def __init__(self, message: str, *, status: int = 0, code: str = "", details: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.status, self.code, self.details = status, code, list(details)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. ``repeatable``: sent twice it counts once, because it carries an id or only reads."""

    method: str
    path: str
    body: Any = None
    params: Mapping[str, Any] | None = None
    repeatable: bool = True


# ── Requests ──────────────────────────────────────────────────────────────────────────────────────


def fresh_id() -> str:
    """An id that nobody else makes."""
    return f"c-{uuid.uuid4().hex}"


def interaction(item: Mapping[str, Any]) -> Ask:
    return Ask("POST", "/api/v1/interactions", {"id": fresh_id(), **item})


def interactions(items: Sequence[Mapping[str, Any]]) -> list[Ask]:
    return _batches("/api/v1/interactions/batch", "interactions", [{"id": fresh_id(), **item} for item in items])


def feedback(item: Mapping[str, Any]) -> Ask:
    return Ask("POST", "/api/v1/feedback", {"key": fresh_id(), **item})


def feedbacks(items: Sequence[Mapping[str, Any]]) -> list[Ask]:
    return _batches("/api/v1/feedback/batch", "feedback", [{"key": fresh_id(), **item} for item in items])


def score(item: Mapping[str, Any]) -> Ask:
    return Ask("POST", "/api/v1/scores", {"key": fresh_id(), **item})


def read(interaction_id: str) -> Ask:
    return Ask("GET", f"/api/v1/interactions/{part(interaction_id)}")


def amend(interaction_id: str, patch: Mapping[str, Any]) -> Ask:
    return Ask("PATCH", f"/api/v1/interactions/{part(interaction_id)}", dict(patch))


def page(filters: Mapping[str, Any], size: int, cursor: str) -> Ask:
    """A page of the list. A filter may be a text, a number, a date, a time, or a list of these for "one of"."""
    params: dict[str, Any] = {"limit": size, **({"cursor": cursor} if cursor else {})}
    for name, value in filters.items():
        values = value if isinstance(value, list | tuple | set | frozenset) else [value]
        params[name] = [_parameter(one) for one in values]
    return Ask("GET", "/api/v1/interactions", params=params)


def _batches(path: str, name: str, items: list[dict[str, Any]]) -> list[Ask]:
    return [Ask("POST", path, {name: items[start : start + BATCH]}) for start in range(0, len(items), BATCH)]


def numbered(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The answers of several batches as those of one."""
    return [{**result, "index": index} for index, result in enumerate(results)]


def _parameter(value: object) -> str:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.astimezone()).astimezone(UTC).isoformat()
    return value.isoformat() if isinstance(value, date) else str(value)


def part(text: str) -> str:
    """A text as one step of a path."""
    return quote(text, safe="")


# ── Connections, attempts, answers ────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Address:
    """Where the hub is, and the key that opens it; the key is not shown."""

    url: str
    key: str

    @staticmethod
    def of(url: str | None, key: str | None) -> Address:
        """From the arguments, else from REVIEWHUB_URL and REVIEWHUB_KEY. Raises HubError without a key."""
        url = url or os.environ.get("REVIEWHUB_URL") or DEFAULT_URL
        key = key or os.environ.get("REVIEWHUB_KEY")
        if not key:
            raise HubError("No key. Give one with --key or in REVIEWHUB_KEY; it starts with rh_sk_ or rh_pat_.")
        return Address(url.rstrip("/"), key)

    def settings(self, timeout: float) -> dict[str, Any]:
        """The arguments of an httpx client."""
        headers = {"Authorization": f"Bearer {self.key}", "User-Agent": USER_AGENT}
        return {"base_url": self.url, "timeout": timeout, "headers": headers}

    def unusable(self, error: Exception) -> HubError:
        return HubError(f"The address or the key cannot be used: {error}")

    def __repr__(self) -> str:
        return f"Address({self.url!r})"


class Attempts:
    """Decides after each attempt at one request: the seconds until the next, or the error."""

    def __init__(self, address: Address, retries: int, backoff: float, *, repeatable: bool = True) -> None:
        self._address, self._retries, self._backoff, self._repeatable = address, retries, backoff, repeatable
        self._made = 0

    def failed(self, error: Exception) -> float:
        """There was no answer. Raises HubError."""
        url = self._address.url
        if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
            raise HubError(f"{url} is no address: {error}") from None
        arrived = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
        if self._made >= self._retries or (arrived and not self._repeatable):
            raise HubError(f"{url} does not answer: {error or type(error).__name__}") from None
        return self._next()

    def refused(self, response: httpx.Response) -> float:
        """The answer, which was read, is no success. Raises HubError."""
        again = RETRIED if self._repeatable else NOTHING_WAS_STORED
        if self._made >= self._retries or response.status_code not in again:
            raise refusal(response)
        return self._next(response.headers.get("Retry-After"))

    def _next(self, retry_after: str | None = None) -> float:
        self._made += 1
        return pause(self._made - 1, self._backoff, retry_after)


def pause(attempt: int, backoff: float, retry_after: str | None = None) -> float:
    """Seconds to wait before the next attempt: what the server asks for, else doubling with jitter."""
    asked = seconds_asked(retry_after)
    if asked is not None:
        return min(asked, LONGEST_WAIT) if backoff else 0.0
    longest: float = min(backoff * 2 ** min(attempt, 30), LONGEST_WAIT)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311  # no secret


def seconds_asked(retry_after: str | None) -> float | None:
    """``Retry-After`` as seconds from now: a number, or a date."""
    if not retry_after:
        return None
    if retry_after.strip().replace(".", "", 1).isdecimal():
        return float(retry_after)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def value_of(response: httpx.Response, url: str) -> dict[str, Any]:
    """The JSON object of a success."""
    try:
        return dict(response.json())
    except (ValueError, TypeError):
        raise HubError(f"{url} does not answer like Review Hub. Is the address right?") from None


def refusal(response: httpx.Response) -> HubError:
    """The error that an answer states."""
    try:
        error = response.json()["error"]
        message, code, details = str(error["message"]), str(error.get("code", "")), error.get("details") or []
    except (ValueError, KeyError, TypeError):
        message, code, details = f"HTTP {response.status_code}", "", []
    places = "; ".join(
        f"{fault.get('path')}: {fault.get('message')}" for fault in details[:5] if isinstance(fault, dict)
    )
    full = f"{message} ({places})" if places and places not in message else message
    return HubError(full, status=response.status_code, code=code, details=details)
