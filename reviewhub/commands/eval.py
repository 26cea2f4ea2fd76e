"""``reviewhub eval``: the light client's command, for those who have the server installed."""

from __future__ import annotations

import argparse

from reviewhub_client.cli import main


def handle(arguments: argparse.Namespace) -> int:
    return main(arguments.words)
