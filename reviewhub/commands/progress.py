"""How a long command tells how far it is: a bar on a terminal, a line every few seconds in a pipe."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 5.0
Tell = Callable[..., None]


@contextlib.contextmanager
def progress(what: str) -> Iterator[Tell]:
    """Yields ``tell(done, total=None)``. All goes to standard error: results have standard output for themselves."""
    if sys.stderr.isatty():
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(what, total=None)
            yield lambda done, total=None: bar.update(task, completed=done, total=total)
        return
    began = last = time.monotonic()
    told = 0

    def tell(done: int, total: int | None = None) -> None:
        nonlocal last, told
        told = done
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            print(f"{what}: {done}{f' of {total}' if total else ''}", file=sys.stderr, flush=True)

    yield tell
    print(f"{what}: {told} in {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)
