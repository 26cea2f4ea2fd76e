"""``reviewhub web``: the web server alone."""

from __future__ import annotations

import argparse
import multiprocessing
import sys

from django.conf import settings
from django.db import connections
from django.urls import get_resolver
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server import Server

from reviewhub import garbage, wsgi
from reviewhub.celery import app as celery
from reviewhub.runner.preflight import preflight


def handle(arguments: argparse.Namespace) -> int:
    if not arguments.supervised:
        preflight()
    if sys.platform == "linux":
        _load_before_fork()
    Server(
        "reviewhub.wsgi:application",
        address=arguments.host,
        port=settings.PORT,
        interface=Interfaces.WSGI,
        workers=arguments.workers,
        blocking_threads=arguments.threads,
        # As many requests wait in a worker as a short burst needs; more are left to the kernel's queue.
        backpressure=128,
        backlog=1024,
        log_level=LogLevels.warning,
        respawn_failed_workers=True,
        respawn_interval=1.0,
        workers_kill_timeout=8,
    ).serve()
    return 0


def _load_before_fork() -> None:
    """The workers are forks: what is loaded now is shared by them."""
    multiprocessing.set_start_method("fork", force=True)
    assert wsgi.application
    assert get_resolver().url_patterns
    assert celery.connection_for_write().transport_cls  # else the first ring in each process would load it
    connections.close_all()  # a connection must not be used by two processes
    garbage.settle()  # the collector would write into shared pages
