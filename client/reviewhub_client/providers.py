"""Recording the clients of model providers, without importing them.

``wrap`` replaces methods on the one client it is given. What they return is the very object that the provider's
library made; of a stream only its inner iterator is exchanged for one that listens. Where a library is built
otherwise than expected, the call goes through unrecorded, with a line in the log.
"""

from __future__ import annotations

import functools
import inspect
import logging
import time
import weakref
from collections.abc import Callable, Generator
from typing import Any, TypeVar

from reviewhub_client.readers import ChatReader, MessagesReader, Reader, ResponsesReader
from reviewhub_client.recording import Call, Recording, Step, current_call, quietly, remember

log = logging.getLogger("reviewhub_client")
C = TypeVar("C")
RAW = "X-Stainless-Raw-Response"  # how the libraries ask themselves for an answer with its headers

METHODS: dict[str, type[Reader]] = {
    "chat.completions": ChatReader,
    "responses": ResponsesReader,
    "messages": MessagesReader,
    "beta.messages": MessagesReader,
}
NAMES = ("create", "parse", "stream")


def wrap(hub: Recording, client: C, fields: dict[str, Any]) -> C:
    """See ``Hub.wrap``."""
    provider = type(client).__module__.partition(".")[0]
    found = 0
    for path, reader in METHODS.items():
        resource: Any = client
        for name in path.split("."):
            resource = getattr(resource, name, None)
        for name in NAMES if resource is not None else ():
            method = getattr(resource, name, None)
            if not callable(method):
                continue
            found += 1
            if not hasattr(method, "_reviewhub"):
                setattr(resource, name, _recorded(hub, method, name, reader, provider, fields))
    if not found:
        raise TypeError(f"wrap() takes a client of OpenAI or Anthropic, not {type(client).__name__}.")
    for name in ("copy", "with_options"):  # they make another client
        if callable(method := getattr(client, name, None)) and not hasattr(method, "_reviewhub"):
            setattr(client, name, _copying(hub, method, fields))
    return client


def _copying(hub: Recording, method: Callable[..., Any], fields: dict[str, Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def copy(*args: Any, **kwargs: Any) -> Any:
        return wrap(hub, method(*args, **kwargs), fields)

    copy._reviewhub = True  # type: ignore[attr-defined]
    return copy


def _recorded(
    hub: Recording, method: Callable[..., Any], name: str, reader: type[Reader], provider: str, fields: dict[str, Any]
) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        def begin() -> _Exchange | None:
            return quietly(lambda: _Exchange(hub, reader(provider, kwargs), f"{provider} {name}", kwargs, fields))

        if (kwargs.get("extra_headers") or {}).get(RAW) == "stream":
            return method(*args, **kwargs)  # the application reads the bytes itself
        if name == "stream":
            manager = method(*args, **kwargs)
            quietly(lambda: _listen_to_manager(manager, begin))
            return manager
        exchange = begin()
        try:
            result = method(*args, **kwargs)
        except BaseException as error:
            _end(exchange, error)
            raise
        return _awaited(result, exchange) if inspect.isawaitable(result) else _answered(result, exchange)

    call._reviewhub = True  # type: ignore[attr-defined]
    return call


async def _awaited(result: Any, exchange: _Exchange | None) -> Any:
    try:
        answer = await result
    except BaseException as error:
        _end(exchange, error)
        raise
    return _answered(answer, exchange)


def _answered(result: Any, exchange: _Exchange | None) -> Any:
    if exchange is not None:
        quietly(lambda: exchange.answered(result))
    return result


def _end(exchange: _Exchange | None, error: BaseException) -> None:
    if exchange is not None:
        quietly(lambda: exchange.end(error))


def _listen_to_manager(manager: Any, begin: Callable[[], _Exchange | None]) -> None:
    """The helper ``stream()`` asks the provider when its block is entered; that request is replaced by one of ours."""
    place = next((name for name in vars(manager) if name.endswith("__api_request")), None)
    if place is None:
        log.warning("Review Hub: streams of %s are not recorded", type(manager).__name__)
        return
    request = vars(manager)[place]
    if inspect.isawaitable(request):
        setattr(manager, place, _Later(request, begin))
        return

    def send() -> Any:
        exchange = begin()
        try:
            stream = request()
        except BaseException as error:
            _end(exchange, error)
            raise
        return _answered(stream, exchange)

    setattr(manager, place, send)


class _Later:
    """An awaitable request that is begun when somebody awaits it, and not missed if nobody does."""

    def __init__(self, request: Any, begin: Callable[[], _Exchange | None]) -> None:
        self._request, self._begin = request, begin

    def __await__(self) -> Generator[Any, Any, Any]:
        return _awaited(self._request, self._begin()).__await__()

    def close(self) -> None:
        self._request.close()


class _Exchange:
    """One call of a model: a span of the interaction that is under way, else an interaction of its own."""

    def __init__(self, hub: Recording, reader: Reader, name: str, request: Any, fields: dict[str, Any]) -> None:
        self.reader, self._streamed = reader, request.get("stream") is True
        self._ended = False
        call = current_call()
        self._step: Step | None = None
        if call is None:
            user = request.get("user")
            self._call: Call = hub.interaction(**{**({"user_id": user} if isinstance(user, str) else {}), **fields})
            remember(self._call.id)
        else:
            self._call = call
            self._step = Step(call, reader.answer.model or name, "llm", reader.answer.messages)
            call.begin_stream()

    def answered(self, result: Any) -> None:
        """What the library returned: an answer, a stream, or either with the response around it."""
        try:
            self._read(result)
        except Exception:
            self.end()
            raise

    def _read(self, result: Any) -> None:
        if _is_raw(result):
            result = result.parse()  # kept by the response, which the application parses as well
        if isinstance(getattr(result, "_iterator", None), Listener):
            return self._forget()  # recorded by the method below this one
        if hasattr(result, "_iterator"):
            result._iterator = Listener(result._iterator, self)
            _end_with(result, self)
            return None
        if self._streamed or inspect.isawaitable(result):
            log.warning("Review Hub: streams of the type %s are not recorded", type(result).__name__)
            return self._forget()
        self.reader.whole(result)
        self.end()
        return None

    def _forget(self) -> None:
        self._ended = True
        if self._step is not None:
            self._call.end()

    def piece(self, event: Any) -> None:
        if self.reader.piece(event) and self.reader.answer.first_token_at is None:
            self.reader.answer.first_token_at = time.perf_counter()

    def stream_ended(self, error: BaseException | None = None) -> None:
        if not self._ended:
            try:
                self.reader.finish()
            finally:
                self.end(error)

    def end(self, error: BaseException | None = None) -> None:
        if self._ended:
            return
        self._ended = True
        answer = self.reader.answer
        if self._step is not None:
            self._step.output = answer.output
            self._step.attributes = {
                "model": answer.model, "provider": answer.provider, "usage": dict(answer.usage), **answer.parameters,
            }  # fmt: skip
            self._step.end(error)
        self._call.add(answer)
        self._call.end(error if self._step is None else None)


class Listener:
    """Stands where a stream keeps its iterator, passes everything on, and knows when it is over."""

    def __init__(self, inner: Any, exchange: _Exchange) -> None:
        self._inner, self._exchange = inner, exchange

    def __iter__(self) -> Listener:
        return self

    def __aiter__(self) -> Listener:
        return self

    def __next__(self) -> Any:
        try:
            event = self._inner.__next__()
        except StopIteration:
            self._over()
            raise
        except BaseException as error:
            self._over(error)
            raise
        quietly(lambda: self._exchange.piece(event))
        return event

    async def __anext__(self) -> Any:
        try:
            event = await self._inner.__anext__()
        except StopAsyncIteration:
            self._over()
            raise
        except BaseException as error:
            self._over(error)
            raise
        quietly(lambda: self._exchange.piece(event))
        return event

    def close(self) -> None:
        self._over()
        self._inner.close()

    async def aclose(self) -> None:
        self._over()
        await self._inner.aclose()

    def __del__(self) -> None:
        self._over()  # the application has let go of a stream that it did not read to its end

    def _over(self, error: BaseException | None = None) -> None:
        quietly(lambda: self._exchange.stream_ended(error))


def _end_with(stream: Any, exchange: _Exchange) -> None:
    """A stream that is closed before its end is over too."""
    close = getattr(type(stream), "close", None)
    if not callable(close):
        return

    held = weakref.ref(stream)  # a stream that is dropped is then closed at once, not by the garbage collector

    def closing() -> Any:
        quietly(exchange.stream_ended)
        return close(held())

    stream.close = closing


def _is_raw(result: Any) -> bool:
    return callable(getattr(result, "parse", None)) and hasattr(result, "http_response") and hasattr(result, "headers")
