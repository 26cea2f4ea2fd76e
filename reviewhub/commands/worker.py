"""``reviewhub worker``: a Celery worker, by default with the clock (beat) that finds lost work again."""

from __future__ import annotations

import argparse
import warnings

from celery.exceptions import SecurityWarning
from django.conf import settings

from reviewhub.celery import app
from reviewhub.runner.preflight import preflight


def handle(arguments: argparse.Namespace) -> int:
    if not arguments.supervised:
        preflight()
    # Celery warns root of pickled messages; ours are JSON and nothing else is accepted.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    words = ["worker", "-P", "threads", "-c", str(arguments.threads), "--loglevel", "WARNING", "--without-gossip"]
    words += ["--without-mingle"]
    if not arguments.no_beat:
        settings.SOCKET_FILE.parent.mkdir(parents=True, exist_ok=True)
        words += ["--beat", "--schedule-filename", str(settings.SOCKET_FILE.parent / "beat")]
    app.worker_main(words)
    return 0
