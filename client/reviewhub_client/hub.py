"""Talking to Review Hub: one method a thing, retries where they are safe, errors that say what to do."""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

DEFAULT_URL = "http://127.0.0.1:8000"
RETRIED = frozenset({408, 425, 429, 502, 503, 504})
LONGEST_WAIT = 60.0
NATIVE = "reviewhub.golden/1"


class HubError(Exception):
    """What Review Hub answered instead of what was asked for. ``status`` is 0 where there was no answer at all."""

    def __init__(self, message: str, *, status: int = 0, code: str = "", details: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.status, self.code, self.details = status, code, list(details)


@dataclass(frozen=True, slots=True)
class Golden:
    """A frozen version: what its first line says, and its examples by key."""

    header: dict[str, Any]
    examples: dict[str, dict[str, Any]]


class Hub:
    """A project of a Review Hub, as a key opens it.

    ``base_url`` and ``key`` default to the environment's REVIEWHUB_URL and REVIEWHUB_KEY. One instance may be
    used by several threads. Calls are retried on connection errors and on the answers of ``RETRIED``; everything
    sent carries an id, so that a retry never counts twice.
    """

    def __init__(
        self, base_url: str | None = None, key: str | None = None, *, timeout: float = 30.0, retries: int = 4,
        backoff: float = 0.5, transport: httpx.BaseTransport | None = None,
    ) -> None:  # fmt: skip
        base = base_url or os.environ.get("REVIEWHUB_URL") or DEFAULT_URL
        key = key or os.environ.get("REVIEWHUB_KEY")
        if not key:
            raise HubError("No key. Give one with --key or in REVIEWHUB_KEY; it starts with rh_sk_ or rh_pat_.")
        try:
            self._http = httpx.Client(
                base_url=base.rstrip("/"), timeout=timeout, transport=transport,
                headers={"Authorization": f"Bearer {key}", "User-Agent": "reviewhub-client/0.1"},
            )  # fmt: skip
        except (httpx.InvalidURL, UnicodeEncodeError, ValueError) as error:
            raise HubError(f"The address or the key cannot be used: {error}") from None
        self._retries, self._backoff = retries, backoff
        self.base_url = base.rstrip("/")

    def __enter__(self) -> Hub:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the connections."""
        self._http.close()

    # ── What your application tells ───────────────────────────────────────────────────────────────

    def record_interaction(self, interaction: Mapping[str, Any]) -> dict[str, Any]:
        """Stores one interaction; without ``id`` it gets one, which is in the answer."""
        return self._json("POST", "/api/v1/interactions", {"id": f"c-{uuid.uuid4().hex}", **interaction})

    def record_interactions(self, interactions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Stores up to 1,000 interactions; the answers are in their order, each with a ``status`` of its own."""
        items = [{"id": f"c-{uuid.uuid4().hex}", **item} for item in interactions]
        answer = self._json("POST", "/api/v1/interactions/batch", {"interactions": items})
        return list(answer["results"])

    def feedback(self, interaction_id: str, kind: str = "thumbs", value: Any = None, **fields: Any) -> dict[str, Any]:
        """Stores what an end user said: ``hub.feedback("req-1", "thumbs", "down", comment="wrong fee")``."""
        body = {"key": f"c-{uuid.uuid4().hex}", "interaction_id": interaction_id, "kind": kind, "value": value}
        return self._json("POST", "/api/v1/feedback", {**body, **fields})

    def score(self, interaction_id: str, name: str, value: float | None = None, **fields: Any) -> dict[str, Any]:
        """Stores a machine's verdict: ``hub.score("req-1", "toxicity", 0.02, version="3")``."""
        body = {"key": f"c-{uuid.uuid4().hex}", "interaction_id": interaction_id, "name": name, "value": value}
        return self._json("POST", "/api/v1/scores", {**body, **fields})

    # ── Datasets ──────────────────────────────────────────────────────────────────────────────────

    def datasets(self) -> list[dict[str, Any]]:
        """The project's datasets with their newest frozen version."""
        return list(self._json("GET", "/api/v1/datasets")["results"])

    def versions(self, dataset: str) -> list[dict[str, Any]]:
        """The versions of a dataset, newest first."""
        return list(self._json("GET", f"/api/v1/datasets/{_part(dataset)}/versions")["results"])

    def add_examples(
        self, dataset: str, examples: Sequence[Mapping[str, Any]], *, approve: bool = False
    ) -> dict[str, Any]:
        """Puts up to 500 examples into the draft."""
        body = {"examples": list(examples), "approve": approve}
        return self._json("POST", f"/api/v1/datasets/{_part(dataset)}/examples", body)

    def freeze(self, dataset: str, note: str = "") -> dict[str, Any]:
        """Freezes the draft's approved examples; the new version."""
        return self._json("POST", f"/api/v1/datasets/{_part(dataset)}/versions", {"note": note})

    @contextmanager
    def export(self, dataset: str, version: int | str = "latest", format: str = "jsonl") -> Iterator[Iterator[bytes]]:
        """The bytes of a frozen version as they arrive: ``with hub.export("golden") as pieces: …``."""
        path = f"/api/v1/datasets/{_part(dataset)}/versions/{_part(str(version))}/export"
        response = self._send(lambda: self._http.build_request("GET", path, params={"format": format}), stream=True)
        try:
            yield response.iter_bytes()
        except httpx.HTTPError as error:
            raise HubError(f"The export broke off: {error}") from None
        finally:
            response.close()

    def golden(self, dataset: str, version: int | str = "latest") -> Golden:
        """A frozen version in memory. Raises HubError if its lines do not have the checksum that it states."""
        with self.export(dataset, version) as pieces:
            first, _, rest = b"".join(pieces).partition(b"\n")
        try:
            header = json.loads(first)
            examples = [json.loads(line) for line in rest.split(b"\n") if line]
        except ValueError:
            raise HubError("The export is not what was asked for: it is not JSON Lines.") from None
        if header.get("format") != NATIVE:
            raise HubError(f"The export is of the format {header.get('format')!r}; this client reads {NATIVE}.")
        if hashlib.sha256(rest).hexdigest() != header.get("sha256"):
            raise HubError("The export does not have the checksum that it states: it was cut off or changed.")
        return Golden(header, {example["id"]: example for example in examples})

    # ── Runs ──────────────────────────────────────────────────────────────────────────────────────

    def start_run(self, dataset: str, candidate: str, **fields: Any) -> dict[str, Any]:
        """A run that waits for its results. ``fields``: version, target, checks, baseline, rules, split."""
        body = {"id": str(uuid.uuid4()), "dataset": dataset, "candidate": candidate, **fields}
        return self._json("POST", "/api/v1/runs", body)

    def run(self, run_id: str) -> dict[str, Any]:
        """A run; while it is running with the examples that are ``missing``."""
        return self._json("GET", f"/api/v1/runs/{_part(run_id)}")

    def add_results(self, run_id: str, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Sends up to 500 answers; sending them again changes nothing."""
        return self._json("POST", f"/api/v1/runs/{_part(run_id)}/results", {"results": list(results)})

    def finish_run(self, run_id: str) -> dict[str, Any]:
        """Lets the gate decide."""
        return self._json("POST", f"/api/v1/runs/{_part(run_id)}/finish", {})

    # ── The wire ──────────────────────────────────────────────────────────────────────────────────

    def _json(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        response = self._send(lambda: self._http.build_request(method, path, json=body))
        try:
            value = response.json()
        except ValueError:
            raise HubError(f"{self.base_url} does not answer like Review Hub. Is the address right?") from None
        return dict(value)

    def _send(self, build: Callable[[], httpx.Request], *, stream: bool = False) -> httpx.Response:
        for attempt in range(self._retries + 1):
            last = attempt == self._retries
            try:
                response = self._http.send(build(), stream=stream)
            except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
                raise HubError(f"{self.base_url} is no address: {error}") from None
            except httpx.TransportError as error:
                if last:
                    raise HubError(f"{self.base_url} does not answer: {error or type(error).__name__}") from None
                time.sleep(pause(attempt, self._backoff))
                continue
            if response.is_success:
                return response
            response.read()
            if last or response.status_code not in RETRIED:
                raise _refused(response)
            time.sleep(pause(attempt, self._backoff, response.headers.get("Retry-After")))
        raise AssertionError("the last attempt returns or raises")


def pause(attempt: int, backoff: float, retry_after: str | None = None) -> float:
    """Seconds to wait before the next attempt: what the server asks for, else doubling with jitter."""
    if retry_after and retry_after.strip().replace(".", "", 1).isdecimal():
        return min(float(retry_after), LONGEST_WAIT) if backoff else 0.0
    longest: float = min(backoff * 2**attempt, LONGEST_WAIT)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311  # no secret


def _refused(response: httpx.Response) -> HubError:
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


def _part(text: str) -> str:
    """A text as one step of a path."""
    return quote(text, safe="")
