"""Talking to Review Hub: one method a thing, retries where they are safe, errors that say what to do."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
import uuid
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, Unpack

import httpx

from reviewhub_client import providers, wire
from reviewhub_client.background import Background, Options
from reviewhub_client.recording import Recording
from reviewhub_client.tokens import interaction_token
from reviewhub_client.types import Amendment, Feedback, FeedbackKind, Fields, Interaction, ItemResult
from reviewhub_client.wire import Address, Ask, Attempts, HubError, part

C = TypeVar("C")
NATIVE = "reviewhub.golden/1"
PAGE = 200


@dataclass(frozen=True, slots=True)
class Golden:
    """A frozen version: what its first line says, and its examples by key."""

    header: dict[str, Any]
    examples: dict[str, dict[str, Any]]


class Recorder(Recording):
    """What both clients have beside their requests: a background sender, recording, tokens."""

    _address: Address

    def __init__(self, defaults: Fields | None) -> None:
        self.defaults: Fields = defaults or {}
        self._background: Background | None = None
        self._making = threading.Lock()

    def background(self, **options: Unpack[Options]) -> Background:
        """The sender that takes items without waiting; ``options`` (see ``Background``) count at the first call."""
        with self._making:
            if self._background is None:
                self._background = Background(self._address, **options)
            elif options:
                raise ValueError("The background sender is made already; give its options at the first call.")
            return self._background

    def wrap(self, client: C, **fields: Any) -> C:
        """Records what this client of OpenAI or Anthropic is asked and says from now on; the same client.

        Inside of an interaction a call is a step of it, otherwise an interaction with these ``fields``. Raises
        TypeError where the client has none of the methods that are recorded.
        """
        return providers.wrap(self, client, {**fields})

    def interaction_token(self, interaction_id: str, user_id: str | None = None, expires_in: int = 3600) -> str:
        """A token with which a browser's feedback counts as this user's. Needs a secret key; raises ValueError."""
        return interaction_token(self._address.key, interaction_id, user_id, expires_in)

    def _close_background(self) -> None:
        if self._background is not None:
            self._background.close()


class Hub(Recorder):
    """A project of a Review Hub, as a key opens it.

    ``base_url`` and ``key`` default to the environment's REVIEWHUB_URL and REVIEWHUB_KEY. One instance may be
    used by several threads, and goes on in a forked process. ``timeout`` are seconds. Calls are retried on connection
    errors and on busy answers; what is sent carries an id, so that a retry never counts twice. ``defaults`` are
    fields of every interaction that is recorded: environment, release, feature.
    """

    def __init__(
        self, base_url: str | None = None, key: str | None = None, *, timeout: float = 30.0, retries: int = 4,
        backoff: float = 0.5, transport: httpx.BaseTransport | None = None, defaults: Fields | None = None,
    ) -> None:  # fmt: skip
        self._address = Address.of(base_url, key)
        super().__init__(defaults)
        self._settings = {**self._address.settings(timeout), "transport": transport}
        self._retries, self._backoff = retries, backoff
        self.base_url = self._address.url
        self._connect()
        _keep_apart_after_fork(self)

    def _connect(self) -> None:
        try:
            self._http = httpx.Client(**self._settings)
        except (httpx.InvalidURL, UnicodeEncodeError, ValueError) as error:
            raise self._address.unusable(error) from None

    def __enter__(self) -> Hub:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Sends what waits in the background, and lets go of the connections."""
        self._close_background()
        self._http.close()

    # ── What your application tells ───────────────────────────────────────────────────────────────

    def record_interaction(self, interaction: Interaction | Mapping[str, Any]) -> dict[str, Any]:
        """Stores one interaction; without ``id`` it gets one, which is in the answer."""
        return self._json(wire.interaction({**self.defaults, **interaction}))

    def record_interactions(self, interactions: Sequence[Interaction | Mapping[str, Any]]) -> list[ItemResult]:
        """Stores many; the answers are in their order, each with a ``status`` of its own."""
        return self._many(wire.interactions([{**self.defaults, **item} for item in interactions]))

    def feedback(
        self, interaction_id: str, kind: FeedbackKind = "thumbs", value: Any = None, **fields: Any
    ) -> dict[str, Any]:
        """Stores what an end user said: ``hub.feedback("req-1", "thumbs", "down", comment="wrong fee")``."""
        return self._json(wire.feedback({"interaction_id": interaction_id, "kind": kind, "value": value, **fields}))

    def record_feedback(self, feedback: Sequence[Feedback | Mapping[str, Any]]) -> list[ItemResult]:
        """Stores many; the answers are in their order, each with a ``status`` of its own."""
        return self._many(wire.feedbacks(feedback))

    def score(self, interaction_id: str, name: str, value: float | None = None, **fields: Any) -> dict[str, Any]:
        """Stores a machine's verdict: ``hub.score("req-1", "toxicity", 0.02, version="3")``."""
        return self._json(wire.score({"interaction_id": interaction_id, "name": name, "value": value, **fields}))

    def amend(self, interaction_id: str, **patch: Unpack[Amendment]) -> dict[str, Any]:
        """Adds what became known later: ``hub.amend("req-1", outcome={"resolved": True}, tags=["vip"])``."""
        return self._json(wire.amend(interaction_id, patch))

    # ── What it asks ──────────────────────────────────────────────────────────────────────────────

    def read(self, interaction_id: str) -> dict[str, Any]:
        """One interaction with its spans, feedback, scores and labels."""
        return self._json(wire.read(interaction_id))

    def interactions(self, *, page_size: int = PAGE, **filters: Any) -> Iterator[dict[str, Any]]:
        """All that fit, newest first, page by page: ``hub.interactions(feedback="negative", since="2026-11-01")``.

        The filters are those of the API; a list means "one of".
        """
        cursor = ""
        while True:
            page = self._json(wire.page(filters, page_size, cursor))
            yield from page["results"]
            cursor = page.get("next") or ""
            if not cursor:
                return

    # ── Datasets ──────────────────────────────────────────────────────────────────────────────────

    def datasets(self) -> list[dict[str, Any]]:
        """The project's datasets with their newest frozen version."""
        return list(self._json(Ask("GET", "/api/v1/datasets"))["results"])

    def versions(self, dataset: str) -> list[dict[str, Any]]:
        """The versions of a dataset, newest first."""
        return list(self._json(Ask("GET", f"/api/v1/datasets/{part(dataset)}/versions"))["results"])

    def add_examples(
        self, dataset: str, examples: Sequence[Mapping[str, Any]], *, approve: bool = False
    ) -> dict[str, Any]:
        """Puts up to 500 examples into the draft."""
        body = {"examples": list(examples), "approve": approve}
        return self._json(Ask("POST", f"/api/v1/datasets/{part(dataset)}/examples", body))

    def freeze(self, dataset: str, note: str = "") -> dict[str, Any]:
        """Freezes the draft's approved examples; the new version."""
        return self._json(Ask("POST", f"/api/v1/datasets/{part(dataset)}/versions", {"note": note}, repeatable=False))

    @contextmanager
    def export(self, dataset: str, version: int | str = "latest", format: str = "jsonl") -> Iterator[Iterator[bytes]]:
        """The bytes of a frozen version as they arrive: ``with hub.export("golden") as pieces: …``."""
        path = f"/api/v1/datasets/{part(dataset)}/versions/{part(str(version))}/export"
        response = self._send(Ask("GET", path, params={"format": format}), stream=True)
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

    def flaky(self, dataset: str, version: int | str = "latest") -> list[str]:
        """The examples that passed and failed within one of the last runs; ``flaky_repeats`` asks them again."""
        path = f"/api/v1/datasets/{part(dataset)}/versions/{part(str(version))}/flaky"
        return list(self._json(Ask("GET", path))["results"])

    # ── Runs ──────────────────────────────────────────────────────────────────────────────────────

    def start_run(self, dataset: str, candidate: str, **fields: Any) -> dict[str, Any]:
        """A run that waits for its results. ``fields``: version, target, checks, baseline, rules, split."""
        body = {"id": str(uuid.uuid4()), "dataset": dataset, "candidate": candidate, **fields}
        return self._json(Ask("POST", "/api/v1/runs", body))

    def run(self, run_id: str) -> dict[str, Any]:
        """A run; while it is running with the examples that are ``missing``."""
        return self._json(Ask("GET", f"/api/v1/runs/{part(run_id)}"))

    def add_results(self, run_id: str, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Sends up to 500 answers; sending them again changes nothing."""
        return self._json(Ask("POST", f"/api/v1/runs/{part(run_id)}/results", {"results": list(results)}))

    def results(self, run_id: str) -> Iterator[dict[str, Any]]:
        """The answers of a run as they were sent, page by page."""
        cursor = "0"
        while cursor:
            page = self._json(Ask("GET", f"/api/v1/runs/{part(run_id)}/results", params={"cursor": cursor}))
            yield from page["results"]
            cursor = page.get("next") or ""

    def finish_run(self, run_id: str) -> dict[str, Any]:
        """Lets the gate decide."""
        return self._json(Ask("POST", f"/api/v1/runs/{part(run_id)}/finish", {}))

    # ── The wire ──────────────────────────────────────────────────────────────────────────────────

    def _json(self, ask: Ask) -> dict[str, Any]:
        return wire.value_of(self._send(ask), self.base_url)

    def _many(self, asks: Sequence[Ask]) -> list[Any]:
        return wire.numbered([result for ask in asks for result in self._json(ask)["results"]])

    def _send(self, ask: Ask, *, stream: bool = False) -> httpx.Response:
        attempts = Attempts(self._address, self._retries, self._backoff, repeatable=ask.repeatable)
        while True:
            try:
                request = self._http.build_request(ask.method, ask.path, json=ask.body, params=ask.params)
                response = self._http.send(request, stream=stream)
            except (httpx.TransportError, httpx.InvalidURL) as error:
                wait = attempts.failed(error)
            else:
                if response.is_success:
                    return response
                response.read()
                wait = attempts.refused(response)
            time.sleep(wait)


_hubs: weakref.WeakSet[Hub] = weakref.WeakSet()


def _keep_apart_after_fork(hub: Hub) -> None:
    """Two processes must not speak on one connection. The handler is registered once, and holds no hub."""
    if not _hubs and not _registered and hasattr(os, "register_at_fork"):
        _registered.append(True)
        os.register_at_fork(after_in_child=_connect_again)
    _hubs.add(hub)


_registered: list[bool] = []


def _connect_again() -> None:
    for hub in list(_hubs):
        wire.inherited.append(hub._http)
        hub._connect()
