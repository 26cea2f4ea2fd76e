"""``reviewhub worker``: a Celery worker, by default with the clock (beat) that finds lost work again."""

from __future__ import annotations

import argparse
import logging
import threading
import time
import warnings

from celery import beat
from celery.exceptions import SecurityWarning

from reviewhub.celery import app
from reviewhub.runner.preflight import preflight

log = logging.getLogger("reviewhub.clock")


def handle(arguments: argparse.Namespace) -> int:
    if not arguments.supervised:
        preflight()
    # Celery warns root of pickled messages; ours are JSON and nothing else is accepted.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    if not arguments.no_beat:
        threading.Thread(target=_keep_time, name="clock", daemon=True).start()
    words = ["worker", "-P", "threads", "-c", str(arguments.threads), "--loglevel", "WARNING"]
    app.worker_main([*words, "--without-gossip", "--without-mingle"])
    return 0


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
