"""A worker that judges until it is killed, and is born again: ``python -m tests.evals.judge_worker``.

The parent imports everything once and forks a child for each life, so that a death costs milliseconds. It prints
the number of each child, and ends with its standard input. Time is short here: deadlines, leases and pauses are
fractions of the real ones in the same proportions.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from datetime import timedelta

import django
from django.conf import settings


def prepare() -> None:
    settings.DATABASES["default"]["NAME"] = os.environ["JUDGE_WORKER_DATABASE"]
    django.setup()
    import openai  # noqa: F401  # before the forks, not in each of them

    from evals import batches, judging, llm, llm_batches, throttle

    llm.DEADLINE_SECONDS = 0.6
    judging.LEASE = timedelta(seconds=2)
    judging.BACKOFF_SECONDS, judging.BACKOFF_FACTOR = 0.05, 2
    judging.LONGEST_PAUSE = 0.05
    llm_batches.TRANSFER_SECONDS = 1.2
    batches.EVERY, batches.LEASE, batches.NO_ROOM_SECONDS = timedelta(seconds=0.05), timedelta(seconds=3), 0.2
    batches.STORED_TOGETHER = 7
    throttle.OPEN = throttle.DEADLINE = timedelta(seconds=0.3)
    throttle.RECOVERS = timedelta(seconds=0.5)
    logging.disable(logging.WARNING)


def live() -> None:
    from evals import batches, judging

    while True:
        batches.work(seconds=1)
        judging.work(seconds=5, concurrency=16)
        time.sleep(0.02)


def main() -> None:
    prepare()
    child = 0

    def end() -> None:
        sys.stdin.read()
        with contextlib.suppress(OSError):
            os.kill(child, signal.SIGKILL)
        os._exit(0)

    threading.Thread(target=end, daemon=True).start()
    while True:
        child = os.fork()
        if not child:
            live()
        print(child, flush=True)  # noqa: T201
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
