"""A thread without an event loop for a test, whatever ran before it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def in_thread(call: Callable[[], T]) -> T:
    """What ``call`` returns or raises: a browser test that ran before leaves its loop running in the main thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(call).result()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """What the coroutine returns or raises, from a loop of its own."""
    return in_thread(lambda: asyncio.run(coroutine))
