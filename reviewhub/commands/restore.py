"""``reviewhub restore``: the database as it was when a backup was written, in one transaction."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management import call_command

from reviewhub.commands.backup import tool
from reviewhub.runner.home import CannotStart

# Settings that a newer pg_restore writes and an older server does not know.
_UNKNOWN_TO_OLD_SERVERS = ("SET transaction_timeout = 0;",)


def handle(arguments: argparse.Namespace) -> int:
    dump = Path(arguments.file)
    if not dump.is_file():
        raise ValidationError(f"There is no file {dump}.")
    if not arguments.yes and not _agreed(dump):
        print("Nothing was changed.", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="reviewhub-restore-") as folder:
        script = Path(folder) / "restore.sql"
        _write_script(dump, script)
        command = [tool("psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction"]
        result = subprocess.run(
            [*command, f"--dbname={settings.DATABASE_URL}", "--output=/dev/null", f"--file={script}"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    if result.returncode:
        raise CannotStart(f"The restore failed; the database is as it was before.\n{result.stderr.strip()}")
    call_command("migrate", interactive=False, verbosity=0)
    print(f"Restored {dump}.")
    return 0


def _write_script(dump: Path, script: Path) -> None:
    """All of it in the one transaction: also what the backup does not know of goes."""
    body = script.with_suffix(".body")
    command = [tool("pg_restore"), "--no-owner", "--no-privileges", "--schema=public", f"--file={body}", str(dump)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise CannotStart(f"{dump} is not a backup of Review Hub; nothing was changed.\n{result.stderr.strip()}")
    with body.open("rb") as source, script.open("wb") as target:
        target.write(b"SET client_min_messages = warning;\nDROP SCHEMA public CASCADE;\nCREATE SCHEMA public;\n")
        target.writelines(
            line for line in source if line.decode(errors="replace").strip() not in _UNKNOWN_TO_OLD_SERVERS
        )


def _agreed(dump: Path) -> bool:
    if not sys.stdin.isatty():
        raise ValidationError("This replaces everything in the database. Say --yes to do it without being asked.")
    answer = input(f"Replace everything in the database by {dump}? Type `replace` to go on: ")
    return answer.strip() == "replace"
