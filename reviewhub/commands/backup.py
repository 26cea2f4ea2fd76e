"""``reviewhub backup`` and the tools of PostgreSQL that it and ``restore`` use."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings

from reviewhub.runner import database
from reviewhub.runner.home import CannotStart
from reviewhub.runner.postgres import binaries


def handle(arguments: argparse.Namespace) -> int:
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    target = Path(arguments.output or f"reviewhub-{stamp}.dump")
    partial = target.with_name(f"{target.name}.partial")
    partial.touch(mode=0o600)  # it holds conversations
    command = [tool("pg_dump"), "--format=custom", "--no-owner", "--no-privileges", f"--file={partial}"]
    result = subprocess.run(
        [*command, f"--dbname={settings.DATABASE_URL}"], capture_output=True, text=True, check=False
    )
    if result.returncode:
        partial.unlink(missing_ok=True)
        raise CannotStart(f"The backup failed; nothing was changed.\n{result.stderr.strip()}")
    partial.replace(target)
    print(f"Wrote {target} ({target.stat().st_size / 1e6:.1f} MB). `reviewhub restore {target}` brings it back.")
    print(
        f"Keep {settings.HOME / 'secrets'} as well, at another place: provider keys in the backup open only with it.",
        file=sys.stderr,
    )
    return 0


def tool(name: str) -> str:
    """A PostgreSQL program that fits the database: ours, or for a server elsewhere the machine's if new enough.

    Ours has no TLS; a server that asks for it needs the machine's programs.
    """
    ours = str(binaries() / name)
    found = shutil.which(name)
    if settings.EMBEDDED_DATABASE or not found:
        return ours
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
    major = re.search(r"(\d+)\.", said)
    with database.connect(settings.DATABASE_URL) as connection:
        needed = database.facts_of(connection).version // 10000
    return found if major and int(major[1]) >= needed else ours
