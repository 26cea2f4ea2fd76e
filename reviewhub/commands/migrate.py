"""``reviewhub migrate``: brings the database to this version of the code."""

from __future__ import annotations

import argparse

from django.core.management import call_command


def handle(arguments: argparse.Namespace) -> int:
    call_command("migrate", interactive=False, verbosity=0 if arguments.quiet else 1)
    return 0
