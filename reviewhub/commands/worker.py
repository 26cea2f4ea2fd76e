"""``reviewhub worker``: a Celery worker, by default with the clock (beat) that finds lost work again."""

from __future__ import annotations

import argparse
import logging
import threading
import time
import warnings
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from celery import beat
from celery.exceptions import SecurityWarning
from celery.signals import worker_ready
from django.apps import apps
from django.db import close_old_connections

from reviewhub import garbage
from reviewhub.celery import app
from reviewhub.runner.preflight import preflight

WATCH_SECONDS = 2.0
PATIENCE = timedelta(seconds=8)  # longer than the sweepers take to find what a lost message left behind
log = logging.getLogger("reviewhub.clock")


def handle(arguments: argparse.Namespace) -> int:
    if not arguments.supervised:
        preflight()
    # Celery warns root of pickled messages; ours are JSON and nothing else is accepted.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    if not arguments.no_beat:
        threading.Thread(target=_keep_time, name="clock", daemon=True).start()
        threading.Thread(target=_keep_watch, name="watch", daemon=True).start()
    words = ["worker", "-P", "threads", "-c", str(arguments.threads), "--loglevel", "WARNING"]
    # Nobody listens to what workers say of themselves every two seconds.
    app.worker_main([*words, "--without-gossip", "--without-mingle", "--without-heartbeat"])
    return 0


@worker_ready.connect
def _loaded(**_: Any) -> None:
    garbage.settle()


def _keep_time() -> None:
    """Beat on a thread: as a process of its own (``-B``) it would take 45 MB and outlive a killed worker.

    The schedule is short and fixed, so nothing is kept in a file.
    """
    while True:
        try:
            # remote_control: the worker has it already (an argument that the types do not know yet)
            service = beat.Service(app, max_interval=1, scheduler_cls=beat.Scheduler, remote_control=False)  # type: ignore[call-arg]
            service.start()
            return
        except Exception:  # the sweepers are what makes a lost message harmless: never without them
            log.exception("the clock stopped; starting it again in 5 s")
            time.sleep(5)


def _keep_watch() -> None:
    """Reads new facts and traces without any message once they have waited too long: the broker is away.

    Harmless at any time, because each fact is read exactly once whoever reads it.
    """
    while not apps.ready:  # Celery loads Django as it starts
        time.sleep(WATCH_SECONDS)
    from feedback import inbox
    from feedback.models import Inbox
    from feedback.telemetry import assembly

    waits: dict[str, Callable[[timedelta], bool]] = {
        f"inbox.{stage}": partial(inbox.waits, stage) for stage in Inbox.Stage
    }
    waits["feedback.assemble"] = assembly.waits
    while True:
        time.sleep(WATCH_SECONDS)
        close_old_connections()
        for name, too_long in waits.items():
            try:
                if too_long(PATIENCE):
                    app.tasks[name]()
            except Exception:  # the database may be away too; it is asked again
                log.exception("the watch could not do %s", name)
