"""A function of yours as a target: ``python:MODULE:FUNCTION``.

It is called with the example (a dict as in the native export) and returns the answer as a text, or a dict of
``output`` and, if it likes, ``latency_ms``, ``input_tokens``, ``output_tokens``, ``cost_usd``. An exception is an
example without an answer.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from reviewhub_client.answers import MAX_ERROR, Answer, CannotRun, Wish, bounded

_BELIEVABLE = 1e15  # and no infinity, nor an integer that is no float


class PythonTarget:
    """Any callable from an example to an answer. It is called from several threads unless ``concurrent`` is False."""

    def __init__(
        self, function: Callable[[Mapping[str, Any]], Any], name: str = "", *, concurrent: bool = True
    ) -> None:
        self._function, self.concurrent = function, concurrent
        self.name = name or str(getattr(function, "__name__", "python"))

    def describe(self) -> dict[str, Any]:
        return {"kind": "python", "name": self.name}

    def identity(self) -> dict[str, Any]:
        """What its answers depend on, as far as can be seen: the file that it stands in. What that imports is not."""
        try:
            path = inspect.getsourcefile(inspect.unwrap(self._function))
            source = Path(path).read_bytes() if path else b""
        except (OSError, TypeError):  # made at run time, or an object that can be called
            source = b""
        return {**self.describe(), "sha256": hashlib.sha256(source).hexdigest()}

    def answer(self, example: Mapping[str, Any]) -> Answer:
        started = time.perf_counter()
        try:
            said = self._function(example)
        except CannotRun:
            raise
        except Exception as error:  # a stranger's code; the other examples go on
            return Answer(error=f"{type(error).__name__}: {error}"[:MAX_ERROR])
        took = (time.perf_counter() - started) * 1000
        given = said if isinstance(said, dict) and "output" in said else {"output": said}
        output = given["output"]
        if isinstance(output, dict | list):
            try:
                output = json.dumps(output, ensure_ascii=False)
            except (TypeError, ValueError) as error:
                return Answer(error=f"the function returned what is not JSON: {error}"[:MAX_ERROR], latency_ms=took)
        if not isinstance(output, str):
            return Answer(error=f"the function returned {type(output).__name__}, not a text", latency_ms=took)
        return bounded(
            output, _number(given.get("latency_ms"), took), _whole(given.get("input_tokens")),
            _whole(given.get("output_tokens")), _number(given.get("cost_usd"), None),
        )  # fmt: skip


def make(wish: Wish) -> PythonTarget:
    """``python:MODULE:FUNCTION``, looked for in the current folder too."""
    module, colon, name = wish.rest.partition(":")
    if not (module and colon and name):
        raise CannotRun("Write python:MODULE:FUNCTION.")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        function = getattr(importlib.import_module(module), name)
    except Exception as error:  # the module is a stranger's code
        raise CannotRun(f"{wish.rest} cannot be loaded: {type(error).__name__}: {error}") from None
    if not callable(function):
        raise CannotRun(f"{wish.rest} is no function.")
    return PythonTarget(function, wish.rest)


def _number(value: Any, otherwise: float | None) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _BELIEVABLE
    return float(value) if known else otherwise


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
