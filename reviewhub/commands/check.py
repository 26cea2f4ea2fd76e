"""``reviewhub check``: Django's and our own checks of settings and database."""

from __future__ import annotations

import argparse
import sys

from django.core.management import call_command
from django.core.management.base import SystemCheckError


def handle(arguments: argparse.Namespace) -> int:
    try:
        call_command("check", databases=["default"], deploy=arguments.deploy)
    except SystemCheckError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
