"""Recording what an application does: one interaction per request, with the steps on the way to its answer.

The interaction that is under way in a context (a thread, or an asyncio task) is known to everything that runs in
it, so that calls of wrapped clients, spans and decorated functions find their place. Nothing here raises into the
application, and what fails in it is recorded and raised again.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
import json
import logging
import threading
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import AsyncGeneratorType, GeneratorType, TracebackType
from typing import Any, ParamSpec, Self, TypeVar, overload

from reviewhub_client.background import Background
from reviewhub_client.encoding import clipped, plain, shortened
from reviewhub_client.types import Document, FeedbackKind, Fields, Prompt, Span, SpanKind, Usage
from reviewhub_client.wire import fresh_id

log = logging.getLogger("reviewhub_client")
P = ParamSpec("P")
R = TypeVar("R")
MOST_SPANS = 1_000
LONGEST_PIECES = 100_000  # characters that are kept of a stream
STARTS_INTERACTIONS = ("chain", "agent")


@dataclass(slots=True)
class Answer:
    """What one call of a model said, in the words of an interaction."""

    provider: str = ""
    model: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    messages: list[Any] = field(default_factory=list)
    tools: list[Any] = field(default_factory=list)
    output_schema: dict[str, Any] | None = None
    output: Any = None
    usage: Usage = field(default_factory=Usage)
    response_id: str = ""
    first_token_at: float | None = None


@dataclass
class Call:
    """One request to the application while it is being answered.

    Set what you know; what a wrapped client says inside (messages, output, model, tokens) fills what you leave out.
    It is sent when its block has ended, and the streams that were begun in it as well.
    """

    sender: Background
    id: str = field(default_factory=fresh_id)
    session_id: str = ""
    user_id: str = ""
    feature: str = ""
    environment: str = ""
    release: str = ""
    variant: str = ""
    language: str = ""
    provider: str = ""
    model: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    prompt: Prompt | None = None
    input: str | None = None
    messages: list[Any] = field(default_factory=list)
    output: Any = None
    documents: list[Document] = field(default_factory=list)
    tools: list[Any] = field(default_factory=list)
    usage: Usage | None = None
    cost_usd: Any = None
    output_schema: dict[str, Any] | None = None
    outcome: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    error: BaseException | None = None

    def __post_init__(self) -> None:
        self._clock = _Clock()
        self._latency: float | None = None
        self._first_token: float | None = None
        self._spans: list[Span] = []
        self._answers: list[Answer] = []
        self._open = 1  # this block, and each stream that is still running
        self._lock = threading.RLock()
        self._token: contextvars.Token[_Frame | None] | None = None

    # ── For the application ───────────────────────────────────────────────────────────────────────

    def __enter__(self) -> Self:
        self._token = _current.set(_Frame(self, None))
        _last_id.set(self.id)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._token is not None:
            _current.reset(self._token)
        self.end(error)

    def first_token(self) -> None:
        """The first piece of the answer has reached the user: now. Later calls change nothing."""
        if self._first_token is None:
            self._first_token = time.perf_counter()

    @contextmanager
    def span(self, name: str, kind: SpanKind = "other", input: Any = None) -> Iterator[Step]:
        """A step on the way: ``with call.span("search", "retriever", question) as step: step.output = …``."""
        step = Step(self, name, kind, input)
        with step.active():
            try:
                yield step
            except BaseException as error:
                step.end(error)
                raise
        step.end()

    def feedback(self, kind: FeedbackKind = "thumbs", value: Any = None, **fields: Any) -> str:
        """What the end user said about this answer; its key."""
        return self.sender.feedback(self.id, kind, value, **fields)

    # ── For what records ──────────────────────────────────────────────────────────────────────────

    def begin_stream(self) -> None:
        with self._lock:
            self._open += 1

    def end(self, error: BaseException | None = None) -> None:
        """One of those that are under way has ended; the last one sends."""
        with self._lock:
            self.error = self.error or (None if isinstance(error, GeneratorExit) else error)
            self._open -= 1
            if self._open or self._latency is not None:
                return
            self._latency = self._clock.milliseconds()
        quietly(lambda: self.sender.record_interaction(self._item()))

    def add(self, answer: Answer) -> None:
        self._answers.append(answer)

    def add_span(self, span: Span) -> None:
        if len(self._spans) < MOST_SPANS:
            self._spans.append(span)
        else:
            self.metadata["spans_not_recorded"] = int(self.metadata.get("spans_not_recorded", 0)) + 1

    def _item(self) -> dict[str, Any]:
        last = self._answers[-1] if self._answers else Answer()
        output = last.output if self.output is None else _output(self.output)
        item: dict[str, Any] = {
            "id": self.id, "created_at": self._clock.started.isoformat(), "session_id": self.session_id,
            "user_id": self.user_id, "feature": self.feature, "environment": self.environment, "release": self.release,
            "variant": self.variant, "language": self.language, "provider": self.provider or last.provider,
            "model": self.model or last.model, "parameters": self.parameters or last.parameters, "prompt": self.prompt,
            "documents": clipped(self.documents), "tools": self.tools or last.tools, "spans": self._spans,
            "usage": self.usage or _total(self._answers), "cost_usd": self.cost_usd,
            "output_schema": self.output_schema or last.output_schema, "outcome": self.outcome, "tags": self.tags,
            "metadata": {**({"response_id": last.response_id} if last.response_id else {}), **self.metadata},
        }  # fmt: skip
        item = {name: value for name, value in item.items() if value not in (None, "", [], {})}
        if self.messages or (self.input is None and last.messages):
            item["messages"] = clipped(self.messages or last.messages)
        else:
            item["input"] = shortened(self.input or "")
        if output is not None or self.error is None:
            item["output"] = clipped("" if output is None else output)
        if self.error is not None:
            item["status"], item["error"] = "error", described(self.error)
        item["latency_ms"] = self._latency
        first = self._first_token or last.first_token_at
        if first is not None:
            item["time_to_first_token_ms"] = self._clock.milliseconds(first)
        return item


class Step:
    """A step on the way to an answer, while it runs. Set ``output`` and ``attributes``."""

    def __init__(self, call: Call | None, name: str, kind: SpanKind, input: Any = None) -> None:
        self.call, self.name, self.kind, self.input = call, name, kind, input
        self.output: Any = None
        self.attributes: dict[str, Any] = {}
        self.id = uuid.uuid4().hex[:16]
        frame = _current.get()
        self._parent = frame.span_id if frame is not None and frame.call is call else None
        self._clock = _Clock()
        self._ended = False

    @contextmanager
    def active(self) -> Iterator[None]:
        """What runs in this block is a part of this step."""
        token = _current.set(_Frame(self.call, self.id)) if self.call is not None else None
        try:
            yield
        finally:
            if token is not None:
                _current.reset(token)

    def end(self, error: BaseException | None = None) -> None:
        if self._ended or self.call is None:
            return
        self._ended = True
        milliseconds = self._clock.milliseconds()
        quietly(lambda: self._add(milliseconds, error))

    def _add(self, milliseconds: float, error: BaseException | None) -> None:
        assert self.call is not None
        failed = error is not None and not isinstance(error, GeneratorExit)
        attributes = {**self.attributes, **({"error": described(error)} if failed and error else {})}
        span: Span = {
            "id": self.id, "parent_id": self._parent, "kind": self.kind, "name": self.name[:300],
            "started_at": self._clock.started.isoformat(), "status": "error" if failed else "ok",
            "ended_at": (self._clock.started + timedelta(milliseconds=milliseconds)).isoformat(),
            "input": clipped(self.input), "output": clipped(self.output), "attributes": clipped(attributes),
        }  # fmt: skip
        self.call.add_span(span)


@dataclass(frozen=True, slots=True)
class _Frame:
    call: Call | None
    span_id: str | None


class _Clock:
    """When something began, and how long ago that is by a clock that nobody sets."""

    def __init__(self) -> None:
        self.started = datetime.now(UTC)
        self._began = time.perf_counter()

    def milliseconds(self, until: float | None = None) -> float:
        return round(((time.perf_counter() if until is None else until) - self._began) * 1000, 3)


_current: contextvars.ContextVar[_Frame | None] = contextvars.ContextVar("reviewhub_current", default=None)
_last_id: contextvars.ContextVar[str | None] = contextvars.ContextVar("reviewhub_last_id", default=None)


def remember(id: str) -> None:
    """``last_id`` of this context."""
    _last_id.set(id)


def current_call() -> Call | None:
    """The interaction that is under way in this context."""
    frame = _current.get()
    return frame.call if frame is not None else None


class Recording:
    """What both clients offer to record an application. ``background`` starts nothing before the first item."""

    defaults: Fields

    def background(self) -> Background:
        raise NotImplementedError

    def interaction(self, *, id: str | None = None, **fields: Any) -> Call:
        """A block that answers one request: ``with hub.interaction(session_id="s-1", input=question) as call: …``.

        ``fields`` are those of ``Call``; unknown ones raise TypeError, here and not in the block.
        """
        return Call(self.background(), **{**self.defaults, **fields, **({"id": id} if id else {})})

    def current(self) -> Call | None:
        """The interaction that is under way in this thread or task."""
        return current_call()

    def last_id(self) -> str | None:
        """The id of the interaction that was begun last in this thread or task, for feedback and tokens."""
        return _last_id.get()

    @contextmanager
    def span(self, name: str, kind: SpanKind = "other", input: Any = None) -> Iterator[Step]:
        """A step of the interaction that is under way; without one nothing is recorded."""
        call = current_call()
        if call is None:
            yield Step(None, name, kind, input)
        else:
            with call.span(name, kind, input) as step:
                yield step

    @overload
    def record(self, function: Callable[P, R]) -> Callable[P, R]: ...
    @overload
    def record(self, *, kind: SpanKind = ..., **fields: Any) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
    def record(self, function: Callable[..., Any] | None = None, *, kind: SpanKind = "chain", **fields: Any) -> Any:
        """Decorates a function, generator or coroutine: outermost it is an interaction, inside one a span of it.

        Only the kinds "chain" and "agent" begin interactions; a tool on its own is no answer to anybody.
        ``fields`` are those of ``interaction``. The argument called ``messages``, else the only text, is the input.
        """
        if function is None:
            return lambda decorated: self.record(decorated, kind=kind, **fields)  # type: ignore[call-overload]
        return _decorated(self, function, kind, fields)


# ── Functions ─────────────────────────────────────────────────────────────────────────────────────


class _Run:
    """One run of a decorated function: an interaction or a step of one, whichever it turned out to be."""

    def __init__(
        self, hub: Recording, function: Callable[..., Any], kind: SpanKind, fields: Mapping[str, Any], arguments: Any
    ) -> None:
        call, name = current_call(), getattr(function, "__name__", "function")
        given = quietly(lambda: _arguments(function, *arguments)) or {}
        self._step: Step | None = None
        self._call: Call | None = None
        self._pieces: list[Any] = []
        self._kept = 0
        if call is not None:
            self._step = Step(call, name, kind, given)
            call.begin_stream()  # the interaction waits for what was begun in it
        elif kind in STARTS_INTERACTIONS:
            self._call = hub.interaction(**{"feature": name, **_asked(given), **fields})
            _last_id.set(self._call.id)

    @contextmanager
    def active(self) -> Iterator[None]:
        if self._step is not None:
            with self._step.active():
                yield
        elif self._call is not None:
            token = _current.set(_Frame(self._call, None))
            try:
                yield
            finally:
                _current.reset(token)
        else:
            yield

    def piece(self, piece: Any) -> None:
        """A generator has yielded this."""
        if self._call is not None:
            self._call.first_token()
        if self._kept < LONGEST_PIECES:
            self._pieces.append(piece)
            self._kept += len(piece) if isinstance(piece, str) else 100

    def end(self, result: Any = None, error: BaseException | None = None) -> None:
        if self._pieces:
            texts = all(isinstance(piece, str) for piece in self._pieces)
            result = "".join(self._pieces) if texts else self._pieces
        if self._step is not None:
            self._step.output = result
            self._step.end(error)
            if self._step.call is not None:
                self._step.call.end()
        elif self._call is not None:
            if self._call.output is None and result is not None:
                self._call.output = result
            self._call.end(error)


def _decorated(hub: Recording, function: Callable[..., Any], kind: SpanKind, fields: Mapping[str, Any]) -> Any:
    def run(arguments: Any) -> _Run:
        return _Run(hub, function, kind, fields, arguments)

    if inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        async def asynchronous_generator(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            stepped = _stepped_async(function(*args, **kwargs), run((args, kwargs)))
            try:
                async for piece in stepped:
                    yield piece
            finally:
                await stepped.aclose()

        return asynchronous_generator
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            return (yield from _stepped(function(*args, **kwargs), run((args, kwargs))))

        return generator
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            started = run((args, kwargs))
            try:
                with started.active():
                    result = await function(*args, **kwargs)
            except BaseException as error:
                started.end(error=error)
                raise
            return _result(result, started)

        return coroutine

    @functools.wraps(function)
    def plain_function(*args: Any, **kwargs: Any) -> Any:
        started = run((args, kwargs))
        try:
            with started.active():
                result = function(*args, **kwargs)
        except BaseException as error:
            started.end(error=error)
            raise
        return _result(result, started)

    return plain_function


def _result(result: Any, started: _Run) -> Any:
    """A function that returns a generator has not answered yet."""
    if isinstance(result, GeneratorType):
        return _stepped(result, started)
    if isinstance(result, AsyncGeneratorType):
        return _stepped_async(result, started)
    started.end(result)
    return result


def _stepped(generator: Generator[Any, Any, Any], started: _Run) -> Generator[Any, Any, Any]:
    """The generator, active only while it runs: between its pieces the context belongs to its consumer."""
    sent: Any = None
    thrown: BaseException | None = None
    result: Any = None
    try:
        while True:
            with started.active():
                try:
                    piece = generator.send(sent) if thrown is None else generator.throw(thrown)
                except StopIteration as stop:
                    result = stop.value
                    break
            quietly(lambda: started.piece(piece))  # noqa: B023  # called at once
            sent, thrown = None, None
            try:
                sent = yield piece
            except GeneratorExit:
                generator.close()
                raise
            except BaseException as error:
                thrown = error
    except BaseException as error:
        started.end(error=error)
        raise
    started.end(result)
    return result


async def _stepped_async(generator: AsyncGenerator[Any, Any], started: _Run) -> AsyncGenerator[Any, Any]:
    sent: Any = None
    thrown: BaseException | None = None
    try:
        while True:
            with started.active():
                try:
                    piece = await (generator.asend(sent) if thrown is None else generator.athrow(thrown))
                except StopAsyncIteration:
                    break
            quietly(lambda: started.piece(piece))  # noqa: B023  # called at once
            sent, thrown = None, None
            try:
                sent = yield piece
            except GeneratorExit:
                await generator.aclose()
                raise
            except BaseException as error:
                thrown = error
    except BaseException as error:
        started.end(error=error)
        raise
    started.end()


# ── Values ────────────────────────────────────────────────────────────────────────────────────────


def quietly(work: Callable[[], R]) -> R | None:
    """The result, or None and a line in the log: recording never fails the application."""
    try:
        return work()
    except Exception:
        log.warning("Review Hub: something could not be recorded", exc_info=True)
        return None


def described(error: BaseException) -> dict[str, str]:
    """An exception as the ``error`` of an interaction."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return {"type": name[:200], "message": shortened(str(quietly(lambda: str(error)) or ""))}


def _arguments(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    bound = inspect.signature(function).bind(*args, **kwargs).arguments
    return {name: value for place, (name, value) in enumerate(bound.items()) if place or name not in ("self", "cls")}


def _asked(arguments: Mapping[str, Any]) -> dict[str, Any]:
    messages = arguments.get("messages")
    if isinstance(messages, list | tuple):
        return {"messages": list(messages)}
    texts = [value for value in arguments.values() if isinstance(value, str)]
    if len(texts) == 1:
        return {"input": texts[0]}
    return {"input": json.dumps(clipped(arguments), ensure_ascii=False) if arguments else ""}


def _output(value: Any) -> Any:
    """A text, or a list of messages; anything else as JSON text."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(one, Mapping) and "role" in one for one in value):
        return value
    return json.dumps(clipped(value), ensure_ascii=False, default=plain)


def _total(answers: list[Answer]) -> dict[str, int]:
    total: dict[str, int] = {}
    for answer in answers:
        for name, count in answer.usage.items():
            total[name] = total.get(name, 0) + int(str(count))
    return total
