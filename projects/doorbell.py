"""Rings workers without ever making the caller wait.

A ring is a hint: it may be lost, repeated or merged with others. What is to be done waits in PostgreSQL,
and the beat schedule rings again. So publishing happens on one thread of its own, at most ten times a
second per name, and a broker that is away costs a request nothing.
"""

import logging
import threading
import time

from celery import current_app
from django.conf import settings
from django.db import transaction

log = logging.getLogger("reviewhub.doorbell")
PAUSE_SECONDS = 0.1


class _Bell:
    def __init__(self) -> None:
        self._waiting: set[str] = set()
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def ring(self, name: str) -> None:
        with self._lock:
            self._waiting.add(name)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._publish, name="doorbell", daemon=True)
                self._thread.start()
        self._wake.set()

    def _publish(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            with self._lock:
                names, self._waiting = self._waiting, set()
            for name in names:
                try:
                    current_app.send_task(name, expires=30, retry=False)
                except Exception as error:  # the sweeper rings again; the caller has long gone on
                    log.warning("could not ring %s: %s", name, error)
            time.sleep(PAUSE_SECONDS)


_bell = _Bell()


def ring(name: str) -> None:
    """Rings the task ``name`` once the current transaction is committed; not at all if it is rolled back."""
    if not settings.DOORBELL:
        return
    transaction.on_commit(lambda: _bell.ring(name))
