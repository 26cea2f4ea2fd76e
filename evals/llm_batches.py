"""Batches of requests at a model provider: half the price, results within a day.

OpenAI's Batch API takes a JSONL file of requests and gives one of results and one of errors; Anthropic's Message
Batches take the requests in one body and give one stream of results. Either may give them in any order and leave
some out, so each request carries a ``custom_id``. Through the clients of ``llm``; knows no database.

https://developers.openai.com/api/docs/guides/batch
https://platform.claude.com/docs/en/build-with-claude/batch-processing
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from evals import llm
from evals.llm import Access, ProviderError, ProviderFailed, ProviderRefused, Reply, UnusableReply
from projects import strictjson
from projects.errors import ApiError

# One exchange: a file of requests up, or one of results down.
TRANSFER_SECONDS = 120.0
# Requests of one batch in all; far under what the providers take (200 and 256 MB), because it stands in memory.
MAX_SENT_BYTES = 16 * 1024 * 1024
MAX_RESULT_BYTES = 32 * 1024 * 1024
_METADATA = "reviewhub_batch"
_ENDPOINT: Literal["/v1/chat/completions"] = "/v1/chat/completions"
_IDENTIFIER = re.compile(r"[A-Za-z0-9_.-]{1,200}", re.ASCII)
# Clocks of providers and ours may differ by this, when a batch is looked for by its time.
_SKEW = timedelta(minutes=30)
_PAGES = 20
# Of Anthropic's errors those that will not pass by themselves.
_FOR_GOOD = frozenset({"invalid_request_error", "not_found_error", "request_too_large"})


class Undecided(Exception):
    """Whether the provider has the batch cannot be told yet: one that could be it is still under way."""


@dataclass(frozen=True, slots=True)
class Status:
    """How a batch is. ``failed`` means that it was refused as a whole; ``done`` of its requests have a result.

    ``results`` and ``files`` are OpenAI's: what holds the results, and everything that it keeps of the batch.
    """

    ended: bool
    failed: bool = False
    done: int = 0
    results: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Results:
    """What came of the requests, by ``custom_id``; ``whole`` is False where something of the download was not read."""

    lines: dict[str, dict[str, Any]] = field(default_factory=dict)
    whole: bool = True


def size(body: dict[str, Any]) -> int:
    """Bytes of a request in a batch, with what stands around it."""
    return len(json.dumps(body, ensure_ascii=False).encode()) + 200


def create(access: Access, requests: Sequence[tuple[str, dict[str, Any]]], mark: str) -> str:
    """Hands in requests as (``custom_id``, body of ``llm.request``); returns the provider's name for the batch.

    ``mark`` begins every ``custom_id`` and tells the batch from all others. Raises as ``llm.complete`` does: after an
    error that is not ``free`` and after UnusableReply the provider may have the batch, see ``find``.
    """
    if access.provider == "anthropic":
        bodies: Any = [{"custom_id": name, "params": body} for name, body in requests]
        with llm.anthropic_client(access, TRANSFER_SECONDS) as claude:
            said = claude.messages.batches.with_raw_response.create(requests=bodies).http_response.content
        return _identifier(llm.json_of(said))
    source = _upload(access, requests)
    with llm.openai_client(access, TRANSFER_SECONDS) as gpt:
        said = gpt.batches.with_raw_response.create(
            input_file_id=source, endpoint=_ENDPOINT, completion_window="24h", metadata={_METADATA: mark}
        ).http_response.content
    return _identifier(llm.json_of(said))


def _upload(access: Access, requests: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """The file of requests. Without a batch it costs nothing, whatever became of it."""
    lines = b"".join(
        json.dumps({"custom_id": name, "method": "POST", "url": _ENDPOINT, "body": body}, ensure_ascii=False).encode()
        + b"\n"
        for name, body in requests
    )
    try:
        with llm.openai_client(access, TRANSFER_SECONDS) as gpt:
            said = gpt.files.with_raw_response.create(file=("requests.jsonl", lines), purpose="batch")
        return _identifier(llm.json_of(said.http_response.content))
    except ProviderFailed as failed:
        raise ProviderFailed(str(failed)) from None
    except UnusableReply:
        raise ProviderFailed("The provider did not take the file of requests.") from None


def _identifier(body: dict[str, Any]) -> str:
    name = body.get("id")
    if not isinstance(name, str) or not _IDENTIFIER.fullmatch(name):
        raise UnusableReply("The provider did not name the batch.", Reply("", None, None))
    return name


def status(access: Access, name: str) -> Status:
    """How the batch is now. Raises as ``llm.complete`` does."""
    if access.provider == "anthropic":
        with llm.anthropic_client(access, llm.DEADLINE_SECONDS) as claude:
            body = llm.json_of(claude.messages.batches.with_raw_response.retrieve(name).http_response.content)
        counts = _counts(body)
        done = sum(counts.values()) - counts.get("processing", 0)
        return Status(ended=body.get("processing_status") == "ended", done=done)
    with llm.openai_client(access, llm.DEADLINE_SECONDS) as gpt:
        body = llm.json_of(gpt.batches.with_raw_response.retrieve(name).http_response.content)
    counts, state = _counts(body), body.get("status")
    files = {key: body.get(key) for key in ("output_file_id", "error_file_id", "input_file_id")}
    named = {key: one for key, one in files.items() if isinstance(one, str) and _IDENTIFIER.fullmatch(one)}
    return Status(
        ended=state in ("completed", "expired", "cancelled", "failed"), failed=state == "failed",
        done=counts.get("completed", 0) + counts.get("failed", 0),
        results=tuple(one for key, one in named.items() if key != "input_file_id"), files=tuple(named.values()),
    )  # fmt: skip


def _counts(body: dict[str, Any]) -> dict[str, int]:
    told = body.get("request_counts")
    told = told if isinstance(told, dict) else {}
    return {name: count for name, count in told.items() if type(count) is int and 0 <= count < 2**31}


def results(access: Access, name: str, now: Status) -> Results:
    """The results of a batch that has ended with the status ``now``. Raises as ``llm.complete`` does."""
    if access.provider == "anthropic":
        with llm.anthropic_client(access, TRANSFER_SECONDS, max_bytes=MAX_RESULT_BYTES) as claude:
            # Typed as a reader of lines, which it is not when it is asked for raw.
            answer: Any = claude.messages.batches.with_raw_response.results(name)
            return _read([answer.http_response.content], now.done)
    with llm.openai_client(access, TRANSFER_SECONDS, max_bytes=MAX_RESULT_BYTES) as gpt:
        contents = [gpt.files.with_raw_response.content(one).http_response.content for one in now.results]
    return _read(contents, now.done)


def _read(contents: Sequence[bytes], expected: int) -> Results:
    lines: dict[str, dict[str, Any]] = {}
    broken = False
    for raw in b"\n".join(contents).split(b"\n"):
        if not raw.strip():
            continue
        try:
            value = strictjson.parse(raw).value
        except ApiError:
            value = None
        name = value.get("custom_id") if isinstance(value, dict) else None
        if not isinstance(name, str):
            broken = True
        else:
            lines.setdefault(name, value)
    return Results(lines, whole=not broken and len(lines) >= expected)


def read(line: dict[str, Any]) -> Reply:
    """The reply in a line of ``Results``. Raises ProviderRefused, ProviderFailed, UnusableReply."""
    if "result" in line:
        return _read_message(line["result"])
    response, error = line.get("response"), line.get("error")
    if isinstance(response, dict) and response.get("status_code") == 200 and isinstance(response.get("body"), dict):
        return llm.read_chat(response["body"])
    if isinstance(response, dict) and type(response.get("status_code")) is int and response["status_code"] >= 400:
        raise llm.of_status(response["status_code"])
    code = error.get("code") if isinstance(error, dict) else None
    if code in ("batch_expired", "batch_cancelled"):
        raise ProviderFailed("The provider did not come to it before the batch ended.")
    raise ProviderFailed("The provider failed at this one.", free=isinstance(error, dict))


def _read_message(result: Any) -> Reply:
    kind = result.get("type") if isinstance(result, dict) else None
    if kind == "succeeded" and isinstance(result.get("message"), dict):
        return llm.read_message(result["message"])
    if kind in ("expired", "canceled"):
        raise ProviderFailed("The provider did not come to it before the batch ended.")
    if kind == "errored":
        error = result.get("error")
        inner = error.get("error") if isinstance(error, dict) else None
        if isinstance(inner, dict) and inner.get("type") in _FOR_GOOD:
            raise ProviderRefused("The provider refused the request.")
        raise ProviderFailed("The provider failed at this one.")
    raise ProviderFailed("The provider failed at this one.", free=False)


def cancel(access: Access, name: str) -> None:
    """Asks the provider to stop the batch: it ends later, with the results that there are."""
    if access.provider == "anthropic":
        with llm.anthropic_client(access, llm.DEADLINE_SECONDS) as claude:
            claude.messages.batches.with_raw_response.cancel(name)
    else:
        with llm.openai_client(access, llm.DEADLINE_SECONDS) as gpt:
            gpt.batches.with_raw_response.cancel(name)


def forget(access: Access, name: str, now: Status) -> None:
    """Deletes what the provider keeps of a batch that has ended. What it does not delete it keeps for some weeks."""
    if access.provider == "anthropic":
        with suppress(ProviderError, UnusableReply), llm.anthropic_client(access, llm.DEADLINE_SECONDS) as claude:
            claude.messages.batches.with_raw_response.delete(name)
        return
    for one in now.files:
        with suppress(ProviderError, UnusableReply), llm.openai_client(access, llm.DEADLINE_SECONDS) as gpt:
            gpt.files.with_raw_response.delete(one)


def find(access: Access, mark: str, *, since: datetime, requests: int, known: Collection[str]) -> str | None:
    """The provider's name for a batch that was perhaps handed in at ``since`` or later; None where it has none.

    OpenAI keeps our mark as metadata. Anthropic keeps none: a batch of that time and size that is not ``known`` is
    told by the results, once it has ended. Raises Undecided before, and as ``llm.complete`` does.
    """
    waiting = False
    for body in _newest(access, since - _SKEW):
        name = body.get("id")
        if not isinstance(name, str) or not _IDENTIFIER.fullmatch(name) or name in known:
            continue
        if access.provider != "anthropic":
            metadata = body.get("metadata")
            if isinstance(metadata, dict) and metadata.get(_METADATA) == mark:
                return name
        elif sum(_counts(body).values()) == requests:
            if body.get("processing_status") != "ended":
                waiting = True
            elif any(line.startswith(mark) for line in results(access, name, Status(ended=True)).lines):
                return name
    if waiting:
        raise Undecided
    return None


def _newest(access: Access, since: datetime) -> Iterator[dict[str, Any]]:
    """The provider's batches since then, newest first."""
    after: dict[str, str] = {}
    for _ in range(_PAGES):
        body = _page(access, after)
        rows = body.get("data")
        if not isinstance(rows, list) or not all(isinstance(one, dict) for one in rows):
            raise UnusableReply("The provider's list of batches was not readable.", Reply("", None, None))
        for one in rows:
            if (made := _made(one.get("created_at"))) is not None and made < since:
                return
            yield one
        if not rows or body.get("has_more") is not True:
            return
        after = {"after_id" if access.provider == "anthropic" else "after": str(rows[-1].get("id"))}
    raise Undecided


def _page(access: Access, after: dict[str, str]) -> dict[str, Any]:
    place: dict[str, Any] = after
    if access.provider == "anthropic":
        with llm.anthropic_client(access, llm.DEADLINE_SECONDS) as claude:
            answer: Any = claude.messages.batches.with_raw_response.list(limit=100, **place)
            return llm.json_of(answer.http_response.content)
    with llm.openai_client(access, llm.DEADLINE_SECONDS) as gpt:
        answer = gpt.batches.with_raw_response.list(limit=100, **place)
        return llm.json_of(answer.http_response.content)


def _made(value: Any) -> datetime | None:
    """When a batch was made: seconds at OpenAI, RFC 3339 at Anthropic."""
    try:
        return datetime.fromtimestamp(value, UTC) if type(value) is int else datetime.fromisoformat(value)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
