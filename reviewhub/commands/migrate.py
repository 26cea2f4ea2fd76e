"""``reviewhub migrate``: brings the database to this version of the code."""

from __future__ import annotations

import argparse

from django.core.management import CommandError, call_command

from reviewhub.runner.home import CannotStart


def handle(arguments: argparse.Namespace) -> int:
    try:
        call_command("migrate", interactive=False, verbosity=0 if arguments.quiet else 1)
    except CommandError as error:
        raise CannotStart(f"The database could not be brought to this version: {error}") from error
    return 0
