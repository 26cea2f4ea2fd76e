"""Calls to model providers through their official clients. The only module that imports ``openai`` and ``anthropic``;
``llm_batches`` speaks of batches through the clients that are made here.

The clients give us the dialect: paths, headers, errors, the shape of a request. The wire is ours: requests
leave through ``projects.outbound``, which checks the address and keeps a deadline on the wall clock (their own
time-outs are per read), and only headers of a short list leave, because the clients also pick credentials and
headers for other servers from the environment (OPENAI_CUSTOM_HEADERS, ANTHROPIC_AUTH_TOKEN, …). Their retries
are off; the one retry layer is the job row. Replies are read as raw bytes by our strict parser, because the
clients build objects from whatever came.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Protocol

from projects import outbound, strictjson
from projects.errors import ApiError

if TYPE_CHECKING:
    import anthropic
    import httpx2
    import openai

DEADLINE_SECONDS = 60.0
MAX_REPLY_TOKENS = 2048
MAX_RETRY_AFTER = 3600.0
MAX_KEPT = 16 * 1024  # of an unusable reply
# These refuse any temperature but their own.
_FIXED_TEMPERATURE = re.compile(r"(?:^|/)(?:o\d|gpt-5)")
_SENT_HEADERS = frozenset({"accept", "content-type", "user-agent", "anthropic-version", "anthropic-beta"})


@dataclass(frozen=True, slots=True)
class Access:
    """Where a provider is reached and with which key. Never printed: ``repr`` hides the key."""

    provider: str  # "openai" | "anthropic"
    base_url: str
    key: str

    def __repr__(self) -> str:
        return f"Access({self.provider}, {self.base_url})"


class Prompt(Protocol):
    """What a model is asked, and the JSON schema that its reply is to follow under the name ``form``."""

    @property
    def system(self) -> str: ...
    @property
    def user(self) -> str: ...
    @property
    def schema(self) -> dict[str, Any]: ...
    @property
    def form(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model said, as text, and what it took. Tokens are None where the provider did not say."""

    text: str
    input_tokens: int | None
    output_tokens: int | None


class ProviderError(Exception):
    """No reply. The text is a fixed sentence without anything the provider said; ``again`` says whether to retry.

    ``free`` says that the request was certainly not worked on, so that it cost nothing.
    """

    again = True
    free = True


class ProviderBusy(ProviderError):
    """429 or overload; ``retry_after`` is the provider's wish in seconds, None where it gave none."""

    def __init__(self, sentence: str, retry_after: float | None) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


class ProviderFailed(ProviderError):
    """A fault that may pass: 5xx, time-out, broken connection, a refused key (it may be replaced)."""

    def __init__(self, sentence: str, *, free: bool = True) -> None:
        super().__init__(sentence)
        self.free = free


class ProviderRefused(ProviderError):
    """A fault that will not pass by itself: unknown model, bad request, an address that is not allowed."""

    again = False


class UnusableReply(Exception):
    """The model replied, but not with a verdict: a refusal, a reply cut short, prose. Tokens were spent."""

    def __init__(self, sentence: str, reply: Reply) -> None:
        super().__init__(sentence)
        self.reply = reply


# Imported at the first call: 0.8 s and 50 MB for openai, as much again for anthropic, in processes that never
# judge. Under a lock, because threads that import the same packages at once can see them half made.
_importing = threading.Lock()


def complete(access: Access, model: str, prompt: Prompt, *, timeout: float = DEADLINE_SECONDS) -> Reply:
    """Asks the model once for a reply that follows the prompt's schema.

    ``timeout`` is the whole time in seconds. Touches no database; call it outside any transaction. Raises
    ProviderBusy, ProviderFailed, ProviderRefused, UnusableReply.
    """
    body = request(access, model, prompt)
    if access.provider == "anthropic":
        with anthropic_client(access, timeout) as claude:
            said = claude.messages.with_raw_response.create(**body).http_response.content
        return read_message(json_of(said))
    with openai_client(access, timeout) as gpt:
        said = gpt.chat.completions.with_raw_response.create(**body).http_response.content
    return read_chat(json_of(said))


def request(access: Access, model: str, prompt: Prompt) -> dict[str, Any]:
    """The body that asks for the prompt's form in the provider's dialect: sent alone, or as one of a batch."""
    if access.provider == "anthropic":
        return {
            "model": model, "system": prompt.system, "messages": [{"role": "user", "content": prompt.user}],
            "max_tokens": MAX_REPLY_TOKENS,
            # A forced tool call is the structured output that every model and compatible server has.
            "tools": [
                {"name": prompt.form, "description": f"Hands in the {prompt.form}", "input_schema": prompt.schema}
            ],
            "tool_choice": {"type": "tool", "name": prompt.form},
        }  # fmt: skip
    return {
        "model": model,
        "messages": [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}],
        "response_format": {
            "type": "json_schema", "json_schema": {"name": prompt.form, "strict": True, "schema": prompt.schema},
        },
        "max_completion_tokens": MAX_REPLY_TOKENS,
        **({} if _FIXED_TEMPERATURE.search(model) else {"temperature": 0}),
    }  # fmt: skip


@contextmanager
def openai_client(
    access: Access, timeout: float, *, max_bytes: int = outbound.MAX_BYTES
) -> Iterator[openai.OpenAI]:  # fmt: skip
    """OpenAI's client for one exchange or a few of ``timeout`` seconds each; its errors become ours."""
    with _importing:
        import openai
    with _http(access, timeout, max_bytes) as http:
        try:
            yield openai.OpenAI(
                api_key=access.key or "none", base_url=access.base_url, max_retries=0, http_client=http
            )  # fmt: skip
        except (openai.OpenAIError, outbound.OutboundRefused, outbound.OutboundFailed) as error:
            raise _explained(error) from None


@contextmanager
def anthropic_client(
    access: Access, timeout: float, *, max_bytes: int = outbound.MAX_BYTES
) -> Iterator[anthropic.Anthropic]:  # fmt: skip
    """Anthropic's client, see ``openai_client``."""
    with _importing:
        import anthropic
    with _http(access, timeout, max_bytes) as http:
        try:
            yield anthropic.Anthropic(
                api_key=access.key or "none", base_url=access.base_url, max_retries=0, http_client=http
            )  # fmt: skip
        except (anthropic.AnthropicError, outbound.OutboundRefused, outbound.OutboundFailed) as error:
            raise _explained(error) from None


def load() -> None:
    """Imports the providers' clients: seconds that must not be taken for a model's."""
    with _importing:
        import anthropic  # noqa: F401
        import httpx2  # noqa: F401
        import openai  # noqa: F401


def converse(access: Access, body: dict[str, Any], *, timeout: float = DEADLINE_SECONDS) -> Reply:
    """Sends a request as an application would (``openai_body``, ``anthropic_body``) and gives what the model said.

    A refusal, an answer that was cut short and calls of tools are answers: users saw them as such. Raises as
    ``complete`` does.
    """
    known = {name: body[name] for name in ("model", "messages")}
    apart = {*known, "max_tokens"} if access.provider == "anthropic" else known
    rest = {name: value for name, value in body.items() if name not in apart}
    if access.provider == "anthropic":
        with anthropic_client(access, timeout) as claude:
            said = claude.messages.with_raw_response.create(
                **known, max_tokens=body["max_tokens"], extra_body=rest
            ).http_response.content  # fmt: skip
        return _said_message(json_of(said))
    with openai_client(access, timeout) as gpt:
        said = gpt.chat.completions.with_raw_response.create(**known, extra_body=rest).http_response.content
    return _said_chat(json_of(said))


def _said_chat(body: dict[str, Any]) -> Reply:
    usage, choices = body.get("usage"), body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    message = choice.get("message")
    message = message if isinstance(message, dict) else {}
    text = _text_parts(message.get("content")) or _calls(message.get("tool_calls")) or message.get("refusal")
    return _spoken(text, usage, "prompt_tokens", "completion_tokens")


def _said_message(body: dict[str, Any]) -> Reply:
    content = body.get("content")
    calls = [block for block in content if isinstance(block, dict) and block.get("type") == "tool_use"] if isinstance(
        content, list
    ) else []  # fmt: skip
    return _spoken(_text_parts(content) or _calls(calls), body.get("usage"), "input_tokens", "output_tokens")


def _spoken(text: Any, usage: Any, given: str, got: str) -> Reply:
    reply = Reply(text if isinstance(text, str) else "", _count(usage, given), _count(usage, got))
    if not reply.text.strip():
        raise UnusableReply("The model's reply was empty.", reply)
    return reply


def _text_parts(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = [block.get("text") for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    return "".join(part for part in parts if isinstance(part, str))


def _calls(calls: Any) -> str:
    return json.dumps(calls, ensure_ascii=False, sort_keys=True) if isinstance(calls, list) and calls else ""


def _http(access: Access, timeout: float, max_bytes: int) -> httpx2.Client:
    """An ``httpx2.Client`` whose only way out is the guarded one, and whose key goes to its own address alone."""
    with _importing:
        import httpx2

    home = httpx2.URL(access.base_url)

    class Guarded(httpx2.BaseTransport):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            # The results of a batch are fetched from an address that the provider names.
            if (request.url.scheme, request.url.netloc) != (home.scheme, home.netloc):
                raise outbound.OutboundRefused("The provider named an address that is not its own.")
            headers = {name: value for name, value in request.headers.items() if name.lower() in _SENT_HEADERS}
            if access.provider == "anthropic":
                headers["x-api-key"] = access.key or "none"
            else:
                headers["authorization"] = f"Bearer {access.key or 'none'}"
            answer = outbound.exchange(
                request.method, str(request.url), headers=headers, body=request.read(), timeout=timeout,
                max_bytes=max_bytes,
            )  # fmt: skip
            return httpx2.Response(answer.status, headers=answer.headers, content=answer.body, request=request)

    return httpx2.Client(transport=Guarded(), trust_env=False, follow_redirects=False)


def _explained(error: Exception) -> ProviderError | UnusableReply:
    """Our error for one of a client's, told by status and cause; both clients name them alike.

    What the wire raises comes through one client as it is and through the other as the cause of its own error.
    """
    cause = error.__cause__ or error
    if isinstance(cause, outbound.OutboundTooLarge):
        return UnusableReply("The provider's answer was too large.", Reply("", None, None))
    if isinstance(cause, outbound.OutboundRefused):
        return ProviderRefused(str(cause))
    if isinstance(cause, outbound.OutboundFailed):
        return ProviderFailed(str(cause), free=isinstance(cause, outbound.OutboundUnreached))
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    if response is None or status is None:
        return ProviderFailed("The provider could not be reached.", free=False)
    if status == 429 or status == 529 or (status == 503 and "retry-after" in response.headers):
        return ProviderBusy("The provider is busy.", retry_after(response.headers.get("retry-after")))
    return of_status(status)


def of_status(status: int) -> ProviderError:
    """Our error for an answer with this status that is no reply."""
    if status in (401, 403):
        return ProviderFailed(f"The provider refused the key ({status}).")
    if status >= 500 or status in (408, 409, 425):
        return ProviderFailed(f"The provider answered with an error ({status}).")
    if status == 404:
        return ProviderRefused("The provider does not know this model or address (404).")
    return ProviderRefused(f"The provider refused the request ({status}).")


def retry_after(value: str | None) -> float | None:
    """The seconds of a ``Retry-After`` header (a number or a date), within [0, MAX_RETRY_AFTER]; None if unreadable."""
    if not value:
        return None
    if re.fullmatch(r"[0-9]{1,9}(?:\.[0-9]{1,6})?", value.strip(), re.ASCII):
        return min(float(value), MAX_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - datetime.now(UTC)).total_seconds(), 0.0), MAX_RETRY_AFTER)


def json_of(body: bytes) -> dict[str, Any]:
    try:
        value = strictjson.parse(body).value
    except ApiError:
        value = None
    if not isinstance(value, dict):
        said = body[:MAX_KEPT].decode("utf-8", "replace")
        raise UnusableReply("The provider's answer was not JSON.", Reply(said, None, None))
    return value


def read_chat(body: dict[str, Any]) -> Reply:
    """The text of a chat completion."""
    usage = body.get("usage")
    spent = (_count(usage, "prompt_tokens"), _count(usage, "completion_tokens"))
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    message = choice.get("message")
    message = message if isinstance(message, dict) else {}
    text = message.get("content")
    reply = Reply(text if isinstance(text, str) else "", *spent)
    if message.get("refusal") or choice.get("finish_reason") == "content_filter":
        raise UnusableReply("The model refused.", reply)
    if choice.get("finish_reason") == "length":
        raise UnusableReply("The model's reply was cut short.", reply)
    if not reply.text.strip():
        raise UnusableReply("The model's reply was empty.", reply)
    return reply


def read_message(body: dict[str, Any]) -> Reply:
    """The tool input of a message as JSON text; its text where a server does not know tools."""
    usage = body.get("usage")
    spent = (_count(usage, "input_tokens"), _count(usage, "output_tokens"))
    content = body.get("content")
    blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    handed = [block for block in blocks if block.get("type") == "tool_use"]
    texts = [block["text"] for block in blocks if block.get("type") == "text" and isinstance(block.get("text"), str)]
    text = json.dumps(handed[0].get("input"), ensure_ascii=False) if len(handed) == 1 else "".join(texts)
    reply = Reply(text, *spent)
    if body.get("stop_reason") == "refusal":
        raise UnusableReply("The model refused.", reply)
    if body.get("stop_reason") == "max_tokens":
        raise UnusableReply("The model's reply was cut short.", reply)
    if not reply.text.strip():
        raise UnusableReply("The model's reply was empty.", reply)
    return reply


def _count(usage: Any, name: str) -> int | None:
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else None
